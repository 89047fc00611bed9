"""The server's certificate: read from files, proven before it is used, and replaced without closing a connection.

    tls = ServerTls(Path("fullchain.pem"), Path("privkey.pem"))
    loop.connect_accepted_socket(protocol, accepted, ssl=tls.context)      # asked for each connection
    tls.reload()                       # new connections get the new certificate, or the old one and an alarm

1. `load_certificate` puts the pair into a context of its own and shakes hands with itself in memory.
2. `tls.context` holds no certificate. At each ClientHello, with or without a name, its SNI callback hands the
   connection over to the context of the pair that counts then.
3. A live context is never changed: a mismatched pair loaded into one breaks every handshake that follows. A reload
   makes both anew, so that no session of before is resumed.

The settings are Mozilla's "Intermediate": TLS 1.3, and TLS 1.2 with ECDHE and AEAD only. No tickets, no early data, no
compression, no renegotiation.
"""

from __future__ import annotations

import logging
import os
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509

from icelane.aio.system import SystemWallClock, monotonic
from icelane.core.clock import UnixSeconds, WallClock
from icelane.errors import ConfigurationError
from icelane.server.events import LOGGER, RepeatGate, report

CERTIFICATE_KEY: Final = "tls.certificate"
PRIVATE_KEY_KEY: Final = "tls.key"

# RFC 7443. A client that offers other protocols, or none, is taken as well: browsers offer none for TURN.
ALPN_PROTOCOLS: Final = ("stun.turn", "stun.nat-discovery")
# Where HTTP is taken as well. Who offers it on a listener that has TURN alone does not get it: a server that answers
# to a protocol which it does not speak lets one be played against the other.
HTTP_ALPN_PROTOCOLS: Final = (*ALPN_PROTOCOLS, "http/1.1")

# https://wiki.mozilla.org/Security/Server_Side_TLS, Intermediate, without finite-field Diffie-Hellman.
_TLS12_CIPHERS: Final = ":".join(
    f"ECDHE-{key}-{cipher}"
    for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")
    for key in ("ECDSA", "RSA")
)
_OPTIONS: Final = ssl.OP_NO_TICKET | ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
# A certificate file is a few kilobytes; more is a mistake, such as the path of a log.
_MAX_FILE_SIZE: Final = 1 << 20
# Of so many names that the certificate is not for, one record is written per ten seconds; further ones are left out.
_MAX_NAMES: Final = 16
# A handshake in memory needs two turns; one that does not end is broken.
_MAX_TURNS: Final = 8


@dataclass(frozen=True, slots=True)
class PemPair:
    """What the two files hold."""

    certificate: bytes = field(repr=False)
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerCertificate:
    """A pair that works: its contexts, until when it is valid, and the names that it is for."""

    pair: PemPair = field(repr=False)
    context: ssl.SSLContext = field(repr=False)
    http_context: ssl.SSLContext = field(repr=False)
    expires_at: UnixSeconds
    names: tuple[str, ...]

    def covers(self, name: str) -> bool:
        """Whether a client that asks for `name` will be content: one label may be a `*` (RFC 9525 section 6.3)."""
        parent = name.partition(".")[2]
        return any(known.lower() in (name.lower(), f"*.{parent.lower()}") for known in self.names)


