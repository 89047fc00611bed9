"""What a payload type of a section that is received stands for, and a packet that has been read by it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from icelane.errors import NotSupportedError
from icelane.media.codec import TELEPHONE_EVENT, NegotiatedCodec, RtpCodec
from icelane.media.payload.packetizer import Depacketizer, Fragment
from icelane.media.payload.registry import depacketizer_for
from icelane.rtp.packet import RtpPacket

# Payload formats that say outright where a frame begins; in others it can be seen that one may.
_TELLING: Final = ("vp8", "vp9")


class InboundFormat:
    """One payload type of a codec, and how its payload is read."""

    __slots__ = (
        "clock_rate",
        "codec",
        "depacketizer",
        "has_forward_error_correction",
        "has_full_intra_request",
        "has_nack",
        "has_picture_loss",
        "payload_type",
        "tells_beginning",
    )

    def __init__(self, payload_type: int, codec: RtpCodec) -> None:
        self.payload_type = payload_type
        self.codec = codec
        self.clock_rate = codec.clock_rate
        self.depacketizer: Depacketizer = depacketizer_for(codec)
        self.tells_beginning = codec.name.lower() in _TELLING
        self.has_nack = "nack" in codec.feedback
        self.has_picture_loss = "nack pli" in codec.feedback
        self.has_full_intra_request = "ccm fir" in codec.feedback
        self.has_forward_error_correction = codec.parameter("useinbandfec", "0") == "1"


class ReadPacket:
    """A packet with its unwrapped number and timestamp. `repaired` when it came because it was asked for again."""

    __slots__ = ("format", "fragment", "number", "packet", "repaired", "timestamp")

    def __init__(
        self,
        number: int,
        timestamp: int,
        packet: RtpPacket,
        fragment: Fragment,
        inbound_format: InboundFormat,
        repaired: bool,
    ) -> None:
        self.number = number
        self.timestamp = timestamp
        self.packet = packet
        self.fragment = fragment
        self.format = inbound_format
        self.repaired = repaired


class InboundFormats:
    """All payload types of a section. Codecs without a payload format here are left out, and tones of another clock."""

    __slots__ = ("by_payload_type", "repeated_by_payload_type", "tones")

    def __init__(self, codecs: Iterable[NegotiatedCodec]) -> None:
        self.by_payload_type: dict[int, InboundFormat] = {}
        self.repeated_by_payload_type: dict[int, int] = {}
        # Which format a source has of which nothing but a tone has come yet: one of the same clock.
        self.tones: dict[int, InboundFormat] = {}
        negotiated_codecs = tuple(codecs)
        for negotiated in negotiated_codecs:
            self._add(negotiated)
        for negotiated in negotiated_codecs:
            if negotiated.codec.name.lower() == TELEPHONE_EVENT:
                self._add_tones(negotiated)

    def _add(self, negotiated: NegotiatedCodec) -> None:
        if not negotiated.codec.is_media:
            return
        try:
            inbound_format = InboundFormat(negotiated.payload_type, negotiated.codec)
        except NotSupportedError:
            return
        self.by_payload_type[negotiated.payload_type] = inbound_format
        if negotiated.rtx_payload_type is not None:
            self.repeated_by_payload_type[negotiated.rtx_payload_type] = negotiated.payload_type

    def _add_tones(self, negotiated: NegotiatedCodec) -> None:
        for inbound_format in self.by_payload_type.values():
            if inbound_format.codec.clock_rate == negotiated.codec.clock_rate:
                self.tones[negotiated.payload_type] = inbound_format
                return
