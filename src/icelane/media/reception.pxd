# The types of the compiled form.

cimport cython


cdef class Reception:
    cdef public long long ssrc
    cdef public int clock_rate
    cdef public long long highest
    cdef public long long packets_received
    cdef public int restarts
    cdef long long _base
    cdef object _seen
    cdef long long _resumes_at
    cdef double _jitter
    cdef long long _timestamp
    cdef double _arrived_at
    cdef long long _expected_before
    cdef long long _received_before
    cdef object _report_ntp
    cdef double _report_at

    @cython.locals(distance=int)
    cpdef long long receive(self, int sequence_number, long long timestamp, double now) except? -2

    cpdef long long extended(self, int sequence_number) except? -2

    # `behind` has no type: a bit is moved by up to 1,023 places.
    cpdef bint mark(self, long long extended) except -1

    cdef _begin(self, int sequence_number, long long timestamp, double now)
    cdef int _restart(self, int sequence_number) except? -1

    @cython.locals(sent="long long", step=double)
    cdef _learn_jitter(self, long long timestamp, double now)
