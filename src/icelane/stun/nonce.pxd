# The types of the compiled form.

cimport cython

cdef Py_ssize_t _TIME_SIZE
cdef Py_ssize_t _MAC_SIZE
cdef Py_ssize_t _TOKEN_SIZE
cdef Py_ssize_t _TOKEN_START
cdef Py_ssize_t _TIME_END
cdef bytes _FROM_URL


cdef class NonceFactory:
    cdef bytes _beginning
    cdef bytes _features
    cdef bytes _key
    cdef object _lifetime
    cdef object _skew

    @cython.locals(bound=bytes)
    cdef bytes _nonce(self, bytes issued, client)
