# The types of the compiled form.

from icelane.stun.message cimport Message


cdef _algorithm(Message message)
cdef _prove(Message message, credential, claim)
cdef _text(Message message, attribute_type, limit=*)
