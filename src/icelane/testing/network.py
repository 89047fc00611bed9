"""A network without sockets: seeded links, a virtual clock, and engines that are driven as a driver must.

    clock = VirtualClock()
    network = VirtualNetwork(clock, seed=7, link=Link(delay=0.02, jitter=0.01, loss=0.1))
    client = EngineHost(network, TurnClient(path, ...), path.local)
    server = EngineHost(network, TurnServer(...), path.remote)
    client.run(lambda now: client.engine.allocate(AllocateOptions(), now))
    network.run_until(lambda: client.events)

Nothing sleeps: `run_until` moves the clock from one arrival or deadline to the next. The same seed gives the same
losses, delays and orders.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

from icelane.core.clock import Duration, Instant, later
from icelane.core.engine import Engine
from icelane.core.net import Path, SocketAddress, Transport
from icelane.testing.clock import VirtualClock

E = TypeVar("E")
T = TypeVar("T")

Receiver = Callable[[bytes, SocketAddress, SocketAddress], None]
"""`receiver(data, source, destination)`: a datagram arrived."""

# A test that has more than this in flight or on one drain has two engines that answer each other for ever.
MAX_IN_FLIGHT: Final = 100_000
MAX_DRAIN: Final = 10_000
# Engines that ask to be called again for the same instant this often make no progress.
MAX_STANDSTILL: Final = 1_000


class Bottleneck:
    """A place that lets `rate` bits pass in a second, and queues what comes sooner for up to `queue` seconds.

    Links that are given the same one share it. `dropped` counts what found the queue full; `waited` is how long the
    last datagram stood in it.
    """

    def __init__(self, rate: float, queue: Duration) -> None:
        self.dropped = 0
        self.waited = 0.0
        self._rate = rate
        self._queue = queue
        self._free_at = Instant(0.0)

    def pass_through(self, size: int, now: Instant) -> Duration | None:
        """How long a datagram of `size` bytes takes that comes now; None when the queue is full."""
        waiting = max(self._free_at - now, 0.0)
        if waiting > self._queue:
            self.dropped += 1
            return None
        self.waited = waiting
        self._free_at = later(now, waiting + size * 8 / self._rate)
        return self._free_at - now


@dataclass(frozen=True, kw_only=True)
class Link:
    """What happens to a datagram on its way, one direction. Times are in seconds, chances from 0 to 1.

    Every datagram takes `delay` and up to `jitter` more; one that is `reordered` takes `reorder_delay` on top, and so
    arrives behind later ones. One larger than `mtu` payload bytes is lost. What is not lost passes the `bottleneck`.
    """

    delay: Duration = 0.01
    jitter: Duration = 0.0
    loss: float = 0.0
    duplication: float = 0.0
    reordering: float = 0.0
    reorder_delay: Duration = 0.05
    mtu: int = 65_507
    bottleneck: Bottleneck | None = None

    def arrivals(self, size: int, now: Instant, generator: random.Random) -> list[Instant]:
        """When a datagram of `size` bytes that is sent now arrives: never, once or twice."""
        # Each draw is made whatever the others say, so that one parameter does not change the luck of another.
        lost, doubled, late = (generator.random() for _ in range(3))
        times = [self.delay + self.jitter * generator.random() for _ in range(2)]
        if lost < self.loss or size > self.mtu:
            return []
        if self.bottleneck is not None:
            passing = self.bottleneck.pass_through(size, now)
            if passing is None:
                return []
            times = [by + passing for by in times]
        if late < self.reordering:
            times[0] += self.reorder_delay
        return [later(now, by) for by in (times if doubled < self.duplication else times[:1])]


PERFECT: Final = Link(delay=0.0)


@dataclass(slots=True)
class Traffic:
    """What a network did: datagrams sent, delivered, lost on a link, and delivered twice; for nobody, or stopped by a
    gateway."""

    sent: int = 0
    delivered: int = 0
    lost: int = 0
    duplicated: int = 0
    unreachable: int = 0
    blocked: int = 0


class Timed(Protocol):
    """Who wants to be called at an instant of its own."""

    def next_timeout(self) -> Instant | None:
        """When to call `handle_timeout`, or None."""
        ...

    def handle_timeout(self) -> None:
        """The clock has reached that instant."""
        ...


class Gateway(Protocol):
    """A NAT or a firewall: what stands between the hosts that it holds and all others (`icelane.testing.nat`)."""

    def holds(self, host: str) -> bool:
        """Whether `host` is inside."""
        ...

    def owns(self, host: str) -> bool:
        """Whether `host` is the gateway's own address, on the outside."""
        ...

    def outbound(self, source: SocketAddress, destination: SocketAddress, now: Instant) -> SocketAddress | None:
        """The source as which a datagram from inside goes on; None when it does not."""
        ...

    def inbound(self, source: SocketAddress, destination: SocketAddress, now: Instant) -> SocketAddress | None:
        """The destination to which a datagram from outside goes on; None when it does not."""
        ...


