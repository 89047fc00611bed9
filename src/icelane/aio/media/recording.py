"""What a file is written from frames by: all of it on one thread at a time.

A file's header names its streams, so nothing is written until each has begun, or until `_HELD_SECONDS` have passed: a
picture's size is not known before. What has been encoded until then is held back.
"""

from __future__ import annotations

import threading
from array import array
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, cast

from icelane.aio.media.packet_writer import PacketWriter, require_taken
from icelane.aio.media.timeline import CaptureClocks, Timeline
from icelane.core.clock import UnixSeconds
from icelane.errors import InvalidStateError, LocalProtocolError, NotSupportedError, OperationError
from icelane.media.capture_time import CaptureTime, capture_time_of
from icelane.media.codec import MediaKind, RtpCodec
from icelane.media.codecs.audio_input import AudioInput, audio_bytes
from icelane.media.codecs.interface import MediaFrame
from icelane.media.codecs.video_input import own_copy, planar
from icelane.media.frame import EncodedFrame
from icelane.media.pyav import av

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.video.stream import VideoStream

# How long the header waits for streams that have not begun, and how many packets may wait with it: after either the
# header is written, and pictures that come later are scaled to the size below.
_HELD_SECONDS: Final = 5.0
_MAX_HELD: Final = 2_000
_LATE_SIZE: Final = (640, 480)

_RATE: Final = 48_000
_CHANNELS: Final = 2
_SAMPLES: Final = 960
_CLOCK: Final = 90_000
_FRAME_RATE: Final = 30

# Sound that is off its place by more than this, in samples, is put there: by silence, or by leaving some out.
_TOLERANCE: Final = _RATE * 25 // 1000
# Off by less, from so much on, it is brought there by pieces that are that many samples longer or shorter, which nobody
# hears: it is what clocks and buffers differ by, and would stay for the rest of a recording.
_NOTICED: Final = _RATE * 3 // 1000
_STRETCH: Final = _RATE // 2000
# The longest silence that is written, in samples. Behind a longer one the file has a hole.
_MAX_SILENCE: Final = _RATE * 60

# Encoders by FFmpeg's name of the format; the first that it was built with is taken.
_AUDIO_ENCODERS: Final[Mapping[str, tuple[str, ...]]] = {
    "wav": ("pcm_s16le",),
    "alsa": ("pcm_s16le",),
    "pulse": ("pcm_s16le",),
    "mp3": ("libmp3lame", "mp3"),
    "ogg": ("libopus", "libvorbis"),
    "opus": ("libopus",),
    "webm": ("libopus",),
}
_VIDEO_ENCODERS: Final[Mapping[str, tuple[str, ...]]] = {
    "image2": ("png",),
    "webm": ("libvpx",),
    "ogg": ("libvpx",),
}
_OTHER_AUDIO: Final = ("aac", "libopus")
_OTHER_VIDEO: Final = ("libx264", "libopenh264", "mpeg4")

_ENCODER_OPTIONS: Final[Mapping[str, Mapping[str, str]]] = {
    "libx264": {"preset": "veryfast", "g": "60"},
    "libvpx": {"deadline": "realtime", "cpu-used": "-8", "lag-in-frames": "0", "crf": "10", "g": "60"},
}
# libvpx has no constant quality without a rate that it may reach.
_LARGEST_BITRATE: Final = 4_000_000


class Writer(Protocol):
    """One stream: frames in, packets out."""

    def encode(self, frame: MediaFrame, arrival: float) -> list[Packet[Stream]]:
        """`arrival` is in seconds since the recording began."""
        ...

    def flush(self) -> list[Packet[Stream]]:
        """What the encoder has held back."""
        ...


class _Expected(NamedTuple):
    """A stream of which nothing has come yet."""

    kind: MediaKind
    is_encoded: bool


