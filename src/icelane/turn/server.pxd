# The types of the compiled form.

from icelane.stun.message cimport Message
from icelane.turn.allocate cimport Allocates
from icelane.turn.allocation cimport Allocation
from icelane.turn.allocation_table cimport AllocationTable
from icelane.turn.authentication cimport Authenticator
from icelane.turn.relay_acquisition cimport RelayAcquisition
from icelane.turn.response cimport Responder

cdef int _BINDING
cdef int _CONNECTION_BIND


cdef class TurnServer:
    cdef object _config
    cdef object _access
    cdef object _policy
    cdef object _entropy
    cdef object _wall_clock
    cdef object _revocations
    cdef bint _draining
    cdef object _alternates
    cdef Authenticator _authenticator
    cdef readonly object _quota
    cdef readonly object _relay_ports
    cdef readonly object _transmits
    cdef readonly object _commands
    cdef readonly object _events
    cdef Responder _responder
    cdef object _bindings
    cdef readonly object _lookups
    cdef readonly RelayAcquisition _acquisition
    cdef readonly object _connections
    cdef readonly AllocationTable _table
    cdef readonly Allocates _allocates

    cpdef object handle_datagram(self, data, path, now)
    cpdef object handle_relay_bound(self, bind_id, now)
    cpdef object poll_transmit(self)
    cpdef object poll_command(self)
    cpdef object poll_event(self)
    cdef object _known_credential(self, Message message, Allocation allocation, now)
    cdef object _sibling_for(self, Message message, path)
    cdef Allocation _existing(self, path)
    cdef object _judge(self, Allocation allocation, peer, check)
    cdef object _check_room(self, Allocation allocation, hosts)
