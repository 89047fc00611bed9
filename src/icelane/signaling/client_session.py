"""A client's side of `icelane.signal.v1`: told frames, time and randomness; it has no socket.

    start               -> OpenConnection
    handle_connected    -> hello                          with `resume`, once there was a session
    handle_frame        welcome -> Connected, and whatever waits for an answer goes out, also again
    handle_closed       -> Disconnected, and OpenConnection after a while; or Ended, when it is of no use to come back
    close               -> Ended

After each of these a driver takes all of `poll_command`, `poll_transmit` and `poll_event`, then reads `next_timeout`.
Pushes are counted: one that came already is dropped, and when one is missing the connection is made anew, so a program
sees each one once and in order, or is told by `Connected.continuity` that some are lost.

    session.handle_frame(text, now)
    while (command := session.poll_command()) is not None:
        carry_out(command)
    while (text := session.poll_transmit()) is not None:
        socket.send(text)
    while (event := session.poll_event()) is not None:
        react(event)
    timer.reschedule(session.next_timeout())
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Iterable
from datetime import datetime
from typing import Final, assert_never

from msgspec import UNSET, Raw, UnsetType
from msgspec import json as msgspec_json

from icelane.core.clock import Duration, Instant, TimerTable, WallClock, later
from icelane.core.entropy import Entropy
from icelane.errors import InvalidStateError, MalformedError
from icelane.signaling.backoff import Backoff, rule_of_goodbye, rule_of_status
from icelane.signaling.client_event import (
    Answered,
    ClientCommand,
    ClientEvent,
    CloseConnection,
    Connected,
    Continuity,
    Disconnected,
    Ended,
    IceServersGiven,
    MessageReceived,
    OpenConnection,
    RenewToken,
    RoomEntered,
    RoomLeft,
    SignalReceived,
    Unanswered,
)
from icelane.signaling.client_outgoing import Outgoing, Request
from icelane.signaling.client_rooms import Room
from icelane.signaling.close_code import Reconnect, reconnect_rule
from icelane.signaling.messages import (
    ClientInfo,
    ClientPing,
    ClientPong,
    Close,
    Error,
    Goodbye,
    Hello,
    Ice,
    Join,
    Joined,
    Kick,
    Leave,
    Left,
    LeftReason,
    Lock,
    Ok,
    PeerJoined,
    PeerLeft,
    PeerUpdated,
    Push,
    Refresh,
    Resume,
    RoomUpdated,
    SendMessage,
    SendSignal,
    ServerFrame,
    ServerMessage,
    ServerPing,
    ServerPong,
    ServerSignal,
    SignalData,
    Update,
    Welcome,
    encode_frame,
    parse_server_frame,
)

# From the open WebSocket to the welcome. A hook may take a second, and the network its time.
WELCOME_TIMEOUT: Final[Duration] = 15.0
# Silence beyond the server's interval of pings, or after a request, before we ask whether anybody is there, and how
# long an answer may take then.
PING_SLACK: Final[Duration] = 5.0
PONG_TIMEOUT: Final[Duration] = 10.0
# A connection that has held so long was a good one: the next attempt after it is a first one again.
STABLE_AFTER: Final[Duration] = 10.0
# Part of what is left of a token's life after which we want another one.
RENEWAL: Final = 0.8
# What the close of a WebSocket or an answer by HTTP may say; more is cut. A goodbye is a frame, and bounded as one.
MAX_TEXT: Final = 512
_LOST: Final = 1006
_NORMAL: Final = 1000
# Not one of the codes by which the server ends the session as well.
_GIVEN_UP: Final = 4000


class ClientState(enum.Enum):
    """Where a client is."""

    IDLE = "idle"
    CONNECTING = "connecting"
    GREETING = "greeting"
    OPEN = "open"
    WAITING = "waiting"
    CLOSED = "closed"


class ClientTimer(enum.Enum):
    """What a client waits for."""

    RECONNECT = enum.auto()
    WELCOME = enum.auto()
    PROBE = enum.auto()
    DEAD = enum.auto()
    STABLE = enum.auto()
    SEND = enum.auto()
    RENEW = enum.auto()


class ClientSession:
    """One client of one server, over as many connections as it takes.

    With `renews_token`, the driver can get another token when one has ended or will soon.
    """

    def __init__(
        self,
        *,
        entropy: Entropy,
        wall_clock: WallClock,
        client: ClientInfo | None = None,
        data: Raw | UnsetType = UNSET,
        renews_token: bool = False,
    ) -> None:
        self._wall_clock = wall_clock
        self._client = client or ClientInfo(name="icelane")
        self._data = data
        self._renews_token = renews_token
        self._backoff = Backoff(entropy)
        self._outgoing = Outgoing()
        self._rooms: dict[str, Room] = {}
        self._commands: deque[ClientCommand] = deque()
        self._transmits: deque[str] = deque()
        self._events: deque[ClientEvent] = deque()
        self._timers: TimerTable[ClientTimer] = TimerTable()
        self._state = ClientState.IDLE
        self._last_id = 0
        self._hello_id = 0
        self._ping: Duration = 25.0
        self._resume: Resume | None = None
        self._goodbye: Goodbye | None = None
        self._error: Error | None = None
        self._token_refused = False
        self._rejoins: set[int] = set()
        self.peer: str | None = None
        self.identity: str | None = None

    # Inputs.

    def handle_connected(self, token: str | None, now: Instant) -> None:
        """The WebSocket is open. `token` goes into hello, when it did not go into a header."""
        if self._state is not ClientState.CONNECTING:
            return
        self._state = ClientState.GREETING
        self._goodbye = self._error = None
        self._hello_id = self._next_id()
        hello = Hello(
            id=self._hello_id,
            token=token or UNSET,
            client=self._client,
            resume=self._resume or UNSET,
            data=self._data,
        )
        self._transmit(encode_frame(hello), now)
        self._timers.set(ClientTimer.WELCOME, later(now, WELCOME_TIMEOUT))

    def handle_frame(self, text: str | bytes, now: Instant) -> None:
        """A frame of the server. One that does not parse ends the connection, and not the session."""
        if self._state not in (ClientState.GREETING, ClientState.OPEN):
            return
        try:
            self._handle(parse_server_frame(text), now)
        except MalformedError as error:
            self._give_up_connection(f"the server sent what does not parse: {error}", now)
        self._arm_probe(now)
        self._pump(now)

    def handle_closed(self, code: int, reason: str, now: Instant) -> None:
        """There is no WebSocket any more, or there came none. `code` is 1006 when nobody said why."""
        if self._state in (ClientState.IDLE, ClientState.WAITING, ClientState.CLOSED):
            return
        self._transmits.clear()
        goodbye = self._goodbye
        if goodbye is not None:
            rule, after = rule_of_goodbye(goodbye), _number(goodbye.after)
            self._decide(goodbye.code, rule, goodbye.reason, goodbye.message, after, now)
        elif code >= 4000 and self._error is not None:
            error = self._error
            self._decide(code, reconnect_rule(code), error.code, error.message, _number(error.after), now)
        else:
            self._decide(code, reconnect_rule(code), reason[:MAX_TEXT], reason[:MAX_TEXT], None, now)

    def handle_refused(self, status: int, reason: str, retry_after: Duration | None, now: Instant) -> None:
        """The server answered by HTTP and opened no WebSocket."""
        if self._state is ClientState.CONNECTING:
            self._decide(status, rule_of_status(status), reason[:MAX_TEXT], reason[:MAX_TEXT], retry_after, now)

    def handle_timeout(self, now: Instant) -> None:
        """A deadline passed."""
        while (timer := self._timers.pop_due(now)) is not None:
            self._handle_timer(timer, now)
        self._pump(now)

    # Commands.

    def start(self) -> None:
        """Connect. Raises InvalidStateError when that was said before."""
        if self._state is not ClientState.IDLE:
            raise InvalidStateError("this client was started before")
        self._state = ClientState.CONNECTING
        self._commands.append(OpenConnection(None))

    def join(self, room: str, meta: Raw, now: Instant) -> int:
        """Be in a room from now on, also after a session was lost. Returns the number of the request."""
        self._rooms.setdefault(room, Room(room)).meta = meta
        return self._ask(Join(id=self._next_id(), room=room, meta=meta), now)

    def leave(self, room: str, now: Instant) -> int:
        """Be there no more; nobody is told to depart."""
        self._rooms.pop(room, None)
        self._outgoing.drop(lambda request, _: isinstance(request, Join | Update) and request.room == room)
        return self._ask(Leave(id=self._next_id(), room=room), now)

    def update(self, room: str, meta: Raw, now: Instant) -> int:
        """Say something else about ourselves."""
        if room in self._rooms:
            self._rooms[room].meta = meta
        return self._ask(Update(id=self._next_id(), room=room, meta=meta), now)

    def signal(self, to: str, data: SignalData, now: Instant) -> int:
        """A description or a candidate for one peer."""
        number = self._next_id()
        return self._ask(SendSignal(id=number, key=str(number), to=to, data=data), now)

    def message(self, to: str, data: Raw, room: str | None, now: Instant) -> int:
        """Say something to a peer, or with EVERYBODY to all others in `room`."""
        number = self._next_id()
        return self._ask(SendMessage(id=number, key=str(number), to=to, data=data, room=room or UNSET), now)

    def kick(self, room: str, peer: str, reason: str, now: Instant) -> int:
        """Remove a peer from a room."""
        return self._ask(Kick(id=self._next_id(), room=room, peer=peer, reason=reason), now)

    def lock(self, room: str, locked: bool, now: Instant) -> int:
        """Let nobody in any more, or again."""
        return self._ask(Lock(id=self._next_id(), room=room, locked=locked), now)

    def close_room(self, room: str, reason: str, now: Instant) -> int:
        """Remove everybody from a room."""
        return self._ask(Close(id=self._next_id(), room=room, reason=reason), now)

    def refresh(self, token: str, now: Instant) -> int:
        """Show another token of the same identity."""
        return self._ask(Refresh(id=self._next_id(), token=token), now)

    def close(self) -> None:
        """The end; the server tells the others at once. Again is harmless."""
        if self._state is ClientState.CLOSED:
            return
        if self._state in (ClientState.CONNECTING, ClientState.GREETING, ClientState.OPEN):
            self._commands.append(CloseConnection(_NORMAL))
        self._end(_NORMAL, "closed", "")

    # Outputs.

    def poll_command(self) -> ClientCommand | None:
        """What is to be done."""
        return self._commands.popleft() if self._commands else None

    def poll_transmit(self) -> str | None:
        """The next frame to write."""
        return self._transmits.popleft() if self._transmits else None

    def poll_event(self) -> ClientEvent | None:
        """What happened."""
        return self._events.popleft() if self._events else None

    def next_timeout(self) -> Instant | None:
        """When `handle_timeout` wants to be called."""
        return self._timers.next()

    @property
    def state(self) -> ClientState:
        """Where we are."""
        return self._state

    @property
    def rooms(self) -> dict[str, Room]:
        """The rooms that the program wants to be in."""
        return self._rooms

    @property
    def unanswered(self) -> int:
        """How many requests wait."""
        return len(self._outgoing)

    # Frames.

    def _handle(self, frame: ServerFrame, now: Instant) -> None:
        match frame:
            case Welcome():
                self._handle_welcome(frame, now)
            case Joined() | Ok() | Error():
                self._handle_answer(frame, now)
            case Ice():
                self._events.append(IceServersGiven(frame.ice))
            case ServerPing():
                self._transmit(encode_frame(ClientPong()), now)
            case ServerPong():
                pass  # any frame is a sign of life
            case Goodbye():
                self._goodbye = frame
            case _:
                self._handle_push(frame, now)

    def _handle_welcome(self, welcome: Welcome, now: Instant) -> None:
        if self._state is not ClientState.GREETING or welcome.re != self._hello_id:
            raise MalformedError("a welcome that nobody waits for")
        self._timers.cancel(ClientTimer.WELCOME)
        self._timers.set(ClientTimer.STABLE, later(now, STABLE_AFTER))
        continuity = self._continuity(welcome)
        self._state = ClientState.OPEN
        self._token_refused = False
        self._ping = welcome.ping
        self._outgoing.limit(welcome.limits)
        self.peer, self.identity = welcome.peer, welcome.identity
        self._resume = Resume(session=welcome.session, seq=welcome.seq)
        if continuity is Continuity.REPLACED:
            self._replace_session()
        self._outgoing.rewind()
        self._events.append(Connected(welcome.session, welcome.peer, welcome.identity, continuity))
        if welcome.ice is not UNSET:
            self._events.append(IceServersGiven(welcome.ice))
        if continuity is Continuity.RESYNCED:
            self._resynchronize(welcome)
        self._arm_renewal(welcome.expires_at, now)

    def _continuity(self, welcome: Welcome) -> Continuity:
        if self._resume is None:
            return Continuity.NEW
        if welcome.session != self._resume.session:
            return Continuity.REPLACED
        return Continuity.RESUMED if welcome.resumed else Continuity.RESYNCED

    def _resynchronize(self, welcome: Welcome) -> None:
        """What the server says about rooms replaces what we know."""
        states = {state.room: state for state in welcome.rooms}
        for room in list(self._rooms.values()):
            state = states.get(room.name)
            if state is not None:
                self._tell(room.settle(state))
            elif room.you is not None:
                self._leave_behind(room, LeftReason.KICKED, "")

    def _replace_session(self) -> None:
        """Nobody knows us by our old id: what was said under it is void. Rooms are joined again first."""

        def is_void(request: Request, sent: bool) -> bool:
            if isinstance(request, Join):
                return request.room not in self._rooms
            return sent or isinstance(request, SendSignal | Leave | Update)

        void = self._outgoing.drop(is_void)
        kept = self._outgoing.take_all()
        joins = [request for request in kept if isinstance(request, Join)]
        asked = {join.room for join in joins}
        missing = [room for room in self._rooms.values() if room.name not in asked]
        rejoined = [Join(id=self._next_id(), room=room.name, meta=room.meta) for room in missing]
        self._rejoins = {join.id for join in rejoined}
        for room in self._rooms.values():
            room.you = None
            self._tell(room.forget(list(room.peers), LeftReason.NODE_LOST))
        for request in [*rejoined, *joins, *(one for one in kept if not isinstance(one, Join))]:
            self._outgoing.add(_id_of(request), request)
        self._events.extend(Unanswered(number) for number in void)

    def _handle_answer(self, answer: Joined | Ok | Error, now: Instant) -> None:
        if isinstance(answer, Error) and answer.re is UNSET:
            self._error = answer
            return
        number = int(answer.re or 0)
        request = self._outgoing.answered(number)
        if request is None:
            return
        if isinstance(request, Join):
            self._handle_joined(request, answer)
        if isinstance(request, Refresh) and isinstance(answer, Ok):
            self._arm_renewal(answer.expires_at, now)
        self._events.append(Answered(number, answer))

    def _handle_joined(self, request: Join, answer: Joined | Ok | Error) -> None:
        room = self._rooms.get(request.room)
        if room is None:
            return
        if isinstance(answer, Joined):
            again = room.you == answer.you
            self._tell(room.settle(answer))
            if not again:
                self._events.append(RoomEntered(room.name, answer.you))
        elif room.you is None:
            del self._rooms[request.room]
            if request.id in self._rejoins:
                self._events.append(RoomLeft(request.room, LeftReason.ROOM_CLOSED, _said(answer)))

    def _handle_push(self, push: Push, now: Instant) -> None:
        if self._resume is None or self._state is not ClientState.OPEN:
            raise MalformedError("a push before the welcome")
        expected = self._resume.seq + 1
        if push.seq < expected:
            return  # it came already
        if push.seq > expected:
            self._give_up_connection(f"push {expected} is missing", now)
            return
        self._resume = Resume(session=self._resume.session, seq=push.seq)
        self._apply(push)

    def _apply(self, push: Push) -> None:
        match push:
            case ServerSignal():
                self._events.append(SignalReceived(push.sender, push.data))
            case ServerMessage():
                sender = None if push.sender is UNSET else push.sender
                room = None if push.room is UNSET else push.room
                self._events.append(MessageReceived(sender, _decoded(push.data), room))
            case Left():
                if push.room in self._rooms:
                    self._leave_behind(self._rooms[push.room], push.reason, push.message)
            case PeerJoined() | PeerUpdated() | PeerLeft() | RoomUpdated():
                known = self._rooms.get(push.room)
                if known is not None and known.you is not None:
                    self._apply_to_room(known, push)
            case _:
                assert_never(push)

    def _apply_to_room(self, room: Room, push: PeerJoined | PeerUpdated | PeerLeft | RoomUpdated) -> None:
        match push:
            case PeerJoined():
                self._tell(room.handle_joined(push))
            case PeerUpdated():
                self._tell(room.handle_updated(push))
            case PeerLeft():
                self._tell(room.handle_left(push))
            case RoomUpdated():
                self._tell(room.handle_changed(push))
            case _:
                assert_never(push)

    def _leave_behind(self, room: Room, reason: LeftReason, message: str) -> None:
        del self._rooms[room.name]
        self._tell(room.forget(list(room.peers), reason))
        self._events.append(RoomLeft(room.name, reason, message))

    # Requests.

    def _ask(self, request: Request, now: Instant) -> int:
        if self._state is ClientState.CLOSED:
            raise InvalidStateError("this client is closed")
        number = _id_of(request)
        self._outgoing.add(number, request)
        self._pump(now)
        return number

    def _pump(self, now: Instant) -> None:
        """Send what may be sent."""
        self._timers.cancel(ClientTimer.SEND)
        if self._state is not ClientState.OPEN:
            return
        sent = False
        while (text := self._outgoing.next(now)) is not None:
            self._transmits.append(text)
            sent = True
        if sent:
            self._arm_probe(now)
        if self._outgoing.blocked_by_rate:
            self._timers.set(ClientTimer.SEND, max(self._outgoing.ready_at(now), later(now, 0.001)))

    def _transmit(self, text: str, now: Instant) -> None:
        self._transmits.append(text)
        self._outgoing.count(now)

    def _next_id(self) -> int:
        self._last_id += 1
        return self._last_id

    # Time.

    def _handle_timer(self, timer: ClientTimer, now: Instant) -> None:
        match timer:
            case ClientTimer.RECONNECT:
                self._state = ClientState.CONNECTING
                self._commands.append(OpenConnection(self._backoff.url))
            case ClientTimer.WELCOME:
                self._give_up_connection("no welcome came", now)
            case ClientTimer.PROBE:
                self._transmit(encode_frame(ClientPing(id=self._next_id())), now)
                self._timers.set(ClientTimer.DEAD, later(now, PONG_TIMEOUT))
            case ClientTimer.DEAD:
                self._give_up_connection("the server is silent", now)
            case ClientTimer.STABLE:
                self._backoff.reset()
            case ClientTimer.SEND:
                pass  # `handle_timeout` sends
            case ClientTimer.RENEW:
                self._commands.append(RenewToken())
            case _:
                assert_never(timer)

    def _arm_probe(self, now: Instant) -> None:
        """The server was heard, or asked: when to wonder why it says nothing."""
        if self._state is ClientState.OPEN and self._goodbye is None:
            self._timers.cancel(ClientTimer.DEAD)
            silence = PING_SLACK if self._outgoing.in_flight else self._ping + PING_SLACK
            self._timers.set(ClientTimer.PROBE, later(now, silence))

    def _arm_renewal(self, expires_at: str | UnsetType, now: Instant) -> None:
        self._timers.cancel(ClientTimer.RENEW)
        if expires_at is UNSET or not self._renews_token:
            return
        try:
            left = datetime.fromisoformat(expires_at).timestamp() - self._wall_clock.unix_time(now)
        except (ValueError, OverflowError, OSError):
            raise MalformedError("expiresAt is no time") from None
        self._timers.set(ClientTimer.RENEW, later(now, max(left * RENEWAL, 1.0)))

    # Ends.

    def _give_up_connection(self, reason: str, now: Instant) -> None:
        self._commands.append(CloseConnection(_GIVEN_UP))
        self._transmits.clear()
        self._decide(_LOST, Reconnect.JITTER, reason, reason, None, now)

    def _decide(
        self, code: int, rule: Reconnect, reason: str, message: str, after: Duration | None, now: Instant
    ) -> None:
        """Come back or not, and when."""
        if rule is Reconnect.FRESH_TOKEN:
            if not self._renews_token or self._token_refused:
                rule = Reconnect.NEVER
            self._token_refused = True
        if rule is Reconnect.NEVER:
            self._end(code, reason, message)
            return
        url = self._goodbye.url if self._goodbye is not None and self._goodbye.url is not UNSET else None
        delay = self._backoff.next_delay(after, url)
        self._timers.clear()
        self._timers.set(ClientTimer.RECONNECT, later(now, delay))
        self._state = ClientState.WAITING
        self._events.append(Disconnected(code, reason, delay))

    def _end(self, code: int, reason: str, message: str) -> None:
        self._state = ClientState.CLOSED
        self._timers.clear()
        self._events.append(Ended(code, reason, message))
        self._events.extend(Unanswered(number) for number in self._outgoing.drop(lambda *_: True))

    def _tell(self, events: Iterable[ClientEvent]) -> None:
        self._events.extend(events)


def _id_of(request: Request) -> int:
    assert request.id is not UNSET  # ours all have one
    return request.id


def _number(value: float | UnsetType) -> Duration | None:
    return None if value is UNSET else value


def _said(answer: Ok | Error) -> str:
    return answer.message if isinstance(answer, Error) else ""


def _decoded(data: Raw) -> object:
    return msgspec_json.decode(data)
