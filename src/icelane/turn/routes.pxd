# The types of the compiled form.

cdef class ChannelRoute:
    cdef public object client
    cdef public object channel
    cdef public object relay
    cdef public object peer
    cdef public object wire_peer
    cdef public double expires_at


cdef class PermissionRoute:
    cdef public object client
    cdef public object relay
    cdef public object peer_host
    cdef public object verdict
    cdef public double expires_at


cdef class BindRelayPort:
    cdef public object bind_id
    cdef public object relay
    cdef public object and_next
    cdef public object transport


cdef class ClaimRelayPort:
    cdef readonly object bind_id
    cdef readonly object token
    cdef readonly object owner


cdef class ReturnRelayPort:
    cdef readonly object relay
    cdef readonly object owner


cdef class PassOn:
    cdef readonly object client
    cdef readonly object message
    cdef readonly object owner


cdef class AssignRelayPort:
    cdef public object relay
    cdef public object client
    cdef public object user_key


cdef class ReleaseRelayPort:
    cdef public object relay


cdef class ConnectPeer:
    cdef readonly object connection_id
    cdef readonly object relay
    cdef readonly object wire_peer


cdef class BindStreams:
    cdef readonly object connection_id
    cdef readonly object client
    cdef readonly object response


cdef class ClosePeer:
    cdef readonly object connection_id


cdef class InstallChannelRoute:
    cdef public object route


cdef class RemoveChannelRoute:
    cdef public object route


cdef class InstallPermissionRoute:
    cdef public object route


cdef class RemovePermissionRoute:
    cdef public object route


cdef class LookUpCredential:
    cdef readonly object lookup_id
    cdef readonly object username
    cdef readonly object realm
    cdef readonly object client
