# The types of the compiled form.

cdef class LocalTally:
    cdef dict _count_by_key
    cdef readonly object total


cdef class AllocationQuota:
    cdef object _per_user
    cdef object _total
    cdef object _tally
    cdef Py_ssize_t _count
