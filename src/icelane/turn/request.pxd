# The types of the compiled form.

from icelane.stun.message cimport Message


cdef _optional(Message message, attribute_type, parse)
cdef _additional_family(Message message)
cdef _requested_transport(Message message, tcp_allocations)
