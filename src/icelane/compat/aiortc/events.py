"""RTCTrackEvent, by aiortc's name."""

from __future__ import annotations

from dataclasses import dataclass

from icelane.compat.aiortc.mediastreams import MediaStreamTrack
from icelane.compat.aiortc.rtcrtpreceiver import RTCRtpReceiver
from icelane.compat.aiortc.rtcrtptransceiver import RTCRtpTransceiver


@dataclass
class RTCTrackEvent:
    """A track that the peer has added; `pc.on("track")` hands over the track alone."""

    receiver: RTCRtpReceiver
    track: MediaStreamTrack
    transceiver: RTCRtpTransceiver
