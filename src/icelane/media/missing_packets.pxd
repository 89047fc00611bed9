# The types of the compiled form.

cimport cython


cdef class MissingPacket:
    cdef public double since
    cdef public double asked_at
    cdef public int tries


cdef class MissingPackets:
    cdef dict _missing
    cdef double _next_at
    cdef int _ambiguous
    cdef public double round_trip
    cdef public int overflows
    cdef public double reordering

    @cython.locals(number="long long")
    cpdef add(self, long long first, long long stop, double now)

    @cython.locals(entry=MissingPacket)
    cpdef bint arrived(self, long long extended, double now) except -1

    @cython.locals(entry=MissingPacket)
    cpdef repaired(self, long long extended, double now)

    cdef _doubt(self)
    cdef MissingPacket _remove(self, long long extended)
    cpdef forget_before(self, long long extended)

    @cython.locals(entry=MissingPacket, patience=double, next_at=double, due_at=double, number="long long")
    cpdef list due(self, double now)

    @cython.locals(measured=double)
    cpdef learn_round_trip(self, double seconds)

    cpdef clear(self)
