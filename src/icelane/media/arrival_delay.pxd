# The types of the compiled form.

cimport cython


cdef class ArrivalDelay:
    cdef public int clock_rate
    cdef double _quantile
    cdef double _baseline
    cdef list _least_of_slices
    cdef double _slice_ends_at
    cdef list _counts
    cdef double _weight
    cdef double _total
    cdef long long _samples
    cdef double _quantile_delay
    cdef double _peak
    cdef double _peak_at

    cpdef _reset(self)

    @cython.locals(transit=double, lateness=double)
    cpdef double learn(self, long long timestamp, double now) except? -1

    cpdef double expected(self, long long timestamp) except? -1
    cpdef double needed(self, double now) except? -1
    cpdef was_late(self, double lateness, double now)
    cdef double _faded_peak(self, double now) except? -1

    @cython.locals(slices=list)
    cdef _follow_baseline(self, double transit, double now)

    cdef _count(self, double lateness)

    @cython.locals(above=double, counts=list, bucket=int)
    cdef _find_quantile(self)
