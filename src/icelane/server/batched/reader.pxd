# The types of the compiled form.

cdef class BatchedReader:
    cdef readonly object core
    cdef public object on_payload
    cdef public object on_drained
    cdef dict _sockets
    cdef dict _numbers
    cdef dict _listeners
    cdef object _loop

    cpdef object number_of(self, udp)
    cpdef object begin(self, udp, bint is_listener)
