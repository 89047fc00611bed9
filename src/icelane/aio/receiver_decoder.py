"""The decoder of one receiver, on a codec thread: frames and instructions in, PyAV's frames out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Final, TypeAlias

from icelane.aio.frame_pace import FrameRate
from icelane.aio.media_worker import MediaLane
from icelane.aio.received_times import MediaTimes, SoundTimes
from icelane.aio.rtp_parameters import linear_level
from icelane.aio.system import monotonic
from icelane.core.clock import Duration, Instant, UnixSeconds
from icelane.errors import MalformedError
from icelane.media.capture_time import CaptureTime, mark_captured
from icelane.media.codec import MediaKind, NegotiatedCodec
from icelane.media.codecs.interface import Decoder, MediaFrame
from icelane.media.codecs.registry import CodecRegistry
from icelane.media.frame import EncodedFrame
from icelane.media.playout import Conceal, Decode, DecodeForwardErrorCorrection, Playout

if TYPE_CHECKING:
    from icelane.media.codecs.rotation import Rotator

# W3C pauseCount: nothing was shown for longer than this.
_PAUSE: Final[Duration] = 5.0

Work: TypeAlias = EncodedFrame | Playout
"""A picture, or an instruction about sound."""


@dataclass(slots=True)
class DecoderCounts:
    """Of RTCInboundRtpStreamStats, what the decoder knows. `level` and energy are 0 to 1, of sound."""

    frames_decoded: int = 0
    key_frames_decoded: int = 0
    total_decode_time: Duration = 0.0
    width: int = 0
    height: int = 0
    failures: int = 0
    implementation: str = ""
    audio_level: float = 0.0
    total_audio_energy: float = 0.0
    total_samples_duration: Duration = 0.0
    pauses: int = 0
    total_pauses_duration: Duration = 0.0
    total_inter_frame_delay: Duration = 0.0
    total_squared_inter_frame_delay: float = 0.0
    # When what was decoded last was captured, by its sender's clock, and when it was decoded.
    captured: tuple[UnixSeconds, Instant] | None = None
    shown: FrameRate = field(default_factory=FrameRate)

    def note_shown(self, now: Instant) -> None:
        """A picture was given to the track."""
        last = self.shown.last
        if last is not None:
            delay = now - last
            self.total_inter_frame_delay += delay
            self.total_squared_inter_frame_delay += delay**2
            if delay > _PAUSE:
                self.pauses += 1
                self.total_pauses_duration += delay
        self.shown.note(now)

    def frames_per_second(self, now: Instant) -> int:
        """Pictures of the last second."""
        return self.shown.per_second(now)


class ReceiverDecoder:
    """Decodes what one transceiver receives, whichever of the negotiated codecs it comes in."""

    def __init__(
        self,
        kind: MediaKind,
        codecs: Callable[[], Sequence[NegotiatedCodec]],
        registry: CodecRegistry,
        lane: MediaLane,
        counts: DecoderCounts,
    ) -> None:
        self._kind = kind
        self._codecs = codecs
        self._registry = registry
        self._lane = lane
        self._counts = counts
        self._codec: NegotiatedCodec | None = None
        self._decoder: Decoder | None = None
        self._times = MediaTimes()
        self._sound_times = SoundTimes()
        self._rotator: Rotator | None = None
        self._cname: str | None = None

    async def decode(self, work: Sequence[Work], cname: str | None = None) -> tuple[list[MediaFrame], bool]:
        """What `work` of `cname` gives, and whether the decoder could not go on.

        Raises NotSupportedError, OperationError.
        """
        codecs = self._codecs()  # here, and not on the thread
        self._cname = cname
        return await self._lane.run(self._decode_all, list(work), codecs)

    async def close(self) -> None:
        """Let the decoder go, behind what it works on."""
        await self._lane.close(self._close_decoder)

    # On the thread

    def _decode_all(self, work: Sequence[Work], codecs: Sequence[NegotiatedCodec]) -> tuple[list[MediaFrame], bool]:
        began_at = monotonic()
        frames: list[MediaFrame] = []
        has_failed = False
        for one in work:
            try:
                frames += self._decode(one, codecs)
            except MalformedError:
                self._counts.failures += 1
                has_failed = True
                if self._kind is MediaKind.VIDEO:
                    break
        self._counts.total_decode_time += monotonic() - began_at
        return frames, has_failed

    def _decode(self, one: Work, codecs: Sequence[NegotiatedCodec]) -> list[MediaFrame]:
        if isinstance(one, EncodedFrame):
            return self._decode_picture(one, codecs)
        return self._decode_sound(one, codecs)

    def _decode_picture(self, frame: EncodedFrame, codecs: Sequence[NegotiatedCodec]) -> list[MediaFrame]:
        decoder = self._decoder_for(frame.payload_type, codecs)
        if decoder is None:
            return []
        timestamp = self._times.of(frame.timestamp, self._clock_rate)
        pictures = decoder.decode(replace(frame, timestamp=timestamp))
        if frame.rotation:
            pictures = [self._upright(picture, frame.rotation) for picture in pictures]
        counts = self._counts
        counts.frames_decoded += len(pictures)
        counts.key_frames_decoded += frame.is_key
        for picture in pictures:
            self._mark(picture, frame)
            counts.width, counts.height = getattr(picture, "width", 0), getattr(picture, "height", 0)
        return pictures

    def _upright(self, picture: MediaFrame, degrees: int) -> MediaFrame:
        from icelane.media.codecs.rotation import Rotator  # needs PyAV, which a picture comes from

        if self._rotator is None:
            self._rotator = Rotator()
        return self._rotator.turn(picture, degrees)  # type: ignore[arg-type]  # decoders of video give pictures

    def _decode_sound(self, playout: Playout, codecs: Sequence[NegotiatedCodec]) -> list[MediaFrame]:
        media_time: Fraction | None = None
        if isinstance(playout, Conceal):
            decoder = self._decoder
            if decoder is None:
                return []
            frames = decoder.conceal(self._samples(decoder, playout.duration))
        else:
            decoder = self._decoder_for(playout.frame.payload_type, codecs)
            if decoder is None:
                return []
            timestamp = self._times.of(playout.frame.timestamp, self._clock_rate)
            if isinstance(playout, DecodeForwardErrorCorrection):
                timestamp -= playout.duration
            media_time = Fraction(timestamp, self._clock_rate)
            frames = self._run(decoder, playout)
        for frame in frames:
            self._sound_times.stamp(frame, media_time)  # type: ignore[arg-type]  # decoders of sound give sound
            media_time = None
        if isinstance(playout, Decode):
            if frames and not playout.skipped:
                self._mark(frames[0], playout.frame)
            self._count_sound(playout.frame)
        return frames

    def _mark(self, decoded: MediaFrame, frame: EncodedFrame) -> None:
        if frame.captured_at is None:
            return
        self._counts.captured = frame.captured_at, monotonic()
        if self._cname is not None:
            mark_captured(decoded, CaptureTime(self._cname, frame.captured_at))

    def _run(self, decoder: Decoder, playout: Decode | DecodeForwardErrorCorrection) -> list[MediaFrame]:
        if isinstance(playout, DecodeForwardErrorCorrection):
            return decoder.decode_fec(playout.frame, self._samples(decoder, playout.duration))
        try:
            return decoder.decode(playout.frame)
        except MalformedError:
            self._counts.failures += 1
            return decoder.conceal(self._samples(decoder, playout.frame.duration))

    def _samples(self, decoder: Decoder, duration: int) -> int:
        return duration * decoder.sample_rate // self._clock_rate

    @property
    def _clock_rate(self) -> int:
        return self._codec.codec.clock_rate if self._codec is not None else 1

    def _decoder_for(self, payload_type: int, codecs: Sequence[NegotiatedCodec]) -> Decoder | None:
        if self._codec is not None and self._codec.payload_type == payload_type:
            return self._decoder
        codec = next((one for one in codecs if one.payload_type == payload_type), None)
        if codec is None:
            return None  # it came before an exchange that has ended it
        self._close_decoder()
        self._codec = codec
        self._decoder = self._registry.decoder(codec.codec)
        self._counts.implementation = type(self._decoder).__name__
        return self._decoder

    def _close_decoder(self) -> None:
        decoder, self._decoder, self._codec = self._decoder, None, None
        if decoder is not None:
            decoder.close()

    def _count_sound(self, frame: EncodedFrame) -> None:
        counts, seconds = self._counts, frame.duration / self._clock_rate
        if (level := linear_level(frame.audio_level)) is not None:
            counts.audio_level = level
        counts.frames_decoded += 1
        counts.total_audio_energy += counts.audio_level**2 * seconds
        counts.total_samples_duration += seconds
