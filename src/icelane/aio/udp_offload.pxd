# The types of the compiled form.

cimport cython


@cython.locals(size=Py_ssize_t, end=Py_ssize_t, total=Py_ssize_t, last=Py_ssize_t, following=Py_ssize_t)
cpdef Py_ssize_t run_length(list sizes, Py_ssize_t start) except -1
