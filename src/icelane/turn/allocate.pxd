# The types of the compiled form.

cimport cython

from icelane.stun.message cimport Message, MessageBuilder
from icelane.turn.allocation cimport Allocation, AllocationCreated
from icelane.turn.allocation_table cimport AllocationTable
from icelane.turn.authentication cimport Identity
from icelane.turn.quota cimport AllocationQuota, QuotaSlot
from icelane.turn.relay_acquisition cimport Acquired, RelayAcquisition
from icelane.turn.relay_ports cimport RelayPorts
from icelane.turn.request cimport AllocateRequest
from icelane.turn.response cimport Responder


cdef class _PendingAllocate:
    cdef public Message message
    cdef public AllocateRequest request
    cdef public Identity identity
    cdef public QuotaSlot slot


cdef class Allocates:
    cdef AllocationQuota _quota
    cdef RelayPorts _relay_ports
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
    cpdef object begin(self, Message message, client, AllocateRequest request, Identity identity, now)
    cpdef object cancel(self, client)
    @cython.locals(acquired=Acquired, pending=_PendingAllocate)
    cdef object _finish(self, now)
    @cython.locals(allocation=Allocation, identity=Identity, response=MessageBuilder)
    cdef object _complete(self, _PendingAllocate pending, Acquired acquired, now)
    cdef object _drop(self, client)
