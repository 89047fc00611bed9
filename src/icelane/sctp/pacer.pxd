# The types of the compiled form.

cimport cython

cdef double _NEVER


cdef class Pacer:
    cdef public double rate
    cdef public double next_at
    cdef double _least_burst
    cdef double _budget
    cdef double _filled_at

    @cython.locals(rate=double, burst=double, at_once=double)
    cpdef bint allows(self, double now)

    cpdef on_sent(self, Py_ssize_t size)
