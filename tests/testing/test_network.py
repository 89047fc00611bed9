"""The virtual network does as it was told, repeats itself, and notices engines that are driven wrongly."""

from __future__ import annotations

from collections import deque

import pytest

from icelane.core.clock import Instant, later
from icelane.core.engine import Transmit
from icelane.core.net import Path, SocketAddress, Transport
from icelane.testing.clock import VirtualClock
from icelane.testing.network import Bottleneck, EngineHost, Link, VirtualNetwork

HERE = SocketAddress("192.0.2.1", 1000)
THERE = SocketAddress("192.0.2.2", 2000)


class Echo:
    """Sends back what it gets after a second, and tells what it got."""

    def __init__(self) -> None:
        self.transmits: deque[Transmit] = deque()
        self.told: deque[bytes] = deque()
        self.waiting: deque[tuple[Instant, Transmit]] = deque()

    def handle_datagram(self, data: bytes, path: Path, now: Instant) -> None:
        self.told.append(data)
        self.waiting.append((later(now, 1.0), Transmit(path, data[::-1])))

    def handle_timeout(self, now: Instant) -> None:
        while self.waiting and self.waiting[0][0] <= now:
            self.transmits.append(self.waiting.popleft()[1])

    def poll_transmit(self) -> Transmit | None:
        return self.transmits.popleft() if self.transmits else None

    def poll_event(self) -> bytes | None:
        return self.told.popleft() if self.told else None

    def next_timeout(self) -> Instant | None:
        return self.waiting[0][0] if self.waiting else None


class Sink:
    """Who only listens."""

    def __init__(self, network: VirtualNetwork, address: SocketAddress) -> None:
        self.network = network
        self.arrived: list[tuple[bytes, SocketAddress, Instant]] = []
        network.attach(address, self.receive)

    def receive(self, data: bytes, source: SocketAddress, destination: SocketAddress) -> None:
        self.arrived.append((data, source, self.network.clock.now))

    @property
    def numbers(self) -> list[int]:
        return [int(data) for data, _, _ in self.arrived]


def sent_over(link: Link, seed: int = 1, count: int = 1000) -> Sink:
    """What arrives of `count` numbered datagrams, one a millisecond."""
    network = VirtualNetwork(VirtualClock(), seed, link)
    sink = Sink(network, THERE)
    for number in range(count):
        network.send(str(number).encode(), HERE, THERE)
        network.run_for(0.001)
    network.run_until_quiet()
    return sink


def test_a_perfect_link_delivers_everything_in_order_and_on_time() -> None:
    sink = sent_over(Link(delay=0.25), count=100)
    assert sink.numbers == list(range(100))
    first = sink.arrived[0]
    assert first[1] == HERE
    assert first[2] == pytest.approx(1000.25)


def test_a_lossy_link_loses_about_what_it_was_told() -> None:
    sink = sent_over(Link(loss=0.2))
    assert 700 < len(sink.arrived) < 900
    assert sink.network.traffic.lost == 1000 - len(sink.arrived)
    assert sink.numbers == sorted(sink.numbers)


def test_a_duplicating_link_delivers_some_twice() -> None:
    sink = sent_over(Link(duplication=0.1))
    assert 50 < len(sink.arrived) - 1000 < 150
    assert set(sink.numbers) == set(range(1000))
    assert sink.network.traffic.duplicated == len(sink.arrived) - 1000


def test_reordering_and_jitter_change_the_order_and_lose_nothing() -> None:
    for link in (Link(reordering=0.1), Link(jitter=0.02)):
        sink = sent_over(link)
        assert sink.numbers != sorted(sink.numbers)
        assert sorted(sink.numbers) == list(range(1000))


def test_the_same_seed_has_the_same_luck_and_another_seed_another() -> None:
    link = Link(jitter=0.01, loss=0.1, duplication=0.1, reordering=0.1)
    assert sent_over(link, seed=5).arrived == sent_over(link, seed=5).arrived
    assert sent_over(link, seed=5).numbers != sent_over(link, seed=6).numbers


def test_one_parameter_does_not_change_the_luck_of_another() -> None:
    lost = set(range(1000)) - set(sent_over(Link(loss=0.1)).numbers)
    assert lost == set(range(1000)) - set(sent_over(Link(loss=0.1, duplication=0.3, jitter=0.01)).numbers)


def test_a_datagram_larger_than_the_link_takes_is_lost() -> None:
    network = VirtualNetwork(VirtualClock(), link=Link(mtu=100))
    sink = Sink(network, THERE)
    network.send(bytes(100), HERE, THERE)
    network.send(bytes(101), HERE, THERE)
    network.run_until_quiet()
    assert [len(data) for data, _, _ in sink.arrived] == [100]


