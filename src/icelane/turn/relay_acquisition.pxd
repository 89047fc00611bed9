# The types of the compiled form.

cimport cython

from icelane.turn.relay_ports cimport RelayPorts
from icelane.turn.request cimport AllocateRequest
from icelane.turn.routes cimport BindRelayPort, ReleaseRelayPort


cdef class Acquired:
    cdef public object client
    cdef public list relays
    cdef public object reservation_token
    cdef public dict failures


cdef class _Acquisition:
    cdef public Acquired result
    cdef public list wanted
    cdef public bint even_port
    cdef public bint reserve_next
    cdef public object transport
    cdef public int attempts
    cdef public object bind


cdef class RelayAcquisition:
    cdef RelayPorts _ports
    cdef object _reservation_lifetime
    cdef object _commands
    cdef dict _running_by_client
    cdef dict _running_by_bind
    cdef object _finished
    cdef object _reservations
    cdef long long _last_bind

    @cython.locals(running=_Acquisition)
    cpdef object handle_bound(self, bind_id, now)
    @cython.locals(running=_Acquisition)
    cpdef object handle_claimed(self, bind_id, relay, owner)
    @cython.locals(running=_Acquisition)
    cpdef object handle_failed(self, bind_id)
    cpdef object handle_timeout(self, now)
    @cython.locals(running=_Acquisition, result=Acquired)
    cpdef object begin(self, client, AllocateRequest request)
    @cython.locals(running=_Acquisition)
    cpdef object cancel(self, client)
    cpdef object release(self, relay)
    cpdef Acquired poll_finished(self)
    cpdef object next_timeout(self)
    cdef object _continue(self, _Acquisition running)
    cdef object _next_bind(self)
    cdef object _ask(self, _Acquisition running, command)
    cdef object _claim(self, token)
    cdef object _give_up(self, Acquired result)
    cdef object _drop_reservation(self, token)
