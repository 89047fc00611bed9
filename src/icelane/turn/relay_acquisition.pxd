# The types of the compiled form.

cdef class RelayAcquisition:
    cdef object _ports
    cdef object _reservation_lifetime
    cdef object _commands
    cdef dict _running_by_client
    cdef dict _running_by_bind
    cdef object _finished
    cdef object _reservations
    cdef object _last_bind

    cpdef object handle_bound(self, bind_id, now)
    cpdef object handle_claimed(self, bind_id, relay, owner)
    cpdef object handle_failed(self, bind_id)
    cpdef object handle_timeout(self, now)
    cpdef object begin(self, client, request)
    cpdef object cancel(self, client)
    cpdef object release(self, relay)
    cpdef object poll_finished(self)
    cpdef object next_timeout(self)
    cdef object _continue(self, running)
    cdef object _next_bind(self)
    cdef object _ask(self, running, command)
    cdef object _claim(self, token)
    cdef object _give_up(self, result)
    cdef object _drop_reservation(self, token)
