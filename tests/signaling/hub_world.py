"""Hubs, clients and a clock for tests of signaling: no sockets, no waiting, no luck."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from icelane.core.clock import Instant, UnixSeconds
from icelane.signaling.admitted import Admission, Refusal
from icelane.signaling.close_code import CloseCode
from icelane.signaling.engine import SignalEngine
from icelane.signaling.engine_memory import MemoryBroker, MemoryEngine
from icelane.signaling.hub import Hub
from icelane.signaling.hub_event import Admit, AskJoin, AskMessage, HubCommand, HubEvent, IceAnswer, IssueIce, Readmit
from icelane.signaling.limits import SignalingLimits
from icelane.signaling.messages import (
    ClientFrame,
    Error,
    Goodbye,
    Hello,
    IceServersBody,
    Join,
    Joined,
    Resume,
    ServerFrame,
    ServerPing,
    Welcome,
    encode_frame,
    encode_json,
    parse_server_frame,
)
from icelane.signaling.outbox import CloseConnection
from icelane.signaling.room_rule import RoomRule
from icelane.signaling.session import ConnectionId
from icelane.testing.clock import VirtualClock
from icelane.testing.entropy import SeededEntropy

F = TypeVar("F")

PUSHES = {"peer-joined", "peer-updated", "peer-left", "signal", "message", "room-updated", "left"}


def allow(identity: str, *rooms: str, expires_in: float | None = None, **rest: object) -> Admission:
    """An admission to these rooms, or to all."""
    expires_at = None if expires_in is None else UnixSeconds(VirtualClock().unix_time(Instant(1000.0)) + expires_in)
    return Admission(identity=identity, rooms=rooms or ("*",), expires_at=expires_at, **rest)  # type: ignore[arg-type]  # as its caller wrote it


@dataclass
class Connected:
    """A client's end of one connection, and what came on it."""

    world: World
    id: ConnectionId
    hub: Hub
    frames: list[ServerFrame] = field(default_factory=list)
    sequences: list[int] = field(default_factory=list)
    closed: CloseConnection | None = None
    reads: bool = True
    answers_pings: bool = True

    def say(self, frame: ClientFrame | str) -> None:
        """Send a frame and let the hub do what follows."""
        text = frame if isinstance(frame, str) else encode_frame(frame)
        self.hub.handle_frame(self.id, text, self.world.now)
        self.world.drain()

    def cut(self, code: int = 1006) -> None:
        """The connection is gone, by default without a word."""
        self.world.connections.pop(self.id, None)
        self.hub.handle_closed(self.id, code, self.world.now)
        self.world.drain()

    def read(self, limit: int | None = None) -> None:
        """Take what waits in the hub."""
        count = 0
        while limit is None or count < limit:
            item = self.hub.poll_transmit(self.id)
            if item is None:
                return
            count += 1
            self.take(item)

    def take(self, item: str | CloseConnection) -> None:
        """One frame, or the close."""
        if isinstance(item, CloseConnection):
            self.closed = item
            self.cut(item.code)
            return
        frame = parse_server_frame(item)
        self.frames.append(frame)
        sequence = getattr(frame, "seq", None)
        if sequence is not None and not isinstance(frame, Welcome):
            self.sequences.append(sequence)
        if isinstance(frame, ServerPing) and self.answers_pings:
            self.world.pongs.append(self)

    def all(self, kind: type[F]) -> list[F]:
        """What came of a kind."""
        return [frame for frame in self.frames if isinstance(frame, kind)]

    def last(self, kind: type[F]) -> F:
        """The last of a kind."""
        return self.all(kind)[-1]

    def hello(self, token: str, resume: Resume | None = None, frame_id: int = 1) -> Connected:
        """Say hello; the token is the identity, unless the world says otherwise."""
        self.say(Hello(id=frame_id, token=token, resume=msgspec.UNSET if resume is None else resume))
        return self

    def join(self, room: str, frame_id: int = 2, meta: dict[str, object] | None = None) -> Joined | Error:
        """Enter a room; what was answered."""
        self.say(Join(id=frame_id, room=room, meta=encode_json(meta or {})))
        return next(frame for frame in reversed(self.frames) if isinstance(frame, Joined | Error))

    @property
    def welcome(self) -> Welcome:
        return self.last(Welcome)

    @property
    def peer(self) -> str:
        return self.welcome.peer

    @property
    def goodbye(self) -> Goodbye:
        return self.last(Goodbye)

    @property
    def errors(self) -> list[str]:
        return [frame.code for frame in self.all(Error)]


@dataclass
class FakeFrameRules:
    """Satisfies `icelane.signaling.frame_rules.FrameRules`; `counted` is what it was asked to count."""

    asks_about_joins: bool = False
    asks_about_messages: bool = False
    wait: float | None = None
    counted: list[tuple[str, str, str]] = field(default_factory=list)

    def message_wait(self, identity: str, room: str, kind: str) -> float | None:
        self.counted.append((identity, room, kind))
        return self.wait


