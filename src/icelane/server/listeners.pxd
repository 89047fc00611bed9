# The types of the compiled form.

cdef class UdpListener:
    cdef object _receive
    cdef object _after
    cdef bint _receiving
    cdef list _answers
    cdef readonly dict _clients_by_source
    cdef readonly object _udp
    cdef readonly object local
