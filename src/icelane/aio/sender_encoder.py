"""The encoder of one sender: it follows what was negotiated and what is wished, and works on a codec thread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from icelane.aio.media_worker import MediaLane
from icelane.aio.system import monotonic
from icelane.core.clock import Duration
from icelane.media.codec import MediaKind, NegotiatedCodec
from icelane.media.codecs.interface import DEFAULT_PACKET_TIME, MIN_BITRATE, Encoder, EncoderSettings
from icelane.media.codecs.registry import CodecRegistry
from icelane.media.frame import EncodedFrame

if TYPE_CHECKING:
    from icelane.media.pyav import av

# What Opus takes for each channel unless something else is wished: RFC 7587 section 3.1.1, speech of full band.
_SOUND_BITRATE: Final = 32_000
# Pictures are not made smaller than this.
_SMALLEST_SIDE: Final = 16


@dataclass(frozen=True, slots=True)
class EncoderWish:
    """What an encoder is to aim at from the next frame on.

    `bitrate` is the program's wish and `limit` what the peer takes, both in bit/s and None where nobody says anything.
    `packet_loss` is a fraction, as the peer reports it. `packet_time` is how much sound the peer wants in a packet, in
    seconds; it counts when an encoder opens.
    """

    bitrate: int | None = None
    limit: int | None = None
    packet_loss: float = 0.0
    packet_time: Duration | None = None
    scale_down_by: float = 1.0
    frame_rate: float | None = None


@dataclass(slots=True)
class EncoderCounts:
    """Of RTCOutboundRtpStreamStats, what the encoder knows."""

    frames_encoded: int = 0
    key_frames_encoded: int = 0
    total_encode_time: Duration = 0.0
    total_target_bytes: float = 0.0
    width: int = 0
    height: int = 0
    target_bitrate: int | None = None
    implementation: str = ""


class SenderEncoder:
    """One codec, until another one was negotiated or another source begins. It is opened with the first frame."""

    def __init__(
        self, codec: NegotiatedCodec, registry: CodecRegistry, lane: MediaLane, wish: EncoderWish, counts: EncoderCounts
    ) -> None:
        self.codec = codec
        self.counts = counts
        self._lane = lane
        self._wish = wish
        self._bitrate: int | None = None
        self._registry = registry
        self._encoder: Encoder | None = None

    async def encode(
        self, frame: av.AudioFrame | av.VideoFrame, wish: EncoderWish, *, force_key_frame: bool
    ) -> list[EncodedFrame]:
        """As the encoder's own, on the thread. Raises NotSupportedError where there is none, OperationError."""
        return await self._lane.run(self._encode, frame, wish, force_key_frame)

    async def close(self) -> None:
        """Let the encoder go, behind what it works on."""
        await self._lane.close(self._close)

    # On the thread

    def _encode(
        self, frame: av.AudioFrame | av.VideoFrame, wish: EncoderWish, force_key_frame: bool
    ) -> list[EncodedFrame]:
        began_at = monotonic()
        width, height = getattr(frame, "width", 0), getattr(frame, "height", 0)
        if width and wish.scale_down_by > 1:
            frame = _scaled(frame, wish.scale_down_by)  # type: ignore[arg-type]  # what has a width is a picture
            width, height = getattr(frame, "width", 0), getattr(frame, "height", 0)
        encoder = self._follow(wish, width, height)
        encoded = encoder.encode(frame, force_key_frame=force_key_frame)
        counts = self.counts
        counts.width, counts.height = width, height
        counts.frames_encoded += len(encoded)
        counts.key_frames_encoded += sum(one.is_key for one in encoded)
        counts.total_encode_time += monotonic() - began_at
        seconds = sum(one.duration for one in encoded) / self.codec.codec.clock_rate
        counts.total_target_bytes += (counts.target_bitrate or 0) / 8 * seconds
        return encoded

    def _follow(self, wish: EncoderWish, width: int, height: int) -> Encoder:
        encoder = self._encoder
        if encoder is None:
            encoder = self._encoder = self._registry.encoder(self.codec.codec, _settings(self.codec, wish))
            self.counts.implementation = type(encoder).__name__
        bitrate = target_bitrate(self.codec, wish, width, height)
        if bitrate is not None and bitrate != self._bitrate:
            self._bitrate = bitrate
            encoder.set_bitrate(bitrate)
        self.counts.target_bitrate = bitrate
        before, self._wish = self._wish, wish
        if wish.packet_loss != before.packet_loss:
            encoder.set_packet_loss(wish.packet_loss)
        if wish.frame_rate and wish.frame_rate != before.frame_rate:
            encoder.set_frame_rate(wish.frame_rate)
        return encoder

    def _close(self) -> None:
        if self._encoder is not None:
            self._encoder.close()


def target_bitrate(codec: NegotiatedCodec, wish: EncoderWish, width: int, height: int) -> int | None:
    """What to aim at, in bit/s; None where the codec has no rate of its own to choose."""
    if codec.codec.kind is MediaKind.VIDEO:
        from icelane.media.codecs.video_input import default_bitrate

        wished = wish.bitrate or default_bitrate(width, height)
    else:
        wished = wish.bitrate or _SOUND_BITRATE * (2 if codec.codec.parameter("stereo") == "1" else 1)
    # A peer may say that it takes nothing: encoders do not go below their least.
    return wished if wish.limit is None else min(wished, max(wish.limit, MIN_BITRATE))


def _settings(codec: NegotiatedCodec, wish: EncoderWish) -> EncoderSettings:
    if codec.codec.kind is MediaKind.VIDEO:
        bitrate = None if wish.bitrate is None else target_bitrate(codec, wish, 0, 0)
        return EncoderSettings(bitrate=bitrate, frame_rate=wish.frame_rate or 30.0)
    bitrate = target_bitrate(codec, wish, 0, 0)
    return EncoderSettings(
        bitrate=bitrate, packet_loss=wish.packet_loss, packet_time=wish.packet_time or DEFAULT_PACKET_TIME
    )


def _scaled(frame: av.VideoFrame, by: float) -> av.VideoFrame:
    """Smaller, with even sides, which every codec takes."""
    width, height = (max(_SMALLEST_SIDE, int(side / by) // 2 * 2) for side in (frame.width, frame.height))
    smaller = frame.reformat(width=width, height=height)
    smaller.pts, smaller.time_base = frame.pts, frame.time_base
    return smaller
