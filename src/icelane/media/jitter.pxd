# The types of the compiled form.

cimport cython

from icelane.media.arrival_delay cimport ArrivalDelay


cdef class WaitingFrame:
    cdef public long long number
    cdef public long long timestamp
    cdef public object frame
    cdef public double arrived_at
    cdef public bint has_redundancy


cdef class JitterBuffer:
    cdef public bint has_forward_error_correction
    cdef public double minimum_delay
    cdef public double synchronization_delay
    cdef public double retransmission_time
    cdef object _statistics
    cdef ArrivalDelay _delay
    cdef dict _frames
    cdef long long _duration
    cdef long long _cursor
    cdef double _next_at
    cdef long long _last_number
    cdef dict _others
    cdef long long _owed
    cdef double _silent_since
    cdef double _adjusted_at
    cdef double _lost_at
    cdef bint _was_concealing

    cpdef double expected(self, long long timestamp) except? -1
    cpdef skip(self, long long number)
    cpdef list advance(self, double now)
    cpdef restart(self)

    @cython.locals(repair=double, needed=double)
    cpdef double delay(self, double now) except? -1

    cdef _start(self, long long timestamp, double now)

    @cython.locals(lateness=double)
    cdef _learn(self, long long number, long long timestamp, double now)

    cdef bint _rewind(self, long long timestamp) except -1

    @cython.locals(waiting=WaitingFrame, upcoming=WaitingFrame, gap="long long")
    cdef _decide(self, double now)

    cdef _play(self, WaitingFrame waiting, skipped, double now)

    @cython.locals(rest="long long", step="long long")
    cdef _fill(self, WaitingFrame upcoming, long long gap)

    cdef bint _can_repair(self, WaitingFrame upcoming, long long gap, double now) except -1
    cdef bint _has_redundancy(self, WaitingFrame upcoming) except -1
    cdef _stand_still(self, double now)
    cdef bint _is_pause(self, long long number) except -1
    cdef _settle(self, long long number)

    @cython.locals(position="long long")
    cdef double _behind(self, double now) except? -1

    @cython.locals(behind=double, frame=double, waiting=WaitingFrame)
    cdef _leave_out(self, double now)

    @cython.locals(start="long long", dropped=WaitingFrame)
    cdef _pass_over(self, ticks, double now)

    cdef bint _is_too_short(self, frame, double now) except -1
    cdef _insert(self, double now)
    cdef _count(self, instruction)
