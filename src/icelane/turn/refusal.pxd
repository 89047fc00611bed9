# The types of the compiled form. Refusal is an exception, and Python's.


cdef class RequestRefused:
    cdef public object client
    cdef public object method
    cdef public object code
    cdef public object reason
    cdef public object username
    cdef public object kid
    cdef public bint silent
    cdef public object unreported
