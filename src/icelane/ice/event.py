"""States of an ICE transport, and what an agent tells."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from icelane.core.net import Path
from icelane.ice.candidate import Candidate


class IceRole(enum.Enum):
    """Who nominates (RFC 8445 section 6.1.1)."""

    CONTROLLING = "controlling"
    CONTROLLED = "controlled"

    @property
    def other(self) -> IceRole:
        return IceRole.CONTROLLED if self is IceRole.CONTROLLING else IceRole.CONTROLLING


class IceState(enum.Enum):
    """W3C RTCIceTransportState."""

    NEW = "new"
    CHECKING = "checking"
    CONNECTED = "connected"
    COMPLETED = "completed"
    DISCONNECTED = "disconnected"
    FAILED = "failed"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class StateChanged:
    """The state is another one."""

    state: IceState


@dataclass(frozen=True, slots=True)
class PairValidated:
    """A check on `path` succeeded: data may go there and come from there."""

    path: Path


@dataclass(frozen=True, slots=True)
class PairSelected:
    """Both sides have agreed on a pair, or on another one than before."""

    path: Path
    local: Candidate
    remote: Candidate


@dataclass(frozen=True, slots=True)
class RoleChanged:
    """A role conflict was settled, or the peer is a lite one."""

    role: IceRole


@dataclass(frozen=True, slots=True)
class RemotePeerReflexive:
    """The peer sent a check from an address that it had not announced."""

    candidate: Candidate


@dataclass(frozen=True, slots=True)
class ConnectionWanted:
    """A pair of TCP is to be checked: connect from the host of `planned.local` to `planned.remote`.

    Answered by `handle_connected` or `handle_connect_failed`.
    """

    planned: Path


@dataclass(frozen=True, slots=True)
class ConnectionUnwanted:
    """The TCP connection of `path` is of no use any more."""

    path: Path


IceEvent = (
    StateChanged
    | PairValidated
    | PairSelected
    | RoleChanged
    | RemotePeerReflexive
    | ConnectionWanted
    | ConnectionUnwanted
)
