"""Encoded packets of a file as the frames that a peer is sent without encoding them again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from icelane.media.codec import MediaKind, RtpCodec
from icelane.media.codecs.capability import AV1, G722, H264, H265, OPUS, PCMA, PCMU, VP8, VP9
from icelane.media.codecs.video_input import rotation_of
from icelane.media.frame import EncodedFrame
from icelane.media.pyav import av

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.packet import Packet
    from av.stream import Stream
    from av.video.stream import VideoStream

# By FFmpeg's name of what is in the file.
_CODECS: Final = {
    "opus": OPUS,
    "libopus": OPUS,
    "g722": G722,
    "adpcm_g722": G722,
    "pcm_mulaw": PCMU,
    "pcm_alaw": PCMA,
    "vp8": VP8,
    "libvpx": VP8,
    "vp9": VP9,
    "libvpx-vp9": VP9,
    "h264": H264[2],
    "av1": AV1,
    "libdav1d": AV1,
    "hevc": H265,
}
# What puts start codes in place of the lengths that MP4 and Matroska have.
_FILTERS: Final = {"h264": "h264_mp4toannexb", "hevc": "hevc_mp4toannexb"}
# Samples and bytes are one and the same in these, so their packets are cut to 20 ms.
_CUT_SIZE: Final = 160


def packet_codec(stream: AudioStream | VideoStream) -> RtpCodec | None:
    """As what the packets of a stream can be sent; None where WebRTC has no such codec.

    Of H.264 it says the profile and level of the file.
    """
    context = stream.codec_context
    codec = _CODECS.get(context.name)
    if codec is None:
        return None
    if codec in (PCMU, PCMA, G722) and getattr(context, "channels", 1) != 1:
        return None
    if codec is H264[2]:
        return _with_profile(codec, context.extradata or b"")
    return codec


class PacketSource:
    """Turns the packets of `stream` into EncodedFrames, whose timestamps count from `origin` seconds.

    Pictures that a file reorders (B-frames) come in the order in which they are decoded; browsers do not expect them.
    """

    def __init__(self, stream: AudioStream | VideoStream, codec: RtpCodec) -> None:
        self._codec = codec
        self._stream = stream
        self._filter = self._make_filter()
        self._rest = b""
        self._rotation: int | None = None if codec.kind is MediaKind.VIDEO else 0
        self._is_cut = codec in (PCMU, PCMA, G722)

    def frames(self, packet: Packet[Stream], origin: Fraction) -> Iterator[EncodedFrame]:
        """What is in `packet`; nothing when it has no time."""
        if self._rotation is None and packet.is_keyframe:
            self._rotation = self._read_rotation(packet)
        filtered = self._filter(packet) if self._filter is not None else [packet]
        for part in filtered:
            if part.pts is None or not part.size:
                continue
            time_base = part.time_base or packet.time_base  # filters of PyAV 14 leave it out
            base = Fraction(time_base.numerator, time_base.denominator)
            timestamp = int((part.pts * base - origin) * self._codec.clock_rate)
            duration = int((part.duration or 0) * base * self._codec.clock_rate)
            yield from self._cut(bytes(part), timestamp, duration, is_key=part.is_keyframe)

    def _cut(self, data: bytes, timestamp: int, duration: int, *, is_key: bool) -> Iterator[EncodedFrame]:
        if not self._is_cut:
            yield EncodedFrame(
                data=data, timestamp=timestamp, duration=duration, is_key=is_key, rotation=self._rotation or 0
            )
            return
        timestamp -= len(self._rest)
        data = self._rest + data
        whole = len(data) // _CUT_SIZE * _CUT_SIZE
        self._rest = data[whole:]
        for start in range(0, whole, _CUT_SIZE):
            piece = data[start : start + _CUT_SIZE]
            yield EncodedFrame(data=piece, timestamp=timestamp + start, duration=_CUT_SIZE)

    def _read_rotation(self, packet: Packet[Stream]) -> int:
        """How a file says that its pictures are to be turned: PyAV shows that of a decoded picture only."""
        decoder = self._stream.codec_context
        try:
            pictures = [*decoder.decode(packet), *decoder.decode(None)]
        except av.FFmpegError:
            return 0  # what does not decode is passed on all the same
        return rotation_of(pictures[0]) if pictures else 0

    def _make_filter(self) -> Callable[[Packet[Stream]], list[Packet[Stream]]] | None:
        name = _FILTERS.get(self._stream.codec_context.name)
        if name is None or (self._stream.codec_context.extradata or b"")[:1] != b"\x01":
            return None  # start codes are there already
        bitstream_filter = av.BitStreamFilterContext(name, self._stream)
        return lambda packet: list(bitstream_filter.filter(packet))


def _with_profile(codec: RtpCodec, extradata: bytes) -> RtpCodec:
    # ISO/IEC 14496-15 section 5.3.3: version, then the three bytes of profile-level-id; or a parameter set behind a
    # start code.
    if extradata[:1] == b"\x01":
        profile = extradata[1:4]
    else:
        position = extradata.find(b"\x00\x00\x01\x67")
        profile = extradata[position + 4 : position + 7] if position >= 0 else b""
    if len(profile) != 3:
        return codec
    parameters = {**dict(codec.parameters), "profile-level-id": profile.hex()}
    return replace(codec, parameters=tuple(parameters.items()))
