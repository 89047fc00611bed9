# The types of the compiled form.

cdef class RelayPorts:
    cdef object _entropy
    cdef object _siblings
    cdef dict _pools
    cdef dict _hosts_by_family
    cdef dict _external
    cdef dict _reservations_by_token
    cdef dict _owners_by_borrowed
    cdef dict _borrowers_by_lent

    cpdef object external(self, relay)
    cpdef object give_back(self, relay, and_next=*)
