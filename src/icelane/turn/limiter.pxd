# The types of the compiled form.

cdef class BucketSketch:
    cdef double _depth
    cdef double _drained_at
    cdef object _first
    cdef object _hash_key
    cdef double _interval
    cdef object _mask
    cdef object _second

    cpdef object slots(self, key)
    cpdef bint pour(self, key, double now) except -1
    cpdef bint pour_into(self, slots, double now) except -1
    cpdef bint full(self, key, double now) except -1
    cdef double _level(self, first, second, double now) except? -1
    cdef object _raise(self, first, second, double level)


cdef class SourceLimiter:
    cdef BucketSketch _sketch
    cdef object _reported
    cdef object _refused

    cdef object _refuse(self, slot, now)
