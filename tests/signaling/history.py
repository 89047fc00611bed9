"""A history of who said what and who heard what, and its checker, in the manner of Jepsen (OP-10).

Members number what they say and say again, with the same key, what was not answered. They lose connections with what
was on them, do not read for a while, stay away for too long, and meet servers that restart. The engine's log is the
truth. Of each member, `check` wants:

- within a segment, which a resync ends: exactly what the log has from its beginning on, but what is his own; in that
  order, each once, and in the last segment up to the end
- `seq` without a gap or a repeat
- a resync only when there was a reason for it: too long away, too much missed, or another server
- of what he said: each once in the log if it was answered, once at most if not, and in his order
"""

from __future__ import annotations

import random
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Final

import msgspec
from msgspec import Raw

from icelane.core.clock import Instant
from icelane.signaling.admitted import AdmissionLimits
from icelane.signaling.engine_memory import MemoryBroker
from icelane.signaling.limits import MAX_REPLAY, RESUME_WINDOW
from icelane.signaling.messages import (
    Hello,
    Join,
    Joined,
    Ok,
    PeerJoined,
    PeerLeft,
    PeerUpdated,
    Resume,
    SendMessage,
    ServerFrame,
    ServerMessage,
    Welcome,
    encode_json,
)
from tests.signaling.hub_world import Connected, World, allow
from tests.signaling.late_engine import LateWorld

ROOM: Final = "room"
_UNREAD: Final = 40


class Said(msgspec.Struct, frozen=True):
    """What a message carries: who said it, and the how-many-th it was of his."""

    by: str
    number: int


class RecordingBroker(MemoryBroker):
    """Writes down what is published, in its order; `log` goes on through restarts."""

    def __init__(self, log: list[Said]) -> None:
        super().__init__()
        self._log = log

    def publish(self, room: str, sender: str | None, data: Raw, key: str | None) -> None:
        self._log.append(msgspec.json.decode(data, type=Said))
        super().publish(room, sender, data, key)


@dataclass
class Segment:
    """What a member heard between two resyncs; `start` is how long the log was when it began."""

    start: int
    heard: list[Said] = field(default_factory=list)


class Violation(AssertionError):
    """The history is not what was promised."""


class Member:
    """Somebody who says and hears, over one connection after the other."""

    def __init__(self, history: History, name: str, node: str) -> None:
        self.history = history
        self.name = name
        self.node = node
        self.connection: Connected | None = None
        self.session: str | None = None
        self.sequence = 0
        self.segments: list[Segment] = []
        self.unanswered: deque[tuple[int, int]] = deque()
        self.answered: set[int] = set()
        self.said = 0
        self.resumed = 0
        self.resyncs = 0
        self.left_at: Instant | None = None
        self.stalled_at: Instant | None = None
        self.server_lost = False
        self._absorbed = 0
        self._frame_id = 0

    def is_online(self) -> bool:
        return self.connection is not None and self.connection.closed is None

    def come(self) -> None:
        """Connect, and resume if there is something to resume."""
        self.absorb()
        self.connection = self.history.world.connect(self.node)
        self._absorbed = 0
        resume = None if self.session is None else Resume(session=self.session, seq=self.sequence)
        hello = Hello(id=self._next_id(), token=self.name, resume=msgspec.UNSET if resume is None else resume)
        self.connection.say(hello)
        self.absorb()

    def go(self) -> None:
        """The connection breaks, with what is on it."""
        if self.connection is not None:
            if self.connection.closed is None:
                self.connection.cut()
            self._gone()

    def say(self) -> None:
        """Say one more; nobody waits for the answer."""
        self.said += 1
        self._send(self.said)

    def absorb(self) -> None:
        """Look at what came."""
        connection = self.connection
        while connection is not None and self._absorbed < len(connection.frames):
            frame = connection.frames[self._absorbed]
            self._absorbed += 1
            self._take(frame)
        if connection is not None and connection.closed is not None and self.connection is connection:
            self._gone()

    def _take(self, frame: ServerFrame) -> None:
        if isinstance(frame, Welcome):
            self._take_welcome(frame)
        elif isinstance(frame, Joined):
            pass
        elif isinstance(frame, Ok):
            self._take_answer(frame.re)
        elif isinstance(frame, ServerMessage | PeerJoined | PeerLeft | PeerUpdated):
            if frame.seq != self.sequence + 1:
                raise Violation(f"{self.name}: {frame.seq} after {self.sequence}")
            self.sequence = frame.seq
            if isinstance(frame, ServerMessage):
                self.segments[-1].heard.append(msgspec.json.decode(frame.data, type=Said))

    def _take_welcome(self, welcome: Welcome) -> None:
        if welcome.resumed:
            self.resumed += 1
            if welcome.session != self.session or welcome.seq != self.sequence:
                raise Violation(f"{self.name}: resumed something else")
            for number, _ in list(self.unanswered):
                self._send(number, again=True)
        else:
            if self.session is not None:
                self.resyncs += 1
                self._want_reason(welcome)
            self.unanswered.clear()  # nobody knows; never said again
            self.session, self.sequence = welcome.session, welcome.seq
            self.segments.append(Segment(len(self.history.log)))
            if not welcome.rooms:
                assert self.connection is not None
                self.connection.say(Join(id=self._next_id(), room=ROOM))
        self.left_at, self.server_lost = None, False

    def _want_reason(self, welcome: Welcome) -> None:
        if welcome.session == self.session:
            self.history.happened["missed too much"] += 1
            if welcome.seq - self.sequence <= MAX_REPLAY:
                raise Violation(f"{self.name}: resync after {welcome.seq - self.sequence} pushes")
        elif self.server_lost:
            self.history.happened["server lost"] += 1
        else:
            self.history.happened["away too long"] += 1
            away = None if self.left_at is None else self.history.world.now - self.left_at
            if away is None or away < RESUME_WINDOW:
                raise Violation(f"{self.name}: resync after {away} s")

    def _take_answer(self, re: int) -> None:
        for number, frame_id in self.unanswered:
            if frame_id == re:
                self.answered.add(number)
                self.unanswered.remove((number, frame_id))
                return

    def _send(self, number: int, again: bool = False) -> None:
        frame_id = self._next_id()
        if again:
            self.unanswered.popleft()
        self.unanswered.append((number, frame_id))
        assert self.connection is not None
        data = encode_json(Said(self.name, number))
        self.connection.say(SendMessage(id=frame_id, to="*", room=ROOM, data=data, key=f"{number}"))

    def _gone(self) -> None:
        if self.connection is not None and self.connection.closed is not None:
            self.history.happened[f"closed with {self.connection.closed.code}"] += 1
        self.connection = None
        if self.left_at is None:
            # A server may have given up whoever does not read long before he sees that.
            self.left_at = self.history.world.now if self.stalled_at is None else self.stalled_at
        self.stalled_at = None

    def _next_id(self) -> int:
        self._frame_id += 1
        return self._frame_id


