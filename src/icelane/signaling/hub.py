"""Signaling of one node, told everything: connections, frames, time, decisions.

    handle_connected                  somebody connected
    handle_frame   hello          ->  command Admit   -> provide_admission  -> welcome, or goodbye
    handle_frame   join, message  ->  command AskJoin -> provide_decision   -> the engine -> joined, pushes
    handle_closed                     the session waits to be resumed, or ends when the close was meant
    handle_timeout                    hello, ping, resume, expiry, decisions, fresh ICE servers

After each of these a driver takes all of `poll_command`, `poll_event` and `poll_wake`, and for each connection of the
latter all of `poll_transmit`, or as much as its socket takes; then it reads `next_timeout`.

    hub.handle_frame(connection, text, now)
    while (command := hub.poll_command()) is not None:
        carry_out(command)
    while (connection := hub.poll_wake()) is not None:
        writers[connection].wake()          # which polls hub.poll_transmit(connection) until None
    timer.reschedule(hub.next_timeout())
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias, assert_never

from icelane.core.clock import Duration, Instant, TimerTable, WallClock, earliest, later
from icelane.core.entropy import Entropy
from icelane.errors import MalformedError
from icelane.signaling.admitted import Admission, Refusal
from icelane.signaling.close_code import CloseCode
from icelane.signaling.desk import Desk
from icelane.signaling.engine import LeaseLost, SignalEngine, Superseded
from icelane.signaling.error_code import ErrorCode
from icelane.signaling.frame_rules import FrameRules
from icelane.signaling.hub_event import Admit, AskJoin, AskMessage, HubCommand, HubEvent, IceAnswer, Readmit
from icelane.signaling.limits import SignalingLimits
from icelane.signaling.messages import (
    ClientFrame,
    ClientPing,
    ClientPong,
    Close,
    Hello,
    Join,
    Kick,
    Leave,
    LeftReason,
    Lock,
    Refresh,
    SendMessage,
    SendSignal,
    ServerPing,
    ServerPong,
    Update,
    frame_type,
    parse_client_frame,
)
from icelane.signaling.moderation import Moderation
from icelane.signaling.outbox import CloseConnection, Outbox
from icelane.signaling.refusals import Refusals
from icelane.signaling.room_rule import RoomRule
from icelane.signaling.rooms import Rooms, Said
from icelane.signaling.session import Connection, ConnectionId, ConnectionState, Session
from icelane.signaling.sessions import Sessions
from icelane.signaling.timer import Timer, TimerKind
from icelane.signaling.token_bucket import TokenBucket

# Codes after which the same client may come back into the same session.
_RESUMABLE: Final = frozenset(
    {CloseCode.TIMEOUT, CloseCode.TOO_SLOW, CloseCode.RATE_LIMITED, CloseCode.INTERNAL, CloseCode.DRAINING}
)
_BUSY_AFTER: Final[Duration] = 10.0
# What a close by the client means that was wanted: a call of close(), or another page.
_WANTED: Final = frozenset({1000, 1001})


_Decided: TypeAlias = Hello | Refresh | Join | Said


class _Asked(NamedTuple):
    """A frame that waits for a decision."""

    connection: Connection
    frame: _Decided


@dataclass(frozen=True, slots=True, kw_only=True)
class HubFigures:
    """Gauges, and counts since the start. Labels are ours, and few: types of frames, close codes, words of refusals.

    `refused` and `abandoned` are connections that were never welcome, by our will and by the client's.
    """

    connections: int
    sessions: int
    rooms: int
    begun: int
    resumed: int
    resynced: int
    abandoned: int
    refused: Mapping[str, int]
    closed: Mapping[CloseCode, int]
    received: Mapping[str, int]
    sent: Mapping[str, int]


class Hub:
    """The signaling of one node. `frame_rules` are asked about each frame; without any, rooms alone decide."""

    def __init__(
        self,
        engine: SignalEngine,
        entropy: Entropy,
        wall_clock: WallClock,
        limits: SignalingLimits | None = None,
        rules: tuple[RoomRule, ...] = (),
        frame_rules: FrameRules | None = None,
    ) -> None:
        self._engine = engine
        self._entropy = entropy
        self._limits = limits or SignalingLimits()
        self._frame_rules = frame_rules
        self._commands: deque[HubCommand] = deque()
        self._events: deque[HubEvent] = deque()
        self._timers: TimerTable[Timer] = TimerTable()
        self._connections: dict[ConnectionId, Connection] = {}
        self._waiting_for_welcome = 0
        self._asked: dict[int, _Asked] = {}
        self._last_decision = 0
        self._draining = False
        self._drain_to: str | None = None
        self._desk = Desk(self._events)
        self._rooms = Rooms(engine, self._desk, self._events, self._limits, rules)
        self._sessions = Sessions(
            engine,
            self._desk,
            self._rooms,
            self._events,
            self._commands,
            self._timers,
            self._limits,
            entropy,
            wall_clock,
        )
        self.moderation = Moderation(engine, self._desk, self._sessions, rules, self._limits, self._settle)
        """What administrators do."""
        self.refusals = Refusals()
        """Those before the upgrade are for whoever refuses them to count."""
        self._received: Counter[str] = Counter()
        self._abandoned = 0

    # Inputs.

    def handle_connected(self, connection_id: ConnectionId, address: str, now: Instant) -> None:
        """A WebSocket is open. `address` is the client's, in canonical text, for logs and lists."""
        limits = self._limits
        connection = Connection(
            id=connection_id,
            address=address,
            outbox=Outbox(limits.queued_frames, limits.queued_bytes),
            bucket=TokenBucket(limits.frames_per_second, limits.frame_burst, now),
        )
        self._connections[connection_id] = connection
        self._waiting_for_welcome += 1
        if self._draining:
            self._say_draining(connection, now)
        elif self._waiting_for_welcome > limits.waiting_for_hello:
            self._close(connection, CloseCode.DRAINING, ErrorCode.BUSY, now, _BUSY_AFTER)
        else:
            self._timers.set(Timer(TimerKind.HELLO, connection_id), later(now, limits.hello_timeout))

    def handle_frame(self, connection_id: ConnectionId, text: str, now: Instant) -> None:
        """A frame of a client, not longer than MAX_FRAME."""
        connection = self._connections.get(connection_id)
        if connection is None or connection.state is ConnectionState.CLOSING:
            return
        if not connection.bucket.take(now):
            self._close(connection, CloseCode.RATE_LIMITED, ErrorCode.RATE_LIMITED, now, connection.bucket.wait(now))
        else:
            self._handle_text(connection, text, now)
        self._settle(now)

    def handle_closed(self, connection_id: ConnectionId, code: int, now: Instant) -> None:
        """A WebSocket is closed. `code` is what the client closed with, 1006 when it did not."""
        connection = self._connections.pop(connection_id, None)
        if connection is None:
            return
        if connection.state in (ConnectionState.AWAITING_HELLO, ConnectionState.ADMITTING):
            self._waiting_for_welcome -= 1
            self._abandoned += 1
        self._forget(connection)
        session = connection.session
        if session is not None and code in _WANTED:
            self._sessions.end(session, LeftReason.CLOSED, now)
        elif session is not None:
            self._sessions.detach(session, now)
        self._settle(now)

    def handle_timeout(self, now: Instant) -> None:
        """A deadline passed."""
        while (timer := self._timers.pop_due(now)) is not None:
            self._handle_timer(timer, now)
        self._engine.handle_timeout(now)
        self._settle(now)

    def handle_deliveries(self, now: Instant) -> None:
        """The engine has something for us, and not because we asked."""
        self._settle(now)

    # Commands: answers.

    def provide_admission(
        self, decision: int, answer: Admission | Refusal, ice: IceAnswer | None, now: Instant
    ) -> None:
        """The answer to Admit and Readmit, with what `before_ice` says of it."""
        asked = self._take_decision(decision)
        if asked is None:
            return
        connection, frame = asked
        session = connection.session
        if isinstance(frame, Hello):
            self._handle_admission(connection, frame, answer, ice, now)
        elif isinstance(frame, Refresh) and session is not None:
            if isinstance(answer, Refusal):
                self._desk.refuse(session, frame.id, answer.error, answer.reason, answer.retry_after)
            else:
                self._sessions.refresh(session, frame, answer, ice, now)
        self._go_on(connection, now)
        self._settle(now)

    def handle_failed(self, connection_id: ConnectionId, now: Instant) -> None:
        """An answer for this connection was of no use and has raised: nothing of it is left half done (SG-3)."""
        connection = self._connections.get(connection_id)
        if connection is None or connection.state is ConnectionState.CLOSING:
            return
        if connection.session is not None:
            self._sessions.end(connection.session, LeftReason.CLOSED, now)
        if Timer(TimerKind.HELLO, connection_id) in self._timers:  # it was never welcome
            connection.state = ConnectionState.ADMITTING
        self._close(connection, CloseCode.INTERNAL, ErrorCode.INTERNAL, now)
        self._settle(now)

    def provide_decision(self, decision: int, refusal: Refusal | None, now: Instant) -> None:
        """The answer to AskJoin and AskMessage; None is yes."""
        asked = self._take_decision(decision)
        if asked is None:
            return
        connection, frame = asked
        session = connection.session
        if session is None:
            return
        if refusal is not None:
            retryable = refusal.retry_after is not None
            self._desk.refuse(session, frame.id, refusal.error, refusal.reason, refusal.retry_after, retryable)
        elif isinstance(frame, Join):
            self._rooms.join(session, frame, now)
        elif isinstance(frame, Said):
            self._rooms.say(session, frame, now)
        self._go_on(connection, now)
        self._settle(now)

    def provide_ice(self, session: str, ice: IceAnswer | None, now: Instant) -> None:
        """The answer to IssueIce; None when there are none now."""
        self._sessions.provide_ice(session, ice, now)
        self._settle(now)

    # Commands: the end.

    def drain(self, spread: Duration, now: Instant, url: str | None = None) -> None:
        """Admit nobody any more and send everybody away within `spread` seconds, to `url` if there is one.

        Each goes at a random time, so that they do not all come at once to where they go.
        """
        self._draining, self._drain_to = True, url
        for connection in self._connections.values():
            self._timers.set(Timer(TimerKind.DRAIN, connection.id), later(now, self._random(spread)))

    def close(self, now: Instant) -> None:
        """Everybody goes now, and every session ends."""
        self._draining = True
        for connection in list(self._connections.values()):
            self._say_draining(connection, now)
        for session in self._desk:
            self._sessions.end(session, LeftReason.CLOSED, now)
        self._settle(now)

    # Outputs.

    def poll_command(self) -> HubCommand | None:
        """What is to be decided or made."""
        return self._commands.popleft() if self._commands else None

    def poll_event(self) -> HubEvent | None:
        """What happened."""
        return self._events.popleft() if self._events else None

    def poll_wake(self) -> ConnectionId | None:
        """A connection that has something to write now, and perhaps had before."""
        return self._desk.poll_wake()

    def poll_transmit(self, connection_id: ConnectionId) -> str | CloseConnection | None:
        """The next frame to write, or the close. What is not polled waits here, within bounds."""
        connection = self._connections.get(connection_id)
        return None if connection is None else connection.outbox.take()

    def next_timeout(self) -> Instant | None:
        """When `handle_timeout` wants to be called."""
        return earliest(self._timers.next(), self._engine.next_timeout())

    @property
    def connections(self) -> int:
        """How many there are, with those that have not said hello."""
        return len(self._connections)

    def figures(self) -> HubFigures:
        """What there is and has been, for metrics."""
        return HubFigures(
            connections=len(self._connections),
            sessions=len(self._desk),
            rooms=len(self._rooms),
            begun=self._sessions.begun,
            resumed=self._sessions.resumed,
            resynced=self._sessions.resynced,
            abandoned=self._abandoned,
            refused=dict(self.refusals.counts),
            closed=dict(self._desk.closed),
            received=dict(self._received),
            sent=dict(self._desk.sent),
        )

    @property
    def empty(self) -> bool:
        """Whether nothing of any client is left."""
        return not (self._connections or len(self._desk) or len(self._rooms) or self._asked or len(self._timers))

    # Frames.

    def _handle_text(self, connection: Connection, text: str, now: Instant) -> None:
        try:
            frame = parse_client_frame(text)
        except MalformedError as error:
            self._close(connection, CloseCode.BAD_FRAME, ErrorCode.BAD_FRAME, now, message=str(error))
            return
        self._received[frame_type(frame)] += 1
        if connection.state is ConnectionState.OPEN:
            self._hear(connection, now)
        if isinstance(frame, ClientPing):
            self._desk.send(connection, ServerPong(re=frame.id))
        elif isinstance(frame, ClientPong):
            self._handle_pong(connection)
        elif connection.state is ConnectionState.AWAITING_HELLO:
            self._handle_first(connection, frame, now)
        elif not connection.blocked and not connection.waiting:
            self._handle(connection, frame, now)
        elif not connection.wait(frame):
            self._close(connection, CloseCode.RATE_LIMITED, ErrorCode.RATE_LIMITED, now, self._limits.decision_timeout)

    def _handle_first(self, connection: Connection, frame: ClientFrame, now: Instant) -> None:
        if not isinstance(frame, Hello):
            self._close(connection, CloseCode.BAD_FRAME, ErrorCode.HELLO_REQUIRED, now)
            return
        connection.state = ConnectionState.ADMITTING
        self._commands.append(Admit(self._ask(connection, frame), connection.id, frame))

    def _handle(self, connection: Connection, frame: ClientFrame, now: Instant) -> None:
        session = connection.session
        if session is None:
            return
        match frame:
            case Join():
                self._handle_join(connection, session, frame, now)
            case SendMessage() | SendSignal() | Update():
                self._handle_said(connection, session, frame, now)
            case Leave():
                self._rooms.leave(session, frame, now)
            case Kick() | Lock() | Close():
                self._rooms.moderate(session, frame, now)
            case Refresh():
                decision = self._ask(connection, frame, later(now, self._limits.hello_timeout))
                self._commands.append(Readmit(decision, connection.id, frame))
            case Hello():
                self._close(connection, CloseCode.BAD_FRAME, ErrorCode.HELLO_REPEATED, now)
            case ClientPing() | ClientPong():
                pass  # never waits, so never comes here
            case _:
                assert_never(frame)

    def _handle_join(self, connection: Connection, session: Session, join: Join, now: Instant) -> None:
        if self._is_too_often(session, join, join.room) or not self._rooms.may_join(session, join):
            return
        if self._frame_rules is not None and self._frame_rules.asks_about_joins:
            self._commands.append(AskJoin(self._ask_soon(connection, join, now), session.summary(), join))
        else:
            self._rooms.join(session, join, now)

    def _handle_said(self, connection: Connection, session: Session, frame: Said, now: Instant) -> None:
        """What others are to hear."""
        room = self._rooms.room_of(session, frame)
        if self._is_too_often(session, frame, room) or not self._rooms.may_say(session, frame):
            return
        if self._frame_rules is not None and self._frame_rules.asks_about_messages:
            self._commands.append(AskMessage(self._ask_soon(connection, frame, now), session.summary(), room, frame))
        else:
            self._rooms.say(session, frame, now)

    def _is_too_often(self, session: Session, frame: Join | Said, room: str) -> bool:
        """Answered when it is; the connection stays, since it kept to the bounds that it was told."""
        if self._frame_rules is None:
            return False
        wait = self._frame_rules.message_wait(session.admission.identity, room, frame_type(frame))
        if wait is not None:
            self._desk.refuse(session, frame.id, ErrorCode.RATE_LIMITED, after=wait)
        return wait is not None

    def _handle_admission(
        self,
        connection: Connection,
        hello: Hello,
        answer: Admission | Refusal,
        ice: IceAnswer | None,
        now: Instant,
    ) -> None:
        if isinstance(answer, Refusal):
            self._close(connection, answer.code, answer.error, now, answer.retry_after, answer.reason)
            return
        refusal = self._sessions.welcome(connection, hello, answer, ice, now)
        if refusal is ErrorCode.BUSY:
            self._close(connection, CloseCode.DRAINING, refusal, now, _BUSY_AFTER)
        elif refusal is not None:
            self._close(connection, CloseCode.TOKEN_EXPIRED, refusal, now)
        else:
            self._waiting_for_welcome -= 1
            self._timers.cancel(Timer(TimerKind.HELLO, connection.id))
            self._hear(connection, now)

    def _go_on(self, connection: Connection, now: Instant) -> None:
        """What waited behind a decision or a join."""
        while connection.waiting and not connection.blocked and connection.state is ConnectionState.OPEN:
            self._handle(connection, connection.waiting.popleft(), now)

    # Decisions.

    def _ask(self, connection: Connection, frame: _Decided, until: Instant | None = None) -> int:
        self._last_decision += 1
        connection.decision = self._last_decision
        self._asked[self._last_decision] = _Asked(connection, frame)
        if until is not None:
            self._timers.set(Timer(TimerKind.DECISION, self._last_decision), until)
        return self._last_decision

    def _ask_soon(self, connection: Connection, frame: _Decided, now: Instant) -> int:
        return self._ask(connection, frame, later(now, self._limits.decision_timeout))

    def _take_decision(self, decision: int) -> _Asked | None:
        """What was asked; None when nobody waits for it any more."""
        asked = self._asked.pop(decision, None)
        if asked is not None:
            self._timers.cancel(Timer(TimerKind.DECISION, decision))
            asked.connection.decision = None
        return asked

    # Time.

    def _handle_timer(self, timer: Timer, now: Instant) -> None:
        match timer.kind:
            case TimerKind.WINDOW:
                self._sessions.handle_window_over(str(timer.of), now)
            case TimerKind.EXPIRY:
                self._sessions.handle_expiry(str(timer.of), now)
            case TimerKind.ICE:
                self._sessions.handle_ice_old(str(timer.of))
            case TimerKind.DECISION:
                self._handle_undecided(int(timer.of), now)
            case _:
                connection = self._connections.get(ConnectionId(int(timer.of)))
                if connection is not None:
                    self._handle_connection_timer(timer.kind, connection, now)

    def _handle_connection_timer(self, kind: TimerKind, connection: Connection, now: Instant) -> None:
        if kind is TimerKind.PING and connection.session is not None:
            connection.pushed_at_ping = connection.session.replay.last
            self._desk.send(connection, ServerPing())
            self._timers.set(Timer(TimerKind.PONG, connection.id), later(now, self._limits.pong_timeout))
        elif kind is TimerKind.PONG:
            self._close(connection, CloseCode.TIMEOUT, ErrorCode.NO_SIGN_OF_LIFE, now)
        elif kind is TimerKind.DRAIN:
            self._say_draining(connection, now)
        elif kind is TimerKind.HELLO and connection.state is ConnectionState.AWAITING_HELLO:
            self._close(connection, CloseCode.TIMEOUT, ErrorCode.HELLO_TIMEOUT, now)
        elif kind is TimerKind.HELLO:
            self._close(connection, CloseCode.INTERNAL, ErrorCode.HOOK_TIMEOUT, now)

    def _handle_undecided(self, decision: int, now: Instant) -> None:
        """No answer is no."""
        asked = self._take_decision(decision)
        if asked is not None and asked.connection.session is not None:
            self._desk.refuse(asked.connection.session, asked.frame.id, ErrorCode.HOOK_TIMEOUT)
            self._go_on(asked.connection, now)

    def _hear(self, connection: Connection, now: Instant) -> None:
        """A sign of life."""
        self._timers.cancel(Timer(TimerKind.PONG, connection.id))
        self._timers.set(Timer(TimerKind.PING, connection.id), later(now, self._limits.ping_interval))

    def _handle_pong(self, connection: Connection) -> None:
        """Whoever has read the ping has read all that came before it."""
        if connection.session is not None and connection.pushed_at_ping:
            connection.session.replay.acknowledge(connection.pushed_at_ping)
            connection.pushed_at_ping = 0

    # Ends.

    def _close(
        self,
        connection: Connection,
        code: CloseCode,
        error: ErrorCode | str,
        now: Instant,
        after: Duration | None = None,
        message: str = "",
    ) -> None:
        """Say goodbye; the session waits or ends, by the code."""
        session = connection.session
        if connection.state in (ConnectionState.AWAITING_HELLO, ConnectionState.ADMITTING):
            self._waiting_for_welcome -= 1
            self.refusals.count(error.value if isinstance(error, ErrorCode) else error)
        self._desk.goodbye(connection, code, error, message, after, self._drain_to)
        self._forget(connection)
        if session is not None and code in _RESUMABLE:
            self._sessions.detach(session, now)
        elif session is not None:
            self._sessions.end(session, LeftReason.CLOSED, now)

    def _forget(self, connection: Connection) -> None:
        """Nothing of this connection is waited for any more."""
        for kind in (TimerKind.HELLO, TimerKind.PING, TimerKind.PONG, TimerKind.DRAIN):
            self._timers.cancel(Timer(kind, connection.id))
        if connection.decision is not None:
            self._take_decision(connection.decision)
        connection.waiting.clear()

    def _say_draining(self, connection: Connection, now: Instant) -> None:
        self._close(connection, CloseCode.DRAINING, ErrorCode.DRAINING, now, self._random(2.0))

    def _random(self, below: Duration) -> Duration:
        return self._entropy.below(1000) / 1000 * below

    # The engine.

    def _settle(self, now: Instant) -> None:
        """Take what the engine has, and let go whoever could not take what came of it."""
        while True:
            while (delivery := self._engine.poll_delivery()) is not None:
                if isinstance(delivery, Superseded):
                    self._supersede(delivery.session, now)
                elif isinstance(delivery, LeaseLost):
                    self._start_over(now)
                else:
                    session = self._rooms.handle_delivery(delivery, now)
                    if session is not None and session.connection is not None:
                        self._go_on(session.connection, now)
            if not self._desk.slow:
                return
            connection, _ = self._desk.slow.popitem()
            self._close(connection, CloseCode.TOO_SLOW, ErrorCode.TOO_SLOW, now)

    def _supersede(self, session_id: str, now: Instant) -> None:
        session = self._desk.session(session_id)
        if session is not None:
            self._sessions.end(session, LeftReason.SUPERSEDED, now, CloseCode.SUPERSEDED, ErrorCode.SUPERSEDED)

    def _start_over(self, now: Instant) -> None:
        """Others took us for dead and have told everybody so: no session of ours is what its client believes."""
        for session in self._desk:
            self._sessions.end(session, LeftReason.NODE_LOST, now, CloseCode.INTERNAL, ErrorCode.INTERNAL)
