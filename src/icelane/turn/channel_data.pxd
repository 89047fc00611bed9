# The types of the compiled form.

cimport cython


cdef class ChannelData:
    cdef public object number
    cdef public object payload


@cython.locals(size=Py_ssize_t, number=int, end=Py_ssize_t)
cpdef ChannelData parse_channel_data(data)

@cython.locals(size=Py_ssize_t)
cpdef encode_channel_data(int number, payload)

@cython.locals(size=Py_ssize_t)
cpdef encode_channel_data_for_stream(int number, payload)

@cython.locals(first=int, size=Py_ssize_t)
cpdef measure_turn(buffer, Py_ssize_t start, Py_ssize_t available)
