# The types of the compiled form.

from icelane.stun.message cimport Message

cdef int _ADDITIONAL_ADDRESS_FAMILY
cdef int _CHANNEL_NUMBER
cdef int _CONNECTION_ID
cdef int _DONT_FRAGMENT
cdef int _DRAFT_ADDITIONAL_ADDRESS_FAMILY
cdef int _EVEN_PORT
cdef int _LIFETIME
cdef int _REQUESTED_ADDRESS_FAMILY
cdef int _REQUESTED_TRANSPORT
cdef int _RESERVATION_TOKEN
cdef int _XOR_PEER_ADDRESS


cdef class AllocateRequest:
    cdef public bint tcp
    cdef public object family
    cdef public bint additional
    cdef public bint draft_numbers
    cdef public object lifetime
    cdef public bint even_port
    cdef public bint reserve_next
    cdef public object reservation_token


cdef class RefreshRequest:
    cdef readonly object lifetime
    cdef readonly object family


cdef class ChannelBindRequest:
    cdef public int channel
    cdef public object peer


cpdef AllocateRequest parse_allocate(Message message, client, tcp_allocations=*)
cpdef parse_refresh(Message message)
cpdef list parse_create_permission(Message message)
cpdef ChannelBindRequest parse_channel_bind(Message message)
cdef _peer(Message message)
cdef _optional(Message message, attribute_type, parse)
cdef _additional_family(Message message)
cdef _requested_transport(Message message, tcp_allocations)
