"""What an exchange of descriptions, or the peer's packets, have done to the media (W3C webrtc-pc section 5.1)."""

from __future__ import annotations

from dataclasses import dataclass

from icelane.core.clock import Duration
from icelane.peer.transceiver import Transceiver


@dataclass(frozen=True, slots=True)
class TrackAdded:
    """The peer wants to send: fire `track`. Its streams are `transceiver.receiver.stream_ids`."""

    transceiver: Transceiver


@dataclass(frozen=True, slots=True)
class TrackRemoved:
    """The peer sends no more: mute the track, and take it out of its streams. It may come again."""

    transceiver: Transceiver


@dataclass(frozen=True, slots=True)
class StreamsChanged:
    """The peer has put a track that it goes on sending into other streams."""

    transceiver: Transceiver


@dataclass(frozen=True, slots=True)
class TrackEnded:
    """The transceiver is stopped, by us or by the peer: its remote track has ended for good."""

    transceiver: Transceiver


NegotiatedMediaEvent = TrackAdded | TrackRemoved | StreamsChanged | TrackEnded


# What packets have done


@dataclass(frozen=True, slots=True)
class TrackUnmuted:
    """Packets of the remote track have come, for the first time or again."""

    transceiver: Transceiver


@dataclass(frozen=True, slots=True)
class TrackMuted:
    """No packets come any more: the source said goodbye, or is silent."""

    transceiver: Transceiver


@dataclass(frozen=True, slots=True)
class FramesReceived:
    """There is something to fetch from the transceiver. Told again only after it was looked at."""

    transceiver: Transceiver


@dataclass(frozen=True, slots=True)
class ToneReceived:
    """The peer has sent a tone (RFC 4733): its character, and how many seconds it lasted."""

    transceiver: Transceiver
    tone: str
    duration: Duration


@dataclass(frozen=True, slots=True)
class KeyFrameRequested:
    """The peer cannot go on without a key frame of what we send."""

    transceiver: Transceiver


@dataclass(frozen=True, slots=True)
class BitrateLimited:
    """The peer estimates that no more than this of the transceiver's fits on the way to it: its share of a REMB."""

    transceiver: Transceiver
    bits_per_second: int


@dataclass(frozen=True, slots=True)
class ToneStarted:
    """A tone of ours begins: its character; "" when all are sent (W3C `tonechange`)."""

    transceiver: Transceiver
    tone: str


StreamEvent = (
    TrackUnmuted | TrackMuted | FramesReceived | ToneReceived | KeyFrameRequested | BitrateLimited | ToneStarted
)
MediaEvent = NegotiatedMediaEvent | StreamEvent
