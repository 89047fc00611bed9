"""Encoded frames into a file as they are: the counterpart of `packet_source`.

FFmpeg's muxers need to know what a decoder would be told: the size of pictures, parameter sets. For pictures it is read
off the first key frame, by FFmpeg itself, from a file in memory that has nothing else in it.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from fractions import Fraction
from io import BytesIO
from typing import TYPE_CHECKING, Final

from icelane.aio.media.timeline import CaptureClocks, Timeline
from icelane.aio.received_times import MediaTimes
from icelane.errors import IcelaneError, NotSupportedError
from icelane.media.capture_time import CaptureTime
from icelane.media.codec import MediaKind, RtpCodec
from icelane.media.frame import EncodedFrame
from icelane.media.payload.obu import TEMPORAL_DELIMITER
from icelane.media.payload.registry import frame_duration, frame_size
from icelane.media.pyav import av

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.packet import Packet
    from av.stream import Stream

# What is written as it is, by FFmpeg's name of the format. Ogg counts pictures, and has no times of theirs.
_TAKEN: Final[Mapping[str, frozenset[str]]] = {
    "matroska": frozenset({"opus", "vp8", "vp9", "h264", "h265", "av1"}),
    "webm": frozenset({"opus", "vp8", "vp9", "av1"}),
    "mp4": frozenset({"opus", "vp9", "h264", "h265", "av1"}),
    "ogg": frozenset({"opus"}),
    "opus": frozenset({"opus"}),
    "wav": frozenset({"pcmu", "pcma"}),
}
# By the codec's name: FFmpeg's name of an encoder. It is opened for what it says about its stream, and encodes nothing.
_SOUND: Final = {"opus": "libopus", "pcmu": "pcm_mulaw", "pcma": "pcm_alaw"}
# What silence is made of, for files that have no times.
_SILENCE: Final = {"pcmu": b"\xff", "pcma": b"\xd5"}

# A file of one picture: IVF names its codec by four letters; H.264 and H.265 need no file around them.
_IVF_CODES: Final = {"vp8": b"VP80", "vp9": b"VP90", "av1": b"AV01"}
_BARE_FORMATS: Final = {"h264": "h264", "h265": "hevc"}

# Sound that is off its place by no more than this, in seconds, follows on what is before it.
_TOLERANCE: Final = 0.025
# The longest silence that is written, in seconds. Behind a longer one the sound is early.
_MAX_SILENCE: Final = 60
# How long a picture is shown at most, in seconds, as far as the file says so: the last one has nothing behind it.
_MAX_SHOWN: Final = 1.0
_FIRST_SHOWN: Final = Fraction(1, 30)
# Pictures that are decoded before others that are shown first are that many at most (H.264's x264 has 2 by itself).
_REORDERED: Final = 4


def require_taken(container: OutputContainer, codec: RtpCodec) -> None:
    """Raises NotSupportedError for a codec that is not written into this format as it is."""
    formats = container.format.name
    if codec.name.lower() not in _TAKEN.get(formats, ()):
        raise NotSupportedError(f"{formats} files take no {codec.mime_type} as it is: record the decoded track")


class PacketWriter:
    """One stream of `codec`: encoded frames in, packets out. Pictures begin with a key frame."""

    def __init__(self, container: OutputContainer, clocks: CaptureClocks, codec: RtpCodec) -> None:
        require_taken(container, codec)
        self.codec = codec
        self._container = container
        self._clock = codec.clock_rate
        self._times = MediaTimes()
        self._timeline = Timeline(clocks)
        self._name = codec.name.lower()
        self._stream: Stream | None = None
        self._order: _DecodingOrder | None = None
        self._next: int | None = None
        self._is_ahead = False
        if codec.kind is MediaKind.AUDIO:
            self._stream = container.add_stream(_SOUND[self._name], rate=self._clock)
            self._stream.codec_context.layout = "stereo" if self._name == "opus" else "mono"  # type: ignore[union-attr]

    @property
    def is_begun(self) -> bool:
        """Whether the file's header may be written: what a stream of pictures is shows in its first key frame."""
        return self._stream is not None

    def write(self, frame: EncodedFrame, arrival: float, cname: str | None) -> list[Packet[Stream]]:
        """A frame that came `arrival` seconds after the recording began, of an endpoint of that name.

        Nothing comes of one before the first key frame, and of one that is empty.
        """
        if not frame.data:
            return []
        stream = self._stream or self._begin(frame)
        if stream is None:
            return []
        timestamp = self._times.of(frame.timestamp, self._clock)
        captured = None if cname is None or frame.captured_at is None else CaptureTime(cname, frame.captured_at)
        duration = self._duration(frame)
        time = self._timeline.place(timestamp / self._clock, duration / self._clock, arrival, captured)
        place = round(time * self._clock)
        if self.codec.kind is MediaKind.AUDIO:
            return self._sound(stream, frame, place, duration)
        return self._picture(stream, frame, place, duration)

    def flush(self) -> list[Packet[Stream]]:
        """Nothing is held back."""
        return []

    def _begin(self, frame: EncodedFrame) -> Stream | None:
        if not frame.is_key or frame_size(self.codec, frame.data) is None:
            return None
        name, data = self._name, frame.data
        if name in _IVF_CODES:
            data, kind = _ivf(_IVF_CODES[name], TEMPORAL_DELIMITER + data if name == "av1" else data), "ivf"
        else:
            kind = _BARE_FORMATS[name]
        try:
            with av.open(BytesIO(data), mode="r", format=kind) as probe:
                template = probe.streams.video[0]
                if not template.codec_context.width:
                    return None
                self._order = _DecodingOrder(_REORDERED if template.codec_context.has_b_frames else 0)
                stream = self._container.add_stream_from_template(template, opaque=True)
        except (av.FFmpegError, IndexError):
            return None  # the next key frame may be better
        stream.time_base = Fraction(1, self._clock)
        self._stream = stream
        return stream

    def _duration(self, frame: EncodedFrame) -> int:
        """In units of the clock."""
        if frame.duration or self.codec.kind is MediaKind.VIDEO:
            return frame.duration
        try:
            return frame_duration(self.codec, frame.data)
        except IcelaneError:
            return 0

    def _sound(self, stream: Stream, frame: EncodedFrame, place: int, duration: int) -> list[Packet[Stream]]:
        tolerance = round(_TOLERANCE * self._clock)
        if self._next is None:
            self._next = place
        missing = place - self._next
        self._is_ahead = missing < (0 if self._is_ahead else -tolerance)
        if self._is_ahead:
            return []
        packets: list[Packet[Stream]] = []
        if missing > tolerance:
            if (silence := _SILENCE.get(self._name)) is not None:
                missing = min(missing, _MAX_SILENCE * self._clock)
                packets.append(self._packet(stream, silence * missing, self._next, missing))
            self._next += missing
        packets.append(self._packet(stream, frame.data, self._next, duration))
        self._next += duration
        return packets

    def _picture(self, stream: Stream, frame: EncodedFrame, place: int, duration: int) -> list[Packet[Stream]]:
        before, self._next = self._next, place
        if not duration:
            apart = _FIRST_SHOWN * self._clock if before is None else Fraction(place - before)
            duration = int(min(max(apart, Fraction(1)), Fraction(_MAX_SHOWN) * self._clock))
        packet = self._packet(stream, frame.data, place, duration)
        if self._order is not None:
            packet.pts, packet.dts = self._order.times(place, duration)
        packet.is_keyframe = frame.is_key
        return [packet]

    def _packet(self, stream: Stream, data: bytes, pts: int, duration: int) -> Packet[Stream]:
        packet: Packet[Stream] = av.Packet(data)
        packet.stream = stream
        packet.pts = packet.dts = pts
        packet.duration = duration
        packet.time_base = Fraction(1, self._clock)
        packet.is_keyframe = True
        return packet


class _DecodingOrder:
    """When each picture is to be decoded, in the order of decoding, of which up to `depth` are shown later.

    Each of them as early as the picture that is shown that many before it.
    """

    def __init__(self, depth: int) -> None:
        self._depth = depth
        self._shown: list[int] = []
        self._last: int | None = None

    def times(self, pts: int, duration: int) -> tuple[int, int]:
        """When it is shown and when decoded; both grow as muxers have it."""
        shown = self._shown
        if not shown:
            shown += [pts - duration * (self._depth - index) for index in range(self._depth)]
        shown.append(pts)
        shown.sort()
        dts = shown.pop(0)
        if self._last is not None:
            dts = max(dts, self._last + 1)
        self._last = dts
        return max(pts, dts), dts


def _ivf(code: bytes, data: bytes) -> bytes:
    """A file of one picture: a header of 32 bytes, and one of 12 before the picture. Sizes and rates do not count."""
    header = struct.pack("<4sHH4sHHIIII", b"DKIF", 0, 32, code, 0, 0, 90_000, 1, 1, 0)
    return header + struct.pack("<IQ", len(data), 0) + data
