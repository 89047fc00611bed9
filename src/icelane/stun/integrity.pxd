# The types of the compiled form.

from icelane.stun.message cimport Message


cpdef verify_integrity(Message message, key)
cpdef verify_integrity_sha256(Message message, key)
cpdef verify_fingerprint(Message message)
cpdef bint has_well_formed_integrity(Message message) except -1
cdef bytes _value_at(Message message, Py_ssize_t offset)
cdef bytes _covered(Message message, Py_ssize_t offset, Py_ssize_t value_size)
