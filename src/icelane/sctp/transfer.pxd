# The types of the compiled form. What is `cdef` here is not visible from Python; public names never are.

cimport cython

from icelane.sctp.chunks cimport DataChunk, SackChunk, encode_sack, parse_data, parse_sack
from icelane.sctp.inbound cimport Inbound
from icelane.sctp.outbound cimport Outbound

cdef double _NEVER
cdef int _DATA
cdef int _SACK
cdef int _FORWARD_TSN
cdef int _RE_CONFIG
cdef int _ERROR
cdef int _IMMEDIATE
cdef long long _HIGHEST_WINDOW


cdef class Transfer:
    cdef public object agreement
    cdef public Outbound outbound
    cdef public Inbound inbound
    cdef public object reset
    cdef public bint takes_data
    cdef public bint sends_data
    cdef object _options
    cdef bytes _header
    cdef Py_ssize_t _room
    cdef bint _zero_checksum
    cdef long long _announced_window
    cdef long long _update_step
    cdef bint _sack_now
    cdef double _sack_at
    cdef bint _saw_data
    cdef Py_ssize_t _data_packets
    cdef bint _had_gaps
    cdef object _earlier_sacks
    cdef Py_ssize_t _wary_packets

    @cython.locals(chunk=DataChunk)
    cpdef bint handle_chunk(self, int kind, bytes data, Py_ssize_t start, Py_ssize_t end, double now) except -1

    @cython.locals(gaps=bint)
    cdef _begin_packet(self)

    cpdef end_packet(self)

    @cython.locals(gaps=bint, delay=double, inbound=Inbound)
    cpdef end_batch(self, double now)

    cpdef release(self, long long size, long long messages)

    @cython.locals(parts=list, room=Py_ssize_t)
    cpdef bytes build_packet(self, list control, double now)

    @cython.locals(data=list)
    cdef _put_data(self, list parts, Py_ssize_t room, double now)

    cdef bytes _finish(self, list parts)

    @cython.locals(inbound=Inbound, duplicates=list, sack=bytes)
    cdef Py_ssize_t _put_sack(self, list parts, Py_ssize_t room) except -1

    @cython.locals(inbound=Inbound, space=Py_ssize_t, gaps=list)
    cdef bytes _encode_sack(self, list duplicates, Py_ssize_t room)

    cpdef handle_timeout(self, double now)
    cpdef double next_timeout(self) except? -1
