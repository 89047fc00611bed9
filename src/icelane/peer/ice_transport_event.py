"""What `IceTransport` tells and asks for: its events, and the effects that are no datagrams."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from icelane.core.net import Path, SocketAddress, Transport
from icelane.ice.candidate import Candidate
from icelane.ice.event import IceEvent
from icelane.peer.relays import CloseStream, OpenStream


class GatheringState(enum.Enum):
    """W3C RTCIceGatheringState."""

    NEW = "new"
    GATHERING = "gathering"
    COMPLETE = "complete"


@dataclass(frozen=True, slots=True)
class CandidateGathered:
    """A candidate of ours, as a line of SDP without `a=`.

    `url` is the server that it came from, and `relay_protocol` how that is reached where it relays.
    """

    line: str
    url: str | None
    relay_protocol: Transport | None


@dataclass(frozen=True, slots=True)
class LocalReport:
    """A candidate of ours as it is told, the base of its checks, and the same of where it came from."""

    candidate: Candidate
    base: SocketAddress
    url: str | None
    relay_protocol: Transport | None


@dataclass(frozen=True, slots=True)
class CandidateFailed:
    """A server gave no candidate; `base` is where it was asked from, None where that is not to be told.

    Or an address of ours gave none, because no socket could be bound there: `url` is empty, the port of `base` is 0.
    """

    base: SocketAddress | None
    url: str
    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class GatheringStateChanged:
    """Gathering has begun, or is complete."""

    state: GatheringState


@dataclass(frozen=True, slots=True)
class ResolveName:
    """Look a name of the local network up; answered by `handle_name_resolved`."""

    name: str


@dataclass(frozen=True, slots=True)
class PublishName:
    """Answer, on the link of `host`, whoever asks for the name."""

    name: str
    host: str


@dataclass(frozen=True, slots=True)
class WithdrawName:
    """The name means nothing any more."""

    name: str


@dataclass(frozen=True, slots=True)
class ConnectPeer:
    """Connect to the peer by TCP, from the host of `planned.local` to `planned.remote`.

    Answered by `handle_peer_connected` or `handle_peer_connect_failed`.
    """

    planned: Path


@dataclass(frozen=True, slots=True)
class DisconnectPeer:
    """The TCP connection with the peer on this path is not needed any more; what was sent on it may still arrive."""

    path: Path


IceTransportEvent = CandidateGathered | CandidateFailed | GatheringStateChanged | IceEvent
IceTransportCommand = OpenStream | CloseStream | ResolveName | PublishName | WithdrawName | ConnectPeer | DisconnectPeer
