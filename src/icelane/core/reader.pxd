# The types of the compiled form.

cdef class Reader:
    cdef object _data
    cdef Py_ssize_t _position
    cdef Py_ssize_t _end

    cpdef bytes take(self, Py_ssize_t size)
    cpdef skip(self, Py_ssize_t size)
    cpdef bytes rest(self)
    cpdef int uint8(self) except -1
    cpdef int uint16(self) except -1
    cpdef object uint32(self)
    cpdef object uint64(self)
    cdef Py_ssize_t _advance(self, Py_ssize_t size) except -1
