# distutils: libraries = dl
"""DTLS sessions over the system's libssl.so.3, found when first asked for: nothing is linked and no header is needed.

A session reads what it is given and writes into a buffer of its own; `icelane.dtls.native` makes it a backend. Nothing
here is for other threads than the one that made the session.

OpenSSL offers no clock to set: `DTLSv1_handle_timeout` and every read compare the deadline of a flight with the real
time, and what `DTLS_set_timer_cb` returns is only how far ahead the next deadline lies. So the deadline is never left
to come. When a flight has been written the callback makes the timer due at once, COPIES times in a row, and then not for
an hour: OpenSSL repeats the flight as often, each time with fresh record numbers, before it reads on. The first form is
sent, the copies are kept (`retransmissions`), and whoever is told the time sends them one by one.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy
from posix.dlfcn cimport RTLD_LOCAL, RTLD_NOW, dlerror, dlopen, dlsym

from icelane.errors import HandshakeError, NotSupportedError, RemoteProtocolError, TransportClosedError

LIBRARY = "libssl.so.3"

# DTLS1_TMO_ALERT_COUNT of OpenSSL: one repetition more than 12 of the same flight ends the session.
COPIES = 10
cdef enum:
    MOST_COPIES = 10
    # Microseconds. Both are compared with the real clock: due now, and in 71 minutes, when no handshake runs any more.
    DUE = 1
    NOT_DUE = 0xFFFFFFFF
    # What one call may write, copies of a flight included; more ends the session. A chain of certificates is far less.
    MAX_OUTPUT = 1 << 20
    MAX_PLAINTEXT = 16384
    RECORD_HEADER = 13
    APPLICATION_DATA = 23
    ALERT = 21

# Macros of ssl.h and bio.h, which are constants of the ABI of OpenSSL 3.
cdef enum:
    BIO_TYPE_SOURCE_SINK = 0x0400
    BIO_FLAGS_RWS = 0x07
    BIO_FLAGS_READ = 0x01
    BIO_FLAGS_SHOULD_RETRY = 0x08
    BIO_CTRL_FLUSH = 11
    SSL_CTRL_SET_MTU = 17
    SSL_CTRL_SET_SESS_CACHE_MODE = 44
    SSL_CTRL_SET_MAX_CERT_LIST = 51
    SSL_CTRL_CHAIN_CERT = 89
    SSL_CTRL_SET_GROUPS_LIST = 92
    SSL_CTRL_SET_MIN_PROTO_VERSION = 123
    SSL_CTRL_SET_MAX_PROTO_VERSION = 124
    DTLS1_2_VERSION = 0xFEFD
    EVP_PKEY_RSA = 6
    EVP_PKEY_EC = 408
    SSL_VERIFY_PEER_AND_FAIL_WITHOUT = 0x03
    X509_V_ERR_CERT_REJECTED = 28
    SSL_ERROR_WANT_READ = 2
    SSL_ERROR_ZERO_RETURN = 6
    OP_NO_QUERY_MTU = 1 << 12
    OP_NO_TICKET = 1 << 14
    OP_NO_COMPRESSION = 1 << 17
    OP_CIPHER_SERVER_PREFERENCE = 1 << 22
    OP_NO_RENEGOTIATION = 1 << 30

ctypedef unsigned int (*TimerCallback)(void *, unsigned int) noexcept nogil
ctypedef int (*VerifyCallback)(void *, void *) noexcept with gil
ctypedef int (*BioWrite)(void *, const char *, int) noexcept nogil
ctypedef int (*BioRead)(void *, char *, int) noexcept nogil
ctypedef long (*BioCtrl)(void *, int, long, void *) noexcept nogil

cdef struct SrtpProfile:
    const char *name
    unsigned long number

# What a session reads from and writes to. `first` is what is sent now, `copies` what the timer had repeated, with the
# place where each copy begins.
cdef struct Wire:
    const char *incoming
    int incoming_size
    char *first
    int first_size
    int first_capacity
    char *copies
    int copies_size
    int copies_capacity
    int begins[MOST_COPIES]
    int count
    bint repeating

cdef void *library = NULL
cdef void *bio_method = NULL

# By their names in the library; `load` fills them in.
cdef unsigned long (*OpenSSL_version_num)() noexcept nogil
cdef const char *(*OpenSSL_version)(int) noexcept nogil
cdef const void *(*DTLS_method)() noexcept nogil
cdef void *(*SSL_CTX_new)(const void *) noexcept nogil
cdef void (*SSL_CTX_free)(void *) noexcept nogil
cdef long (*SSL_CTX_ctrl)(void *, int, long, void *) noexcept nogil
cdef uint64_t (*SSL_CTX_set_options)(void *, uint64_t) noexcept nogil
cdef int (*SSL_CTX_set_cipher_list)(void *, const char *) noexcept nogil
cdef int (*SSL_CTX_set_tlsext_use_srtp)(void *, const char *) noexcept nogil
cdef void (*SSL_CTX_set_verify)(void *, int, void *) noexcept nogil
cdef void (*SSL_CTX_set_cert_verify_callback)(void *, VerifyCallback, void *) noexcept nogil
cdef void *(*SSL_new)(void *) noexcept nogil
cdef void (*SSL_free)(void *) noexcept nogil
cdef long (*SSL_ctrl)(void *, int, long, void *) noexcept nogil
cdef int (*SSL_use_certificate)(void *, void *) noexcept nogil
cdef int (*SSL_use_PrivateKey)(void *, void *) noexcept nogil
cdef void (*SSL_set_bio)(void *, void *, void *) noexcept nogil
cdef int (*SSL_set_ex_data)(void *, int, void *) noexcept nogil
cdef void *(*SSL_get_ex_data)(const void *, int) noexcept nogil
cdef void (*SSL_set_connect_state)(void *) noexcept nogil
cdef void (*SSL_set_accept_state)(void *) noexcept nogil
cdef int (*SSL_do_handshake)(void *) noexcept nogil
cdef int (*SSL_read)(void *, void *, int) noexcept nogil
cdef int (*SSL_write)(void *, const void *, int) noexcept nogil
cdef int (*SSL_shutdown)(void *) noexcept nogil
cdef int (*SSL_get_error)(const void *, int) noexcept nogil
cdef void *(*SSL_get1_peer_certificate)(const void *) noexcept nogil
cdef const char *(*SSL_get_version)(const void *) noexcept nogil
cdef const void *(*SSL_get_current_cipher)(const void *) noexcept nogil
cdef const char *(*SSL_CIPHER_get_name)(const void *) noexcept nogil
cdef SrtpProfile *(*SSL_get_selected_srtp_profile)(void *) noexcept nogil
cdef int (*SSL_export_keying_material)(
    void *, unsigned char *, size_t, const char *, size_t, const unsigned char *, size_t, int) noexcept nogil
cdef int (*SSL_get_ex_data_X509_STORE_CTX_idx)() noexcept nogil
cdef void (*DTLS_set_timer_cb)(void *, TimerCallback) noexcept nogil
cdef void *(*X509_STORE_CTX_get_ex_data)(const void *, int) noexcept nogil
cdef void *(*X509_STORE_CTX_get0_cert)(const void *) noexcept nogil
cdef void (*X509_STORE_CTX_set_error)(void *, int) noexcept nogil
cdef void *(*d2i_X509)(void **, const unsigned char **, long) noexcept nogil
cdef int (*i2d_X509)(const void *, unsigned char **) noexcept nogil
cdef void (*X509_free)(void *) noexcept nogil
cdef void *(*d2i_AutoPrivateKey)(void **, const unsigned char **, long) noexcept nogil
cdef void (*EVP_PKEY_free)(void *) noexcept nogil
cdef void *(*EVP_PKEY_new)() noexcept nogil
cdef int (*EVP_PKEY_assign)(void *, int, void *) noexcept nogil
# Deprecated, and perhaps not there: NULL then.
cdef void *(*d2i_ECPrivateKey)(void **, const unsigned char **, long) noexcept nogil
cdef void *(*d2i_RSAPrivateKey)(void **, const unsigned char **, long) noexcept nogil
cdef void *(*BIO_meth_new)(int, const char *) noexcept nogil
cdef int (*BIO_meth_set_write)(void *, BioWrite) noexcept nogil
cdef int (*BIO_meth_set_read)(void *, BioRead) noexcept nogil
cdef int (*BIO_meth_set_ctrl)(void *, BioCtrl) noexcept nogil
cdef int (*BIO_get_new_index)() noexcept nogil
cdef void *(*BIO_new)(const void *) noexcept nogil
cdef void (*BIO_set_data)(void *, void *) noexcept nogil
cdef void *(*BIO_get_data)(void *) noexcept nogil
cdef void (*BIO_set_init)(void *, int) noexcept nogil
cdef void (*BIO_set_flags)(void *, int) noexcept nogil
cdef void (*BIO_clear_flags)(void *, int) noexcept nogil
cdef unsigned long (*ERR_get_error)() noexcept nogil
cdef unsigned long (*ERR_peek_error)() noexcept nogil
cdef const char *(*ERR_reason_error_string)(unsigned long) noexcept nogil
cdef void (*ERR_clear_error)() noexcept nogil


cdef int _bind(const char *name, void **place) except -1:
    place[0] = dlsym(library, name)
    if place[0] == NULL:
        raise NotSupportedError(f"{LIBRARY} has no {name.decode()}")
    return 0


def load() -> str:
    """Find the library, once, and return its version. Raises NotSupportedError when it is not here or not OpenSSL 3."""
    global library, bio_method
    cdef void *method
    if bio_method != NULL:
        return OpenSSL_version(0).decode()
    library = dlopen(LIBRARY.encode(), RTLD_NOW | RTLD_LOCAL)
    if library == NULL:
        raise NotSupportedError((<bytes>dlerror()).decode(errors="replace"))
    # A look-up in the handle covers what libssl depends on: the libcrypto that it was made for.
    _bind("OpenSSL_version_num", <void **>&OpenSSL_version_num)
    _bind("OpenSSL_version", <void **>&OpenSSL_version)
    if OpenSSL_version_num() >> 28 != 3:
        raise NotSupportedError(f"{LIBRARY} is {OpenSSL_version(0).decode()}")
    _bind("DTLS_method", <void **>&DTLS_method)
    _bind("SSL_CTX_new", <void **>&SSL_CTX_new)
    _bind("SSL_CTX_free", <void **>&SSL_CTX_free)
    _bind("SSL_CTX_ctrl", <void **>&SSL_CTX_ctrl)
    _bind("SSL_CTX_set_options", <void **>&SSL_CTX_set_options)
    _bind("SSL_CTX_set_cipher_list", <void **>&SSL_CTX_set_cipher_list)
    _bind("SSL_CTX_set_tlsext_use_srtp", <void **>&SSL_CTX_set_tlsext_use_srtp)
    _bind("SSL_CTX_set_verify", <void **>&SSL_CTX_set_verify)
    _bind("SSL_CTX_set_cert_verify_callback", <void **>&SSL_CTX_set_cert_verify_callback)
    _bind("SSL_new", <void **>&SSL_new)
    _bind("SSL_free", <void **>&SSL_free)
    _bind("SSL_ctrl", <void **>&SSL_ctrl)
    _bind("SSL_use_certificate", <void **>&SSL_use_certificate)
    _bind("SSL_use_PrivateKey", <void **>&SSL_use_PrivateKey)
    _bind("SSL_set_bio", <void **>&SSL_set_bio)
    _bind("SSL_set_ex_data", <void **>&SSL_set_ex_data)
    _bind("SSL_get_ex_data", <void **>&SSL_get_ex_data)
    _bind("SSL_set_connect_state", <void **>&SSL_set_connect_state)
    _bind("SSL_set_accept_state", <void **>&SSL_set_accept_state)
    _bind("SSL_do_handshake", <void **>&SSL_do_handshake)
    _bind("SSL_read", <void **>&SSL_read)
    _bind("SSL_write", <void **>&SSL_write)
    _bind("SSL_shutdown", <void **>&SSL_shutdown)
    _bind("SSL_get_error", <void **>&SSL_get_error)
    _bind("SSL_get1_peer_certificate", <void **>&SSL_get1_peer_certificate)
    _bind("SSL_get_version", <void **>&SSL_get_version)
    _bind("SSL_get_current_cipher", <void **>&SSL_get_current_cipher)
    _bind("SSL_CIPHER_get_name", <void **>&SSL_CIPHER_get_name)
    _bind("SSL_get_selected_srtp_profile", <void **>&SSL_get_selected_srtp_profile)
    _bind("SSL_export_keying_material", <void **>&SSL_export_keying_material)
    _bind("SSL_get_ex_data_X509_STORE_CTX_idx", <void **>&SSL_get_ex_data_X509_STORE_CTX_idx)
    _bind("DTLS_set_timer_cb", <void **>&DTLS_set_timer_cb)
    _bind("X509_STORE_CTX_get_ex_data", <void **>&X509_STORE_CTX_get_ex_data)
    _bind("X509_STORE_CTX_get0_cert", <void **>&X509_STORE_CTX_get0_cert)
    _bind("X509_STORE_CTX_set_error", <void **>&X509_STORE_CTX_set_error)
    _bind("d2i_X509", <void **>&d2i_X509)
    _bind("i2d_X509", <void **>&i2d_X509)
    _bind("X509_free", <void **>&X509_free)
    _bind("d2i_AutoPrivateKey", <void **>&d2i_AutoPrivateKey)
    _bind("EVP_PKEY_free", <void **>&EVP_PKEY_free)
    _bind("EVP_PKEY_new", <void **>&EVP_PKEY_new)
    _bind("EVP_PKEY_assign", <void **>&EVP_PKEY_assign)
    (<void **>&d2i_ECPrivateKey)[0] = dlsym(library, "d2i_ECPrivateKey")
    (<void **>&d2i_RSAPrivateKey)[0] = dlsym(library, "d2i_RSAPrivateKey")
    _bind("BIO_meth_new", <void **>&BIO_meth_new)
    _bind("BIO_meth_set_write", <void **>&BIO_meth_set_write)
    _bind("BIO_meth_set_read", <void **>&BIO_meth_set_read)
    _bind("BIO_meth_set_ctrl", <void **>&BIO_meth_set_ctrl)
    _bind("BIO_get_new_index", <void **>&BIO_get_new_index)
    _bind("BIO_new", <void **>&BIO_new)
    _bind("BIO_set_data", <void **>&BIO_set_data)
    _bind("BIO_get_data", <void **>&BIO_get_data)
    _bind("BIO_set_init", <void **>&BIO_set_init)
    _bind("BIO_set_flags", <void **>&BIO_set_flags)
    _bind("BIO_clear_flags", <void **>&BIO_clear_flags)
    _bind("ERR_get_error", <void **>&ERR_get_error)
    _bind("ERR_peek_error", <void **>&ERR_peek_error)
    _bind("ERR_reason_error_string", <void **>&ERR_reason_error_string)
    _bind("ERR_clear_error", <void **>&ERR_clear_error)
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "icelane")
    if method == NULL:
        raise MemoryError
    BIO_meth_set_write(method, _bio_write)
    BIO_meth_set_read(method, _bio_read)
    BIO_meth_set_ctrl(method, _bio_ctrl)
    bio_method = method  # last: only now is everything there
    return OpenSSL_version(0).decode()


# What OpenSSL calls


cdef int _append(char **buffer, int *size, int *capacity, const char *data, int length) noexcept nogil:
    cdef int wanted = size[0] + length
    cdef char *larger
    if wanted > MAX_OUTPUT:
        return -1
    if wanted > capacity[0]:
        if wanted < 2048:
            wanted = 2048
        elif wanted < 2 * capacity[0]:
            wanted = 2 * capacity[0]
        larger = <char *>realloc(buffer[0], wanted)
        if larger == NULL:
            return -1
        buffer[0] = larger
        capacity[0] = wanted
    memcpy(buffer[0] + size[0], data, length)
    size[0] += length
    return length


cdef int _bio_write(void *bio, const char *data, int length) noexcept nogil:
    cdef Wire *wire = <Wire *>BIO_get_data(bio)
    BIO_clear_flags(bio, BIO_FLAGS_RWS | BIO_FLAGS_SHOULD_RETRY)
    if length <= 0:
        return 0
    # An alert belongs to no flight: it is never kept for later.
    if wire.repeating and data[0] != ALERT:
        return _append(&wire.copies, &wire.copies_size, &wire.copies_capacity, data, length)
    return _append(&wire.first, &wire.first_size, &wire.first_capacity, data, length)


cdef int _bio_read(void *bio, char *data, int length) noexcept nogil:
    cdef Wire *wire = <Wire *>BIO_get_data(bio)
    cdef int size = wire.incoming_size
    BIO_clear_flags(bio, BIO_FLAGS_RWS | BIO_FLAGS_SHOULD_RETRY)
    if size == 0:
        BIO_set_flags(bio, BIO_FLAGS_READ | BIO_FLAGS_SHOULD_RETRY)
        return -1
    if size > length:  # a datagram, not a stream: what does not fit is lost
        size = length
    memcpy(data, wire.incoming, size)
    wire.incoming_size = 0
    return size


cdef long _bio_ctrl(void *bio, int command, long number, void *pointer) noexcept nogil:
    return 1 if command == BIO_CTRL_FLUSH else 0


cdef unsigned int _timer(void *ssl, unsigned int microseconds) noexcept nogil:
    cdef Wire *wire = &(<Session>SSL_get_ex_data(ssl, 0)).wire
    if microseconds == 0:  # a new flight begins, and the copies of the one before have had their time
        wire.repeating = False
        wire.copies_size = wire.count = 0
        return DUE
    wire.repeating = True
    if wire.count < MOST_COPIES:
        wire.begins[wire.count] = wire.copies_size
        wire.count += 1
    return DUE if wire.count < MOST_COPIES else NOT_DUE


cdef int _verify(void *store, void *argument) noexcept with gil:
    cdef void *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx())
    cdef Session session = <Session>SSL_get_ex_data(ssl, 0)
    cdef bint accepted = False
    try:
        accepted = session.verify(_certificate_der(X509_STORE_CTX_get0_cert(store))) is True
    except Exception as error:
        session.problem = error
    if not accepted:
        X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED)
    return accepted


cdef bytes _certificate_der(void *certificate):
    if certificate == NULL:
        return b""
    cdef int size = i2d_X509(certificate, NULL)
    if size <= 0:
        return b""
    cdef bytes der = PyBytes_FromStringAndSize(NULL, size)
    cdef unsigned char *start = <unsigned char *>PyBytes_AS_STRING(der)
    i2d_X509(certificate, &start)
    return der


cdef void *_parse_certificate(bytes der) noexcept:
    cdef const unsigned char *start = <const unsigned char *>PyBytes_AS_STRING(der)
    return d2i_X509(NULL, &start, PyBytes_GET_SIZE(der))


cdef void *_parse_private_key(bytes der) noexcept:
    # By its kind: in OpenSSL 3.0 the general way tries every format that there is, and takes most of making a session.
    cdef const unsigned char *start = <const unsigned char *>PyBytes_AS_STRING(der)
    cdef long size = PyBytes_GET_SIZE(der)
    cdef void *number = NULL
    cdef int kind = EVP_PKEY_EC
    if d2i_ECPrivateKey != NULL:
        number = d2i_ECPrivateKey(NULL, &start, size)
    if number == NULL and d2i_RSAPrivateKey != NULL:
        kind = EVP_PKEY_RSA
        start = <const unsigned char *>PyBytes_AS_STRING(der)
        number = d2i_RSAPrivateKey(NULL, &start, size)
    cdef void *key = EVP_PKEY_new() if number != NULL else NULL
    if key != NULL and EVP_PKEY_assign(key, kind, number) == 1:
        ERR_clear_error()
        return key
    start = <const unsigned char *>PyBytes_AS_STRING(der)
    return d2i_AutoPrivateKey(NULL, &start, size)


cdef str _last_error():
    """The reason that OpenSSL gives; its queue of errors is empty afterwards."""
    cdef const char *reason = ERR_reason_error_string(ERR_get_error())
    ERR_clear_error()
    return "unknown reason" if reason == NULL else reason.decode(errors="replace")


cdef class Context:
    """What sessions have in common: suites, groups and SRTP profiles, each in OpenSSL's spelling; DTLS 1.2 alone."""

    cdef void *ctx

    def __cinit__(self, str suites, str groups, str srtp_profiles, int max_message):
        load()
        self.ctx = SSL_CTX_new(DTLS_method())
        if self.ctx == NULL:
            raise MemoryError
        cdef bytes group_list = groups.encode()
        SSL_CTX_set_options(
            self.ctx,
            <uint64_t>OP_NO_QUERY_MTU | OP_NO_TICKET | OP_NO_COMPRESSION | OP_CIPHER_SERVER_PREFERENCE | OP_NO_RENEGOTIATION,
        )
        SSL_CTX_ctrl(self.ctx, SSL_CTRL_SET_SESS_CACHE_MODE, 0, NULL)
        SSL_CTX_ctrl(self.ctx, SSL_CTRL_SET_MAX_CERT_LIST, max_message, NULL)
        if (
            SSL_CTX_ctrl(self.ctx, SSL_CTRL_SET_MIN_PROTO_VERSION, DTLS1_2_VERSION, NULL) != 1
            or SSL_CTX_ctrl(self.ctx, SSL_CTRL_SET_MAX_PROTO_VERSION, DTLS1_2_VERSION, NULL) != 1
            or SSL_CTX_set_cipher_list(self.ctx, suites.encode()) != 1
            or SSL_CTX_ctrl(self.ctx, SSL_CTRL_SET_GROUPS_LIST, 0, <char *>group_list) != 1
            # the one function of OpenSSL that returns 0 when all is well
            or (srtp_profiles and SSL_CTX_set_tlsext_use_srtp(self.ctx, srtp_profiles.encode()) != 0)
        ):
            raise NotSupportedError(f"{LIBRARY} takes none of this: {_last_error()}")
        SSL_CTX_set_verify(self.ctx, SSL_VERIFY_PEER_AND_FAIL_WITHOUT, NULL)
        SSL_CTX_set_cert_verify_callback(self.ctx, _verify, NULL)

    def __dealloc__(self):
        if self.ctx != NULL:
            SSL_CTX_free(self.ctx)


