# The types of the compiled form.

cimport cython

from icelane.turn.quota cimport QuotaSlot
from icelane.turn.routes cimport ChannelRoute, PermissionRoute


cdef class Relay:
    cdef public object local
    cdef public object external
    cdef public double expires_at


cdef class Permission:
    cdef public object peer_host
    cdef public Relay relay
    cdef public object verdict
    cdef public double expires_at

    cpdef PermissionRoute route(self, client)


cdef class Channel:
    cdef public object number
    cdef public object peer
    cdef public object wire_peer
    cdef public Relay relay
    cdef public double expires_at

    cpdef ChannelRoute route(self, client)


cdef class Allocation:
    cdef public object client
    cdef public object credential
    cdef public object kid
    cdef public QuotaSlot slot
    cdef public bytes transaction_id
    cdef public bint tcp
    cdef public bytes response
    cdef public dict relays
    cdef public dict permissions_by_host
    cdef public dict channels_by_number
    cdef public dict channels_by_peer
    cdef public double credential_ends_at
    cdef public double alarm_at

    @cython.locals(earliest=double, relay=Relay, permission=Permission, channel=Channel)
    cpdef double next_expiry(self) except? -1


cdef class AllocationCreated:
    cdef public object client
    cdef public object username
    cdef public object kid
    cdef public object relays


cdef class AllocationEnded:
    cdef readonly object client
    cdef readonly object username
    cdef readonly object kid
    cdef readonly object reason
