# The types of the compiled form. What is `cdef` here is not visible from Python; public names never are.

cimport cython


cdef class DataChunk:
    cdef public int flags
    cdef public long long tsn
    cdef public int stream_id
    cdef public int ssn
    cdef public long long ppid
    cdef public bytes payload


cdef class SackChunk:
    cdef public long long cumulative_tsn
    cdef public long long window
    cdef public list gaps
    cdef public Py_ssize_t duplicates


@cython.locals(size=Py_ssize_t, spans=list, position=Py_ssize_t, count=int, length=Py_ssize_t, end=Py_ssize_t)
cpdef list parse_chunk_spans(bytes data)

cpdef DataChunk parse_data(bytes data, Py_ssize_t start, Py_ssize_t end)

@cython.locals(gap_count=Py_ssize_t, duplicate_count=Py_ssize_t, gaps=list, position=Py_ssize_t)
cpdef SackChunk parse_sack(bytes data, Py_ssize_t start, Py_ssize_t end)

@cython.locals(high="long long")
cpdef long long uint32(bytes data, Py_ssize_t position) except? -1

cpdef bytes encode_data_header(int flags, Py_ssize_t size, long long tsn, int stream_id, int ssn, long long ppid)

cpdef bytes encode_sack(long long cumulative_tsn, long long window, list gaps, list duplicates)
