# The types of the compiled form.

cimport cython

cdef const unsigned int[::1] _TABLE


@cython.locals(table="const unsigned int[::1]", size=Py_ssize_t, crc="unsigned int", i=Py_ssize_t, end=Py_ssize_t)
cpdef unsigned int crc32c(bytes data)
