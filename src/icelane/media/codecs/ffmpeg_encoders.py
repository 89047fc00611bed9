"""How FFmpeg's encoders are set up for conversation: no delay, constant rate, key frames when they are asked for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from icelane.media.codec import RtpCodec
from icelane.media.codecs.interface import EncoderSettings
from icelane.media.codecs.matching import h264_profile
from icelane.media.codecs.pyav_video import PyavVideoCodec

# What x264 writes as baseline is constrained baseline, too.
_X264_BASELINE: Final = "Baseline"
_X264_PROFILES: Final = {"main": "Main", "constrained high": "High", "high": "High"}

# x264 keeps the rate constant while it is open when it was opened with the rate constant, up to the one it was opened
# with. So it is opened with the highest there is; see decision 0053.
_X264_HIGHEST_BITRATE: Final = 100_000_000
# What a receiver is taken to buffer, in seconds of the first rate, and the least of it, in bit. It cannot change.
_BUFFER_SECONDS: Final = 0.3
_LEAST_BUFFER: Final = 90_000


def _x264_profile(codec: RtpCodec) -> str:
    profile = h264_profile(codec.parameter("profile-level-id", "42e01f"))
    return _X264_PROFILES.get(profile.profile if profile else "", _X264_BASELINE)


def _x264_options(codec: RtpCodec, settings: EncoderSettings, bitrate: int) -> Mapping[str, str]:
    options = {
        "preset": "veryfast",
        "tune": "zerolatency",
        "forced-idr": "1",
        "sc_threshold": "0",
        "maxrate": str(_X264_HIGHEST_BITRATE),
        "bufsize": str(max(_LEAST_BUFFER, int(_BUFFER_SECONDS * bitrate))),
    }
    if codec.parameter("packetization-mode", "0") == "0":
        # RFC 6184 section 6.2: no fragments, so each NAL unit has to fit into a packet.
        options["x264-params"] = f"slice-max-size={settings.payload_size}"
    return options


def _x265_options(codec: RtpCodec, settings: EncoderSettings, bitrate: int) -> Mapping[str, str]:  # noqa: ARG001
    rate = bitrate // 1000
    return {
        "preset": "ultrafast",
        "tune": "zerolatency",
        "forced-idr": "1",
        "x265-params": f"log-level=error:keyint=-1:scenecut=0:repeat-headers=1:vbv-maxrate={rate}:vbv-bufsize={rate}"
        f":pools={settings.threads}:frame-threads=1",
    }


def _svt_av1_options(codec: RtpCodec, settings: EncoderSettings, bitrate: int) -> Mapping[str, str]:  # noqa: ARG001
    # It writes what it thinks of its settings to stderr, line after line, and reads from here how much of it.
    os.environ.setdefault("SVT_LOG", "0")
    return {
        "preset": str(10 if settings.speed is None else settings.speed),
        "svtav1-params": f"pred-struct=1:rc=2:rtc=1:lookahead=0:scd=0:force-key-frames=1:lp={settings.threads}",
    }


def _vpx_options(codec: RtpCodec, settings: EncoderSettings, bitrate: int) -> Mapping[str, str]:  # noqa: ARG001
    return {
        "deadline": "realtime",
        "cpu-used": str(8 if settings.speed is None else settings.speed),
        "lag-in-frames": "0",
        "error-resilient": "default",
        "minrate": str(bitrate),
        "maxrate": str(bitrate),
        "bufsize": str(bitrate),
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
