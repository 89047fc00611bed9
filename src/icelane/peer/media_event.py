"""What an exchange of descriptions, or the peer's packets, have done to the media (W3C webrtc-pc section 5.1)."""

from __future__ import annotations

from dataclasses import dataclass

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
