# The types of the compiled form. What is `cdef` here is not visible from Python; public names never are.

cimport cython

from icelane.sctp.chunks cimport SackChunk, encode_data_header
from icelane.sctp.pacer cimport Pacer
from icelane.sctp.recovery cimport Recovery
from icelane.sctp.send_queue cimport OutgoingChunk, OutgoingMessage, OutgoingStream, SendQueue
from icelane.sctp.tsn_ranges cimport TsnRanges

cdef double _NEVER
cdef Py_ssize_t _COMPACT_AFTER
cdef int _END
cdef int _BEGIN
cdef int _UNORDERED
cdef int _IMMEDIATE


cdef class Outbound:
    cdef public SendQueue queue
    cdef public Recovery recovery
    cdef public long long next_tsn
    cdef public long long cumulative
    cdef public Py_ssize_t max_fragment
    cdef public bint partial_reliability
    cdef public long long peer_window
    cdef public long long flight
    cdef public long long unacked
    cdef public long long errors
    cdef public long long bytes_sent
    cdef public long long messages_sent
    cdef public long long retransmissions
    cdef public long long timeouts
    cdef object _congestion
    cdef Pacer _pacer
    cdef list _chunks
    cdef Py_ssize_t _head
    cdef object _lost
    cdef TsnRanges _acked_ranges
    cdef Py_ssize_t _gap_acked
    cdef long long _recovery_ends_at
    cdef bint _may_exceed_window
    cdef bint _probing
    cdef double _window_probe_at
    cdef long long _forward_to
    cdef long long _forward_sent
    cdef double _forward_at
    cdef long long _delivered
    cdef double _delivered_at
    cdef double _first_sent_at
    cdef long long _app_limited_until
    cdef object _sample
    cdef long long _sample_acked
    cdef long long _sample_lost
    cdef long long _sample_prior_delivered
    cdef double _sample_round_trip
    cdef bint _sample_app_limited
    cdef bint _sample_advanced
    cdef bint _sample_window_limited
    cdef double _sample_prior_at
    cdef double _sample_sent_at
    cdef double _sample_first_sent
    cdef long long _window

    @cython.locals(used=Py_ssize_t, piece=Py_ssize_t, message=OutgoingMessage)
    cpdef Py_ssize_t fill(self, list parts, Py_ssize_t room, double now) except -1

    @cython.locals(used=Py_ssize_t, chunk=OutgoingChunk)
    cdef Py_ssize_t _fill_again(self, list parts, Py_ssize_t room, double now) except -1

    @cython.locals(rest=Py_ssize_t, space=Py_ssize_t)
    cdef Py_ssize_t _next_piece(self, OutgoingMessage message, Py_ssize_t room, double now) except -1

    cdef bint _may_probe_window(self, double now) except -1

    @cython.locals(flags=int, stream=OutgoingStream, chunk=OutgoingChunk)
    cdef Py_ssize_t _send_new(self, OutgoingMessage message, Py_ssize_t size, list parts, double now) except -1

    @cython.locals(size=Py_ssize_t, message=OutgoingMessage, flags=int, padding=Py_ssize_t)
    cdef Py_ssize_t _put(self, OutgoingChunk chunk, list parts, double now) except -1

    @cython.locals(advance="long long", through="long long")
    cpdef handle_sack(self, SackChunk sack, double now)

    cdef _begin_sample(self)

    @cython.locals(chunks=list, head=Py_ssize_t, chunk=OutgoingChunk, i="long long")
    cdef _acknowledge_through(self, long long through, double now)

    @cython.locals(
        base="long long", i=Py_ssize_t, j=Py_ssize_t, first="long long", last="long long", new=list, tsn="long long",
        end="long long", chunk=OutgoingChunk,
    )
    cdef _acknowledge_gaps(self, list gaps, double now)

    @cython.locals(size=Py_ssize_t, round_trip=double)
    cdef _acknowledge(self, OutgoingChunk chunk, double now)

    @cython.locals(interval=double, rate=double)
    cdef _end_sample(self, double now)

    cpdef handle_timeout(self, double now)

    @cython.locals(nearest=double, recovery=Recovery)
    cpdef double next_timeout(self) except? -1

    @cython.locals(eager=bint, found=list)
    cdef _find_lost(self, double now)

    @cython.locals(chunk=OutgoingChunk)
    cdef _lose(self, list found)

    cdef _handle_retransmission_timeout(self, double now)
    cdef list _take_back_gaps(self)
    cdef _probe(self, double now)

    @cython.locals(message=OutgoingMessage)
    cdef bint _gives_up(self, OutgoingChunk chunk, double now) except -1

    cdef _abandon(self, OutgoingMessage message, double now)

    @cython.locals(i=Py_ssize_t, chunks=list, chunk=OutgoingChunk)
    cdef _advance_forward(self, double now)

    cpdef bint forward_due(self)