cdef class Session:
    """One DTLS connection without a socket. `verify` is asked about the peer's certificate and may refuse by any value
    but True, or by raising."""

    cdef void *ssl
    cdef Wire wire
    cdef Context context
    cdef object verify
    cdef object problem
    cdef bint finished

    def __init__(self, Context context not None, bytes certificate not None, bytes private_key not None, chain,
                 *, bint client, int mtu, verify):
        if self.ssl != NULL:
            raise RuntimeError("a session is made once")
        self.context = context
        self.verify = verify
        self.ssl = SSL_new(context.ctx)
        if self.ssl == NULL:
            raise MemoryError
        SSL_set_ex_data(self.ssl, 0, <void *>self)
        cdef void *bio = BIO_new(bio_method)
        if bio == NULL:
            raise MemoryError
        BIO_set_data(bio, &self.wire)
        BIO_set_init(bio, 1)
        SSL_set_bio(self.ssl, bio, bio)
        self._use(certificate, private_key, chain)
        DTLS_set_timer_cb(self.ssl, _timer)
        SSL_ctrl(self.ssl, SSL_CTRL_SET_MTU, mtu, NULL)
        if client:
            SSL_set_connect_state(self.ssl)
        else:
            SSL_set_accept_state(self.ssl)

    def __dealloc__(self):
        if self.ssl != NULL:
            SSL_free(self.ssl)
        free(self.wire.first)
        free(self.wire.copies)

    cdef _use(self, bytes certificate, bytes private_key, chain):
        cdef void *key = _parse_private_key(private_key)
        cdef void *parsed = _parse_certificate(certificate)
        cdef bint used = parsed != NULL and key != NULL
        used = used and SSL_use_certificate(self.ssl, parsed) == 1 and SSL_use_PrivateKey(self.ssl, key) == 1
        X509_free(parsed)
        EVP_PKEY_free(key)
        for higher in chain:
            parsed = _parse_certificate(higher)
            used = used and parsed != NULL and SSL_ctrl(self.ssl, SSL_CTRL_CHAIN_CERT, 1, parsed) == 1
            X509_free(parsed)
        if not used:
            raise NotSupportedError(f"{LIBRARY} does not take the certificate: {_last_error()}")

    cdef void _feed(self, bytes datagram) noexcept:
        self.wire.repeating = False
        self.wire.incoming = PyBytes_AS_STRING(datagram)
        self.wire.incoming_size = <int>PyBytes_GET_SIZE(datagram)
        if ERR_peek_error() != 0:  # somebody else's, on this thread: SSL_get_error would take it for ours
            ERR_clear_error()

    cdef int _judge(self, int result) except -1:
        """After a call that did not succeed: returns when it only wants more to read, and raises otherwise."""
        cdef int error = SSL_get_error(self.ssl, result)
        if error == SSL_ERROR_WANT_READ:
            return 0
        problem, self.problem = self.problem, None
        if error == SSL_ERROR_ZERO_RETURN:
            ERR_clear_error()
            raise TransportClosedError("the peer closed the DTLS connection")
        if self.finished:
            raise RemoteProtocolError(f"the DTLS connection broke: {_last_error()}")
        raise HandshakeError(f"the DTLS handshake failed: {_last_error()}") from problem

    def step(self, bytes datagram not None) -> bool:
        """Go on with the handshake, with a datagram or without (b""); True once it is done.

        Raises HandshakeError when it failed.
        """
        self._feed(datagram)
        cdef int result = SSL_do_handshake(self.ssl)
        self.wire.incoming_size = 0
        if result == 1:
            self.finished = True
            self.wire.copies_size = self.wire.count = 0
            return True
        self._judge(result)
        return False

    def retransmissions(self) -> list[bytes]:
        """The copies of the flight that was written last, each for another time. They are given away once."""
        cdef list copies = []
        cdef int i, end
        for i in range(self.wire.count):
            end = self.wire.begins[i + 1] if i + 1 < self.wire.count else self.wire.copies_size
            copies.append(PyBytes_FromStringAndSize(self.wire.copies + self.wire.begins[i], end - self.wire.begins[i]))
        self.wire.copies_size = self.wire.count = 0
        return copies

    def output(self) -> bytes:
        """What was written since the last call: records, end to end."""
        return self._take()

    cdef bytes _take(self):
        cdef int size = self.wire.first_size
        self.wire.first_size = 0
        return PyBytes_FromStringAndSize(self.wire.first, size) if size else b""

    def open(self, bytes datagram not None):
        """The payload of a datagram that is one record of application data; empty when OpenSSL dropped it.

        None for any other datagram, which is not looked at. Raises RemoteProtocolError when the connection broke.
        """
        cdef const unsigned char *head = <const unsigned char *>PyBytes_AS_STRING(datagram)
        cdef Py_ssize_t size = PyBytes_GET_SIZE(datagram)
        if (
            not self.finished
            or size <= RECORD_HEADER
            or head[0] != APPLICATION_DATA
            or head[1] != 0xFE
            or head[2] != 0xFD
            or head[3] != 0  # epoch 1
            or head[4] != 1
            or RECORD_HEADER + (head[11] << 8 | head[12]) != size
        ):
            return None
        return self._read(datagram) or b""

    def read(self, bytes datagram not None):
        """The payload of the next record of application data in a datagram, or in what is left of the one before
        (b""); None at its end.

        Raises TransportClosedError when the peer closed, RemoteProtocolError when the connection broke.
        """
        return self._read(datagram)

    cdef bytes _read(self, bytes datagram):
        cdef char plaintext[MAX_PLAINTEXT]
        self._feed(datagram)
        cdef int result = SSL_read(self.ssl, plaintext, MAX_PLAINTEXT)
        self.wire.incoming_size = 0
        if result > 0:
            return PyBytes_FromStringAndSize(plaintext, result)
        self._judge(result)
        return None

    def seal(self, bytes data not None) -> bytes:
        """The record that carries `data`, 1 to 16,384 bytes. Raises RemoteProtocolError when the connection broke."""
        if not self.finished:
            raise RemoteProtocolError("the DTLS handshake is not done")
        self._feed(b"")
        cdef int result = SSL_write(self.ssl, PyBytes_AS_STRING(data), <int>PyBytes_GET_SIZE(data))
        if result <= 0:
            self._judge(result)
        return self._take()

    def shutdown(self) -> None:
        """Write close_notify, once; nothing happens before the handshake is done."""
        if self.finished:
            self._feed(b"")
            SSL_shutdown(self.ssl)
            ERR_clear_error()

    def export(self, bytes label not None, int size) -> bytes:
        """Keying material of RFC 5705, without a context."""
        cdef bytes material = PyBytes_FromStringAndSize(NULL, size)
        cdef int result = SSL_export_keying_material(
            self.ssl, <unsigned char *>PyBytes_AS_STRING(material), size, label, PyBytes_GET_SIZE(label), NULL, 0, 0)
        if not self.finished or result != 1:
            raise HandshakeError(f"no keying material: {_last_error()}")
        return material

    @property
    def peer_certificate(self) -> bytes:
        """The peer's certificate in DER, empty when there is none."""
        cdef void *certificate = SSL_get1_peer_certificate(self.ssl)
        der = _certificate_der(certificate)
        X509_free(certificate)
        return der

    @property
    def protocol(self) -> str:
        """Such as `DTLSv1.2`."""
        return SSL_get_version(self.ssl).decode()

    @property
    def cipher_suite(self) -> str:
        """OpenSSL's name of the suite."""
        return SSL_CIPHER_get_name(SSL_get_current_cipher(self.ssl)).decode()

    @property
    def srtp_profile(self) -> str:
        """OpenSSL's name of the SRTP profile, empty when none was agreed on."""
        cdef SrtpProfile *profile = SSL_get_selected_srtp_profile(self.ssl)
        return "" if profile == NULL else profile.name.decode()
