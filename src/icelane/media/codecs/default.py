"""The codecs that this machine has: PyAV's, and the libraries that come with it.

Each is probed once when the registry is made. What is missing is noted with the reason, and what is there in one
direction only is registered with that one.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import partial
from typing import Final

from icelane.errors import NotSupportedError
from icelane.media.codec import RtpCodec
from icelane.media.codecs.capability import (
    AV1,
    G722,
    H264,
    H265,
    OPUS,
    PCMA,
    PCMU,
    RETRANSMISSION,
    TONES,
    VP8,
    VP9,
)
from icelane.media.codecs.registry import CodecRegistry, DecoderFactory, EncoderFactory

Probe = Callable[[], tuple[EncoderFactory | None, DecoderFactory | None, str]]
"""Gives what there is, and why the rest is missing: "" when nothing is. Raises NotSupportedError when all is."""

_WITHOUT_PYAV: Final = "needs PyAV: pip install 'icelane[media]'"


def default_registry() -> CodecRegistry:
    """A new registry, in the order in which Chromium prefers codecs. Without PyAV all are noted as missing."""
    registry = CodecRegistry()
    order: tuple[tuple[RtpCodec, Probe], ...] = (
        (OPUS, _opus),
        (G722, partial(_pyav_audio, "PYAV_G722")),
        (PCMU, partial(_pyav_audio, "PYAV_PCMU")),
        (PCMA, partial(_pyav_audio, "PYAV_PCMA")),
        (VP8, partial(_vpx, "vp8")),
        (VP9, partial(_vpx, "vp9")),
        *((codec, partial(_ffmpeg_video, "X264", ("h264",))) for codec in H264),
        (AV1, _av1),
        (H265, partial(_ffmpeg_video, "X265", ("hevc",))),
    )
    has_pyav = importlib.util.find_spec("av") is not None
    for codec, probe in order:
        if not has_pyav:
            registry.mark_missing(codec, _WITHOUT_PYAV)
            continue
        _add(registry, codec, probe)
    for codec in (*TONES, RETRANSMISSION):
        registry.register(codec, priority=-1)
    return registry


def _add(registry: CodecRegistry, codec: RtpCodec, probe: Probe) -> None:
    try:
        encoder, decoder, lack = probe()
    except NotSupportedError as error:
        registry.mark_missing(codec, str(error))
        return
    if lack:
        registry.mark_missing(codec, lack)
    if encoder or decoder:
        # No browser of 2025 sends H.265 without hardware: it is there for who asks for it.
        registry.register(codec, encoder=encoder, decoder=decoder, is_offered=codec is not H265)


def _opus() -> tuple[EncoderFactory | None, DecoderFactory | None, str]:
    from icelane.media.codecs.libopus import libopus
    from icelane.media.codecs.opus import OpusDecoder, OpusEncoder

    try:
        libopus()
    except NotSupportedError as error:
        encoder, decoder, lack = _pyav_audio("PYAV_OPUS")
        return encoder, decoder, lack or f"no FEC and no concealment: {error}"
    return OpusEncoder, OpusDecoder, ""


def _pyav_audio(name: str) -> tuple[EncoderFactory | None, DecoderFactory | None, str]:
    from icelane.media.codecs import pyav_audio

    which: pyav_audio.PyavAudioCodec = getattr(pyav_audio, name)
    has_encoder, has_decoder = _has_codec(which.encoder, "w"), _has_codec(which.decoder, "r")
    return (
        partial(pyav_audio.PyavAudioEncoder, which) if has_encoder else None,
        partial(pyav_audio.PyavAudioDecoder, which) if has_decoder else None,
        _lack(None if has_encoder else which.encoder, None if has_decoder else which.decoder),
    )


def _vpx(name: str) -> tuple[EncoderFactory | None, DecoderFactory | None, str]:
    from icelane.media.codecs.libvpx import libvpx
    from icelane.media.codecs.pyav_video import PyavVideoDecoder
    from icelane.media.codecs.vpx import VPX_VP8, VPX_VP9, VpxEncoder

    try:
        interface = libvpx().interface(name)
        libvpx().default_configuration(interface)
    except NotSupportedError as error:
        encoder, decoder, lack = _ffmpeg_video(f"FFMPEG_{name.upper()}", (name,))
        return encoder, decoder, lack or f"a change of the rate takes a key frame: {error}"
    decoder = partial(PyavVideoDecoder, name) if _has_codec(name, "r") else None
    kind = VPX_VP8 if name == "vp8" else VPX_VP9
    return partial(VpxEncoder, kind), decoder, _lack(None, None if decoder else name)


def _av1() -> tuple[EncoderFactory | None, DecoderFactory | None, str]:
    from icelane.media.codecs.libsvtav1 import libsvtav1
    from icelane.media.codecs.svt_av1 import SvtAv1Encoder

    encoder, decoder, lack = _ffmpeg_video("SVT_AV1", ("libdav1d", "libaom-av1"))
    if encoder is None:
        return encoder, decoder, lack
    try:
        libsvtav1()
    except NotSupportedError as error:
        return encoder, decoder, lack or f"a large change of the rate takes a key frame: {error}"
    return SvtAv1Encoder, decoder, lack


def _ffmpeg_video(name: str, decoders: tuple[str, ...]) -> tuple[EncoderFactory | None, DecoderFactory | None, str]:
    from icelane.media.codecs import ffmpeg_encoders
    from icelane.media.codecs.pyav_video import PyavVideoCodec, PyavVideoDecoder, PyavVideoEncoder

    which: PyavVideoCodec = getattr(ffmpeg_encoders, name)
    has_encoder = _has_codec(which.name, "w")
    found = next((decoder for decoder in decoders if _has_codec(decoder, "r")), None)
    return (
        partial(PyavVideoEncoder, which) if has_encoder else None,
        partial(PyavVideoDecoder, found) if found else None,
        _lack(None if has_encoder else which.name, None if found else " or ".join(decoders)),
    )


def _has_codec(name: str, mode: str) -> bool:
    from icelane.media.pyav import av

    try:
        av.Codec(name, "w" if mode == "w" else "r")
    except ValueError:
        return False
    return True


def _lack(encoder: str | None, decoder: str | None) -> str:
    missing = [f"the encoder {encoder}"] * bool(encoder) + [f"the decoder {decoder}"] * bool(decoder)
    return f"FFmpeg was built without {' and '.join(missing)}" if missing else ""
