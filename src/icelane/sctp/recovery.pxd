# The types of the compiled form. What is `cdef` here is not visible from Python; public names never are.

cimport cython

from icelane.sctp.send_queue cimport OutgoingChunk

cdef double _NEVER


cdef class Recovery:
    cdef public double smoothed_round_trip
    cdef public double variation
    cdef public double minimum_round_trip
    cdef public double timeout
    cdef public double timeout_at
    cdef public double probe_at
    cdef public double reordering_at
    cdef public Py_ssize_t on_their_way
    cdef double _backoff
    cdef OutgoingChunk _oldest
    cdef OutgoingChunk _newest
    cdef double _acked_sent_at
    cdef long long _acked_tsn
    cdef double _acked_round_trip
    cdef long long _highest_acked
    cdef bint _reordering_seen
    cdef int _reordering_steps

    cpdef learn_round_trip(self, double seconds)
    cpdef double current_timeout(self)
    cpdef on_sent(self, OutgoingChunk chunk, double now)

    @cython.locals(round_trip=double, known=bint)
    cpdef double on_acked(self, OutgoingChunk chunk, double now)

    cpdef forget(self, OutgoingChunk chunk)
    cpdef on_progress(self, double now, bint waiting)

    @cython.locals(lost=list, patience=double, chunk=OutgoingChunk, newer=OutgoingChunk, sent_at=double, expires=double)
    cpdef list find_lost(self, double now, bint eager)

    cpdef OutgoingChunk newest(self)
    cpdef arm_timeout(self, double now)
    cdef double _reordering_time(self, bint eager)

    @cython.locals(wait=double)
    cdef _arm_probe(self, double now)

    @cython.locals(newest=OutgoingChunk)
    cdef _append(self, OutgoingChunk chunk)

    @cython.locals(older=OutgoingChunk, newer=OutgoingChunk)
    cdef _unlink(self, OutgoingChunk chunk)
