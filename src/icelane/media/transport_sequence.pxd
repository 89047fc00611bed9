# The types of the compiled form.

cdef class TransportSequence:
    cdef long long _next

    cpdef long long take(self) except -1
