"""Pictures by FFmpeg's codecs: every decoder, and the encoders of what has no binding of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Final, NamedTuple

from icelane.errors import MalformedError, OperationError
from icelane.media.codec import RtpCodec
from icelane.media.codecs.interface import (
    Decoder,
    Encoder,
    EncoderSettings,
    MediaFrame,
)
from icelane.media.codecs.thread_policy import ordinary_threads
from icelane.media.codecs.video_input import (
    PIXEL_FORMAT,
    TIME_BASE,
    PictureClock,
    bitrate_for,
    own_copy,
    planar,
    rotation_of,
)
from icelane.media.frame import EncodedFrame
from icelane.media.pyav import av

if TYPE_CHECKING:
    from av.video.codeccontext import VideoCodecContext


class Opening(NamedTuple):
    """What an encoder is opened for: the codec as the receiver describes it, and a rate in bit/s."""

    codec: RtpCodec
    settings: EncoderSettings
    bitrate: int
    width: int
    height: int
    frame_rate: float


Options = Callable[[Opening], Mapping[str, str]]
"""FFmpeg's options."""

# An encoder that has to open again for another rate does so when the rate has changed by this factor, as that costs a
# key frame.
_REOPENING_FACTOR: Final = 1.5
_NO_KEY_FRAMES_BY_ITSELF: Final = 1_000_000

# Pictures that may come out of one encoded frame: one, and what a decoder held back.
_MAX_PICTURES: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class PyavVideoCodec:
    """An encoder of FFmpeg's; `profile` gives its name for what the codec's parameters say.

    `opening_bitrate` is what it is opened with before it is told the real one, None for that itself: one that changes
    its rate while it is open may have to begin at the highest. Without `changes_rate` another rate takes another
    encoder. `sides` are what the sides of pictures are multiples of. `delimiter` is what stands before every frame and
    is not sent.
    """

    name: str
    options: Options
    profile: Callable[[RtpCodec], str] | None = None
    changes_rate: bool = False
    opening_bitrate: int | None = None
    sides: int = 1
    delimiter: bytes = b""


class PyavVideoEncoder(Encoder):
    """One stream; it opens with the first picture, and again for one of another size."""

    def __init__(self, which: PyavVideoCodec, codec: RtpCodec, settings: EncoderSettings) -> None:
        self._which = which
        self._codec = codec
        self._settings = settings
        self._bitrate = settings.bitrate
        self._opened_bitrate = 0
        self._clock = PictureClock(settings.frame_rate)
        self._context: VideoCodecContext | None = None
        self._is_closed = False

    def encode(self, frame: MediaFrame, *, force_key_frame: bool = False) -> list[EncodedFrame]:
        source = planar(frame)
        sides = self._which.sides
        width, height = (max(sides, side // sides * sides) for side in (source.width, source.height))
        picture = own_copy(source, width, height)  # PyAV writes times and the type into what it encodes
        timestamp = self._clock.timestamp(source)
        context = self._prepare(picture)
        picture.pts, picture.time_base = timestamp, TIME_BASE
        if force_key_frame:
            picture.pict_type = av.video.frame.PictureType.I
        try:
            packets = context.encode(picture)
        except (av.FFmpegError, ValueError) as error:
            raise OperationError(f"{self._which.name}: {error}") from error
        return [
            EncodedFrame(
                data=bytes(packet).removeprefix(self._which.delimiter),
                timestamp=timestamp if packet.pts is None else packet.pts,
                duration=self._clock.duration,
                is_key=packet.is_keyframe,
                rotation=rotation_of(frame),
            )
            for packet in packets
        ]

    def set_bitrate(self, bitrate: int) -> None:
        self._bitrate = bitrate
        if self._context is None:
            return
        wanted = bitrate_for(self._bitrate, self._context.width, self._context.height)
        if self._which.changes_rate:
            self._context.bit_rate = wanted
        elif max(wanted, self._opened_bitrate) > _REOPENING_FACTOR * min(wanted, self._opened_bitrate):
            self._end()

    def set_frame_rate(self, frame_rate: float) -> None:
        self._clock.expect(frame_rate)

    def close(self) -> None:
        self._is_closed = True
        self._end()

    def _prepare(self, picture: av.VideoFrame) -> VideoCodecContext:
        if self._is_closed:
            raise OperationError("the encoder is closed")
        context = self._context
        if context is None or (context.width, context.height) != (picture.width, picture.height):
            self._end()
            context = self._context = self._open(picture.width, picture.height)
        return context

    def _end(self) -> None:
        # Some libraries complain when they are not told; what comes then belongs to a picture that was given up.
        if self._context is not None:
            with suppress(av.FFmpegError, ValueError):
                self._context.encode(None)
        self._context = None

    def _open(self, width: int, height: int) -> VideoCodecContext:
        bitrate = bitrate_for(self._bitrate, width, height)
        opening = Opening(self._codec, self._settings, bitrate, width, height, self._clock.frame_rate)
        context = _video_context(self._which.name, "w")
        context.width, context.height, context.pix_fmt = width, height, PIXEL_FORMAT
        context.framerate = Fraction(self._clock.frame_rate).limit_denominator(1001)
        context.time_base = TIME_BASE
        context.bit_rate = self._which.opening_bitrate or bitrate
        if self._which.profile is not None:
            context.profile = self._which.profile(self._codec)  # no option: FFmpeg 7 and 8 spell it differently there
        context.gop_size = _NO_KEY_FRAMES_BY_ITSELF
        context.max_b_frames = 0
        context.thread_count = self._settings.threads
        context.options = dict(self._which.options(opening))
        try:
            with ordinary_threads():
                context.open()
        except (av.FFmpegError, ValueError) as error:
            raise OperationError(f"{self._which.name} does not open: {error}") from error
        context.bit_rate = self._opened_bitrate = bitrate
        return context


class PyavVideoDecoder(Decoder):
    """A decoder that gives each picture when it has come, as FFmpeg's `name`."""

    sample_rate = 0

    def __init__(self, name: str, codec: RtpCodec) -> None:  # noqa: ARG002  (the bitstream says all)
        self._context: VideoCodecContext | None = _video_context(name, "r")
        # Threads that work on several pictures at once would hold that many back.
        self._context.thread_type = "SLICE"
        self._context.thread_count = 1
        self._context.flags |= av.codec.context.Flags.low_delay

    def decode(self, frame: EncodedFrame) -> list[MediaFrame]:
        if self._context is None:
            raise OperationError("the decoder is closed")
        if not frame.data:
            return []
        packet = av.Packet(frame.data)
        packet.pts = packet.dts = frame.timestamp
        packet.time_base = TIME_BASE
        try:
            pictures = self._context.decode(packet)
        except (av.FFmpegError, ValueError) as error:
            raise MalformedError(f"a picture does not decode: {error}") from error
        for picture in pictures[:_MAX_PICTURES]:
            picture.time_base = TIME_BASE
            picture.pts = frame.timestamp if picture.pts is None else picture.pts
        return list(pictures[:_MAX_PICTURES])

    def close(self) -> None:
        self._context = None


def _video_context(name: str, mode: str) -> VideoCodecContext:
    context = av.CodecContext.create(av.Codec(name, "w" if mode == "w" else "r"))
    if not isinstance(context, av.VideoCodecContext):
        raise OperationError(f"FFmpeg's {name} is no codec of video")
    return context
