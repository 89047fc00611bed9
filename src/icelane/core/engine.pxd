# The types of the compiled form. A Transmit holds bytes and addresses, so it can be part of no cycle.

cimport cython


@cython.no_gc
@cython.freelist(64)
cdef class Transmit:
    cdef public object path
    cdef public object data
    cdef public bint dont_fragment
