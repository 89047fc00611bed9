# The types of the compiled form. What is `cdef` here is not visible from Python; public names never are.

cimport cython


cdef class RtpPacket:
    cdef public int payload_type
    cdef public int sequence_number
    cdef public long long timestamp
    cdef public long long ssrc
    cdef public bytes payload
    cdef public bint marker
    cdef public list extensions
    cdef public tuple csrcs
    cdef public int extension_profile
    cdef public int padding_length

    @cython.locals(element=tuple)
    cpdef bytes extension(self, int identifier)

    @cython.locals(position=Py_ssize_t, element=tuple)
    cpdef set_extension(self, int identifier, bytes data)


@cython.locals(size=Py_ssize_t, first=int, second=int, start=Py_ssize_t, packet=RtpPacket, position=Py_ssize_t)
cpdef RtpPacket parse_rtp_packet(bytes data)

@cython.locals(size=Py_ssize_t)
cpdef put_payload(RtpPacket packet, bytes payload, int first)

@cython.locals(high="long long")
cdef long long _uint32(bytes data, Py_ssize_t position) except? -1

@cython.locals(size=Py_ssize_t, profile=int, end=Py_ssize_t)
cpdef Py_ssize_t read_extension(RtpPacket packet, bytes data, Py_ssize_t start) except -1

@cython.locals(elements=list, head=int, stop=Py_ssize_t)
cdef list _read_one_byte_elements(bytes data, Py_ssize_t start, Py_ssize_t end)

@cython.locals(elements=list, identifier=int, stop=Py_ssize_t)
cdef list _read_two_byte_elements(bytes data, Py_ssize_t start, Py_ssize_t end)

cdef int _check_element(Py_ssize_t stop, Py_ssize_t end, Py_ssize_t count) except -1

@cython.locals(header=bytearray, padding=bytes)
cpdef bytes serialize(RtpPacket packet)

@cython.locals(size=Py_ssize_t, total=Py_ssize_t, elements=list, data=bytes)
cpdef Py_ssize_t header_size(RtpPacket packet) except -1

@cython.locals(first=int, timestamp="long long", ssrc="long long", header=bytearray)
cpdef bytearray encode_header(RtpPacket packet)

@cython.locals(profile=int, one_byte=bint, identifier=int, data=bytes, body=bytearray, words=int)
cdef object _encode_extension(RtpPacket packet)

@cython.locals(identifier=int, data=bytes, one_byte=bint, size=Py_ssize_t)
cdef bint _fits_one_byte(list elements) except -1

@cython.locals(identifier=int, data=bytes)
cdef bytes _encode_foreign_extension(RtpPacket packet)
