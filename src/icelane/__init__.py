"""icelane: real-time media and data through any network, securely.

    from icelane import RTCPeerConnection

    pc = RTCPeerConnection()
    channel = pc.createDataChannel("chat")
    await pc.setLocalDescription()
    ...                                       # exchange descriptions and candidates with the peer
    async for message in channel:
        print(message)

What is exported here is imported when it is first used, so `import icelane` alone costs next to nothing.

`icelane.__compiled__` says whether the compiled form of the hot modules runs. `ICELANE_PURE=1` in the environment makes
every module load from its Python source, even where a compiled one lies beside it.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from icelane.aio.certificate import RTCCertificate
    from icelane.aio.configuration import RTCConfiguration, RTCIceServer
    from icelane.aio.data_channel import RTCDataChannel
    from icelane.aio.dtmf_sender import RTCDTMFSender
    from icelane.aio.media.blackhole import MediaBlackhole
    from icelane.aio.media.player import MediaPlayer
    from icelane.aio.media.recorder import MediaRecorder
    from icelane.aio.media.relay import MediaRelay
    from icelane.aio.media.speech import SpeechTrack, utterances
    from icelane.aio.media.synthetic import NoiseTrack, TestCardTrack, ToneTrack
    from icelane.aio.media_stream import MediaStream
    from icelane.aio.media_stream_track import AudioStreamTrack, MediaStreamTrack, VideoStreamTrack
    from icelane.aio.peer_connection import RTCPeerConnection
    from icelane.aio.rtp_parameters import (
        RTCRtpCapabilities,
        RTCRtpCodec,
        RTCRtpEncodingParameters,
        RTCRtpReceiveParameters,
        RTCRtpSendParameters,
    )
    from icelane.aio.rtp_receiver import RTCRtpReceiver
    from icelane.aio.rtp_sender import RTCRtpSender
    from icelane.aio.rtp_transceiver import RTCRtpTransceiver
    from icelane.aio.session_description import RTCIceCandidate, RTCSessionDescription
    from icelane.aio.transports import RTCDtlsTransport, RTCIceTransport, RTCSctpTransport
    from icelane.aio.turn_client import connect_turn
    from icelane.aio.turn_relay import TurnRelay
    from icelane.aio.udp_mux import UdpMux
    from icelane.media.codecs.default import default_registry
    from icelane.media.codecs.registry import CodecRegistry
    from icelane.media.frame import EncodedFrame
    from icelane.peer.security_code import security_code
    from icelane.rtp.packet import RtpPacket
    from icelane.signaling.client import SignalClient

__all__ = [
    "RTCPeerConnection",
    "RTCConfiguration",
    "RTCIceServer",
    "RTCSessionDescription",
    "RTCIceCandidate",
    "RTCDataChannel",
    "RTCCertificate",
    "RTCIceTransport",
    "RTCDtlsTransport",
    "RTCSctpTransport",
    "MediaStreamTrack",
    "AudioStreamTrack",
    "VideoStreamTrack",
    "MediaPlayer",
    "MediaRecorder",
    "MediaRelay",
    "MediaBlackhole",
    "MediaStream",
    "RTCRtpTransceiver",
    "RTCRtpSender",
    "RTCRtpReceiver",
    "RTCDTMFSender",
    "RTCRtpCodec",
    "RTCRtpCapabilities",
    "RTCRtpEncodingParameters",
    "RTCRtpSendParameters",
    "RTCRtpReceiveParameters",
    "TestCardTrack",
    "ToneTrack",
    "NoiseTrack",
    "SpeechTrack",
    "utterances",
    "CodecRegistry",
    "default_registry",
    "EncodedFrame",
    "RtpPacket",
    "UdpMux",
    "TurnRelay",
    "connect_turn",
    "SignalClient",
    "security_code",
    "__compiled__",
    "__version__",
]

__version__ = "0.1.0.dev0"

_HOMES = {
    "RTCPeerConnection": "icelane.aio.peer_connection",
    "RTCConfiguration": "icelane.aio.configuration",
    "RTCIceServer": "icelane.aio.configuration",
    "RTCSessionDescription": "icelane.aio.session_description",
    "RTCIceCandidate": "icelane.aio.session_description",
    "RTCDataChannel": "icelane.aio.data_channel",
    "RTCCertificate": "icelane.aio.certificate",
    "RTCIceTransport": "icelane.aio.transports",
    "RTCDtlsTransport": "icelane.aio.transports",
    "RTCSctpTransport": "icelane.aio.transports",
    "MediaStreamTrack": "icelane.aio.media_stream_track",
    "AudioStreamTrack": "icelane.aio.media_stream_track",
    "VideoStreamTrack": "icelane.aio.media_stream_track",
    "MediaPlayer": "icelane.aio.media.player",
    "MediaRecorder": "icelane.aio.media.recorder",
    "MediaRelay": "icelane.aio.media.relay",
    "MediaBlackhole": "icelane.aio.media.blackhole",
    "MediaStream": "icelane.aio.media_stream",
    "RTCRtpTransceiver": "icelane.aio.rtp_transceiver",
    "RTCRtpSender": "icelane.aio.rtp_sender",
    "RTCRtpReceiver": "icelane.aio.rtp_receiver",
    "RTCDTMFSender": "icelane.aio.dtmf_sender",
    "RTCRtpCodec": "icelane.aio.rtp_parameters",
    "RTCRtpCapabilities": "icelane.aio.rtp_parameters",
    "RTCRtpEncodingParameters": "icelane.aio.rtp_parameters",
    "RTCRtpSendParameters": "icelane.aio.rtp_parameters",
    "RTCRtpReceiveParameters": "icelane.aio.rtp_parameters",
    "TestCardTrack": "icelane.aio.media.synthetic",
    "ToneTrack": "icelane.aio.media.synthetic",
    "NoiseTrack": "icelane.aio.media.synthetic",
    "SpeechTrack": "icelane.aio.media.speech",
    "utterances": "icelane.aio.media.speech",
    "CodecRegistry": "icelane.media.codecs.registry",
    "default_registry": "icelane.media.codecs.default",
    "EncodedFrame": "icelane.media.frame",
    "RtpPacket": "icelane.rtp.packet",
    "connect_turn": "icelane.aio.turn_client",
    "TurnRelay": "icelane.aio.turn_relay",
    "UdpMux": "icelane.aio.udp_mux",
    "SignalClient": "icelane.signaling.client",
    "security_code": "icelane.peer.security_code",
}

if os.environ.get("ICELANE_PURE") == "1":
    from icelane._pure import PureFinder

    sys.meta_path.insert(0, PureFinder())


def __getattr__(name: str) -> object:
    if name == "__compiled__":
        spec = importlib.util.find_spec("icelane.core.reader")
        return spec is not None and spec.origin is not None and not spec.origin.endswith(".py")
    if name in _HOMES:
        found: object = getattr(importlib.import_module(_HOMES[name]), name)
        globals()[name] = found
        return found
    raise AttributeError(f"module 'icelane' has no attribute {name!r}")