class VirtualNetwork:
    """Carries datagrams between the addresses that are attached to it, over seeded links."""

    def __init__(self, clock: VirtualClock, seed: int = 1, link: Link = PERFECT) -> None:
        self.clock = clock
        self.traffic = Traffic()
        self._link = link
        self._links: dict[tuple[str, str], Link] = {}
        self._generator = random.Random(seed)  # noqa: S311  (repeatability is the point)
        self._receivers: dict[SocketAddress, Receiver] = {}
        self._gateways: list[Gateway] = []
        self._in_flight: list[tuple[Instant, int, bytes, SocketAddress, SocketAddress]] = []
        self._order = 0
        self._timed: list[Timed] = []

    # Topology

    def attach(self, address: SocketAddress, receiver: Receiver) -> None:
        """Give what arrives at `address` to `receiver`; raises ValueError when somebody is there already."""
        if address in self._receivers:
            raise ValueError(f"{address} is in use")
        self._receivers[address] = receiver

    def detach(self, address: SocketAddress) -> None:
        """Nobody is at `address` any more; what is on its way there is lost."""
        del self._receivers[address]

    def add_timed(self, timed: Timed) -> None:
        """Call `timed` when its deadline has come."""
        self._timed.append(timed)

    def set_link(self, source: str, destination: str, link: Link) -> None:
        """The link from one host to another; the way back is another link."""
        self._links[source, destination] = link

    def connect(self, one: str, other: str, link: Link) -> None:
        """The same link both ways."""
        self.set_link(one, other, link)
        self.set_link(other, one, link)

    def add_gateway(self, gateway: Gateway) -> None:
        """Put a NAT or a firewall in the way."""
        self._gateways.append(gateway)

    @property
    def in_flight(self) -> int:
        """How many datagrams are on their way."""
        return len(self._in_flight)

    @property
    def addresses(self) -> frozenset[SocketAddress]:
        """Where somebody is."""
        return frozenset(self._receivers)

    # Traffic

    def send(self, data: bytes, source: SocketAddress, destination: SocketAddress) -> None:
        """Put a datagram on its way.

        The link is that of the sender's own address; where it has none, that of the address which a NAT gives it.
        """
        self.traffic.sent += 1
        sender = source.host
        outside = self._outbound(source, destination)
        if outside is None:
            self.traffic.blocked += 1
            return
        source = outside
        links = (self._links.get((host, destination.host)) for host in (sender, source.host))
        link = next((found for found in links if found is not None), self._link)
        arrivals = link.arrivals(len(data), self.clock.now, self._generator)
        self.traffic.lost += not arrivals
        self.traffic.duplicated += len(arrivals) > 1
        for at in arrivals:
            self._order += 1
            heapq.heappush(self._in_flight, (at, self._order, bytes(data), source, destination))
        _require(len(self._in_flight) <= MAX_IN_FLIGHT, "more and more datagrams are in flight")

    # Time

    def run_for(self, duration: Duration) -> None:
        """Let `duration` pass, with all that happens in it."""
        end = later(self.clock.now, duration)
        while self._step(end):
            pass
        self.clock.advance(end - self.clock.now)

    def run_until(self, condition: Callable[[], object], timeout: Duration = 60.0) -> None:
        """Let time pass until `condition` is true; AssertionError when it is not within `timeout`, or never."""
        end = later(self.clock.now, timeout)
        while not condition():
            _require(self._step(end), f"not within {timeout} s: {getattr(condition, '__name__', condition)}")

    def run_until_quiet(self, timeout: Duration = 60.0) -> None:
        """Let time pass until nothing is in flight."""
        self.run_until(lambda: not self._in_flight, timeout)

    def _step(self, end: Instant) -> bool:
        """Make the next thing happen, if it happens by `end`."""
        arrival = self._in_flight[0][0] if self._in_flight else None
        due = [(at, timed) for timed in self._timed if (at := timed.next_timeout()) is not None]
        deadline, timed = min(due, key=lambda pair: pair[0], default=(None, None))
        instants = [at for at in (arrival, deadline) if at is not None]
        if not instants or min(instants) > end:
            return False
        # A deadline that has passed already is due now.
        self.clock.advance(max(0.0, min(instants) - self.clock.now))
        if arrival is not None and (deadline is None or arrival <= deadline):
            self._deliver()
        elif timed is not None:
            timed.handle_timeout()
        return True

    def _deliver(self) -> None:
        _, _, data, source, destination = heapq.heappop(self._in_flight)
        inside = self._inbound(source, destination)
        if inside is None:
            self.traffic.blocked += 1
            return
        destination = inside
        receiver = self._receivers.get(destination)
        if receiver is None:
            self.traffic.unreachable += 1
            return
        self.traffic.delivered += 1
        receiver(data, source, destination)

    def _outbound(self, source: SocketAddress, destination: SocketAddress) -> SocketAddress | None:
        """Out through every gateway that holds the source and not the destination, from the innermost one on."""
        passed: list[Gateway] = []
        while True:
            crossed = [one for one in self._gateways if one.holds(source.host) and not one.holds(destination.host)]
            left = [one for one in crossed if one not in passed]
            if not left:
                return source
            passed.append(left[0])
            translated = left[0].outbound(source, destination, self.clock.now)
            if translated is None:
                return None
            source = translated

    def _inbound(self, source: SocketAddress, destination: SocketAddress) -> SocketAddress | None:
        """In through every gateway, from the outermost one on."""
        passed: list[Gateway] = []
        while True:
            holding = [one for one in self._gateways if one.holds(destination.host) and not one.holds(source.host)]
            owning = [one for one in self._gateways if one.owns(destination.host)]
            left = [one for one in holding + owning if one not in passed]
            if not left:
                return destination
            passed.append(left[0])
            translated = left[0].inbound(source, destination, self.clock.now)
            if translated is None:
                return None
            destination = translated


