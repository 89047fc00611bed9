# The types of the compiled form.

cdef class SenderClock:
    cdef int _clock_rate
    cdef double _ntp_seconds
    cdef long long _rtp_timestamp
    cdef public bint is_known

    cpdef handle_sender_report(self, ntp_time, long long rtp_timestamp)
    cpdef time_of(self, long long timestamp)
