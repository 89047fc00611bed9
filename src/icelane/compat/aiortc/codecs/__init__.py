"""What this machine encodes and decodes, as aiortc tells it.

Encoders and decoders themselves are icelane's, and reached by `RTCConfiguration.codecs` of icelane.
"""

from __future__ import annotations

from collections.abc import Sequence

from icelane.aio import rtp_parameters as native
from icelane.compat.aiortc.rtcrtpparameters import (
    RTCRtpCapabilities,
    RTCRtpCodecCapability,
    RTCRtpCodecParameters,
    RTCRtpHeaderExtensionCapability,
)
from icelane.compat.aiortc.sdp import parameters_from_sdp
from icelane.errors import NotSupportedError


def get_capabilities(kind: str) -> RTCRtpCapabilities:
    """What can be both sent and received. Raises ValueError for a kind that there is not."""
    known = _native_capabilities(kind)
    codecs = list({repr(codec): codec for codec in map(_describe, known.codecs)}.values())
    extensions = [RTCRtpHeaderExtensionCapability(uri=extension.uri) for extension in known.headerExtensions]
    return RTCRtpCapabilities(codecs=codecs, headerExtensions=extensions)


def native_codecs(kind: str, wanted: Sequence[RTCRtpCodecCapability]) -> list[native.RTCRtpCodec]:
    """The same, as icelane describes them, each once. Raises ValueError for one that is no capability."""
    known = [(_describe(codec), codec) for codec in _native_capabilities(kind).codecs]
    found: list[native.RTCRtpCodec] = []
    for one in wanted:
        codec = next((native_codec for described, native_codec in known if described == one), None)
        if codec is None:
            raise ValueError(f"{one.mimeType} is not among the capabilities as it is described")
        if codec not in found:
            found.append(codec)
    return found


def is_rtx(codec: RTCRtpCodecCapability | RTCRtpCodecParameters) -> bool:
    """Whether it is the format of retransmissions."""
    return codec.name.lower() == "rtx"


def get_decoder(codec: RTCRtpCodecParameters) -> object:
    """Raises NotSupportedError: decoders are icelane's."""
    raise NotSupportedError(f"decoders of {codec.mimeType} are reached by the codec registry of icelane")


def get_encoder(codec: RTCRtpCodecParameters) -> object:
    """Raises NotSupportedError: encoders are icelane's."""
    raise NotSupportedError(f"encoders of {codec.mimeType} are reached by the codec registry of icelane")


def _native_capabilities(kind: str) -> native.RTCRtpCapabilities:
    known = native.machine_capabilities(kind, can_send=True, can_receive=True)
    if known is None:
        raise ValueError(f"there are no capabilities of {kind!r}, only of audio and video")
    return known


def _describe(codec: native.RTCRtpCodec) -> RTCRtpCodecCapability:
    return RTCRtpCodecCapability(
        mimeType=codec.mimeType,
        clockRate=codec.clockRate,
        channels=codec.channels,
        parameters=parameters_from_sdp(codec.sdpFmtpLine) if codec.sdpFmtpLine else {},
    )
