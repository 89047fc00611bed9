# The types of the compiled form.

cdef class _RandomSet:
    cdef list _members
    cdef dict _indices

    cpdef object add(self, member)
    cpdef object discard(self, member)


cdef class PortPool:
    cdef object _ports
    cdef object _entropy
    cdef _RandomSet _even
    cdef _RandomSet _odd
    cdef _RandomSet _pairs

    cpdef object take(self)
    cdef object _taken(self, port)
