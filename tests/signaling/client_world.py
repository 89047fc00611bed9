"""A hub, clients of ours and the connections between them, with delays and cuts, on a virtual clock."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from msgspec import UNSET, Raw

from icelane.core.clock import Instant, later
from icelane.signaling.admitted import Admission, Refusal
from icelane.signaling.client_event import (
    Answered,
    ClientEvent,
    CloseConnection,
    Connected,
    MessageReceived,
    OpenConnection,
    PeerAppeared,
    PeerDeparted,
    RenewToken,
)
from icelane.signaling.client_session import ClientSession
from icelane.signaling.close_code import CloseCode
from icelane.signaling.engine_memory import MemoryEngine
from icelane.signaling.hub import Hub
from icelane.signaling.hub_event import Admit, AskJoin, AskMessage, IceAnswer, IssueIce, Readmit
from icelane.signaling.limits import SignalingLimits
from icelane.signaling.messages import EMPTY_OBJECT, IceServersBody, encode_json
from icelane.signaling.outbox import CloseConnection as HubClose
from icelane.signaling.session import ConnectionId
from icelane.testing.clock import VirtualClock
from icelane.testing.entropy import SeededEntropy

E = TypeVar("E")


@dataclass(eq=False)
class Link:
    """One WebSocket. Frames arrive in their order; what is on its way when it is cut is lost."""

    world: ClientWorld
    client: Client
    id: ConnectionId
    open: bool = True
    reads: bool = True
    dead: bool = False
    """Frames vanish, and nobody is told."""
    arrives: dict[str, Instant] = field(default_factory=dict)

    def deliver(self, way: str, action: Callable[[], None]) -> None:
        """After a random delay, behind what was sent before."""
        at = max(self.arrives.get(way, self.world.now), later(self.world.now, self.world.delay()))
        self.arrives[way] = at
        self.world.at(at, lambda: action() if self.open and not self.dead else None)

    def cut(self) -> None:
        """Both ends find out, each in its time."""
        if not self.open:
            return
        self.open = False
        world = self.world
        world.links.pop(self.id, None)
        world.after(world.delay(), lambda: world.hub_closed(self.id, 1006))
        world.after(world.delay(), lambda: self.client.lost(self, 1006, "cut"))


class Client:
    """Our engine and the log of what it told."""

    def __init__(self, world: ClientWorld, identity: str, *, renews_token: bool = False) -> None:
        self.world = world
        self.identity = identity
        self.token = identity
        self.session = ClientSession(entropy=world.entropy, wall_clock=world.clock, renews_token=renews_token)
        self.events: list[ClientEvent] = []
        self.fetched = 0
        self.urls: list[str | None] = []
        self.link: Link | None = None
        self._woken: Instant | None = None

    def do(self, verb: Callable[..., object], *arguments: object) -> object:
        """One verb of the engine, and all that follows."""
        result = verb(*arguments)
        self.drain()
        return result

    def start(self) -> Client:
        """Connect."""
        self.do(self.session.start)
        return self

    def join(self, room: str, meta: Raw = EMPTY_OBJECT) -> int:
        """Be in a room."""
        number = self.do(self.session.join, room, meta, self.world.now)
        assert isinstance(number, int)
        return number

    def say(self, data: object, to: str = "*", room: str | None = None) -> int:
        """Say something."""
        number = self.do(self.session.message, to, encode_json(data), room, self.world.now)
        assert isinstance(number, int)
        return number

    def lost(self, link: Link, code: int, reason: str) -> None:
        """The client's end of a connection is gone."""
        if self.link is link:
            self.link = None
            self.do(self.session.handle_closed, code, reason, self.world.now)

    def all(self, kind: type[E]) -> list[E]:
        """What was told of a kind."""
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def heard(self) -> list[object]:
        """What others said."""
        return [event.data for event in self.all(MessageReceived)]

    @property
    def present(self) -> set[str]:
        """The identities in rooms with us, by the events alone."""
        present: dict[str, str] = {}
        for event in self.events:
            if isinstance(event, PeerAppeared):
                assert event.peer.id not in present, "who is there does not appear"
                present[event.peer.id] = event.peer.identity
            elif isinstance(event, PeerDeparted):
                del present[event.peer.id]
        return set(present.values())

    @property
    def answers(self) -> dict[int, object]:
        """Answers by request."""
        return {event.id: event.answer for event in self.all(Answered)}

    def drain(self) -> None:
        """All polls, and the timer."""
        session, world = self.session, self.world
        while True:
            command = session.poll_command()
            if command is None:
                break
            if isinstance(command, OpenConnection):
                self.urls.append(command.url)
                world.after(world.delay(), self._connect)
            elif isinstance(command, CloseConnection) and self.link is not None:
                self._flush()
                self._close(self.link, command.code)
            elif isinstance(command, RenewToken):
                self.fetched += 1
                session.refresh(self.token, world.now)
        self._flush()
        while (event := session.poll_event()) is not None:
            self.events.append(event)
        deadline = session.next_timeout()
        if deadline is not None and deadline != self._woken:
            self._woken = deadline
            world.at(deadline, self._wake)

    def _wake(self) -> None:
        self._woken = None
        deadline = self.session.next_timeout()
        if deadline is not None and deadline <= self.world.now:
            self.do(self.session.handle_timeout, self.world.now)
        else:
            self.drain()

    def _flush(self) -> None:
        link = self.link
        while (text := self.session.poll_transmit()) is not None:
            assert link is not None, "a frame without a connection"
            self._send(link, text)

    def _close(self, link: Link, code: int) -> None:
        self.link = None
        link.deliver("up", lambda: self.world.close_from_client(link, code))

    def _send(self, link: Link, text: str) -> None:
        link.deliver("up", lambda: self.world.hub_frame(link.id, text))

    def _connect(self) -> None:
        world = self.world
        if not world.accepts:
            self.do(self.session.handle_closed, 1006, "nobody listens", world.now)
            return
        self.link = world.new_link(self)
        self.do(self.session.handle_connected, self.token, world.now)


