# The types of the compiled form.

cdef class UdpSocket:
    cdef public object _socket
    cdef public object _loop
    cdef public bint _closed
    cdef public object _discovery
    cdef public object _on_report
    cdef public object _reader
    cdef public object sendto
    cdef public object on_datagram
    cdef public object on_drained
    cdef public object on_error
    cdef public object on_failed_send
    cdef public object local
    cdef public object _receive_errors
    cdef public object _drops_before
    cdef public object _dropped
    cdef public object _failed_sends
    cdef public bint _expects_errors


cpdef address_of(raw)
