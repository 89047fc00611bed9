# The types of the compiled form.

cimport cython

from icelane.rtp.packet cimport RtpPacket


cdef class SentPacket:
    cdef public RtpPacket packet
    cdef public Py_ssize_t size
    cdef public double sent_at
    cdef public double last_sent_at
    cdef public int retransmissions


cdef class PacketHistory:
    cdef dict _sent
    cdef object _order
    cdef Py_ssize_t _bytes

    @cython.locals(sent=dict, packet=RtpPacket, entry=SentPacket, earlier=SentPacket)
    cpdef keep(self, list packets, double now)

    @cython.locals(entry=SentPacket)
    cpdef RtpPacket take(self, int sequence_number, double round_trip, double now)

    @cython.locals(sent=dict, oldest=SentPacket, number=int)
    cdef _trim(self, double now)
