# The types of the compiled form.

cimport cython

from icelane.media.outbound_extension cimport OutboundExtensions
from icelane.media.packet_history cimport PacketHistory
from icelane.rtp.packet cimport RtpPacket, header_size


cdef class OutboundStream:
    cdef public object options
    cdef public object codec
    cdef public object statistics
    cdef public object remote
    cdef public object tones
    cdef object _wall
    cdef long long _ssrc
    cdef OutboundExtensions _extensions
    cdef object _first_picture_id
    cdef long long _next_number
    cdef long long _next_rtx_number
    cdef long long _timestamp_offset
    cdef PacketHistory _history
    cdef long long _credit
    cdef object _queue
    cdef object _events
    cdef object _bitrate_limit
    cdef object _key_frame_told_at
    cdef object _key_frame_due_at
    cdef object _intra_request
    cdef bint _is_known_to_peer
    cdef object _expected_timestamp
    cdef object _tone_begin
    cdef long long _own_packets
    cdef long long _own_bytes
    cdef RtpPacket _foreign
    cdef object _foreign_offset
    cdef object _clock
    cdef object _packetizer
    cdef int _payload_type
    cdef object _rtx_payload_type
    cdef bint _is_video
    cdef bint _may_retransmit
    cdef Py_ssize_t _max_payload_size

    @cython.locals(
        timestamp="long long", ssrc="long long", number="long long", payload=bytes, packets=list,
        last=RtpPacket, payload_type=int
    )
    cdef list _packets_of(self, frame, list payloads)

    @cython.locals(size="long long")
    cdef _send(self, list packets, double now)

    @cython.locals(size=Py_ssize_t, headers=Py_ssize_t, packet=RtpPacket)
    cdef Py_ssize_t _enqueue(self, list packets, double now, bint repaired) except -1

    cpdef list poll_packets(self)
