# The types of the compiled form.

cpdef int sequence_distance(int later, int earlier)

cpdef long long timestamp_distance(long long later, long long earlier)


cdef class Unwrapper:
    cdef long long _half
    cdef long long _last
    cdef long long _mask
    cdef bint _started

    cpdef long long unwrap(self, long long number)
    cpdef long long peek(self, long long number)
