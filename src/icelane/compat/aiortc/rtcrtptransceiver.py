"""RTCRtpTransceiver, as aiortc has it."""

from __future__ import annotations

from typing import cast

from icelane.aio.rtp_transceiver import RTCRtpTransceiver as NativeTransceiver
from icelane.aio.rtp_transceiver import TransceiverDirection
from icelane.compat.aiortc.codecs import native_codecs
from icelane.compat.aiortc.rtcdtlstransport import RTCDtlsTransport
from icelane.compat.aiortc.rtcrtpparameters import RTCRtpCodecCapability
from icelane.compat.aiortc.rtcrtpreceiver import RTCRtpReceiver
from icelane.compat.aiortc.rtcrtpsender import RTCRtpSender
from icelane.errors import NotSupportedError


class RTCRtpTransceiver:
    """A sender and a receiver that share a section of the descriptions. Made by a connection."""

    _native: NativeTransceiver
    _sender: RTCRtpSender
    _receiver: RTCRtpReceiver

    def __init__(self, kind: str, receiver: RTCRtpReceiver, sender: RTCRtpSender, direction: str = "sendrecv") -> None:
        """Raises NotSupportedError: a transceiver is made by a RTCPeerConnection."""
        raise NotSupportedError("a transceiver is made by a RTCPeerConnection")

    @classmethod
    def _of(cls, native: NativeTransceiver, transport: RTCDtlsTransport) -> RTCRtpTransceiver:
        made = cls.__new__(cls)
        made._native = native
        made._sender = RTCRtpSender._of(native.sender, transport)
        made._receiver = RTCRtpReceiver._of(native.receiver, transport)
        return made

    @property
    def currentDirection(self) -> str | None:  # noqa: N802  (W3C names)
        """What was negotiated, None before that."""
        return self._native.currentDirection

    @property
    def direction(self) -> str:
        """What the next offer or answer will say. Raises TypeError, InvalidStateError when stopped."""
        return self._native.direction

    @direction.setter
    def direction(self, direction: str) -> None:
        self._native.direction = cast(TransceiverDirection, direction)  # looked at there

    @property
    def kind(self) -> str:
        """`audio` or `video`."""
        return self._native.kind

    @property
    def mid(self) -> str | None:
        """The section, None before one was set."""
        return self._native.mid

    @property
    def receiver(self) -> RTCRtpReceiver:
        """The way in."""
        return self._receiver

    @property
    def sender(self) -> RTCRtpSender:
        """The way out."""
        return self._sender

    @property
    def stopped(self) -> bool:
        """Whether it was ended for good."""
        return self._native.stopped or self._native.direction == "stopped"

    def setCodecPreferences(self, codecs: list[RTCRtpCodecCapability]) -> None:  # noqa: N802
        """Negotiate only these, in this order; none: all. Raises ValueError for one that is no capability."""
        self._native.setCodecPreferences(native_codecs(self.kind, codecs))

    async def stop(self) -> None:
        """End both ways for good."""
        self._native.stop()
        await self._receiver.stop()
