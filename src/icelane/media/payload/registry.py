"""Which payload format a codec has, and what can be told of its encoded frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from icelane.errors import MalformedError, NotSupportedError
from icelane.media.codec import RtpCodec
from icelane.media.payload import av1, g711, g722, h264, h265, opus, vp8, vp9
from icelane.media.payload.packetizer import Depacketizer, Packetizer


@dataclass(frozen=True, slots=True)
class _VideoFormat:
    depacketizer: Callable[[], Depacketizer]
    is_key_frame: Callable[[bytes], bool]
    parse_frame_size: Callable[[bytes], tuple[int, int] | None]


_VIDEO_BY_NAME: Final = {
    "vp8": _VideoFormat(vp8.Vp8Depacketizer, vp8.is_key_frame, vp8.parse_frame_size),
    "vp9": _VideoFormat(vp9.Vp9Depacketizer, vp9.is_key_frame, vp9.parse_frame_size),
    "h264": _VideoFormat(h264.H264Depacketizer, h264.is_key_frame, h264.parse_frame_size),
    "h265": _VideoFormat(h265.H265Depacketizer, h265.is_key_frame, h265.parse_frame_size),
    "av1": _VideoFormat(av1.Av1Depacketizer, av1.is_key_frame, av1.parse_frame_size),
}


def packetizer_for(codec: RtpCodec, first_picture_id: int) -> Packetizer:
    """A new packetizer. `first_picture_id` is a random number, of which VP8 and VP9 take the lower 15 bits.

    Raises NotSupportedError for a codec without a payload format here, and for H.264 in packetization mode 2.
    """
    match codec.name.lower():
        case "opus":
            return opus.OpusPacketizer()
        case "pcmu" | "pcma":
            return g711.G711Packetizer()
        case "g722":
            return g722.G722Packetizer()
        case "vp8":
            return vp8.Vp8Packetizer(first_picture_id)
        case "vp9":
            return vp9.Vp9Packetizer(first_picture_id)
        case "h264":
            return h264.H264Packetizer(_packetization_mode(codec))
        case "h265":
            return h265.H265Packetizer()
        case "av1":
            return av1.Av1Packetizer()
    raise _not_supported(codec)


def _packetization_mode(codec: RtpCodec) -> int:
    # RFC 6184 section 8.1: without the parameter it is 0.
    mode = codec.parameter("packetization-mode", "0")
    if mode not in ("0", "1"):
        raise NotSupportedError(f"H.264 packetization mode {mode}")
    return int(mode)


def depacketizer_for(codec: RtpCodec) -> Depacketizer:
    """A depacketizer; raises NotSupportedError for a codec without a payload format here."""
    match codec.name.lower():
        case "opus":
            return opus.OpusDepacketizer()
        case "pcmu" | "pcma":
            return g711.G711Depacketizer()
        case "g722":
            return g722.G722Depacketizer()
        case name if name in _VIDEO_BY_NAME:
            return _VIDEO_BY_NAME[name].depacketizer()
    raise _not_supported(codec)


def is_key_frame(codec: RtpCodec, data: bytes) -> bool:
    """Whether decoding may begin with this encoded frame: always for audio, never with what cannot be read.

    Raises NotSupportedError for a codec without a payload format here.
    """
    video = _VIDEO_BY_NAME.get(codec.name.lower())
    if video is None:
        depacketizer_for(codec)
        return bool(data)
    return video.is_key_frame(data)


def frame_size(codec: RtpCodec, data: bytes) -> tuple[int, int] | None:
    """Width and height in pixels as a key frame says them, None for audio and where it says none.

    Raises NotSupportedError for a codec without a payload format here.
    """
    video = _VIDEO_BY_NAME.get(codec.name.lower())
    if video is None:
        depacketizer_for(codec)
        return None
    try:
        return video.parse_frame_size(data)
    except MalformedError:
        return None


def frame_duration(codec: RtpCodec, data: bytes) -> int:
    """How long an encoded frame of audio plays, in units of the RTP clock; 0 for video.

    Raises MalformedError where it cannot be read, NotSupportedError for a codec without a payload format here.
    """
    match codec.name.lower():
        case "opus":
            return opus.parse_duration(data)
        case "pcmu" | "pcma":
            return g711.parse_duration(data, codec.channels)
        case "g722":
            return g722.parse_duration(data, codec.channels)
        case name if name in _VIDEO_BY_NAME:
            return 0
    raise _not_supported(codec)


def has_redundancy(codec: RtpCodec, data: bytes) -> bool:
    """Whether an encoded frame of audio holds the one before it once more, as FEC does."""
    return codec.name.lower() == "opus" and opus.has_redundancy(data)


def _not_supported(codec: RtpCodec) -> NotSupportedError:
    return NotSupportedError(f"no payload format for {codec.mime_type}")
