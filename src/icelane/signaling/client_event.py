"""What a client of signaling is told (events), and what its driver has to do (commands)."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from icelane.core.clock import Duration
from icelane.signaling.messages import Error, IceServersBody, Joined, LeftReason, Ok, SignalData


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Somebody in a room. `polite` is the part that he plays in negotiation; we play the other one."""

    id: str
    room: str
    identity: str
    polite: bool
    name: str | None = None
    meta: dict[str, object] = field(default_factory=dict, hash=False)


class Continuity(enum.Enum):
    """How a connection goes on from the one before."""

    NEW = "new"
    """The first one."""
    RESUMED = "resumed"
    """The same session, and nothing was lost."""
    RESYNCED = "resynced"
    """The same session, and what was pushed meanwhile is lost; the rooms are as the server has them now."""
    REPLACED = "replaced"
    """Another session: everybody else knows us by another id now. The rooms are joined again."""


class Connected(NamedTuple):
    """The server takes us."""

    session: str
    peer: str
    identity: str
    continuity: Continuity


class Disconnected(NamedTuple):
    """There is no connection; the next attempt is in `delay` seconds."""

    code: int
    reason: str
    delay: Duration


class Ended(NamedTuple):
    """There will be no other attempt. `reason` is the server's word for programs, `message` its sentence for people.

    `code` is a close code of WebSocket, or the status of an HTTP answer. 1000 after our own `close`.
    """

    code: int
    reason: str
    message: str


class RoomEntered(NamedTuple):
    """We are in a room; those who are there were told before this, each by PeerAppeared. `you` is our own id."""

    room: str
    you: str


class RoomLeft(NamedTuple):
    """We are in a room no more, and did not ask for it."""

    room: str
    reason: LeftReason
    message: str


class RoomChanged(NamedTuple):
    """A room was locked or opened, or relays alone are told of in it from now on, or no longer."""

    room: str
    locked: bool
    relay_only: bool = False


class PeerAppeared(NamedTuple):
    """Somebody is in a room with us."""

    peer: Peer


class PeerChanged(NamedTuple):
    """Somebody says something else about himself."""

    peer: Peer


class PeerDeparted(NamedTuple):
    """Somebody is in the room no more. NODE_LOST also when it is our own session that was lost."""

    peer: Peer
    reason: LeftReason


class SignalReceived(NamedTuple):
    """A description or a candidate of a peer."""

    sender: str
    data: SignalData


class MessageReceived(NamedTuple):
    """What a peer says, or without `sender` the server. `room` is there when it was for everybody in it."""

    sender: str | None
    data: object
    room: str | None


class IceServersGiven(NamedTuple):
    """The servers for peer connections, also fresh ones for those that there are."""

    ice: IceServersBody


class Answered(NamedTuple):
    """The server has done what request `id` asked for, or has said that it does not."""

    id: int
    answer: Ok | Joined | Error


class Unanswered(NamedTuple):
    """Whether request `id` was done is not known: its session is gone."""

    id: int


ClientEvent: TypeAlias = (
    Connected | Disconnected | Ended | RoomEntered | RoomLeft | RoomChanged | PeerAppeared | PeerChanged | PeerDeparted
    | SignalReceived | MessageReceived | IceServersGiven | Answered | Unanswered
)  # fmt: skip


class OpenConnection(NamedTuple):
    """Connect; `url` is where to go instead of where we were told. Answered by `handle_connected`, `handle_refused` or
    `handle_closed`."""

    url: str | None


class CloseConnection(NamedTuple):
    """Write what is there, then close. `handle_closed` need not be told of it."""

    code: int


class RenewToken(NamedTuple):
    """Get another token, for `refresh`: the one in use ends soon."""


ClientCommand: TypeAlias = OpenConnection | CloseConnection | RenewToken
