"""What the hub asks of the program around it (commands, answered later by number), and what it tells (events)."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from icelane.signaling.admitted import Admission
from icelane.signaling.messages import Hello, IceServersBody, Join, LeftReason, Refresh, SendMessage, SendSignal, Update
from icelane.signaling.session import ConnectionId, SessionSummary


class IceAnswer(NamedTuple):
    """What `before_ice` made of an admission: the servers, if there are any, and whether relays alone are told of.

    Where a command is answered without one, the policy of the admission counts.
    """

    body: IceServersBody | None
    relay_only: bool


class Admit(NamedTuple):
    """Who is it? Answered by `provide_admission`; the hello timer goes on."""

    decision: int
    connection: ConnectionId
    hello: Hello


class Readmit(NamedTuple):
    """Somebody who is here shows another token. Answered by `provide_admission`."""

    decision: int
    connection: ConnectionId
    refresh: Refresh


class AskJoin(NamedTuple):
    """May he? Answered by `provide_decision`. The token allows it already."""

    decision: int
    session: SessionSummary
    join: Join


class AskMessage(NamedTuple):
    """May he say this, in `room`? Answered by `provide_decision`. The token allows it already."""

    decision: int
    session: SessionSummary
    room: str
    frame: SendSignal | SendMessage | Update


class IssueIce(NamedTuple):
    """A session needs fresh TURN credentials. Answered by `provide_ice`."""

    session: SessionSummary


HubCommand: TypeAlias = Admit | Readmit | AskJoin | AskMessage | IssueIce


class SessionStarted(NamedTuple):
    """Somebody was admitted."""

    session: str
    peer: str
    admission: Admission
    address: str


class SessionResumed(NamedTuple):
    """A session has a connection again. `replayed` is None when what was missed was gone."""

    session: str
    admission: Admission
    replayed: int | None


class SessionEnded(NamedTuple):
    """A session is over."""

    session: str
    admission: Admission
    reason: LeftReason


class PeerEntered(NamedTuple):
    """Somebody of this node entered a room."""

    room: str
    peer: str
    admission: Admission


class PeerDeparted(NamedTuple):
    """Somebody of this node is in a room no more."""

    room: str
    peer: str
    admission: Admission
    reason: LeftReason


class ConnectionEnded(NamedTuple):
    """We closed a connection. `code` is the close code, `error` the word of the goodbye."""

    connection: ConnectionId
    address: str
    code: int
    error: str
    identity: str | None


HubEvent: TypeAlias = SessionStarted | SessionResumed | SessionEnded | PeerEntered | PeerDeparted | ConnectionEnded
