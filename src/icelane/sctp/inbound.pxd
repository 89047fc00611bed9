# The types of the compiled form. What is `cdef` here is not visible from Python; public names never are.

cimport cython

from icelane.sctp.chunks cimport DataChunk
from icelane.sctp.tsn_ranges cimport TsnRanges

cdef int _END
cdef int _BEGIN
cdef int _UNORDERED
cdef int _OVERHEAD


cdef class _Run:
    cdef public long long first
    cdef public long long last
    cdef public bint begins
    cdef public bint ends
    cdef public bint unordered
    cdef public int stream_id
    cdef public int ssn
    cdef public long long ppid
    cdef public Py_ssize_t size
    cdef public object pieces


cdef class Inbound:
    cdef public long long cumulative
    cdef public long long held
    cdef public long long unreleased
    cdef public long long unreleased_count
    cdef public long long bytes_received
    cdef public long long messages_received
    cdef public long long invalid_stream
    cdef long long _window
    cdef long long _max_message_size
    cdef long long _streams
    cdef object _events
    cdef TsnRanges _ranges
    cdef list _duplicates
    cdef dict _runs_by_first
    cdef dict _runs_by_last
    cdef long long _held_count
    cdef dict _next_ssns
    cdef dict _waiting
    cdef long long _skipped_through
    cdef double _overrun
    cdef double _overrun_at

    @cython.locals(count="long long")
    cpdef long long room(self)

    cpdef list take_duplicates(self)
    cpdef list gaps(self, Py_ssize_t limit)
    cpdef release(self, long long size, long long messages=*)

    @cython.locals(ahead="long long", tsn="long long", size=Py_ssize_t)
    cpdef accept(self, DataChunk chunk, double now)

    @cython.locals(taken="long long")
    cdef bint _has_room(self, long long ahead, Py_ssize_t size, double now) except -1
    cdef _count_overrun(self, Py_ssize_t size, double now)
    cdef bint _received(self, long long tsn)

    @cython.locals(flags=int, left=_Run, right=_Run)
    cdef _put_together(self, DataChunk chunk, long long tsn, Py_ssize_t size)

    @cython.locals(run=_Run)
    cdef _join(self, DataChunk chunk, long long tsn, Py_ssize_t size, _Run left, _Run right)

    @cython.locals(next_ssn=int)
    cdef _complete(self, int stream_id, int ssn, long long ppid, bint unordered, bytes data)

    cdef _deliver(self, message, Py_ssize_t size)

    @cython.locals(waiting=dict, ssn=int)
    cdef _deliver_waiting(self, int stream_id)

    cdef _take_from_waiting(self, message)
    cdef _forget_run(self, _Run run)

    @cython.locals(waiting=dict, next_ssn=int)
    cdef _skip(self, int stream_id, int ssn)


@cython.locals(run=_Run)
cdef _Run _joined(_Run left, _Run right)
