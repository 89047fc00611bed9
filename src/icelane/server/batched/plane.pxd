# The types of the compiled form.

from icelane.server.batched.reader cimport BatchedReader
from icelane.server.relay_plane cimport RelayedClient, RelayPlane, RelaySocket
from icelane.turn.routes cimport (
    AssignRelayPort,
    ChannelRoute,
    InstallChannelRoute,
    InstallPermissionRoute,
    PermissionRoute,
    ReleaseRelayPort,
    RemoveChannelRoute,
    RemovePermissionRoute,
)


cdef class BatchedClient(RelayedClient):
    cdef object _core
    cdef list _from_stream
    cdef list _to_stream
    cdef readonly object number


cdef class BatchedPlane(RelayPlane):
    cdef BatchedReader _reader
    cdef object _core
    cdef object _relay_reader
    cdef dict _clients_by_number
    cdef list _gathering
    cdef object _activity

    cdef BatchedClient _known(self, client)
    cdef object _number_of(self, RelaySocket relay)
    cdef object _install_channel(self, BatchedClient client, RelaySocket relay, InstallChannelRoute command)
    cdef object _install_permission(self, BatchedClient client, RelaySocket relay, InstallPermissionRoute command)
    cdef object _remove_permission(self, BatchedClient client, RelaySocket relay, RemovePermissionRoute command)
    cdef object _permit(self, RelaySocket relay, host)
    cdef object _lead_back(self, BatchedClient client, RelaySocket relay, tuple peer)