class ClientWorld:
    """Everything; `run` lets time pass."""

    def __init__(self, seed: int = 1, limits: SignalingLimits | None = None, *, latency: float = 0.02) -> None:
        self.clock = VirtualClock()
        self.entropy = SeededEntropy(seed)
        self.limits = limits or SignalingLimits()
        self.latency = latency
        self.hub = self._new_hub()
        self.links: dict[ConnectionId, Link] = {}
        self.admissions: dict[str, Admission | Refusal] = {}
        self.ice: IceServersBody | None = None
        self.accepts = True
        self.answers_hooks = True
        self._todo: list[tuple[Instant, int, Callable[[], None]]] = []
        self._count = 0
        self._hub_woken: Instant | None = None

    @property
    def now(self) -> Instant:
        """The instant."""
        return self.clock.now

    def delay(self) -> float:
        """Of one frame."""
        return self.latency * self.entropy.below(1000) / 1000

    def at(self, at: Instant, action: Callable[[], None]) -> None:
        """Do something then."""
        self._count += 1
        heapq.heappush(self._todo, (at, self._count, action))

    def after(self, by: float, action: Callable[[], None]) -> None:
        """Do something in a while."""
        self.at(later(self.now, by), action)

    def run(self, seconds: float) -> None:
        """Let time pass."""
        end = later(self.now, seconds)
        while self._todo and self._todo[0][0] <= end:
            at, _, action = heapq.heappop(self._todo)
            self.clock.advance(max(at - self.now, 0.0))
            action()
        self.clock.advance(max(end - self.now, 0.0))

    def client(self, identity: str, *rooms: str, renews_token: bool = False) -> Client:
        """A client that connects and joins."""
        client = Client(self, identity, renews_token=renews_token).start()
        for room in rooms:
            client.join(room)
        return client

    def restart(self) -> None:
        """The server is gone and comes back without a memory."""
        for link in list(self.links.values()):
            link.open = False
            self.after(self.delay(), lambda link=link: link.client.lost(link, 1006, "reset"))  # type: ignore[misc]  # bound now
        self.links.clear()
        self.hub = self._new_hub()

    def new_link(self, client: Client) -> Link:
        """A connection that the hub accepts."""
        self._count += 1
        link = Link(self, client, ConnectionId(self._count))
        self.links[link.id] = link
        self.hub.handle_connected(link.id, "192.0.2.1", self.now)
        self.drain()
        return link

    def close_from_client(self, link: Link, code: int) -> None:
        """The client closes."""
        link.open = False
        self.links.pop(link.id, None)
        self.hub_closed(link.id, code)

    def hub_frame(self, link: ConnectionId, text: str) -> None:
        """A frame arrives at the hub."""
        self.hub.handle_frame(link, text, self.now)
        self.drain()

    def hub_closed(self, link: ConnectionId, code: int) -> None:
        """The hub's end of a connection is gone."""
        self.hub.handle_closed(link, code, self.now)
        self.drain()

    def drain(self) -> None:
        """What the hub wants."""
        hub = self.hub
        while True:
            while (command := hub.poll_command()) is not None:
                self._carry_out(command)
            while hub.poll_event() is not None:
                pass
            woken = hub.poll_wake()
            if woken is None:
                break
            if woken in self.links:
                self.write(self.links[woken])
        deadline = hub.next_timeout()
        if deadline is not None and deadline != self._hub_woken:
            self._hub_woken = deadline
            self.at(deadline, self._wake_hub)

    def write(self, link: Link) -> None:
        """What waits for a client that reads."""
        while link.reads and link.open and (item := self.hub.poll_transmit(link.id)) is not None:
            if isinstance(item, HubClose):
                link.deliver("down", lambda item=item: self._closed_by_hub(link, item))  # type: ignore[misc]  # bound now
            else:
                link.deliver("down", lambda item=item: self._to_client(link, item))  # type: ignore[misc]  # bound now

    def _to_client(self, link: Link, text: str) -> None:
        if link.client.link is link:
            link.client.do(link.client.session.handle_frame, text, self.now)

    def _closed_by_hub(self, link: Link, close: HubClose) -> None:
        link.open = False
        self.links.pop(link.id, None)
        self.hub_closed(link.id, close.code)
        link.client.lost(link, close.code, close.reason)

    def _wake_hub(self) -> None:
        self._hub_woken = None
        deadline = self.hub.next_timeout()
        if deadline is not None and deadline <= self.now:
            self.hub.handle_timeout(self.now)
        self.drain()

    def _new_hub(self) -> Hub:
        return Hub(MemoryEngine(self.clock.now, "node-0"), self.entropy, self.clock, self.limits)

    def admission(self, token: str) -> Admission | Refusal:
        """Whom a token admits."""
        return self.admissions.get(token) or Admission(identity=token, rooms=("*",))

    def ice_answer(self, answer: Admission | Refusal) -> IceAnswer | None:
        """What `before_ice` says: what admission does."""
        return None if isinstance(answer, Refusal) else IceAnswer(self.ice, answer.relay_only)

    def _carry_out(self, command: object) -> None:
        if not self.answers_hooks:
            return
        match command:
            case Admit(decision, _, hello):
                token = "" if hello.token is UNSET else hello.token
                missing = Refusal(code=CloseCode.TOKEN_EXPIRED, error="token_missing")
                answer = self.admission(token) if token else missing
                self.hub.provide_admission(decision, answer, self.ice_answer(answer), self.now)
            case Readmit():
                answer = self.admission(command.refresh.token)
                self.hub.provide_admission(command.decision, answer, self.ice_answer(answer), self.now)
            case AskJoin() | AskMessage():
                self.hub.provide_decision(command.decision, None, self.now)
            case IssueIce():
                self.hub.provide_ice(command.session.session, self.ice_answer(command.session.admission), self.now)
            case _:
                raise AssertionError(command)


def continuities(client: Client) -> list[str]:
    """How each connection went on from the one before."""
    return [event.continuity.value for event in client.all(Connected)]
