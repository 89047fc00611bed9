# The types of the compiled form.

cimport cython

from icelane.core.engine cimport Transmit
from icelane.stun.message cimport Message, MessageBuilder
from icelane.turn.allocation cimport Relay
from icelane.turn.authentication cimport Authenticator, Identity
from icelane.turn.refusal cimport RequestRefused
from icelane.turn.relay_acquisition cimport Acquired
from icelane.turn.request cimport AllocateRequest

cdef int _ADDRESS_ERROR_CODE
cdef int _ALTERNATE_DOMAIN
cdef int _ALTERNATE_SERVER
cdef int _DRAFT_ADDRESS_ERROR_CODE
cdef int _ERROR_CODE
cdef int _LIFETIME
cdef int _RESERVATION_TOKEN
cdef int _UNKNOWN_ATTRIBUTES
cdef int _XOR_MAPPED_ADDRESS
cdef int _XOR_RELAYED_ADDRESS


cdef class Responder:
    cdef public object limiter
    cdef Authenticator _authenticator
    cdef object _transmits

    cpdef bytes succeed(self, MessageBuilder response, Message message, path, Identity identity)
    cpdef object refuse(self, refusal, Message message, path, Identity identity, now)
    cpdef bytes send(self, MessageBuilder response, Message message, path)
    cdef object _challenge_allowance(self, refusal, Message message, path, now)
    cdef object _refusal_response(self, refusal, Message message, path, Identity identity, now)


@cython.locals(relay=Relay, response=MessageBuilder)
cpdef MessageBuilder allocate_response(Message message, AllocateRequest request, Acquired acquired, relays, lifetime)
cpdef MessageBuilder error_response(Message message, refusal, phrase)
cpdef bytes encoded(MessageBuilder response, Message message)
