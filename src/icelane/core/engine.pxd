# The types of the compiled form.

cdef class Transmit:
    cdef public object path
    cdef public object data
    cdef public bint dont_fragment