class EngineHost(Generic[E]):
    """An engine at an address of a network, driven by the contract: one mutation, one drain of both polls.

    It fails the test when the engine has something to say that no mutation of ours made it say, when a drain does not
    end, and when a deadline that was handled does not move. `events` collects what the engine told.
    """

    def __init__(
        self,
        network: VirtualNetwork,
        engine: Engine[E],
        address: SocketAddress,
        transport: Transport = Transport.UDP,
    ) -> None:
        self.network = network
        self.address = address
        self.events: list[E] = []
        self._engine = engine
        self._transport = transport
        self._standstill = 0
        self._last_timeout: Instant | None = None
        network.attach(address, self._arrived)
        network.add_timed(self)

    def run(self, verb: Callable[[Instant], T]) -> T:
        """Mutate the engine once, by calling `verb` with the time, and drain it; returns what `verb` returned."""
        self._assert_drained()
        try:
            return verb(self.network.clock.now)
        finally:
            self._drain()

    def handle_timeout(self) -> None:
        """The engine's deadline has come."""
        self._watch_progress()
        self.run(self._engine.handle_timeout)

    def next_timeout(self) -> Instant | None:
        """The engine's deadline; reading it must not change it."""
        at = self._engine.next_timeout()
        _require(self._engine.next_timeout() == at, "reading next_timeout() changed it")
        return at

    def take_events(self) -> list[E]:
        """The events since last time."""
        events, self.events = self.events, []
        return events

    def send(self, data: bytes, path: Path) -> None:
        """Put what the engine wants to send on the network."""
        self.network.send(data, path.local, path.remote)

    def handle_event(self, event: E) -> None:
        """An event came out."""
        self.events.append(event)

    def drain_more(self) -> None:
        """What a host drains besides the two polls: nothing here."""

    def receive(self, data: bytes, source: SocketAddress, destination: SocketAddress) -> None:
        """A datagram arrived for the engine."""
        path = Path(destination, source, self._transport)
        self.run(lambda now: self._engine.handle_datagram(data, path, now))

    def _arrived(self, data: bytes, source: SocketAddress, destination: SocketAddress) -> None:
        self.receive(data, source, destination)

    def _assert_drained(self) -> None:
        _require(self._engine.poll_transmit() is None, "something to send appeared without a mutation")
        _require(self._engine.poll_event() is None, "an event appeared without a mutation")

    def _drain(self) -> None:
        self.drain_more()
        for _ in range(MAX_DRAIN):
            transmit = self._engine.poll_transmit()
            if transmit is None:
                break
            self.send(transmit.data, transmit.path)
        else:
            raise AssertionError("poll_transmit() does not end")
        for _ in range(MAX_DRAIN):
            event = self._engine.poll_event()
            if event is None:
                return
            self.handle_event(event)
        raise AssertionError("poll_event() does not end")

    def _watch_progress(self) -> None:
        at = self._engine.next_timeout()
        self._standstill = self._standstill + 1 if at is not None and at == self._last_timeout else 0
        self._last_timeout = at
        _require(self._standstill < MAX_STANDSTILL, f"the deadline {at} is handled again and again")


def _require(condition: bool, message: str) -> None:
    # Not `assert`: these are what a test is told, under `python -O` too.
    if not condition:
        raise AssertionError(message)
