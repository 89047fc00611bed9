# The types of the compiled form.

cdef class KeyFrameRequest:
    cdef double _next_at
    cdef double _interval

    cpdef want(self, double now)
    cpdef bint take(self, double round_trip, double now) except -1
    cpdef fulfil(self)
