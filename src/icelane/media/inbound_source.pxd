# The types of the compiled form.

cimport cython

from icelane.media.inbound_format cimport InboundFormat, ReadPacket
from icelane.media.missing_packets cimport MissingPackets
from icelane.media.payload.packetizer cimport Fragment
from icelane.media.reception cimport Reception
from icelane.media.sender_clock cimport SenderClock
from icelane.rtp.packet cimport RtpPacket
from icelane.rtp.sequence cimport Unwrapper


cdef class InboundSource:
    cdef public long long ssrc
    cdef public InboundFormat format
    cdef public Reception reception
    cdef public SenderClock clock
    cdef object _statistics
    cdef Unwrapper _timestamps
    cdef public MissingPackets _missing
    cdef Reception _repeated
    cdef public object _media
    cdef double _heard_at
    cdef long long _first
    cdef int _restarts
    cdef int _overflows
    cdef object _last_timestamps

    @cython.locals(before="long long", number="long long", reception=Reception)
    cpdef bint receive(self, RtpPacket packet, InboundFormat inbound_format, double now) except -1

    @cython.locals(number="long long")
    cpdef bint repair(self, RtpPacket packet, InboundFormat inbound_format, double now) except -1

    cpdef count_repeated(self, RtpPacket packet, double now)

    @cython.locals(missing=MissingPackets)
    cdef bint _follow(self, long long number, long long before, double now) except -1

    @cython.locals(timestamp="long long", fragment=Fragment)
    cdef bint _deliver(self, long long number, RtpPacket packet, InboundFormat inbound_format, bint repaired,
                       double now) except -1

    cdef _begin_anew(self)
    cpdef advance(self, double now)
    cpdef missing_now(self, double now)
    cpdef bint wants_key_frame_now(self, double now) except -1
    cpdef give_up(self, double now)