class Recording:
    """A file that is being written. `write` and `close` may be called on any thread; one waits for the other."""

    def __init__(self, container: OutputContainer) -> None:
        self._container = container
        self._lock = threading.Lock()
        self._writers: dict[int, Writer | PacketWriter] = {}
        self._expected: dict[int, _Expected] = {}
        self._held: list[Packet[Stream]] = []
        self._clocks = CaptureClocks()
        self._start: float | None = None
        self._is_begun = False
        self._is_closed = False
        self._next = 0

    def expect(self, kind: MediaKind, codec: RtpCodec | None = None, *, is_encoded: bool = False) -> int:
        """There is to be a stream of `kind`; its number. Its frames are to be encoded, or are so in `codec`.

        Raises InvalidStateError when the header has been written, NotSupportedError for what the format does not take.
        Where `codec` is not known yet the first frame may bring what is not taken.
        """
        with self._lock:
            if self._is_begun or self._is_closed:
                raise InvalidStateError("the file's header is written and names its tracks: add them before")
            if codec is not None:
                require_taken(self._container, codec)
            elif not is_encoded:
                _require_encoder(self._container, kind)
            number, self._next = self._next, self._next + 1
            self._expected[number] = _Expected(kind, is_encoded or codec is not None)
            return number

    def withdraw(self, number: int) -> None:
        """A stream that was expected will not come: the header waits for it no more."""
        with self._lock:
            self._expected.pop(number, None)
            if self._writers and not self._is_closed and self._is_complete:
                self._begin()

    def write(self, number: int, frame: MediaFrame, now: float) -> None:
        """A frame of a stream that was expected; after `close` nothing happens.

        Raises OperationError when it cannot be written, LocalProtocolError when it is of the other kind.
        """
        with self._lock:
            if not self._is_closed:
                with self._failing():
                    self._write(number, frame, self._elapsed(now))

    def write_encoded(
        self, number: int, frame: EncodedFrame, codec: RtpCodec, now: float, cname: str | None = None
    ) -> None:
        """A frame as it is, of a stream that was expected so. `cname` says whose clock `captured_at` is of.

        Raises OperationError when it cannot be written: pictures whose first key frame comes after the header, for
        one; NotSupportedError for a codec that the format does not take, or another one than the frames before had.
        """
        with self._lock:
            if not self._is_closed:
                with self._failing():
                    self._write_encoded(number, frame, codec, self._elapsed(now), cname)

    def close(self) -> None:
        """Write what is left and the trailer. Idempotent. Raises OperationError."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            self._expected.clear()
            try:
                if self._writers:
                    self._begin()
                    for writer in self._writers.values():
                        self._mux(writer.flush())
                self._container.close()
            except (av.FFmpegError, ValueError) as error:
                raise OperationError(f"the recording has no proper end: {error}") from error

    def _elapsed(self, now: float) -> float:
        self._start = now if self._start is None else self._start
        return now - self._start

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except (av.FFmpegError, ValueError) as error:
            raise OperationError(f"the recording cannot go on: {error}") from error

    def _write(self, number: int, frame: MediaFrame, arrival: float) -> None:
        kind = MediaKind.AUDIO if isinstance(frame, av.AudioFrame) else MediaKind.VIDEO
        expected = self._expected.get(number)
        if expected is not None and expected.kind is not kind:
            raise LocalProtocolError(f"a track gives {kind.value} and was to give the other")
        writer = self._writers.get(number)
        if writer is None:
            writer = self._make_writer(self._expected.pop(number).kind, frame)
            self._writers[number] = writer
        if isinstance(writer, PacketWriter):
            raise LocalProtocolError("a track gives decoded frames and was to give encoded ones")
        self._take(writer.encode(frame, arrival), arrival)

    def _write_encoded(
        self, number: int, frame: EncodedFrame, codec: RtpCodec, arrival: float, cname: str | None
    ) -> None:
        writer = self._writers.get(number)
        if writer is None:
            if number not in self._expected:
                raise OperationError("the file's header is written: it takes no further track")
            writer = PacketWriter(self._container, self._clocks, codec)
            del self._expected[number]
            self._writers[number] = writer
        if not isinstance(writer, PacketWriter):
            raise LocalProtocolError("a track gives encoded frames and was to give decoded ones")
        if writer.codec.mime_type.lower() != codec.mime_type.lower():
            raise NotSupportedError(f"the track was of {writer.codec.mime_type} and goes on with {codec.mime_type}")
        if self._is_begun and not writer.is_begun:
            raise OperationError("the first key frame came after the file's header was written")
        self._take(writer.write(frame, arrival, cname), arrival)

    def _take(self, packets: list[Packet[Stream]], arrival: float) -> None:
        if self._is_begun:
            self._mux(packets)
            return
        self._held += packets
        if self._held and (self._is_complete or arrival > _HELD_SECONDS or len(self._held) > _MAX_HELD):
            self._begin()

    @property
    def _is_complete(self) -> bool:
        """Whether the header can name all streams."""
        return not self._expected and all(_is_begun(writer) for writer in self._writers.values())

    def _begin(self) -> None:
        if self._is_begun:
            return
        self._is_begun = True
        for number, expected in self._expected.items():
            if not expected.is_encoded:
                self._writers[number] = self._make_writer(expected.kind, None)
        self._expected.clear()
        held, self._held = self._held, []
        self._mux(held)

    def _mux(self, packets: list[Packet[Stream]]) -> None:
        for packet in packets:
            self._container.mux(packet)

    def _make_writer(self, kind: MediaKind, first: MediaFrame | None) -> Writer:
        if kind is MediaKind.AUDIO:
            return _AudioWriter(self._container, self._clocks)
        size = (first.width, first.height) if isinstance(first, av.VideoFrame) else _LATE_SIZE
        return _VideoWriter(self._container, self._clocks, *size)


def _is_begun(writer: Writer | PacketWriter) -> bool:
    return not isinstance(writer, PacketWriter) or writer.is_begun


class _AudioWriter:
    """A gapless stream of sound, each piece where it belongs."""

    def __init__(self, container: OutputContainer, clocks: CaptureClocks) -> None:
        stream = container.add_stream(_require_encoder(container, MediaKind.AUDIO), rate=_RATE)
        self._stream = cast("AudioStream", stream)
        self._stream.codec_context.layout = "stereo"
        self._stream.codec_context.time_base = Fraction(1, _RATE)
        self._input = AudioInput(rate=_RATE, channels=_CHANNELS, samples=_SAMPLES)
        self._timeline = Timeline(clocks)
        self._next: int | None = None
        self._is_ahead = False
        self._is_brought = False

    def encode(self, frame: MediaFrame, arrival: float) -> list[Packet[Stream]]:
        packets: list[Packet[Stream]] = []
        for pts, piece in self._input.pieces(frame):
            time = pts / _RATE
            captured = _captured_at(frame, time)
            place = round(self._timeline.place(time, piece.samples / _RATE, arrival, captured) * _RATE)
            if self._next is None:
                self._next = place
            missing = place - self._next
            self._is_ahead = missing < (0 if self._is_ahead else -_TOLERANCE)
            if self._is_ahead:
                continue
            if missing > _MAX_SILENCE:
                self._next = place
            elif missing > _TOLERANCE:
                packets += self._encode_silence(missing)
            packets += self._encode_piece(self._brought(bytes(audio_bytes(piece)), missing))
        return packets

    def _brought(self, pcm: bytes, missing: int) -> bytes:
        """A piece, stretched or shortened where it is off by as many samples, but by less than what is put right."""
        off = abs(missing)
        self._is_brought = off <= _TOLERANCE and off > (_STRETCH if self._is_brought else _NOTICED)
        if not self._is_brought:
            return pcm
        return _stretched(pcm, _STRETCH if missing > 0 else -_STRETCH)

    def flush(self) -> list[Packet[Stream]]:
        return list(self._stream.encode(None)) if self._next is not None else []

    def _encode_silence(self, samples: int) -> list[Packet[Stream]]:
        packets: list[Packet[Stream]] = []
        while samples > 0:
            count = min(samples, _SAMPLES)
            packets += self._encode_piece(bytes(count * _CHANNELS * 2))
            samples -= count
        return packets

    def _encode_piece(self, pcm: bytes) -> list[Packet[Stream]]:
        samples = len(pcm) // (2 * _CHANNELS)
        frame = av.AudioFrame(format="s16", layout="stereo", samples=samples)
        frame.planes[0].update(pcm)
        frame.sample_rate, frame.pts, frame.time_base = _RATE, self._next, Fraction(1, _RATE)
        self._next = (self._next or 0) + samples
        return list(self._stream.encode(frame))


def _stretched(pcm: bytes, by: int) -> bytes:
    """Stereo sound with so many samples more, or less: each is between two of those that there were."""
    values = memoryview(pcm).cast("h")
    count = len(values) // _CHANNELS
    if count <= abs(by) + 1:
        return pcm
    stretched, last = array("h"), count - 1
    for index in range(count + by):
        position, rest = divmod(index * last, last + by)
        here, share = position * _CHANNELS, rest / (last + by)
        behind = here + _CHANNELS if position < last else here
        for channel in range(_CHANNELS):
            one = values[here + channel]
            stretched.append(round(one + (values[behind + channel] - one) * share))
    return stretched.tobytes()


class _VideoWriter:
    """A stream of pictures of one size; others are scaled to it."""

    def __init__(self, container: OutputContainer, clocks: CaptureClocks, width: int, height: int) -> None:
        name = _require_encoder(container, MediaKind.VIDEO)
        self._is_still = name == "png"
        even = 1 if self._is_still else 2  # what chroma of half the size takes
        self._size = max(even, width // even * even), max(even, height // even * even)
        stream = container.add_stream(name, rate=_FRAME_RATE, options=dict(_ENCODER_OPTIONS.get(name, {})))
        self._stream = cast("VideoStream", stream)
        self._stream.width, self._stream.height = self._size
        self._stream.pix_fmt = "rgb24" if self._is_still else "yuv420p"
        self._stream.codec_context.time_base = Fraction(1, _FRAME_RATE if self._is_still else _CLOCK)
        # The recorder has a thread of its own; more of them only wait for each other, libvpx's while they spin.
        self._stream.codec_context.thread_count = 1
        if name == "libvpx":
            self._stream.bit_rate = _LARGEST_BITRATE
        self._timeline = Timeline(clocks)
        self._last = -1
        self._is_used = False

    def encode(self, frame: MediaFrame, arrival: float) -> list[Packet[Stream]]:
        source = planar(frame)
        base = source.time_base
        time = arrival if source.pts is None or base is None else source.pts * base.numerator / base.denominator
        clock = _FRAME_RATE if self._is_still else _CLOCK
        captured = capture_time_of(frame) if isinstance(frame, av.VideoFrame) else None
        pts = round(self._timeline.place(time, 1 / _FRAME_RATE, arrival, captured) * clock)
        picture = own_copy(source, *self._size)
        if self._is_still:
            picture = picture.reformat(format="rgb24")
        self._last = max(pts, self._last + 1)
        picture.pts, picture.time_base = self._last, Fraction(1, clock)
        self._is_used = True
        return list(self._stream.encode(picture))

    def flush(self) -> list[Packet[Stream]]:
        return list(self._stream.encode(None)) if self._is_used else []


def _captured_at(frame: MediaFrame, time: float) -> CaptureTime | None:
    """Of a piece of that `time`, which may have been in the resampler behind what `frame` begins with."""
    captured, base = (capture_time_of(frame), frame.time_base) if isinstance(frame, av.AudioFrame) else (None, None)
    if captured is None or base is None or frame.pts is None:
        return None
    return replace(captured, at=UnixSeconds(captured.at + time - frame.pts * base.numerator / base.denominator))


def _require_encoder(container: OutputContainer, kind: MediaKind) -> str:
    """FFmpeg's name of what encodes `kind` for this format. Raises NotSupportedError."""
    formats = container.format.name
    if kind is MediaKind.AUDIO:
        usual, wanted = container.default_audio_codec, _AUDIO_ENCODERS.get(formats, _OTHER_AUDIO)
    else:
        usual, wanted = container.default_video_codec, _VIDEO_ENCODERS.get(formats, _OTHER_VIDEO)
    if usual in ("none", ""):
        raise NotSupportedError(f"{formats} files take no {kind.value}")
    for name in wanted:
        try:
            av.Codec(name, "w")
        except ValueError:
            continue
        return name
    raise NotSupportedError(f"FFmpeg was built without {' or '.join(wanted)}, which {formats} files take")
