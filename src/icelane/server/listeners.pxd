# The types of the compiled form.

from icelane.aio.udp cimport UdpSocket
from icelane.server.relay_plane cimport RelayedClient


cdef class _ClientSender:
    cdef UdpSocket _udp
    cdef tuple _remote


cdef class UdpListener:
    cdef object _receive
    cdef object _after
    cdef bint _receiving
    cdef list _answers
    cdef readonly dict _clients_by_source
    cdef readonly UdpSocket _udp
    cdef readonly object local