class ServerTls:
    """A TLS context for listeners, whose certificate may be replaced at any time."""

    def __init__(
        self, certificate: Path, key: Path, wall_clock: WallClock | None = None, *, held: PemPair | None = None
    ) -> None:
        """Load the pair. Raises ConfigurationError that names the key and the file.

        `held` is what somebody else has read from the files, and announced.
        """
        self._paths = (certificate, key)
        self._wall_clock = wall_clock or SystemWallClock()
        self._live = load_certificate(certificate, key) if held is None else load_held(held)
        self.context = self._outer_context()
        self.http = HttpTls(self._outer_context(http=True))
        self._names_asked: RepeatGate[str] = RepeatGate(capacity=_MAX_NAMES)
        if held is None:
            self._announce(self._live)

    @property
    def certificate(self) -> ServerCertificate:
        """The one that new connections get."""
        return self._live

    @property
    def expires_at(self) -> UnixSeconds:
        """When the certificate that new connections get ends."""
        return self._live.expires_at

    def reload(self, certificate: Path | None = None, key: Path | None = None) -> bool:
        """Read the pair again, from other files if they are given; False when the old one had to be kept.

        That is reported as `tls.certificate_rejected`, the alarm that somebody should hear.
        """
        paths = (certificate or self._paths[0], key or self._paths[1])
        try:
            loaded = load_certificate(*paths)
            if self._is_over(loaded) and not self._is_over(self._live):
                raise ConfigurationError("the certificate has expired", key=CERTIFICATE_KEY, file=str(paths[0]))
        except ConfigurationError as error:
            _report_rejected(error)
            return False
        self._paths = paths
        self._show(loaded)
        self._announce(loaded)
        return True

    def take(self, held: PemPair) -> bool:
        """Go by what somebody else has read from the files and announced; False, and reported, when that cannot be."""
        if held != self._live.pair:
            try:
                self._show(load_held(held))
            except ConfigurationError as error:
                _report_rejected(error)
                return False
        return True

    def _show(self, loaded: ServerCertificate) -> None:
        self._live = loaded
        self.context = self._outer_context()
        self.http.context = self._outer_context(http=True)

    def _outer_context(self, *, http: bool = False) -> ssl.SSLContext:
        """What a listener shakes hands with. It remembers TLS 1.2 sessions, so each pair has one of its own: a client
        that resumes a session is shown no certificate and goes by the one that it saw."""
        context = server_context(HTTP_ALPN_PROTOCOLS if http else ALPN_PROTOCOLS)
        context.sni_callback = self._choose_http if http else self._choose
        return context

    def _choose(
        self, connection: ssl.SSLSocket | ssl.SSLObject, name: str | None, _context: ssl.SSLContext
    ) -> int | None:
        return self._hand_over(connection, name, http=False)

    def _choose_http(
        self, connection: ssl.SSLSocket | ssl.SSLObject, name: str | None, _context: ssl.SSLContext
    ) -> int | None:
        return self._hand_over(connection, name, http=True)

    def _hand_over(self, connection: ssl.SSLSocket | ssl.SSLObject, name: str | None, *, http: bool) -> int | None:
        # TL-7: OpenSSL's wrappers have let a connection through whose callback had failed. The outer context has no
        # certificate, so that such a connection could not be completed either.
        try:
            certificate = self.certificate
            connection.context = certificate.http_context if http else certificate.context
            if name is not None and not certificate.covers(name):
                self._say_unknown(name, certificate)
        except Exception:
            LOGGER.exception("tls.callback_failed")
            return ssl.ALERT_DESCRIPTION_INTERNAL_ERROR
        return None

    def _say_unknown(self, name: str, certificate: ServerCertificate) -> None:
        # The client will refuse the certificate and cannot tell the operator why; scanners ask for anything.
        now = monotonic()
        self._names_asked.ended(now)
        if self._names_asked.admit(name, now):
            report("tls.name_not_covered", logging.WARNING, asked=name, names=certificate.names)

    def _is_over(self, certificate: ServerCertificate) -> bool:
        return certificate.expires_at <= self._wall_clock.unix_time(monotonic())

    def _announce(self, certificate: ServerCertificate) -> None:
        end = datetime.fromtimestamp(certificate.expires_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        if self._is_over(certificate):
            report("tls.certificate_expired", logging.ERROR, names=certificate.names, expires=end)
        else:
            report("tls.certificate_loaded", logging.INFO, names=certificate.names, expires=end)


@dataclass(slots=True)
class HttpTls:
    """The context for listeners that take HTTP and TURN; replaced with the certificate."""

    context: ssl.SSLContext


def _report_rejected(error: ConfigurationError) -> None:
    report("tls.certificate_rejected", logging.ERROR, key=error.key, file=error.file, problem=error.message)


def server_context(protocols: Sequence[str] = ALPN_PROTOCOLS) -> ssl.SSLContext:
    """A context for connections of clients, with every setting but a certificate; `protocols` are those of ALPN."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_TLS12_CIPHERS)
    context.options |= _OPTIONS
    # Mozilla leaves the choice to the client, which knows whether it has hardware for AES.
    context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    context.num_tickets = 0
    context.set_alpn_protocols(list(protocols))
    return context


def load_certificate(certificate: Path, key: Path) -> ServerCertificate:
    """The pair in two PEM files, the certificate followed by its intermediates, proven by a handshake in memory.

    Raises ConfigurationError for `tls.certificate` or `tls.key`, which names the file and never holds its content.
    """
    pair = PemPair(_read(certificate, CERTIFICATE_KEY), _read(key, PRIVATE_KEY_KEY))
    first = _first_certificate(pair.certificate, certificate)
    context, http_context = server_context(), server_context(HTTP_ALPN_PROTOCOLS)
    try:
        for one in (context, http_context):
            one.load_cert_chain(certificate, key, password=_no_password(key))
    except ssl.SSLError as error:
        raise _why_not(error, certificate, key) from None
    except OSError as error:
        raise ConfigurationError(_reason(error), key=PRIVATE_KEY_KEY, file=str(key)) from None
    for one in (context, http_context):
        _prove(one, first, certificate)
    return ServerCertificate(
        pair=pair,
        context=context,
        http_context=http_context,
        expires_at=UnixSeconds(first.not_valid_after_utc.timestamp()),
        names=_names(first),
    )


def load_held(pair: PemPair) -> ServerCertificate:
    """As `load_certificate`. OpenSSL takes only files, so these are in memory, and nobody else's: Linux has such."""
    with _in_memory(pair.certificate) as certificate, _in_memory(pair.key) as key:
        return load_certificate(certificate, key)


@contextmanager
def _in_memory(content: bytes) -> Iterator[Path]:
    if not hasattr(os, "memfd_create"):
        raise ConfigurationError("files in memory need Linux", key=CERTIFICATE_KEY)
    descriptor = os.memfd_create("icelane-tls")  # which no program that is executed inherits
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
        stream.flush()
        yield Path(f"/proc/self/fd/{descriptor}")


def _first_certificate(content: bytes, path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificates(content)[0]
    except ValueError:
        pass  # raised below: the exception may carry the file's content along
    raise ConfigurationError("holds no PEM certificate", key=CERTIFICATE_KEY, file=str(path))


def _read(path: Path, setting: str) -> bytes:
    try:
        with path.open("rb") as stream:
            content = stream.read(_MAX_FILE_SIZE + 1)
    except OSError as error:
        raise ConfigurationError(f"cannot be read: {_reason(error)}", key=setting, file=str(path)) from None
    if len(content) > _MAX_FILE_SIZE:
        raise ConfigurationError("larger than 1 MiB, so not a PEM file", key=setting, file=str(path))
    return content


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__


def _no_password(key: Path) -> Callable[[], str]:
    # Without a function OpenSSL asks on the terminal, and a server would wait there for ever.
    def refuse() -> str:
        raise ConfigurationError(
            "the key is encrypted; `openssl pkey -in KEY -out PLAIN` writes it without a password",
            key=PRIVATE_KEY_KEY,
            file=str(key),
        )

    return refuse


def _why_not(error: ssl.SSLError, certificate: Path, key: Path) -> ConfigurationError:
    reason = error.reason or ""
    if reason == "KEY_VALUES_MISMATCH":
        return ConfigurationError(f"the key does not belong to {certificate}", key=PRIVATE_KEY_KEY, file=str(key))
    if reason in ("EE_KEY_TOO_SMALL", "CA_MD_TOO_WEAK", "CA_KEY_TOO_SMALL"):
        return ConfigurationError(
            "too weak for today's clients; use ECDSA P-256 or RSA 2048", key=CERTIFICATE_KEY, file=str(certificate)
        )
    return ConfigurationError("holds no PEM private key", key=PRIVATE_KEY_KEY, file=str(key))


def _prove(context: ssl.SSLContext, certificate: x509.Certificate, path: Path) -> None:
    """Shake hands as a client does, in both versions of TLS, and look whose certificate comes."""
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        try:
            shown = _certificate_shown(context, version)
        except ssl.SSLError as error:
            raise ConfigurationError(
                f"no handshake succeeds with it: {error.reason or error}", key=CERTIFICATE_KEY, file=str(path)
            ) from None
        if shown is None or x509.load_der_x509_certificate(shown) != certificate:
            raise ConfigurationError("the file changed while it was read", key=CERTIFICATE_KEY, file=str(path))


def _certificate_shown(context: ssl.SSLContext, version: ssl.TLSVersion) -> bytes | None:
    """The server's certificate as a client receives it. Raises SSLError when the handshake fails."""
    asking = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    asking.check_hostname = False  # this client is ourselves, and what is trusted elsewhere is not the question
    asking.verify_mode = ssl.CERT_NONE
    asking.minimum_version = asking.maximum_version = version
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = asking.wrap_bio(to_client, to_server)
    server = context.wrap_bio(to_server, to_client, server_side=True)
    waiting = [client, server]
    for _ in range(_MAX_TURNS):
        for side in list(waiting):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.remove(side)
        if not waiting:
            return client.getpeercert(binary_form=True)
    raise ssl.SSLError("the handshake does not end")


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ()
    return tuple(found.get_values_for_type(x509.DNSName))
