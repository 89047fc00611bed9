# The types of the compiled form.

cimport cython

from icelane.aio.udp cimport UdpSocket
from icelane.turn.routes cimport (
    AssignRelayPort,
    BindRelayPort,
    ChannelRoute,
    InstallChannelRoute,
    InstallPermissionRoute,
    PermissionRoute,
    ReleaseRelayPort,
    RemoveChannelRoute,
    RemovePermissionRoute,
)


cdef class RelayedClient:
    cdef readonly object path
    cdef readonly object user_key
    cdef readonly dict relays
    cdef readonly dict channels_by_number
    cdef readonly dict permissions_by_host
    cdef dict _traffic_by_route
    cdef object _meter
    cdef object _packets_from_client
    cdef object _bytes_from_client
    cdef object _packets_to_client
    cdef object _bytes_to_client
    cdef object _dropped
    cdef object _send
    cdef bint _padded
    cdef object _entropy

    cpdef bint relay_from_client(self, data) except -1
    cpdef object forget_channel(self, number)
    cpdef object forget_permission(self, host)
    cpdef object limit(self, meter)


cdef class RelaySocket:
    cdef UdpSocket _udp
    cdef readonly object sendto
    cdef RelayedClient _client
    cdef dict _channels_by_peer
    cdef dict _permissions_by_wire_host

    cpdef object assign(self, RelayedClient client)
    cpdef object channel_of(self, peer)
    cpdef bint permits(self, wire_host) except -1
    cpdef object add_channel(self, number, peer)
    cpdef object remove_channel(self, number, peer)
    cpdef object add_permission(self, PermissionRoute route)
    cpdef object remove_permission(self, PermissionRoute route)


cdef class RelayPlane:
    cdef object _entropy
    cdef dict _relays_by_address
    cdef dict _clients_by_path
    cdef object _gone
    cdef object _gone_sockets
    cdef public object listener_reader
    cdef public object bucket

    @cython.locals(relay=RelaySocket)
    cpdef object bind(self, BindRelayPort command)
    @cython.locals(client=RelayedClient)
    cpdef object assign(self, AssignRelayPort command, send)
    cpdef object release(self, ReleaseRelayPort command)
    cpdef object route(self, command)
    cpdef RelaySocket _open(self, bound, new_at=*)
    cpdef RelayedClient _meet(self, AssignRelayPort command, send)


cdef _install_channel(RelayedClient client, RelaySocket relay, ChannelRoute route)
@cython.locals(known=tuple)
cdef _install_permission(RelayedClient client, RelaySocket relay, PermissionRoute route)
cpdef raw_address(address)