class World:
    """One hub, or several on one broker; admits whoever says a name, unless `admissions` says otherwise."""

    def __init__(
        self,
        limits: SignalingLimits | None = None,
        rules: tuple[RoomRule, ...] = (),
        ask_join: bool = False,
        ask_message: bool = False,
        nodes: int = 1,
        seed: int = 1,
        broker: MemoryBroker | None = None,
    ) -> None:
        self.clock = VirtualClock()
        self.broker = broker or MemoryBroker()
        self.entropy = SeededEntropy(seed)
        self.limits = limits
        self.rules = rules
        self.frame_rules = FakeFrameRules(ask_join, ask_message)
        self.hubs: dict[str, Hub] = {}
        self.connections: dict[ConnectionId, Connected] = {}
        self.commands: list[HubCommand] = []
        self.events: list[HubEvent] = []
        self.pongs: list[Connected] = []
        self.admissions: dict[str, Admission | Refusal] = {}
        self.ice: IceServersBody | None = None
        self.relay_only: bool | None = None
        self.decide: Callable[[AskJoin | AskMessage], Refusal | None] | None = lambda _: None
        self.admits = True
        self._last_id = 0
        for number in range(nodes):
            self.start(f"node-{number}")

    @property
    def now(self) -> Instant:
        return self.clock.now

    @property
    def hub(self) -> Hub:
        return self.hubs["node-0"]

    def start(self, node: str) -> Hub:
        """A node comes up."""
        self.hubs[node] = Hub(
            self.make_engine(node),
            self.entropy,
            self.clock,
            self.limits,
            self.rules,
            self.frame_rules,
        )
        return self.hubs[node]

    def make_engine(self, node: str) -> SignalEngine:
        """What joins this node to the others."""
        return MemoryEngine(self.now, node, self.broker)

    def kill(self, node: str) -> None:
        """A node is gone without a word; its clients' connections break."""
        hub = self.hubs.pop(node)
        for connection in [one for one in self.connections.values() if one.hub is hub]:
            del self.connections[connection.id]
            connection.closed = CloseConnection(1006, "")

    def connect(self, node: str = "node-0", address: str = "192.0.2.1") -> Connected:
        """Somebody connects."""
        self._last_id += 1
        connection = Connected(self, ConnectionId(self._last_id), self.hubs[node])
        self.connections[connection.id] = connection
        connection.hub.handle_connected(connection.id, address, self.now)
        self.drain()
        return connection

    def enter(self, identity: str, room: str = "", node: str = "node-0") -> Connected:
        """Somebody connects, says hello, and joins a room if it is named."""
        connection = self.connect(node).hello(identity)
        if room:
            connection.join(room)
        return connection

    def drain(self) -> None:
        """Carry out what the hubs want until they want nothing."""
        busy = True
        while busy:
            busy = False
            for hub in list(self.hubs.values()):
                hub.handle_deliveries(self.now)
                while (command := hub.poll_command()) is not None:
                    busy = True
                    self._carry_out(hub, command)
                while (event := hub.poll_event()) is not None:
                    self.events.append(event)
                while (woken := hub.poll_wake()) is not None:
                    connection = self.connections.get(woken)
                    if connection is not None and connection.reads:
                        busy = True
                        connection.read()
            while self.pongs:
                busy = True
                connection = self.pongs.pop()
                if connection.id in self.connections:
                    connection.hub.handle_frame(connection.id, '{"type":"pong"}', self.now)

    def advance(self, by: float) -> None:
        """Let time pass, with every deadline in it."""
        end = self.now + by
        while True:
            deadlines = [at for hub in self.hubs.values() if (at := hub.next_timeout()) is not None and at <= end]
            if not deadlines:
                break
            self.clock.advance(max(min(deadlines) - self.now, 0.0))
            for hub in list(self.hubs.values()):
                if (at := hub.next_timeout()) is not None and at <= self.now:
                    hub.handle_timeout(self.now)
            self.drain()
        self.clock.advance(max(end - self.now, 0.0))

    def admission(self, token: str) -> Admission | Refusal:
        """Whom a token admits."""
        return self.admissions.get(token) or allow(token)

    def ice_answer(self, answer: Admission | Refusal) -> IceAnswer | None:
        """What `before_ice` says: what admission does, unless the world says otherwise."""
        if isinstance(answer, Refusal):
            return None
        relay_only = answer.relay_only if self.relay_only is None else self.relay_only
        return IceAnswer(self.ice, relay_only)

    def _carry_out(self, hub: Hub, command: HubCommand) -> None:
        self.commands.append(command)
        match command:
            case Admit(decision, _, hello) if self.admits:
                token = "" if hello.token is msgspec.UNSET else hello.token
                refusal = Refusal(code=CloseCode.TOKEN_EXPIRED, error="token_missing")
                answer = self.admission(token) if token else refusal
                hub.provide_admission(decision, answer, self.ice_answer(answer), self.now)
            case Readmit(decision, _, refresh) if self.admits:
                answer = self.admission(refresh.token)
                hub.provide_admission(decision, answer, self.ice_answer(answer), self.now)
            case AskJoin() | AskMessage() if self.decide is not None:
                hub.provide_decision(command.decision, self.decide(command), self.now)
            case IssueIce(session):
                hub.provide_ice(session.session, self.ice_answer(session.admission), self.now)
            case _:
                pass
