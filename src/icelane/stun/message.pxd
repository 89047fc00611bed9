# The types of the compiled form. What is `cdef` here is not visible from Python; public names never are.

cimport cython

cdef int _INTEGRITY
cdef int _INTEGRITY_SHA256
cdef int _FINGERPRINT
cdef int _OPTIONAL
cdef Py_ssize_t _MAX_SIZE
cdef bytes _COOKIE
cdef tuple _CLASSES


cdef class Message:
    cdef public int method
    cdef public object message_class
    cdef public bytes transaction_id
    cdef public list attributes
    cdef public bytes raw
    cdef public object integrity_offset
    cdef public object integrity_sha256_offset
    cdef public object fingerprint_offset

    @cython.locals(kind=int)
    cpdef object get(self, int attribute_type)
    cpdef list get_all(self, int attribute_type)
    cpdef bint has(self, int attribute_type) except -1
    cpdef list unknown_required(self, known)


@cython.locals(size=Py_ssize_t, kind=int, length=int)
cpdef Message parse_message(data)


@cython.locals(
    attributes=list,
    position=Py_ssize_t,
    count=int,
    kind=int,
    length=int,
    start=Py_ssize_t,
    end=Py_ssize_t,
)
cdef _parse_attributes(Message message, bytes data, Py_ssize_t size)


cdef class MessageBuilder:
    cdef bytearray _data

    @cython.locals(size=Py_ssize_t, data=bytearray)
    cpdef MessageBuilder add(self, attribute_type, value=*)

    cpdef MessageBuilder add_integrity_sha1(self, bytes key)
    cpdef MessageBuilder add_integrity_sha256(self, bytes key)
    cpdef MessageBuilder add_fingerprint(self)
    cpdef bytes build(self)

    @cython.locals(length=Py_ssize_t)
    cdef _set_length(self, Py_ssize_t still_to_come)
