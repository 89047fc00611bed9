"""RTCRtpTransceiver: a sender and a receiver that share a section of the descriptions (W3C webrtc-pc section 5.4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

from icelane.aio.frame_queue import QueuePolicy
from icelane.aio.media_port import MediaPort
from icelane.aio.rtp_parameters import RTCRtpCodec, find_codecs
from icelane.aio.rtp_receiver import RTCRtpReceiver
from icelane.aio.rtp_sender import RTCRtpSender
from icelane.peer.transceiver import Transceiver
from icelane.sdp.rtp_attributes import Direction

TransceiverDirection: TypeAlias = Literal["sendrecv", "sendonly", "recvonly", "inactive"]
_DIRECTIONS: Final = {direction.value: direction for direction in Direction}


class RTCRtpTransceiver:
    """Made by the peer connection."""

    def __init__(self, port: MediaPort, transceiver: Transceiver, policy: QueuePolicy, capacity: int | None) -> None:
        self._port = port
        self._transceiver = transceiver
        self._sender = RTCRtpSender(port, transceiver)
        self._receiver = RTCRtpReceiver(port, transceiver, policy, capacity)

    def __repr__(self) -> str:
        return f"RTCRtpTransceiver({self.kind}, mid={self.mid}, {self.direction}, now {self.currentDirection})"

    @property
    def kind(self) -> str:
        """`audio` or `video`."""
        return self._transceiver.kind.value

    @property
    def mid(self) -> str | None:
        """The section, None before one was set."""
        return self._transceiver.mid

    @property
    def sender(self) -> RTCRtpSender:
        """The way out."""
        return self._sender

    @property
    def receiver(self) -> RTCRtpReceiver:
        """The way in."""
        return self._receiver

    @property
    def direction(self) -> TransceiverDirection | Literal["stopped"]:
        """What is wanted; to set it asks for a negotiation. Raises TypeError, InvalidStateError when stopped."""
        if self._transceiver.is_stopping:
            return "stopped"
        return self._transceiver.direction.value

    @direction.setter
    def direction(self, direction: TransceiverDirection) -> None:
        wanted = direction_named(direction)
        self._port.run(lambda _: self._port.engine.set_direction(self._transceiver, wanted))

    @property
    def currentDirection(self) -> TransceiverDirection | Literal["stopped"] | None:  # noqa: N802  (W3C names)
        """What was negotiated, None before that."""
        if self._transceiver.is_stopped:
            return "stopped"
        current = self._transceiver.current_direction
        return None if current is None else current.value

    @property
    def stopped(self) -> bool:
        """Whether its section is rejected."""
        return self._transceiver.is_stopped

    def setCodecPreferences(self, codecs: Sequence[RTCRtpCodec]) -> None:  # noqa: N802
        """Negotiate only these, in this order, from the next exchange on; none: all, as they are by default.

        They are entries of `getCapabilities`. Raises InvalidModificationError for others.
        """
        known = self._port.codecs(self._transceiver.kind)
        wanted = find_codecs(codecs, known)
        self._port.run(lambda _: self._port.engine.set_codec_preferences(self._transceiver, wanted))

    def stop(self) -> None:
        """End both ways for good; asks for a negotiation. Again is harmless."""
        self._port.run(lambda now: self._port.engine.stop_transceiver(self._transceiver, now))
        self._sender._follow()

    async def _close(self) -> None:
        await self._sender._close()
        await self._receiver._close()


def direction_named(name: object) -> Direction:
    """Raises TypeError for a word that is no direction."""
    if not isinstance(name, str) or name not in _DIRECTIONS:
        raise TypeError(f"a direction is one of {', '.join(_DIRECTIONS)}, not {name!r}")
    return _DIRECTIONS[name]
