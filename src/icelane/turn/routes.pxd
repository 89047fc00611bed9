# The types of the compiled form. None of these can be part of a cycle, so none is visited for garbage.

cimport cython


@cython.no_gc
@cython.freelist(16)
cdef class ChannelRoute:
    cdef public object client
    cdef public object channel
    cdef public object relay
    cdef public object peer
    cdef public object wire_peer
    cdef public double expires_at


@cython.no_gc
@cython.freelist(16)
cdef class PermissionRoute:
    cdef public object client
    cdef public object relay
    cdef public object peer_host
    cdef public object verdict
    cdef public double expires_at


@cython.no_gc
@cython.freelist(16)
cdef class BindRelayPort:
    cdef public object bind_id
    cdef public object relay
    cdef public object and_next
    cdef public object transport


@cython.no_gc
cdef class ClaimRelayPort:
    cdef readonly object bind_id
    cdef readonly object token
    cdef readonly object owner


@cython.no_gc
cdef class ReturnRelayPort:
    cdef readonly object relay
    cdef readonly object owner


@cython.no_gc
cdef class PassOn:
    cdef readonly object client
    cdef readonly object message
    cdef readonly object owner


@cython.no_gc
@cython.freelist(16)
cdef class AssignRelayPort:
    cdef public object relay
    cdef public object client
    cdef public object user_key


@cython.no_gc
@cython.freelist(16)
cdef class ReleaseRelayPort:
    cdef public object relay


@cython.no_gc
cdef class ConnectPeer:
    cdef readonly object connection_id
    cdef readonly object relay
    cdef readonly object wire_peer


@cython.no_gc
cdef class BindStreams:
    cdef readonly object connection_id
    cdef readonly object client
    cdef readonly object response


@cython.no_gc
cdef class ClosePeer:
    cdef readonly object connection_id


@cython.no_gc
@cython.freelist(16)
cdef class InstallChannelRoute:
    cdef public object route


@cython.no_gc
@cython.freelist(16)
cdef class RemoveChannelRoute:
    cdef public object route


@cython.no_gc
@cython.freelist(16)
cdef class InstallPermissionRoute:
    cdef public object route


@cython.no_gc
@cython.freelist(16)
cdef class RemovePermissionRoute:
    cdef public object route


@cython.no_gc
cdef class LookUpCredential:
    cdef readonly object lookup_id
    cdef readonly object username
    cdef readonly object realm
    cdef readonly object client