class History:
    """Members in a room, and what the seed makes of them."""

    def __init__(self, seed: int, members: int = 6, nodes: int = 1, restarts: bool = True, late: bool = False) -> None:
        self.random = random.Random(seed)
        self.log: list[Said] = []
        broker = RecordingBroker(self.log)
        self.world = LateWorld(seed, nodes, broker) if late else World(nodes=nodes, seed=seed, broker=broker)
        self.restarts = restarts
        names = [f"member-{number}" for number in range(members)]
        for name in names:
            # The flood is not what is tested here.
            limits = AdmissionLimits(frames_per_second=10_000.0, frame_burst=10_000)
            self.world.admissions[name] = allow(name, limits=limits)
        self.members = [Member(self, name, f"node-{number % nodes}") for number, name in enumerate(names)]
        self.happened: Counter[str] = Counter()

    def run(self, steps: int = 1000) -> None:
        """Everybody comes, things happen, everybody comes back and hears the rest."""
        for member in self.members:
            member.come()
        for _ in range(steps):
            self._step()
            self._absorb()
        if isinstance(self.world, LateWorld):
            self.world.catch_up()
        for member in self.members:
            self._read_on(member)
            if not member.is_online():
                member.come()
        self.world.advance(1.0)
        self._absorb()
        for member in self.members:  # whoever was let go while he caught up
            while not member.is_online() or member.unanswered:
                member.go()
                member.come()
                self._absorb()

    def check(self) -> None:
        """Raises Violation."""
        for member in self.members:
            self._check_heard(member)
            self._check_said(member)

    def _check_heard(self, member: Member) -> None:
        for segment in member.segments:
            due = [said for said in self.log[self._start(segment) :] if said.by != member.name]
            last = segment is member.segments[-1]
            if segment.heard != (due if last else due[: len(segment.heard)]):
                raise Violation(f"{member.name}: heard {segment.heard}, due {due}")
        heard = [said for segment in member.segments for said in segment.heard]
        if len(set(heard)) != len(heard):
            raise Violation(f"{member.name}: heard something twice")

    def _start(self, segment: Segment) -> int:
        """Where a segment begins in the log. What a late engine had on its way is heard after a resync, too."""
        if isinstance(self.world, LateWorld) and segment.heard:
            return min(segment.start, self.log.index(segment.heard[0]))
        return segment.start

    def _check_said(self, member: Member) -> None:
        numbers = [said.number for said in self.log if said.by == member.name]
        if numbers != sorted(set(numbers)):
            raise Violation(f"{member.name}: said {numbers}")
        if not member.answered <= set(numbers):
            raise Violation(f"{member.name}: lost {member.answered - set(numbers)}")

    def _step(self) -> None:
        member = self.random.choice(self.members)
        [what] = self.random.choices(
            ("say", "burst", "break", "come", "stall", "read", "wait", "long", "restart"),
            (40, 4, 8, 14, 5, 6, 12, 1, 0.5 if self.restarts else 0),
        )
        self.happened[what] += 1
        match what:
            case "say" if member.is_online():
                for _ in range(self.random.randint(1, 4)):
                    member.say()
            case "burst" if member.is_online():
                for _ in range(self.random.choice((30, 150, 300))):
                    member.say()
                    member.absorb()
                    if not member.is_online():
                        break
            case "break":
                member.go()
            case "come" if not member.is_online():
                member.come()
            case "stall" if member.connection is not None and member.connection.reads:
                member.connection.reads = False
                member.stalled_at = self.world.now
            case "read":
                self._read_on(member)
            case "wait":
                self.world.advance(self.random.uniform(0.0, 12.0))
            case "long":
                self.world.advance(RESUME_WINDOW * self.random.uniform(0.9, 1.2))
            case "restart":
                self._restart(self.random.choice(sorted(self.world.hubs)))
            case _:
                pass

    def _read_on(self, member: Member) -> None:
        connection = member.connection
        if connection is not None:
            connection.reads = True
            if connection.closed is None:
                connection.read(self.random.choice((None, _UNREAD)))
                self.world.drain()
                connection.read()
            if connection.closed is None:
                member.stalled_at = None

    def _restart(self, node: str) -> None:
        for member in self.members:
            if member.node == node:
                member.server_lost = True
        self.world.kill(node)
        if len(self.world.hubs) == 0:
            self.world.broker = RecordingBroker(self.log)
        self.world.start(node)
        self.world.advance(self.random.uniform(0.0, 1.0))

    def _absorb(self) -> None:
        for member in self.members:
            member.absorb()
