# The types of the compiled form.

cimport cython

from icelane.rtp.packet cimport RtpPacket
from icelane.rtp.sequence cimport Unwrapper


cdef class TransportFeedbackRecorder:
    cdef public long long sender_ssrc
    cdef Unwrapper _unwrapper
    cdef public dict _arrivals
    cdef object _order
    cdef int _unreported
    cdef object _from
    cdef long long _media_ssrc
    cdef int _count
    cdef double _next_at

    @cython.locals(packet=RtpPacket, data=bytes, high=int, low=int)
    cpdef record_packets(self, list packets, int identifier, double now)

    @cython.locals(number="long long")
    cpdef record(self, int sequence_number, long long media_ssrc, double now)

    cpdef list take(self, double now)
    cdef _forget(self, double now)
