# The types of the compiled form.

cimport cython

from icelane.media.frame_buffer cimport BufferedFrame, FrameBuffer
from icelane.media.inbound_format cimport InboundFormat, ReadPacket
from icelane.media.key_frame_request cimport KeyFrameRequest
from icelane.rtp.packet cimport RtpPacket


cdef class InboundVideo:
    cdef public FrameBuffer buffer
    cdef public KeyFrameRequest key_frame_request
    cdef object _statistics
    cdef Py_ssize_t _dropped
    cdef object _orientation
    cdef int _rotation
    cdef object _playout_delay
    cdef double _minimum_delay
    cdef double _sender_minimum
    cdef dict _formats
    cdef BufferedFrame _last
    cdef double _interval

    cpdef bint insert(self, ReadPacket read, double now) except -1
    cpdef skip(self, long long number, double now)

    @cython.locals(frames=list, buffered=BufferedFrame)
    cpdef list advance(self, double now)

    cpdef give_up(self, double now)
    cpdef restart(self)
    cpdef expect_repair(self, round_trip)
    cpdef set_minimum_delay(self, double delay)

    @cython.locals(last=RtpPacket, inbound_format=InboundFormat)
    cdef _encoded(self, BufferedFrame buffered, double now)

    cdef _learn_playout_delay(self, RtpPacket packet)
    cdef _learn_rotation(self, RtpPacket packet)
    cdef _count(self, BufferedFrame buffered, double now)
    cdef _notice_freeze(self, double interval)
