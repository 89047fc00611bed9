"""How FFmpeg's encoders are set up for conversation: no delay, constant rate, key frames when they are asked for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from icelane.media.codec import RtpCodec
from icelane.media.codecs.matching import h264_profile
from icelane.media.codecs.pyav_video import Opening, PyavVideoCodec

# What x264 writes as baseline is constrained baseline, too.
_X264_BASELINE: Final = "Baseline"
_X264_PROFILES: Final = {"main": "Main", "constrained high": "High", "high": "High"}

# x264 keeps the rate constant while it is open when it was opened with the rate constant, up to the one it was opened
# with. So it is opened with the highest there is; see decision 0053.
_X264_HIGHEST_BITRATE: Final = 100_000_000
# What a receiver is taken to buffer, in seconds of the first rate, and the least of it, in bit. It cannot change.
_BUFFER_SECONDS: Final = 0.3
_LEAST_BUFFER: Final = 90_000


# Levels from 3 on, with how many macroblocks a picture and a second have at most (H.264 table A-1).
_LEVELS: Final = (
    ("3.0", 1_620, 40_500),
    ("3.1", 3_600, 108_000),
    ("3.2", 5_120, 216_000),
    ("4.0", 8_192, 245_760),
    ("4.2", 8_704, 522_240),
    ("5.0", 22_080, 589_824),
    ("5.1", 36_864, 983_040),
)
_HIGHEST_LEVEL: Final = "5.2"


def _x264_profile(codec: RtpCodec) -> str:
    profile = h264_profile(codec.parameter("profile-level-id", "42e01f"))
    return _X264_PROFILES.get(profile.profile if profile else "", _X264_BASELINE)


def _x264_options(opening: Opening) -> Mapping[str, str]:
    options = {
        "preset": "veryfast",
        "tune": "zerolatency",
        "forced-idr": "1",
        "sc_threshold": "0",
        "x264-params": f"level={_x264_level(opening)}",
        "maxrate": str(_X264_HIGHEST_BITRATE),
        "bufsize": str(max(_LEAST_BUFFER, int(_BUFFER_SECONDS * opening.bitrate))),
    }
    if opening.codec.parameter("packetization-mode", "0") == "0":
        # RFC 6184 section 6.2: no fragments, so each NAL unit has to fit into a packet.
        options["x264-params"] += f":slice-max-size={opening.settings.payload_size}"
    return options


def _x264_level(opening: Opening) -> str:
    """The lowest level that pictures of that size and rate are within: by itself x264 goes by the opening rate."""
    blocks = -(-opening.width // 16) * -(-opening.height // 16)
    rate = blocks * opening.frame_rate
    return next((name for name, most, fastest in _LEVELS if blocks <= most and rate <= fastest), _HIGHEST_LEVEL)


def _x265_options(opening: Opening) -> Mapping[str, str]:
    rate = opening.bitrate // 1000
    return {
        "preset": "ultrafast",
        "tune": "zerolatency",
        "forced-idr": "1",
        "x265-params": f"log-level=error:keyint=-1:scenecut=0:repeat-headers=1:vbv-maxrate={rate}:vbv-bufsize={rate}"
        f":pools={opening.settings.threads}:frame-threads=1",
    }


# The fastest preset of SVT-AV1 that leaves no traces of the picture before: at 9 and 10 they hide most of a picture of
# 720p.
SVT_AV1_PRESET: Final = 8


def _svt_av1_options(opening: Opening) -> Mapping[str, str]:
    # It writes what it thinks of its settings to stderr, line after line, and reads from here how much of it.
    os.environ.setdefault("SVT_LOG", "0")
    return {
        "preset": str(SVT_AV1_PRESET if opening.settings.speed is None else opening.settings.speed),
        "svtav1-params": f"pred-struct=1:rc=2:rtc=1:lookahead=0:scd=0:force-key-frames=1:lp={opening.settings.threads}",
    }


def _vpx_options(opening: Opening) -> Mapping[str, str]:
    return {
        "deadline": "realtime",
        "cpu-used": str(8 if opening.settings.speed is None else opening.settings.speed),
        "lag-in-frames": "0",
        "error-resilient": "default",
        "minrate": str(opening.bitrate),
        "maxrate": str(opening.bitrate),
        "bufsize": str(opening.bitrate),
        "auto-alt-ref": "0",
    }


X264: Final = PyavVideoCodec(
    name="libx264",
    options=_x264_options,
    profile=_x264_profile,
    changes_rate=True,
    opening_bitrate=_X264_HIGHEST_BITRATE,
    sides=2,
)
X265: Final = PyavVideoCodec(name="libx265", options=_x265_options, sides=2)
# AOM's RTP specification, section 5: temporal delimiters are left out.
SVT_AV1: Final = PyavVideoCodec(name="libsvtav1", options=_svt_av1_options, sides=2, delimiter=b"\x12\x00")
# For where libvpx cannot be reached by itself.
FFMPEG_VP8: Final = PyavVideoCodec(name="libvpx", options=_vpx_options)
FFMPEG_VP9: Final = PyavVideoCodec(name="libvpx-vp9", options=_vpx_options)
