"""What the engine needs of a TLS library, and which ones there are.

`native` is the system's OpenSSL, reached by a small compiled module; its retransmissions come when the engine is told
that it is time. `pyopenssl` is there everywhere, and the one exception to that: OpenSSL's own clock decides.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Protocol

from icelane.core.clock import Instant
from icelane.crypto.certificate import Certificate
from icelane.dtls.options import DtlsOptions, DtlsRole
from icelane.errors import NotSupportedError


class Session(Protocol):
    """One connection inside the TLS library. It reads datagrams that are handed over and writes records to `output`.

    What it may raise: HandshakeError from `handshake` and `export`; TransportClosedError when the peer closed, or
    RemoteProtocolError when the connection broke, from all that reads or writes.
    """

    def handshake(self, datagram: bytes, now: Instant) -> bool:
        """Go on with the handshake, with a datagram or without (b""); True once it is done."""
        ...

    def handle_timeout(self, now: Instant) -> None:
        """Write the last flight again, if it is time."""
        ...

    def hurry(self, now: Instant) -> None:
        """The peer is ahead of us: write the last flight again before its time, if that was not done just now."""
        ...

    def next_timeout(self) -> Instant | None:
        """When `handle_timeout` wants to be called, or None."""
        ...

    def open(self, datagram: bytes) -> bytes | None:
        """The payload of a datagram that is one record of application data; empty when the record is not good.

        None for any other datagram, which is left alone.
        """
        ...

    def read(self, datagram: bytes) -> bytes | None:
        """The next payload of a datagram of any records, or of what is left of one (b""); None at the end."""
        ...

    def seal(self, data: bytes) -> bytes:
        """The record that carries `data`, 1 to 16,384 bytes."""
        ...

    def shutdown(self) -> None:
        """Write close_notify."""
        ...

    def output(self) -> bytes:
        """The records that were written since the last call, end to end."""
        ...

    def export(self, label: bytes, size: int) -> bytes:
        """Keying material (RFC 5705)."""
        ...

    @property
    def peer_certificate(self) -> bytes:
        """In DER; empty when there is none."""
        ...

    @property
    def protocol(self) -> str:
        """`DTLSv1.2`."""
        ...

    @property
    def cipher_suite(self) -> str:
        """OpenSSL's name."""
        ...

    @property
    def srtp_profile(self) -> str:
        """OpenSSL's name; empty when none was agreed on."""
        ...


class Backend(Protocol):
    """A TLS library."""

    @property
    def name(self) -> str:
        """One word."""
        ...

    @property
    def version(self) -> str:
        """What the library says about itself."""
        ...

    @property
    def told_time(self) -> bool:
        """Whether retransmissions follow the `now` of the engine; otherwise the clock of the machine."""
        ...

    def open_session(
        self, certificate: Certificate, role: DtlsRole, options: DtlsOptions, verify: Callable[[bytes], bool]
    ) -> Session:
        """A new session. `verify` gets the peer's certificate in DER; the handshake fails unless it returns True."""
        ...


@functools.cache
def native_backend() -> Backend:
    """The system's OpenSSL; raises NotSupportedError when the compiled module or the library is not here."""
    try:
        from icelane.dtls.native import NativeBackend
    except ImportError as error:
        raise NotSupportedError("icelane.dtls.libssl is not compiled here") from error
    return NativeBackend()


@functools.cache
def pyopenssl_backend() -> Backend:
    """The OpenSSL that comes with `cryptography`."""
    from icelane.dtls.pyopenssl import PyOpenSslBackend

    return PyOpenSslBackend()


@functools.cache
def default_backend() -> Backend:
    """The native one where it can be had."""
    try:
        return native_backend()
    except NotSupportedError:
        return pyopenssl_backend()