def test_a_bottleneck_spreads_a_burst_over_time_and_drops_what_its_queue_has_no_room_for() -> None:
    """A kilobit a second: a datagram of 125 bytes takes a second, and two wait for as long as the queue is."""
    bottleneck = Bottleneck(rate=1000.0, queue=2.0)
    clock = VirtualClock()
    network = VirtualNetwork(clock, link=Link(delay=0.5, bottleneck=bottleneck))
    start, arrivals = clock.now, list[float]()
    network.attach(THERE, lambda *_: arrivals.append(clock.now - start))
    for _ in range(5):
        network.send(bytes(125), HERE, THERE)
    network.run_until_quiet()
    assert arrivals == [1.5, 2.5, 3.5]
    assert bottleneck.dropped == 2
    assert bottleneck.waited == 2.0
    network.send(bytes(125), HERE, THERE)
    network.run_until_quiet()
    assert bottleneck.waited == 0.0


def test_each_pair_of_hosts_may_have_its_own_link_each_way() -> None:
    network = VirtualNetwork(VirtualClock(), link=Link(loss=1.0))
    sink = Sink(network, THERE)
    network.connect(HERE.host, THERE.host, Link(delay=0.5))
    network.set_link(THERE.host, HERE.host, Link(loss=1.0))
    network.send(b"1", HERE, THERE)
    network.send(b"2", THERE, HERE)
    network.send(b"3", SocketAddress("192.0.2.3", 1), THERE)
    network.run_until_quiet()
    assert sink.numbers == [1]
    assert network.traffic.lost == 2


def test_what_is_sent_to_nobody_is_counted() -> None:
    network = VirtualNetwork(VirtualClock())
    sink = Sink(network, THERE)
    network.send(b"1", HERE, THERE)
    network.detach(THERE)
    network.run_until_quiet()
    assert not sink.arrived
    assert network.traffic.unreachable == 1


def test_an_address_has_one_owner() -> None:
    network = VirtualNetwork(VirtualClock())
    Sink(network, THERE)
    with pytest.raises(ValueError, match="in use"):
        Sink(network, THERE)
    assert network.addresses == {THERE}


def test_time_passes_exactly_as_asked_for() -> None:
    network = VirtualNetwork(VirtualClock(), link=Link(delay=0.5))
    sink = Sink(network, THERE)
    start = network.clock.now
    network.send(b"1", HERE, THERE)
    network.run_for(0.4)
    assert not sink.arrived
    network.run_for(0.2)
    assert sink.arrived
    assert network.clock.now == pytest.approx(start + 0.6)


def test_a_condition_that_never_comes_true_fails_the_test() -> None:
    network = VirtualNetwork(VirtualClock())
    with pytest.raises(AssertionError, match="not within 5"):
        network.run_until(lambda: False, timeout=5.0)


# -- engines


def test_an_engine_is_called_at_its_deadline_and_its_answer_travels_back() -> None:
    network = VirtualNetwork(VirtualClock(), link=Link(delay=0.1))
    sink = Sink(network, HERE)
    host = EngineHost(network, Echo(), THERE)
    network.send(b"12", HERE, THERE)
    network.run_until(lambda: sink.arrived)
    ((data, source, at),) = sink.arrived
    assert (data, source) == (b"21", THERE)
    assert at == pytest.approx(1001.2)
    assert host.take_events() == [b"12"]
    assert host.take_events() == []


def test_a_command_is_a_mutation_and_its_result_comes_back() -> None:
    network = VirtualNetwork(VirtualClock())
    engine = Echo()
    host = EngineHost(network, engine, THERE)

    def say(now: Instant) -> str:
        engine.transmits.append(Transmit(Path(THERE, HERE, Transport.UDP), b"7"))
        return f"at {now:.0f}"

    sink = Sink(network, HERE)
    assert host.run(say) == "at 1000"
    network.run_until_quiet()
    assert sink.numbers == [7]


def test_an_engine_that_was_mutated_behind_its_driver_s_back_fails_the_test() -> None:
    """The contract: one drain for each mutation, so nothing is there before the next."""
    network = VirtualNetwork(VirtualClock())
    engine = Echo()
    EngineHost(network, engine, THERE)
    engine.told.append(b"left over")
    network.send(b"1", HERE, THERE)
    with pytest.raises(AssertionError, match="without a mutation"):
        network.run_until_quiet()


def test_an_engine_that_never_stops_sending_fails_the_test() -> None:
    class Endless(Echo):
        def __init__(self) -> None:
            super().__init__()
            self.endless = False

        def handle_datagram(self, data: bytes, path: Path, now: Instant) -> None:
            self.endless = True

        def poll_transmit(self) -> Transmit | None:
            return Transmit(Path(THERE, HERE, Transport.UDP), b"") if self.endless else None

    network = VirtualNetwork(VirtualClock())
    EngineHost(network, Endless(), THERE)
    network.send(b"1", HERE, THERE)
    with pytest.raises(AssertionError, match="does not end"):
        network.run_until_quiet()


def test_an_engine_whose_deadline_does_not_move_fails_the_test() -> None:
    class Stuck(Echo):
        def next_timeout(self) -> Instant | None:
            return Instant(1000.0)

    network = VirtualNetwork(VirtualClock())
    EngineHost(network, Stuck(), THERE)
    with pytest.raises(AssertionError, match="again and again"):
        network.run_for(1.0)
