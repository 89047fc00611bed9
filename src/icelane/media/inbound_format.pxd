# The types of the compiled form.

from icelane.media.payload.packetizer cimport Fragment
from icelane.rtp.packet cimport RtpPacket


cdef class InboundFormat:
    cdef public int payload_type
    cdef public object codec
    cdef public object depacketizer
    cdef public int clock_rate
    cdef public bint tells_beginning
    cdef public bint has_nack
    cdef public bint has_picture_loss
    cdef public bint has_full_intra_request
    cdef public bint has_forward_error_correction


cdef class ReadPacket:
    cdef public long long number
    cdef public long long timestamp
    cdef public RtpPacket packet
    cdef public Fragment fragment
    cdef public InboundFormat format
    cdef public bint repaired


cdef class InboundFormats:
    cdef public dict by_payload_type
    cdef public dict repeated_by_payload_type
    cdef public dict tones
