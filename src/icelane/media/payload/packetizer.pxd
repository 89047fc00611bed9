# The types of the compiled form.

cimport cython


cdef class Fragment:
    cdef public tuple pieces
    cdef public bint begins_frame
    cdef public bint ends_frame
    cdef public object is_key
    cdef public bint continues
    cdef public bint is_continued
    cdef public object picture_id
    cdef public object tl0_picture_index
    cdef public int spatial_layer
    cdef public int temporal_layer

    cpdef tuple _values(self)


@cython.locals(size=Py_ssize_t, fragment=Fragment, piece=bytes)
cpdef check_fragments(fragments)

@cython.locals(pieces=list, fragment=Fragment)
cpdef bytes join(fragments)

@cython.locals(size=Py_ssize_t, count=Py_ssize_t, length=Py_ssize_t, last=Py_ssize_t, position=Py_ssize_t,
               spans=list)
cpdef list even_spans(Py_ssize_t start, Py_ssize_t end, Py_ssize_t room)
