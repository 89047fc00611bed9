"""Who the peer must be: the fingerprints of the session description, against the certificate that it shows.

RFC 8122 section 5 lets a description carry several fingerprints. Here every one of them that is made by a hash that
still means something must match; one that does not is a peer, or somebody on the signaling path, who is not to be
believed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

from icelane.crypto.certificate import FINGERPRINT_ALGORITHMS, Certificate, fingerprint_of
from icelane.crypto.provider import equal
from icelane.errors import HandshakeError

Fingerprint: TypeAlias = tuple[str, bytes]
"""The name of a hash function, in any case (RFC 8122 section 5: `sha-256`), and its value."""

# Fingerprints in one description; more is an error of whoever wrote it, and the peer is not believed.
MAX_FINGERPRINTS: Final = 32


class RemoteIdentity:
    """The fingerprints that were signalled, once they are known, and our own certificate, which the peer's is not."""

    __slots__ = ("_fingerprints", "_own")

    def __init__(self, own: Certificate) -> None:
        self._own = own
        self._fingerprints: tuple[Fingerprint, ...] | None = None

    def expect(self, fingerprints: Sequence[Fingerprint]) -> None:
        """From now on the peer is the one whose certificate has all of these.

        Raises HandshakeError when they could not prove anything: there are none, or too many; none is by SHA-256 or
        better; or one is that of our own certificate, so that somebody sends back to us what we sent.
        """
        accepted = tuple(
            (name.lower(), bytes(value)) for name, value in fingerprints if name.lower() in FINGERPRINT_ALGORITHMS
        )
        if not accepted or len(fingerprints) > MAX_FINGERPRINTS:
            raise HandshakeError("the session description has no fingerprint by SHA-256 or better")
        if any(equal(value, self._own.fingerprint(name)) for name, value in accepted):
            raise HandshakeError("the session description has the fingerprint of our own certificate")
        self._fingerprints = accepted

    @property
    def known(self) -> bool:
        """Whether the fingerprints have been signalled."""
        return self._fingerprints is not None

    @property
    def fingerprints(self) -> tuple[Fingerprint, ...]:
        """What the certificate of the peer must have."""
        return self._fingerprints or ()

    def may_be(self, certificate: bytes) -> bool:
        """Whether the handshake may go on with this certificate, in DER. Anything but ours may, until it is known."""
        return not self.known or self._matches(certificate)

    def verify(self, certificate: bytes) -> None:
        """Raises HandshakeError unless the certificate, in DER, is the one that was signalled."""
        if not self._matches(certificate):
            raise HandshakeError("the certificate of the peer is not the one whose fingerprint was signalled")

    def _matches(self, certificate: bytes) -> bool:
        if not certificate or not self._fingerprints or certificate == self._own.der:
            return False
        return all(equal(value, fingerprint_of(certificate, name)) for name, value in self._fingerprints)
