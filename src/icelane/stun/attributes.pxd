# The types of the compiled form.

cimport cython

cdef int _IPV4
cdef int _IPV6

cdef bytes _COOKIE_BYTES


cdef Py_ssize_t _address_size(bytes value) except -1
