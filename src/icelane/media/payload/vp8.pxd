# The types of the compiled form.

cimport cython

from icelane.media.payload.packetizer cimport Fragment, even_spans, join


cdef class Vp8Packetizer:
    cdef int _picture_id

    @cython.locals(picture_id=int, tail=bytes, head=bytes, later=bytes, payloads=list, start=Py_ssize_t, end=Py_ssize_t)
    cpdef list packetize(self, bytes data, Py_ssize_t max_size)


cdef class Vp8Depacketizer:
    cpdef Fragment parse(self, bytes payload)
    cpdef bytes assemble(self, fragments)


@cython.locals(first=int, extensions=int, position=Py_ssize_t, temporal_layer=int, begins=bint, fragment=Fragment)
cdef Fragment _parse(bytes payload)
