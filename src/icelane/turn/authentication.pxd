# The types of the compiled form.

from icelane.stun.message cimport Message, MessageBuilder
from icelane.stun.nonce cimport NonceFactory

cdef int _NONCE
cdef int _PASSWORD_ALGORITHM
cdef int _PASSWORD_ALGORITHMS
cdef int _REALM
cdef int _USERHASH
cdef int _USERNAME


cdef class Identity:
    cdef readonly object credential
    cdef readonly object kid
    cdef readonly bytes key
    cdef readonly bint sha256

    cpdef object protect(self, MessageBuilder response)


cdef class _Claim:
    cdef object username
    cdef bytes hashed
    cdef object realm
    cdef object nonce
    cdef object algorithm
    cdef bint sha256


cdef class Authenticator:
    cdef object _realm
    cdef bytes _own_realm
    cdef object _wall_clock
    cdef bytes _nonce_key
    cdef object _nonce_lifetime
    cdef bint _strict_expiry
    cdef object _throttle
    cdef object _revocations
    cdef bint _credential_lookup
    cdef object _credentials
    cdef bint _anonymity
    cdef NonceFactory _nonces

    cdef _Claim _claim(self, Message message)
    cdef object _username(self, Message message)
    cdef object _credential(self, _Claim claim, known, provided, unix_time)
    cdef object _refuse_stranger(self, refusal, _Claim claim, host, now)


cdef _algorithm(Message message)
cdef Identity _prove(Message message, credential, _Claim claim)
cdef _text(Message message, attribute_type, limit=*)
