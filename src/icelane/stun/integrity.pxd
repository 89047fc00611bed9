# The types of the compiled form.

cimport cython

from icelane.stun.message cimport Message


cpdef verify_integrity(Message message, key)
cpdef verify_integrity_sha256(Message message, key)
cpdef verify_fingerprint(Message message)
cpdef bint has_well_formed_integrity(Message message) except -1
@cython.locals(raw=bytes, length=Py_ssize_t)
cdef bytes _value_at(Message message, Py_ssize_t offset)
@cython.locals(length=Py_ssize_t, covered=bytearray)
cdef bytearray _covered(Message message, Py_ssize_t offset, Py_ssize_t value_size)
