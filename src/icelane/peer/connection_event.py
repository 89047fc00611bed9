"""States of a peer connection, what it tells, and what it asks of the machine."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from icelane.core.net import Transport
from icelane.datachannel.event import ChannelEvent
from icelane.dtls.connection import DtlsState
from icelane.ice.event import IceState, PairSelected
from icelane.peer.ice_transport_event import CandidateFailed, GatheringStateChanged, IceTransportCommand
from icelane.peer.media_event import MediaEvent
from icelane.peer.secure_transport import DtlsStateChanged
from icelane.peer.signaling_state import SignalingState
from icelane.peer.transport_command import SectionPlace

ALIVE: Final = (IceState.CONNECTED, IceState.COMPLETED)


class ConnectionState(enum.Enum):
    """W3C RTCPeerConnectionState."""

    NEW = "new"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    FAILED = "failed"
    CLOSED = "closed"


def derive_state(ice: IceState, dtls: DtlsState) -> ConnectionState:
    """W3C section 4.4.3.3: the first that applies."""
    if ice is IceState.CLOSED:
        return ConnectionState.CLOSED
    if ice is IceState.FAILED or dtls is DtlsState.FAILED:
        return ConnectionState.FAILED
    if ice is IceState.DISCONNECTED:
        return ConnectionState.DISCONNECTED
    if ice is IceState.NEW and dtls in (DtlsState.NEW, DtlsState.CLOSED):
        return ConnectionState.NEW
    if ice in ALIVE and dtls in (DtlsState.CONNECTED, DtlsState.CLOSED):
        return ConnectionState.CONNECTED
    return ConnectionState.CONNECTING


@dataclass(frozen=True, slots=True)
class SignalingStateChanged:
    """A description was set."""

    state: SignalingState


@dataclass(frozen=True, slots=True)
class IceConnectionStateChanged:
    """W3C iceConnectionState."""

    state: IceState


@dataclass(frozen=True, slots=True)
class ConnectionStateChanged:
    """W3C connectionState."""

    state: ConnectionState


@dataclass(frozen=True, slots=True)
class LocalCandidate:
    """A candidate for the peer. `ufrag` is the generation that it belongs to; the rest is that of CandidateGathered."""

    line: str
    place: SectionPlace
    ufrag: str
    url: str | None = None
    relay_protocol: Transport | None = None


@dataclass(frozen=True, slots=True)
class NegotiationNeeded:
    """An offer would change something. To be looked at again when nothing else is under way (W3C section 4.7.3)."""


@dataclass(frozen=True, slots=True)
class FindSources:
    """Bind a socket on every interface and find the servers of the configuration; ends with `sources_done`."""


PeerConnectionEvent = (
    SignalingStateChanged
    | GatheringStateChanged
    | IceConnectionStateChanged
    | ConnectionStateChanged
    | LocalCandidate
    | CandidateFailed
    | DtlsStateChanged
    | PairSelected
    | NegotiationNeeded
    | ChannelEvent
    | MediaEvent
)
PeerConnectionCommand = IceTransportCommand | FindSources
