# The types of the compiled form.

cimport cython

from icelane.rtp.packet cimport RtpPacket


cdef class RtpRouter:
    cdef public long long unknown
    cdef object _mid_identifiers
    cdef object _passed_over
    cdef dict _by_mid
    cdef dict _by_payload_type
    cdef dict _signalled
    cdef object _learnt

    @cython.locals(sorted_=dict, batch=list, packet=RtpPacket)
    cpdef dict sort(self, list packets)

    cpdef route(self, RtpPacket packet)
    cdef _learn(self, ssrc, transceiver)
