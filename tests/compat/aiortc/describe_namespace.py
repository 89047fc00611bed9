"""Run by an interpreter that has aiortc, or with `ours`: writes what its names take, as JSON.

`python describe_namespace.py > namespace.json` with aiortc itself is how that file is made.
"""

from __future__ import annotations

import importlib
import inspect
import json
import sys
from types import ModuleType
from typing import Any

# The modules that programs import from, and what they find there. Where nothing is named: `__all__`.
MODULES: dict[str, tuple[str, ...]] = {
    "aiortc": (),
    "aiortc.codecs": ("get_capabilities", "get_decoder", "get_encoder", "is_rtx"),
    "aiortc.codecs.h264": ("DEFAULT_BITRATE", "MAX_BITRATE", "MIN_BITRATE"),
    "aiortc.codecs.vpx": ("DEFAULT_BITRATE", "MAX_BITRATE", "MIN_BITRATE"),
    "aiortc.contrib.media": (
        "AudioFrame", "MediaBlackhole", "MediaPlayer", "MediaRecorder", "MediaRelay", "MediaStreamError",
        "MediaStreamTrack", "PlayerStreamTrack", "RelayStreamTrack", "VideoFrame", "blackhole_consume",
    ),
    "aiortc.contrib.signaling": (
        "BYE", "BaseSignaling", "CopyAndPasteSignaling", "TcpSocketSignaling", "UnixSocketSignaling",
        "add_signaling_arguments", "create_signaling", "object_from_string", "object_to_string",
    ),
    "aiortc.events": ("RTCTrackEvent",),
    "aiortc.exceptions": ("InternalError", "InvalidAccessError", "InvalidStateError", "OperationError"),
    "aiortc.jitterbuffer": ("JitterBuffer", "JitterFrame"),
    "aiortc.mediastreams": (
        "AUDIO_PTIME", "AudioStreamTrack", "MediaStreamError", "MediaStreamTrack", "TimeBase", "VIDEO_CLOCK_RATE",
        "VIDEO_PTIME", "VIDEO_TIME_BASE", "VideoStreamTrack", "convert_timebase",
    ),
    "aiortc.rtcconfiguration": ("RTCBundlePolicy", "RTCConfiguration", "RTCIceServer", "RTCIceTransportPolicy"),
    "aiortc.rtcdatachannel": ("RTCDataChannel", "RTCDataChannelParameters"),
    "aiortc.rtcdtlstransport": ("RTCCertificate", "RTCDtlsFingerprint", "RTCDtlsParameters", "RTCDtlsTransport"),
    "aiortc.rtcicetransport": ("RTCIceCandidate", "RTCIceGatherer", "RTCIceParameters", "RTCIceTransport"),
    "aiortc.rtcpeerconnection": ("RTCPeerConnection",),
    "aiortc.rtcrtpparameters": (
        "RTCRtcpFeedback", "RTCRtcpParameters", "RTCRtpCapabilities", "RTCRtpCodecCapability", "RTCRtpCodecParameters",
        "RTCRtpCodingParameters", "RTCRtpDecodingParameters", "RTCRtpEncodingParameters",
        "RTCRtpHeaderExtensionCapability", "RTCRtpHeaderExtensionParameters", "RTCRtpParameters",
        "RTCRtpReceiveParameters", "RTCRtpRtxParameters", "RTCRtpSendParameters",
    ),
    "aiortc.rtcrtpreceiver": ("RTCRtpReceiver", "RemoteStreamTrack"),
    "aiortc.rtcrtpsender": ("RTCRtpSender",),
    "aiortc.rtcrtptransceiver": ("RTCRtpTransceiver",),
    "aiortc.rtcsctptransport": (
        "LOCAL_MAX_MESSAGE_SIZE", "RTCSctpCapabilities", "RTCSctpTransport", "USERDATA_MAX_LENGTH",
    ),
    "aiortc.rtcsessiondescription": ("RTCSessionDescription",),
    "aiortc.sdp": (
        "DIRECTIONS", "DTLS_ROLE_SETUP", "DTLS_SETUP_ROLE", "GroupDescription", "MediaDescription", "SSRC_INFO_ATTRS",
        "SessionDescription", "SsrcDescription", "candidate_from_sdp", "candidate_to_sdp", "parameters_from_sdp",
        "parameters_to_sdp",
    ),
    "aiortc.stats": (
        "RTCInboundRtpStreamStats", "RTCOutboundRtpStreamStats", "RTCReceivedRtpStreamStats",
        "RTCRemoteInboundRtpStreamStats", "RTCRemoteOutboundRtpStreamStats", "RTCRtpStreamStats",
        "RTCSentRtpStreamStats", "RTCStats", "RTCStatsReport", "RTCTransportStats",
    ),
}  # fmt: skip

# What is reached through `aiortc`, by the methods of the emitter that its classes have from pyee.
EMITTER = (
    "add_listener", "cancel", "complete", "emit", "event_names", "listeners", "listens_to", "on", "once",
    "remove_all_listeners", "remove_listener", "wait_for_complete",
)  # fmt: skip


def describe() -> dict[str, dict[str, Any]]:
    """Each name of each module."""
    found: dict[str, dict[str, Any]] = {}
    for name, names in MODULES.items():
        module: ModuleType = importlib.import_module(name)
        found[name] = {one: describe_value(getattr(module, one)) for one in names or sorted(module.__all__)}
    return found


def describe_value(value: object) -> Any:
    """A class with its members, a function with its parameters, and nothing of a constant."""
    if inspect.isclass(value):
        if issubclass(value, BaseException) or value.__module__.startswith("av."):
            return "class"
        members = {one: describe_member(getattr(value, one)) for one in dir(value) if is_public(value, one)}
        return {"parameters": parameters(value), "members": members}
    return parameters(value) if inspect.isfunction(value) else "value"


def is_public(owner: type, name: str) -> bool:
    if name.startswith("_"):
        return False
    return name in EMITTER or any(
        name in vars(one) and one.__module__.startswith(("aiortc", "icelane")) for one in owner.__mro__
    )


def describe_member(member: object) -> Any:
    return parameters(member) if inspect.isfunction(member) or inspect.ismethod(member) else "value"


def parameters(value: Any) -> list[str]:
    """Names, with `=` behind those that may be left out; coroutine functions begin with `async`."""
    try:
        found = inspect.signature(value).parameters.values()
    except ValueError:
        return []
    names = [one.name + ("=" if one.default is not inspect.Parameter.empty else "") for one in found]
    return ["async", *names] if inspect.iscoroutinefunction(value) else names


if __name__ == "__main__":
    if sys.argv[1:] == ["ours"]:
        importlib.import_module("icelane.compat.aiortc").install()
    json.dump(describe(), sys.stdout, indent=1, sort_keys=True)
    print()
