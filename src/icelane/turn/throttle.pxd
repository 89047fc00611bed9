# The types of the compiled form.

from icelane.turn.limiter cimport BucketSketch


cdef class FailureThrottle:
    cdef BucketSketch _pairs
    cdef BucketSketch _sources
    cdef BucketSketch _users
