"""DTLS, as aiortc has it."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from icelane.aio.certificate import RTCCertificate as NativeCertificate
from icelane.aio.transports import RTCDtlsTransport as NativeDtlsTransport
from icelane.compat.aiortc.emitter import Emitter
from icelane.compat.aiortc.rtcicetransport import RTCIceTransport
from icelane.errors import NotSupportedError

FindDtlsTransport = Callable[[], NativeDtlsTransport | None]


@dataclass
class RTCDtlsFingerprint:
    """The hash of a certificate."""

    algorithm: str
    value: str


class RTCCertificate:
    """A certificate and its key."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, cert: x509.Certificate) -> None:
        self._native = NativeCertificate.from_objects(cert, key)

    @property
    def expires(self) -> datetime.datetime:
        """The end of its validity."""
        return datetime.datetime.fromtimestamp(self._native.expires / 1000, datetime.UTC)

    def getFingerprints(self) -> list[RTCDtlsFingerprint]:  # noqa: N802  (W3C names)
        """Its hashes, in upper case."""
        return [RTCDtlsFingerprint(one["algorithm"], one["value"].upper()) for one in self._native.getFingerprints()]

    @classmethod
    def generateCertificate(cls) -> Self:  # noqa: N802
        """A new one: ECDSA on P-256."""
        made = cls.__new__(cls)
        made._native = NativeCertificate.generate()
        return made


@dataclass
class RTCDtlsParameters:
    """Fingerprints, and the role: `auto`, `client` or `server`."""

    fingerprints: list[RTCDtlsFingerprint] = field(default_factory=list)
    role: str = "auto"


class RTCDtlsTransport(Emitter):
    """What encrypts. Made by a connection. Event: `statechange`."""

    def __init__(self, transport: RTCIceTransport, certificates: list[RTCCertificate]) -> None:
        super().__init__()
        self._transport = transport
        self._certificates = certificates
        self._find: FindDtlsTransport = _no_transport

    @property
    def state(self) -> str:
        """`new`, `connecting`, `connected`, `closed` or `failed`."""
        transport = self._find()
        return transport.state if transport is not None else "new"

    @property
    def transport(self) -> RTCIceTransport:
        """The path to the peer."""
        return self._transport

    def getLocalParameters(self) -> RTCDtlsParameters:  # noqa: N802
        """The fingerprints of our certificates."""
        fingerprints = [one for certificate in self._certificates for one in certificate.getFingerprints()]
        return RTCDtlsParameters(fingerprints=fingerprints)

    async def start(self, remoteParameters: RTCDtlsParameters) -> None:  # noqa: N803
        """Raises NotSupportedError: descriptions do that."""
        raise NotSupportedError("DTLS is started by the descriptions of a RTCPeerConnection")

    async def stop(self) -> None:
        """Raises NotSupportedError: `close` does that."""
        raise NotSupportedError("DTLS is stopped by RTCPeerConnection.close")


def _no_transport() -> NativeDtlsTransport | None:
    return None
