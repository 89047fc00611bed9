# The types of the compiled form.

cimport cython


cdef class TsnRanges:
    cdef list _firsts
    cdef list _lasts

    @cython.locals(i=Py_ssize_t)
    cpdef bint contains(self, long long tsn)

    @cython.locals(firsts=list, lasts=list, count=Py_ssize_t, i=Py_ssize_t, joins_left=bint)
    cpdef bint add(self, long long tsn)

    @cython.locals(
        firsts=list, lasts=list, new=list, i=Py_ssize_t, j=Py_ssize_t, count=Py_ssize_t,
        at="long long", start="long long", end="long long",
    )
    cpdef list add_range(self, long long first, long long last)

    cpdef long long take_adjoining(self, long long tsn)

    @cython.locals(firsts=list, lasts=list, i=Py_ssize_t)
    cpdef drop_through(self, long long tsn)

    @cython.locals(i=Py_ssize_t)
    cpdef list blocks(self, Py_ssize_t limit)

    cpdef clear(self)
