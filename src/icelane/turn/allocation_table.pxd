# The types of the compiled form.

cimport cython

from icelane.turn.allocation cimport Allocation, Channel, Permission, Relay
from icelane.turn.allocation_alarms cimport AllocationAlarms
from icelane.turn.routes cimport AssignRelayPort, InstallChannelRoute, InstallPermissionRoute


cdef class AllocationTable:
    cdef double _permission_lifetime
    cdef double _channel_lifetime
    cdef object _credential_end
    cdef object _commands
    cdef object _release
    cdef object _on_end
    cdef dict _allocations_by_client
    cdef AllocationAlarms _alarms

    cpdef Allocation get(self, client)
    @cython.locals(allocation=Allocation)
    cpdef Allocation authorised(self, client, now)
    @cython.locals(allocation=Allocation)
    cpdef object handle_timeout(self, now)
    @cython.locals(relay=Relay)
    cpdef object add(self, Allocation allocation, relays, double lifetime, now)
    cpdef object refresh(self, Allocation allocation, relays, double lifetime, now)
    @cython.locals(permission=Permission, permissions=dict)
    cpdef object permit(self, Allocation allocation, peer_host, Relay relay, verdict, now)
    @cython.locals(channel=Channel, channels=dict)
    cpdef object bind_channel(self, Allocation allocation, number, peer, Relay relay, verdict, now)
    @cython.locals(allocation=Allocation)
    cpdef object end(self, client, reason)
    cpdef object next_timeout(self)
    cdef object _set_expiry(self, Allocation allocation, Relay relay, double at)
    cdef bint _watch_credential(self, Allocation allocation, now) except -1
    cdef object _expire(self, Allocation allocation, now)
    cdef object _install(self, Allocation allocation, Permission permission)
    cdef object _remove_permission(self, Allocation allocation, Permission permission)
    cdef object _remove_channel(self, Allocation allocation, Channel channel)
    cdef object _end_relay(self, Allocation allocation, family, reason)
