"""A client's session, which outlives its connections, and a connection, which may not have a session yet."""

from __future__ import annotations

import enum
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Final, NewType

from icelane.signaling.admitted import Admission
from icelane.signaling.limits import MAX_WAITING_FRAMES
from icelane.signaling.messages import ClientFrame, ClientInfo, IceServersBody
from icelane.signaling.outbox import Outbox
from icelane.signaling.push import Replay
from icelane.signaling.token_bucket import TokenBucket

ConnectionId = NewType("ConnectionId", int)
"""Names a connection to the driver."""

# Keys of frames that a session remembers. At the bound the oldest goes; a client has fewer frames unanswered.
MAX_KEYS: Final = 1024


class ConnectionState(enum.Enum):
    """How far a connection has come."""

    AWAITING_HELLO = enum.auto()
    ADMITTING = enum.auto()
    OPEN = enum.auto()
    CLOSING = enum.auto()
    """Goodbye has been said; nothing that comes is looked at."""


@dataclass(slots=True, eq=False)
class Connection:
    """One WebSocket. `waiting` are frames that came while it was `blocked`."""

    id: ConnectionId
    address: str
    outbox: Outbox
    bucket: TokenBucket
    state: ConnectionState = ConnectionState.AWAITING_HELLO
    session: Session | None = None
    decision: int | None = None
    waiting: deque[ClientFrame] = field(default_factory=deque)
    pushed_at_ping: int = 0

    @property
    def blocked(self) -> bool:
        """Whether a frame has to wait: for a decision, or until the engine has answered a join."""
        return self.decision is not None or (self.session is not None and bool(self.session.entering))

    def wait(self, frame: ClientFrame) -> bool:
        """Keep a frame for later; False when too many wait already."""
        if len(self.waiting) >= MAX_WAITING_FRAMES:
            return False
        self.waiting.append(frame)
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSummary:
    """A session, as hooks, administrators, lists and metrics see it."""

    session: str
    peer: str
    identity: str
    address: str
    rooms: tuple[str, ...]
    connected: bool
    admission: Admission


@dataclass(slots=True, eq=False)
class Session:
    """Who somebody is and what he has missed. `rooms` is where he is, or is about to be."""

    id: str
    peer: str
    admission: Admission
    replay: Replay
    bucket: TokenBucket
    address: str
    # Whether only relays may be told of him, and to him: what admission says, or `before_ice` in its place.
    relay_only: bool = False
    client: ClientInfo | None = None
    connection: Connection | None = None
    rooms: dict[str, None] = field(default_factory=dict)
    entering: set[str] = field(default_factory=set)
    keys: OrderedDict[str, None] = field(default_factory=OrderedDict)
    ice: IceServersBody | None = None
    ended: bool = False

    def remember(self, key: str) -> None:
        """A frame with this key has been passed on."""
        self.keys[key] = None
        if len(self.keys) > MAX_KEYS:
            self.keys.popitem(last=False)

    def summary(self) -> SessionSummary:
        """As it is now."""
        return SessionSummary(
            session=self.id,
            peer=self.peer,
            identity=self.admission.identity,
            address=self.address,
            rooms=tuple(self.rooms),
            connected=self.connection is not None,
            admission=self.admission,
        )
