"""RTCDataChannel, as aiortc has it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from icelane.aio.data_channel import RTCDataChannel as NativeDataChannel
from icelane.compat.aiortc.emitter import Emitter
from icelane.compat.aiortc.rtcsctptransport import RTCSctpTransport
from icelane.errors import NotSupportedError

_MAX_THRESHOLD = 0xFFFF_FFFF


@dataclass
class RTCDataChannelParameters:
    """How a channel was asked for."""

    label: str = ""
    maxPacketLifeTime: int | None = None  # noqa: N815  (W3C names)
    maxRetransmits: int | None = None  # noqa: N815
    ordered: bool = True
    protocol: str = ""
    negotiated: bool = False
    id: int | None = None


class RTCDataChannel(Emitter):
    """Made by `createDataChannel`, or handed over by the event `datachannel`, open.

    Events: `open`, `message` (str or bytes), `bufferedamountlow`, `close`. What comes before somebody listens to
    `message` waits, and slows the peer down.
    """

    _native: NativeDataChannel
    _transport: RTCSctpTransport

    def __init__(
        self, transport: RTCSctpTransport, parameters: RTCDataChannelParameters, send_open: bool = True
    ) -> None:
        """Raises NotSupportedError: a channel is made by `RTCPeerConnection.createDataChannel`."""
        raise NotSupportedError("a channel is made by RTCPeerConnection.createDataChannel")

    @classmethod
    def _of(
        cls, transport: RTCSctpTransport, native: NativeDataChannel, *, is_announced: bool = False
    ) -> RTCDataChannel:
        made = cls.__new__(cls)
        Emitter.__init__(made)
        made._transport = transport
        made._native = native
        if not is_announced:  # who gets one from the peer finds it open, and hears of that no more
            native.on("open", made._opened)
        native.on("bufferedamountlow", made._ran_low)
        native.on("close", made._closed)
        return made

    @property
    def bufferedAmount(self) -> int:  # noqa: N802
        """Bytes that `send` has queued and that have not left."""
        return self._native.bufferedAmount

    @property
    def bufferedAmountLowThreshold(self) -> int:  # noqa: N802
        """`bufferedamountlow` comes when what is buffered falls to this many bytes. Raises ValueError."""
        return self._native.bufferedAmountLowThreshold

    @bufferedAmountLowThreshold.setter
    def bufferedAmountLowThreshold(self, value: int) -> None:  # noqa: N802
        if not 0 <= value <= _MAX_THRESHOLD:
            raise ValueError(f"bufferedAmountLowThreshold is 0 to {_MAX_THRESHOLD}")
        self._native.bufferedAmountLowThreshold = value

    @property
    def negotiated(self) -> bool:
        """Whether both programs made the channel, and said nothing on the wire."""
        return self._native.negotiated

    @property
    def id(self) -> int | None:
        """The SCTP stream, None before it is known."""
        return self._native.id

    @property
    def label(self) -> str:
        """What it is called."""
        return self._native.label

    @property
    def ordered(self) -> bool:
        """Whether messages arrive in their order."""
        return self._native.ordered

    @property
    def maxPacketLifeTime(self) -> int | None:  # noqa: N802
        """For how many milliseconds a message is tried to send."""
        return self._native.maxPacketLifeTime

    @property
    def maxRetransmits(self) -> int | None:  # noqa: N802
        """How often a message is sent again."""
        return self._native.maxRetransmits

    @property
    def protocol(self) -> str:
        """What messages mean, by the programs' agreement."""
        return self._native.protocol

    @property
    def readyState(self) -> str:  # noqa: N802
        """`connecting`, `open`, `closing` or `closed`."""
        return self._native.readyState

    @property
    def transport(self) -> RTCSctpTransport:
        """What carries it."""
        return self._transport

    def close(self) -> None:
        """Deliver what was sent, then close; again is harmless."""
        self._native.close()

    def send(self, data: bytes | str) -> None:
        """Queue a message.

        Raises InvalidStateError when the channel is not open, ValueError for another type and beyond what the peer
        takes, OperationError while 16 MiB are buffered.
        """
        if self._native.readyState == "open" and not isinstance(data, str | bytes | bytearray | memoryview):
            raise ValueError(f"a message is str or bytes, not {type(data).__name__}")
        self._native.send(data)

    def _gained_listener(self, event: str) -> None:
        if event == "message" and not self._native.has_listener("message"):
            self._native.on("message", self._received)

    def _received(self, message: str | bytes) -> asyncio.Future[list[object]] | None:
        tasks = self._tell("message", message)
        # Where handlers take their time, the peer is to slow down: the channel waits for what is returned here.
        return asyncio.gather(*tasks, return_exceptions=True) if tasks else None

    def _opened(self) -> None:
        self._tell("open")

    def _ran_low(self) -> None:
        self._tell("bufferedamountlow")

    def _closed(self) -> None:
        self._tell("close")
        self.remove_all_listeners()  # nothing comes after it
