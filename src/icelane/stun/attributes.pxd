# The types of the compiled form.

cimport cython

cdef bytes _COOKIE_BYTES


cdef Py_ssize_t _address_size(bytes value) except -1
