"""RTCCertificate: who we are towards the peer (W3C WebRTC section 4.9)."""

from __future__ import annotations

from typing import Any

from icelane.aio.system import SystemWallClock, monotonic
from icelane.crypto.certificate import FINGERPRINT_ALGORITHMS, MIN_RSA_BITS, Certificate, KeyType


class RTCCertificate:
    """A certificate and its key, for `RTCConfiguration.certificates`."""

    def __init__(self, certificate: Certificate) -> None:
        self._certificate = certificate

    def __repr__(self) -> str:
        return f"RTC{self._certificate!r}"

    @classmethod
    def generate(cls, *, rsa_bits: int | None = None) -> RTCCertificate:
        """A new one, good for 29 days: ECDSA on P-256, or RSA with so many bits.

        Raises InvalidAccessError for a key that is too short or too long.
        """
        kind = KeyType.ECDSA_P256 if rsa_bits is None else KeyType.RSA
        now = SystemWallClock().unix_time(monotonic())
        return cls(Certificate.generate(kind, rsa_bits=rsa_bits or MIN_RSA_BITS, now=now))

    @classmethod
    def from_pem(cls, certificate_chain: bytes, private_key: bytes, password: bytes | None = None) -> RTCCertificate:
        """One of your own, in PEM. Raises InvalidAccessError, and NotSupportedError for a kind of key nobody takes."""
        return cls(Certificate.from_pem(certificate_chain, private_key, password))

    @classmethod
    def from_objects(cls, certificate: Any, private_key: object) -> RTCCertificate:
        """One of your own, as objects of `cryptography`. Raises as `from_pem` does."""
        return cls(Certificate.from_objects(certificate, private_key))

    @property
    def expires(self) -> float:
        """The end of its validity, in milliseconds since 1970 as W3C has it."""
        return self._certificate.expires * 1000

    def getFingerprints(self) -> list[dict[str, str]]:  # noqa: N802  (W3C name)
        """Its hashes, as SDP writes them, in lower case."""
        return [
            {"algorithm": algorithm, "value": self._certificate.fingerprint(algorithm).hex(":")}
            for algorithm in FINGERPRINT_ALGORITHMS
        ]

    @property
    def certificate(self) -> Certificate:
        """What the engines take."""
        return self._certificate
