"""SCTP, as aiortc has it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from icelane.aio.transports import RTCSctpTransport as NativeSctpTransport
from icelane.compat.aiortc.emitter import Emitter
from icelane.compat.aiortc.rtcdtlstransport import RTCDtlsTransport
from icelane.errors import NotSupportedError

LOCAL_MAX_MESSAGE_SIZE: Final = 262144

USERDATA_MAX_LENGTH = 1160
"""Programs set it for paths with small packets. It is not looked at: icelane finds out what the path takes."""

FindSctpTransport = Callable[[], NativeSctpTransport | None]


@dataclass
class RTCSctpCapabilities:
    """How long a message may be."""

    maxMessageSize: int  # noqa: N815  (W3C name)


class RTCSctpTransport(Emitter):
    """What carries channels. Made by a connection. Event: `statechange`."""

    def __init__(self, transport: RTCDtlsTransport, port: int = 5000) -> None:
        super().__init__()
        self._transport = transport
        self._port = port
        self._find: FindSctpTransport = _no_transport
        self._find_mid: Callable[[], str | None] = _no_mid

    @property
    def mid(self) -> str | None:
        """Its section, None before there is one."""
        return self._find_mid()

    @property
    def is_server(self) -> bool:
        """Raises NotSupportedError: both ends of SCTP are alike here."""
        raise NotSupportedError("an end of SCTP is no server")

    @property
    def maxChannels(self) -> int | None:  # noqa: N802  (W3C names)
        """How many channels there can be, None before the peers are connected."""
        native = self._find()
        return native.maxChannels if native is not None else None

    @property
    def port(self) -> int:
        """SCTP's own, which is the same for both."""
        return self._port

    @property
    def state(self) -> str:
        """`new`, `connecting`, `connected` or `closed`."""
        native = self._find()
        return native.state if native is not None else "new"

    @property
    def transport(self) -> RTCDtlsTransport:
        """What encrypts."""
        return self._transport

    @classmethod
    def getCapabilities(cls) -> RTCSctpCapabilities:  # noqa: N802
        """How long a message may be that the peer sends."""
        return RTCSctpCapabilities(maxMessageSize=LOCAL_MAX_MESSAGE_SIZE)

    async def start(self, remoteCaps: RTCSctpCapabilities, remotePort: int) -> None:  # noqa: N803
        """Raises NotSupportedError: descriptions do that."""
        raise NotSupportedError("SCTP is started by the descriptions of a RTCPeerConnection")

    async def stop(self) -> None:
        """Raises NotSupportedError: `close` does that."""
        raise NotSupportedError("SCTP is stopped by RTCPeerConnection.close")


def _no_transport() -> NativeSctpTransport | None:
    return None


def _no_mid() -> str | None:
    return None
