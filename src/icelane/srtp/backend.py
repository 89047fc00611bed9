"""What a session needs of a cryptographic library, and which ones there are.

`native` is the system's OpenSSL, reached by a small compiled module that does everything about a packet; `python` is
there everywhere, over `cryptography`. Both behave the same, and every test runs over both.
"""

from __future__ import annotations

import functools
from typing import Protocol

from icelane.errors import NotSupportedError
from icelane.rtp.packet import RtpPacket
from icelane.srtp.key_derivation import SessionKeys
from icelane.srtp.profile import ProtectionProfile


class Sender(Protocol):
    """Protects what is sent. Each call raises InvalidAccessError for what is no packet, and InvalidStateError when the
    packet's number was used already or the keys are used up."""

    def protect(self, packet: bytes) -> bytes:
        """The SRTP packet of an RTP packet."""
        ...

    def protect_rtcp(self, packet: bytes) -> bytes:
        """The SRTCP packet of an RTCP packet."""
        ...

    def protect_batch(self, packets: list[bytes]) -> list[bytes]:
        """The same for several packets, RTP and RTCP, told apart as RFC 5761 has it."""
        ...

    def protect_packets(self, packets: list[RtpPacket]) -> list[bytes]:
        """The SRTP packets of RTP packets that are not serialized yet."""
        ...


class Receiver(Protocol):
    """Takes the protection off what came. The single calls raise MalformedError, AuthenticationError and ReplayError,
    and count what they refuse; the batch only counts."""

    auth_failures: int
    replays: int
    malformed: int

    def unprotect(self, packet: bytes) -> bytes:
        """The RTP packet of an SRTP packet."""
        ...

    def unprotect_rtcp(self, packet: bytes) -> bytes:
        """The RTCP packet of an SRTCP packet."""
        ...

    def unprotect_batch(self, packets: list[bytes]) -> list[bytes | None]:
        """The same for several packets, RTP and RTCP, told apart as RFC 5761 has it; None for what is refused."""
        ...

    def unprotect_packets(self, packets: list[bytes]) -> tuple[list[RtpPacket], list[bytes], int]:
        """Of several packets those that are not refused: RTP parsed, RTCP in the clear; how many did not parse."""
        ...

    @property
    def stream_count(self) -> int:
        """How many sources of RTP are told apart."""
        ...


class Backend(Protocol):
    """A cryptographic library."""

    @property
    def name(self) -> str:
        """One word."""
        ...

    @property
    def version(self) -> str:
        """What the library says about itself."""
        ...

    def open_sender(self, profile: ProtectionProfile, keys: SessionKeys) -> Sender:
        """A new sender. Its streams begin with a rollover counter of 0."""
        ...

    def open_receiver(self, profile: ProtectionProfile, keys: SessionKeys) -> Receiver:
        """A new receiver."""
        ...


@functools.cache
def native_backend() -> Backend:
    """The system's OpenSSL; raises NotSupportedError when the compiled module or the library is not here."""
    try:
        from icelane.srtp.native import NativeBackend
    except ImportError as error:
        raise NotSupportedError("icelane.srtp.libcrypto is not compiled here") from error
    return NativeBackend()


@functools.cache
def python_backend() -> Backend:
    """Python over `cryptography`."""
    from icelane.srtp.python import PythonBackend

    return PythonBackend()


@functools.cache
def default_backend() -> Backend:
    """The native one where it can be had."""
    try:
        return native_backend()
    except NotSupportedError:
        return python_backend()
