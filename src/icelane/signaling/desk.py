"""Where sessions and connections meet: all that is said to somebody, and the notice that he does not read it."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator

from msgspec import UNSET, UnsetType

from icelane.signaling.close_code import CloseCode, Reconnect
from icelane.signaling.error_code import ErrorCode, message_of
from icelane.signaling.hub_event import ConnectionEnded, HubEvent
from icelane.signaling.messages import Error, Goodbye, ServerFrame, encode_frame, frame_type
from icelane.signaling.outbox import CloseConnection
from icelane.signaling.push import PreparedPush
from icelane.signaling.session import Connection, ConnectionId, ConnectionState, Session


class Desk:
    """The sessions of this node by id and by peer, and the outboxes of their connections.

    Whoever has something to be written comes from `poll_wake`, once; whoever was too slow for it is in `slow` until the
    hub has let him go. `sent` counts frames by type, `closed` our closes by code.
    """

    def __init__(self, events: deque[HubEvent]) -> None:
        self._events = events
        self._sessions_by_id: dict[str, Session] = {}
        self._sessions_by_peer: dict[str, Session] = {}
        self._awake: dict[ConnectionId, None] = {}
        self.slow: dict[Connection, None] = {}
        self.sent: Counter[str] = Counter()
        self.closed: Counter[CloseCode] = Counter()

    def __len__(self) -> int:
        return len(self._sessions_by_id)

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._sessions_by_id.values()))

    def add(self, session: Session) -> None:
        """A session begins."""
        self._sessions_by_id[session.id] = session
        self._sessions_by_peer[session.peer] = session

    def remove(self, session: Session) -> None:
        """A session is over."""
        del self._sessions_by_id[session.id]
        del self._sessions_by_peer[session.peer]

    def session(self, session_id: str) -> Session | None:
        """By its id."""
        return self._sessions_by_id.get(session_id)

    def session_of(self, peer: str) -> Session | None:
        """By its peer, when that is on this node."""
        return self._sessions_by_peer.get(peer)

    def push(self, session: Session, push: PreparedPush) -> None:
        """Number a push, keep it, and send it when there is a connection."""
        self.sent[push.kind] += 1
        sequence = session.replay.add(push)
        connection = session.connection
        if connection is not None:
            self._put(connection, (sequence, push))

    def send(self, connection: Connection, frame: ServerFrame) -> None:
        """A frame that is not repeated after a resume."""
        self.sent[frame_type(frame)] += 1
        self._put(connection, encode_frame(frame))

    def answer(self, session: Session, frame: ServerFrame) -> None:
        """A frame to whoever waits for it, if he is still there."""
        if session.connection is not None:
            self.send(session.connection, frame)

    def refuse(
        self,
        session: Session,
        re: int | UnsetType,
        code: ErrorCode | str,
        message: str = "",
        after: float | None = None,
        retryable: bool = False,
    ) -> None:
        """Answer that something is not done."""
        word = code.value if isinstance(code, ErrorCode) else code
        frame = Error(
            re=re,
            code=word,
            message=message or message_of(word),
            retryable=code.retryable if isinstance(code, ErrorCode) else retryable,
            after=UNSET if after is None else after,
        )
        self.answer(session, frame)

    def goodbye(
        self,
        connection: Connection,
        code: CloseCode,
        error: ErrorCode | str,
        message: str = "",
        after: float | None = None,
        url: str | None = None,
    ) -> None:
        """The last frame of a connection, and its close. Nothing happens when it was said already."""
        if connection.state is ConnectionState.CLOSING:
            return
        connection.state = ConnectionState.CLOSING
        self.closed[code] += 1
        word = error.value if isinstance(error, ErrorCode) else error
        last = Goodbye(
            code=code,
            reason=word,
            reconnect=code.reconnect is not Reconnect.NEVER,
            message=message or message_of(word),
            after=UNSET if after is None else after,
            url=UNSET if url is None else url,
        )
        connection.waiting.clear()
        slow = code is CloseCode.TOO_SLOW
        connection.outbox.finish(CloseConnection(code, word), encode_frame(last), drop=slow)
        self._awake[connection.id] = None
        session = connection.session
        identity = None if session is None else session.admission.identity
        self._events.append(ConnectionEnded(connection.id, connection.address, code, word, identity))

    def poll_wake(self) -> ConnectionId | None:
        """The next connection that has something to be written."""
        if not self._awake:
            return None
        connection = next(iter(self._awake))
        del self._awake[connection]
        return connection

    def _put(self, connection: Connection, item: str | tuple[int, PreparedPush]) -> None:
        if connection.state is ConnectionState.CLOSING:
            return
        if connection.outbox.add(item):
            self._awake[connection.id] = None
        else:
            self.slow[connection] = None
