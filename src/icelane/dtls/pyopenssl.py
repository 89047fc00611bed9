"""The backend over pyOpenSSL: where no compiled module or no system OpenSSL is.

The one exception to "told time": OpenSSL repeats a flight by its own clock, 1 s after it was written and then at twice
the interval each time, and does nothing before. So `next_timeout` is an estimate, made from what OpenSSL says is left
whenever it is asked to do something; a virtual clock that runs ahead of the real one has no effect on it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from cryptography.hazmat.primitives.serialization import load_der_private_key
from cryptography.x509 import load_der_x509_certificate
from OpenSSL import SSL, crypto
from OpenSSL._util import lib as _lib

from icelane.core.clock import Instant, later
from icelane.crypto.certificate import Certificate
from icelane.dtls.options import GROUPS, DtlsOptions, DtlsRole
from icelane.dtls.record import DTLS_1_2, is_application_record
from icelane.errors import HandshakeError, NotSupportedError, RemoteProtocolError, TransportClosedError

# Without OP_NO_QUERY_MTU OpenSSL asks the memory buffer for its MTU, gets none, and takes 256 bytes for it.
_OPTIONS: Final = (
    SSL.OP_NO_QUERY_MTU
    | SSL.OP_NO_TICKET
    | SSL.OP_NO_COMPRESSION
    | SSL.OP_CIPHER_SERVER_PREFERENCE
    | SSL.OP_NO_RENEGOTIATION
)
_BUFFER: Final = 65_536
_MAX_PLAINTEXT: Final = 16_384


class PyOpenSslSession:
    """A session of pyOpenSSL over memory buffers."""

    __slots__ = ("_connection", "_due", "_finished")

    def __init__(self, context: SSL.Context, role: DtlsRole, mtu: int) -> None:
        self._connection = SSL.Connection(context, None)
        self._connection.set_ciphertext_mtu(mtu)
        if role is DtlsRole.CLIENT:
            self._connection.set_connect_state()
        else:
            self._connection.set_accept_state()
        self._due: Instant | None = None
        self._finished = False

    def handshake(self, datagram: bytes, now: Instant) -> bool:
        """See Session."""
        if datagram:
            self._connection.bio_write(datagram)
        try:
            self._connection.do_handshake()
        except SSL.WantReadError:
            self._estimate(now)
            return False
        except SSL.Error as error:
            raise HandshakeError(f"the DTLS handshake failed: {_reason(error)}") from None
        except Exception as error:  # what `verify` raised comes out here
            raise HandshakeError("the DTLS handshake failed: certificate verify failed") from error
        self._finished = True
        self._due = None
        return True

    def handle_timeout(self, now: Instant) -> None:
        """See Session."""
        if self._due is None or now < self._due:
            return
        try:
            self._connection.DTLSv1_handle_timeout()
        except SSL.Error:  # repeated too often; the timeout of the handshake ends it
            self._due = None
            return
        self._estimate(now)

    def hurry(self, now: Instant) -> None:
        """See Session."""

    def next_timeout(self) -> Instant | None:
        """See Session."""
        return self._due

    def open(self, datagram: bytes) -> bytes | None:
        """See Session."""
        if not self._finished or not is_application_record(datagram):
            return None
        return self.read(datagram) or b""

    def read(self, datagram: bytes) -> bytes | None:
        """See Session."""
        if datagram:
            self._connection.bio_write(datagram)
        try:
            return self._connection.recv(_MAX_PLAINTEXT)
        except SSL.WantReadError:
            return None
        except SSL.ZeroReturnError:
            raise TransportClosedError("the peer closed the DTLS connection") from None
        except SSL.Error as error:
            raise RemoteProtocolError(f"the DTLS connection broke: {_reason(error)}") from None

    def seal(self, data: bytes) -> bytes:
        """See Session."""
        try:
            self._connection.send(data)
        except SSL.Error as error:
            raise RemoteProtocolError(f"the DTLS connection broke: {_reason(error)}") from None
        return self._connection.bio_read(_BUFFER)

    def shutdown(self) -> None:
        """See Session."""
        if self._finished:
            try:
                self._connection.shutdown()
            except SSL.Error:  # it broke before: there is nobody to say it to
                return

    def output(self) -> bytes:
        """See Session."""
        written = b""
        while True:
            try:
                written += self._connection.bio_read(_BUFFER)
            except SSL.Error:  # WantReadError: the buffer is empty
                return written

    def export(self, label: bytes, size: int) -> bytes:
        """See Session."""
        if not self._finished:
            raise HandshakeError("no keying material: the handshake is not done")
        return self._connection.export_keying_material(label, size)

    @property
    def peer_certificate(self) -> bytes:
        """See Session."""
        certificate = self._connection.get_peer_certificate()
        return _der(certificate) if certificate is not None else b""

    @property
    def protocol(self) -> str:
        """See Session."""
        return self._connection.get_protocol_version_name()

    @property
    def cipher_suite(self) -> str:
        """See Session."""
        return self._connection.get_cipher_name() or ""

    @property
    def srtp_profile(self) -> str:
        """See Session."""
        return self._connection.get_selected_srtp_profile().decode()

    def _estimate(self, now: Instant) -> None:
        left = self._connection.DTLSv1_get_timeout()
        self._due = later(now, left) if left is not None else None


class PyOpenSslBackend:
    """pyOpenSSL, over the OpenSSL that comes with `cryptography`."""

    name = "pyopenssl"
    told_time = False

    def __init__(self) -> None:
        self.version = SSL.SSLeay_version(SSL.SSLEAY_VERSION).decode()

    def open_session(
        self, certificate: Certificate, role: DtlsRole, options: DtlsOptions, verify: Callable[[bytes], bool]
    ) -> PyOpenSslSession:
        """See Backend."""
        return PyOpenSslSession(_context(certificate, options, verify), role, options.mtu)


def _context(certificate: Certificate, options: DtlsOptions, verify: Callable[[bytes], bool]) -> SSL.Context:
    def accept(_connection: SSL.Connection, shown: crypto.X509, _error: int, depth: int, _ok: int) -> bool:
        # Chains prove nothing here; the certificate of the peer itself is asked about, perhaps more than once.
        return depth > 0 or verify(_der(shown)) is True

    context = SSL.Context(SSL.DTLS_METHOD)
    context.set_min_proto_version(DTLS_1_2)
    context.set_max_proto_version(DTLS_1_2)
    context.set_options(_OPTIONS)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, accept)
    try:
        context.set_cipher_list(options.suite_list.encode())
        if options.srtp_profiles:
            context.set_tlsext_use_srtp(options.srtp_list.encode())
        _set_groups(context)
        key = load_der_private_key(certificate.private_key_der(), None)
        context.use_certificate(load_der_x509_certificate(certificate.der))
        context.use_privatekey(key)  # type: ignore[arg-type]  # Certificate lets ECDSA and RSA in, and nothing else
        for higher in certificate.chain_der:
            context.add_extra_chain_cert(load_der_x509_certificate(higher))
    except SSL.Error as error:
        raise NotSupportedError(f"pyOpenSSL does not take the options or the certificate: {_reason(error)}") from None
    return context


def _set_groups(context: SSL.Context) -> None:
    # pyOpenSSL can name one group only. Where what lies under it has the function for several that is used; otherwise
    # OpenSSL's default, in which X25519 and P-256 come first too.
    set_groups = getattr(_lib, "SSL_CTX_set1_curves_list", None)
    raw = getattr(context, "_context", None)
    if set_groups is not None and raw is not None:
        set_groups(raw, GROUPS.encode())


def _der(certificate: crypto.X509) -> bytes:
    return crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate)


def _reason(error: SSL.Error) -> str:
    reasons = error.args[0] if error.args else None
    if isinstance(reasons, list) and reasons and isinstance(reasons[0], tuple):
        return str(reasons[0][-1])
    return "unknown reason"
