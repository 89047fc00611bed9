# The types of the compiled form.

cimport cython

from icelane.turn.allocation cimport Allocation


cdef class AllocationAlarms:
    cdef list _heap
    cdef Py_ssize_t _live
    cdef object _sequence

    cpdef object watch(self, Allocation allocation, double at)
    cpdef object forget(self, Allocation allocation)
    @cython.locals(allocation=Allocation, at=double, deadline=double)
    cpdef object next(self)
    cpdef object pop_due(self, double now)
    cdef object _push(self, Allocation allocation)
