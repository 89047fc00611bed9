# The types of the compiled form.

cimport cython

from icelane.media.transport_sequence cimport TransportSequence
from icelane.rtp.packet cimport RtpPacket


cdef class OutboundExtensions:
    cdef object _map
    cdef TransportSequence _sequence
    cdef object _absolute_send_time
    cdef object _sequence_number
    cdef object _audio_level
    cdef object _orientation
    cdef list _playout_delay
    cdef list _names
    cdef list _repaired_names
    cdef object _of_this_hop

    cdef list _named(self, names)

    @cython.locals(elements=list)
    cpdef list of_frame(self, frame)

    @cython.locals(
        shared=list, elements=list, packet=RtpPacket, identifier=object, sequence=TransportSequence, number="long long"
    )
    cpdef stamp(self, list packets, double now, bint named, bint repaired)
