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


cdef _optional(Message message, attribute_type, parse)
cdef _additional_family(Message message)
cdef _requested_transport(Message message, tcp_allocations)
