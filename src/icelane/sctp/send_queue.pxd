# The types of the compiled form.

cimport cython


cdef class OutgoingMessage:
    cdef public OutgoingStream stream
    cdef public long long ppid
    cdef public bytes data
    cdef public Py_ssize_t size
    cdef public bint ordered
    cdef public Py_ssize_t offset
    cdef public int ssn
    cdef public long long first_tsn
    cdef public long long last_tsn
    cdef public long long max_retransmissions
    cdef public double expires_at
    cdef public bint immediate
    cdef public bint abandoned


cdef class OutgoingStream:
    cdef public int stream_id
    cdef public object messages
    cdef public long long buffered
    cdef public long long low_threshold
    cdef public int next_ssn
    cdef public long long last_tsn
    cdef public bint resetting


cdef class OutgoingChunk:
    cdef public long long tsn
    cdef public OutgoingMessage message
    cdef public Py_ssize_t offset
    cdef public Py_ssize_t size
    cdef public int flags
    cdef public int transmissions
    cdef public bint acked
    cdef public bint lost
    cdef public bint abandoned
    cdef public bint linked
    cdef public double sent_at
    cdef public long long delivered
    cdef public double delivered_at
    cdef public double first_sent_at
    cdef public bint app_limited
    cdef public OutgoingChunk older
    cdef public OutgoingChunk newer


cdef class SendQueue:
    cdef dict _streams
    cdef object _ready
    cdef public long long buffered
    cdef public list lowered

    cpdef OutgoingStream stream(self, int stream_id)

    cpdef push(self, OutgoingMessage message)

    @cython.locals(message=OutgoingMessage, stream=OutgoingStream)
    cpdef OutgoingMessage current(self, double now)

    cpdef advance(self, OutgoingMessage message, Py_ssize_t size)

    cpdef drop(self, OutgoingMessage message)

    @cython.locals(before="long long")
    cdef _take_off(self, OutgoingStream stream, Py_ssize_t size)

    cdef _finish(self, OutgoingStream stream)
