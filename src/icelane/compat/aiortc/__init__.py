"""aiortc's names over icelane: a program for aiortc runs when its imports say `icelane.compat.aiortc`.

    from icelane.compat.aiortc import RTCPeerConnection, RTCSessionDescription
    from icelane.compat.aiortc.contrib.media import MediaPlayer

A library that imports `aiortc` by itself runs as it is, where this comes before it:

    import icelane.compat.aiortc
    icelane.compat.aiortc.install()

What aiortc's users depend on is as they know it; docs/howto/migrate-from-aiortc.md says what is not. Everything that
aiortc has no name for is at `RTCPeerConnection.connection`, the `icelane.RTCPeerConnection` below.
"""

from __future__ import annotations

from icelane.compat.aiortc.default_ice_servers import DEFAULT_ICE_SERVERS
from icelane.compat.aiortc.exceptions import InvalidAccessError, InvalidStateError
from icelane.compat.aiortc.installation import install
from icelane.compat.aiortc.mediastreams import AudioStreamTrack, MediaStreamError, MediaStreamTrack, VideoStreamTrack
from icelane.compat.aiortc.rtcconfiguration import (
    RTCBundlePolicy,
    RTCConfiguration,
    RTCIceServer,
    RTCIceTransportPolicy,
)
from icelane.compat.aiortc.rtcdatachannel import RTCDataChannel, RTCDataChannelParameters
from icelane.compat.aiortc.rtcdtlstransport import (
    RTCCertificate,
    RTCDtlsFingerprint,
    RTCDtlsParameters,
    RTCDtlsTransport,
)
from icelane.compat.aiortc.rtcicetransport import RTCIceCandidate, RTCIceGatherer, RTCIceParameters, RTCIceTransport
from icelane.compat.aiortc.rtcpeerconnection import RTCPeerConnection
from icelane.compat.aiortc.rtcrtpparameters import (
    RTCRtcpParameters,
    RTCRtpCapabilities,
    RTCRtpCodecCapability,
    RTCRtpCodecParameters,
    RTCRtpHeaderExtensionCapability,
    RTCRtpHeaderExtensionParameters,
    RTCRtpParameters,
)
from icelane.compat.aiortc.rtcrtpreceiver import (
    RTCRtpContributingSource,
    RTCRtpReceiver,
    RTCRtpSynchronizationSource,
)
from icelane.compat.aiortc.rtcrtpsender import RTCRtpSender
from icelane.compat.aiortc.rtcrtptransceiver import RTCRtpTransceiver
from icelane.compat.aiortc.rtcsctptransport import RTCSctpCapabilities, RTCSctpTransport
from icelane.compat.aiortc.rtcsessiondescription import RTCSessionDescription
from icelane.compat.aiortc.stats import (
    RTCInboundRtpStreamStats,
    RTCOutboundRtpStreamStats,
    RTCRemoteInboundRtpStreamStats,
    RTCRemoteOutboundRtpStreamStats,
    RTCStatsReport,
    RTCTransportStats,
)

# The release of aiortc whose names these are: libraries compare it.
__version__ = "1.16.0"

__all__ = [
    "AudioStreamTrack",
    "DEFAULT_ICE_SERVERS",
    "InvalidAccessError",
    "InvalidStateError",
    "MediaStreamError",
    "MediaStreamTrack",
    "RTCBundlePolicy",
    "RTCCertificate",
    "RTCConfiguration",
    "RTCDataChannel",
    "RTCDataChannelParameters",
    "RTCDtlsFingerprint",
    "RTCDtlsParameters",
    "RTCDtlsTransport",
    "RTCIceCandidate",
    "RTCIceGatherer",
    "RTCIceParameters",
    "RTCIceServer",
    "RTCIceTransport",
    "RTCIceTransportPolicy",
    "RTCInboundRtpStreamStats",
    "RTCOutboundRtpStreamStats",
    "RTCPeerConnection",
    "RTCRemoteInboundRtpStreamStats",
    "RTCRemoteOutboundRtpStreamStats",
    "RTCRtcpParameters",
    "RTCRtpCapabilities",
    "RTCRtpCodecCapability",
    "RTCRtpCodecParameters",
    "RTCRtpContributingSource",
    "RTCRtpHeaderExtensionCapability",
    "RTCRtpHeaderExtensionParameters",
    "RTCRtpParameters",
    "RTCRtpReceiver",
    "RTCRtpSender",
    "RTCRtpSynchronizationSource",
    "RTCRtpTransceiver",
    "RTCSctpCapabilities",
    "RTCSctpTransport",
    "RTCSessionDescription",
    "RTCStatsReport",
    "RTCTransportStats",
    "VideoStreamTrack",
    "install",
]
