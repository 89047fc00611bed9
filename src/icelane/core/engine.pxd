# The types of the compiled form.

cimport cython


cdef class Transmit:
    cdef public object path
    cdef public object data
    cdef public bint dont_fragment


cpdef list transmits_on(path, batch)

@cython.locals(batches=list, batch=list, transmit=Transmit)
cpdef list by_path(list transmits)
