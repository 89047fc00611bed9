# The types of the compiled form.

cimport cython

from icelane.media.inbound_format cimport InboundFormat, InboundFormats
from icelane.media.inbound_source cimport InboundSource
from icelane.rtp.packet cimport RtpPacket, header_size


cdef class InboundStream:
    cdef public object options
    cdef public object statistics
    cdef public object remote
    cdef public object cname
    cdef public dict contributing
    cdef InboundFormats _formats
    cdef public InboundSource _source
    cdef long long _former_ssrc
    cdef double _changed_at
    cdef public double _heard_at
    cdef bint _is_silent
    cdef double _minimum_delay
    cdef double _synchronization_delay
    cdef object _round_trip
    cdef int _intra_requests
    cdef long long _lost_before
    cdef bint _keeps_packets
    cdef object _frames
    cdef object _playouts
    cdef object _raw
    cdef object _feedback
    cdef object _events
    cdef object _layers
    cdef object _contributing_levels

    cpdef handle_packet(self, RtpPacket packet, double now)

    @cython.locals(packet=RtpPacket)
    cpdef handle_packets(self, packets, double now)

    @cython.locals(inbound_format=InboundFormat, known=InboundFormat, source=InboundSource)
    cdef _handle_packet(self, RtpPacket packet, double now)

    cpdef _note_contributing(self, RtpPacket packet, double now)

    @cython.locals(source=InboundSource, original=RtpPacket, inbound_format=InboundFormat)
    cdef _handle_repeated(self, RtpPacket packet, int payload_type, double now)

    @cython.locals(source=InboundSource)
    cdef InboundSource _source_of(self, RtpPacket packet, InboundFormat known, double now)

    cdef _heard(self, double now)
    cdef _end(self, event)
    cdef _apply_delays(self)
    cdef _handle_sender_report(self, InboundSource source, report, double now)

    @cython.locals(source=InboundSource)
    cdef _advance(self, double now)

    cdef _keep_frame(self, frame, InboundSource source, double now)
    cdef _ask(self, InboundSource source, double now)
