# The types of the compiled form.

from icelane.stun.message cimport Message
from icelane.turn.allocation_table cimport AllocationTable
from icelane.turn.relay_acquisition cimport RelayAcquisition
from icelane.turn.response cimport Responder


cdef class Allocates:
    cdef object _quota
    cdef object _relay_ports
    cdef RelayAcquisition _acquisition
    cdef AllocationTable _table
    cdef object _connections
    cdef Responder _responder
    cdef object _lifetime
    cdef object _refuse
    cdef object _on_created
    cdef dict _pending_by_client

    cpdef object handle_bound(self, bind_id, now)
    cpdef object handle_claimed(self, bind_id, relay, owner, now)
    cpdef object handle_failed(self, bind_id, now)
    cpdef object begin(self, Message message, client, request, identity, now)
    cpdef object cancel(self, client)
    cdef object _finish(self, now)
    cdef object _complete(self, pending, acquired, now)
    cdef object _drop(self, client)
