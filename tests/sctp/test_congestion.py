"""Congestion control on virtual bottlenecks."""

from __future__ import annotations

import pytest

from icelane.core.net import SocketAddress
from icelane.sctp.congestion import Acknowledgement
from icelane.sctp.congestion.model import ModelController, Phase
from icelane.sctp.congestion.rfc9260 import Rfc9260Controller
from icelane.sctp.event import Established
from icelane.sctp.options import SctpOptions
from icelane.testing.clock import VirtualClock
from icelane.testing.network import Bottleneck, Link, VirtualNetwork
from tests.sctp.pairs import End

Controller = type[ModelController] | type[Rfc9260Controller]
MESSAGE = bytes(16_384)
TICK = 0.05


class Flow:
    """A sender that always has something to send, and a receiver."""

    def __init__(self, network: VirtualNetwork, number: int, controller: Controller, there: Link) -> None:
        options = SctpOptions(congestion=controller)
        here, other = SocketAddress(f"192.0.2.{number}", 5000), SocketAddress(f"198.51.100.{number}", 5000)
        network.set_link(here.host, other.host, there)
        self.sender = End(network, here, other, 2 * number, options)
        self.receiver = End(network, other, here, 2 * number + 1, options)
        for end in (self.sender, self.receiver):
            end.run(end.association.connect)

    def feed(self) -> None:
        self.receiver.messages.clear()
        while self.sender.told(Established) and self.sender.association.buffered_amount(0) < 1_000_000:
            self.sender.say(0, MESSAGE)


class Road:
    """Flows over one bottleneck; `waits` is how long its queue was, twenty times a second."""

    def __init__(
        self, *controllers: Controller, rate: float = 10e6, queue: float = 0.1, loss: float = 0.0, rtt: float = 0.05
    ) -> None:
        self.bottleneck = Bottleneck(rate, queue)
        self.network = VirtualNetwork(VirtualClock(), 5, Link(delay=rtt / 2, loss=loss))
        there = Link(delay=rtt / 2, loss=loss, bottleneck=self.bottleneck)
        self.flows = [Flow(self.network, n + 1, controller, there) for n, controller in enumerate(controllers)]
        self.waits: list[float] = []

    def drive(self, seconds: float) -> list[float]:
        """Goodput of each flow in Mbit/s."""
        before = [flow.receiver.received_bytes for flow in self.flows]
        self.waits = []
        for _ in range(round(seconds / TICK)):
            for flow in self.flows:
                flow.feed()
            self.network.run_for(TICK)
            self.waits.append(self.bottleneck.waited)
        after = [flow.receiver.received_bytes for flow in self.flows]
        return [(b - a) * 8 / seconds / 1e6 for a, b in zip(before, after, strict=True)]


@pytest.mark.parametrize("loss", [0.01, 0.02])
def test_random_losses_do_not_bring_the_model_down(loss: float) -> None:
    """50 ms of round trip, losses both ways, a path of 50 Mbit/s: 20 are the least."""
    (rate,) = Road(ModelController, rate=50e6, loss=loss).drive(3.0)
    assert rate >= 20.0


def test_random_losses_do_bring_rfc_9260_down() -> None:
    """The test above is about the controller, not about the path."""
    (rate,) = Road(Rfc9260Controller, rate=50e6, loss=0.01).drive(3.0)
    assert rate < 10.0


def test_the_model_fills_a_path_and_leaves_its_queue_empty() -> None:
    """10 Mbit/s and room for 100 ms: nearly all of the rate, and half of the time next to no queue."""
    road = Road(ModelController)
    road.drive(3.0)
    (rate,) = road.drive(12.0)
    assert rate >= 9.0
    waits = sorted(road.waits)
    assert waits[len(waits) // 2] < 0.015
    assert waits[len(waits) * 95 // 100] < 0.03
    assert road.flows[0].sender.association.statistics.timeouts == 0


def test_rfc_9260_fills_the_queue() -> None:
    """What the model is compared with."""
    road = Road(Rfc9260Controller)
    (rate,) = road.drive(10.0)
    assert rate >= 9.0
    assert sorted(road.waits)[len(road.waits) // 2] > 0.04


def test_two_models_share() -> None:
    road = Road(ModelController, ModelController)
    road.drive(20.0)
    one, other = road.drive(10.0)
    assert one + other >= 9.0
    assert min(one, other) > 3.0


def test_beside_rfc_9260_neither_starves() -> None:
    """The figures are in decision 0040."""
    road = Road(ModelController, Rfc9260Controller)
    model, rfc = road.drive(20.0)
    assert model + rfc >= 9.0
    assert model >= 1.0
    assert rfc >= 1.0


def test_a_path_that_becomes_slower_is_noticed() -> None:
    road = Road(ModelController, rate=20e6)
    road.drive(5.0)
    road.bottleneck._rate = 4e6
    road.drive(5.0)
    (rate,) = road.drive(5.0)
    assert 3.0 < rate < 4.0
    assert sorted(road.waits)[len(road.waits) // 2] < 0.05


def test_a_path_that_becomes_longer_is_noticed() -> None:
    road = Road(ModelController, rate=10e6)
    road.drive(3.0)
    longer = Link(delay=0.1, bottleneck=road.bottleneck)
    road.network.set_link("192.0.2.1", "198.51.100.1", longer)
    road.drive(12.0)
    (rate,) = road.drive(3.0)
    assert rate > 7.0


@pytest.mark.parametrize("controller", [ModelController, Rfc9260Controller])
def test_no_story_makes_a_window_of_nothing_or_without_end(controller: Controller) -> None:
    """Acknowledgements of every kind, timeouts, losses: at least a packet, and finite."""
    us = controller(1160)
    ack = Acknowledgement()
    for n in range(2000):
        ack.acked, ack.lost = (n * 7919) % 40_000, (n * 104_729) % 30_000 * (n % 3 == 0)
        ack.delivered += ack.acked
        ack.prior_delivered = max(ack.delivered - 50_000, 0)
        ack.round_trip = (n % 50) / 100
        ack.rate = float((n * 31) % 7 * 1e6)
        ack.flight = (n * 17) % 100_000
        ack.window_limited = ack.cumulative_advanced = n % 2 == 0
        us.on_acknowledged(ack, 1.0 + n * 0.01)  # type: ignore[arg-type]  # an instant
        if n % 97 == 0:
            us.on_timeout(1.0 + n * 0.01)  # type: ignore[arg-type]  # an instant
        if n % 41 == 0:
            us.on_recovery_entered(1000, 1.0 + n * 0.01)  # type: ignore[arg-type]  # an instant
        assert 1160 <= us.window < 1 << 33
        assert 0.0 <= us.pacing_rate < 1e9


def test_the_model_begins_fast_and_comes_to_rest() -> None:
    road = Road(ModelController)
    controller = road.flows[0].sender.association._life.outbound.congestion
    assert isinstance(controller, ModelController)
    phases = [controller.phase]
    road.drive(3.0)
    phases.append(controller.phase)
    assert phases == [Phase.STARTUP, Phase.CRUISE]
    assert controller.rate * 8 / 1e6 == pytest.approx(9.8, rel=0.1)
    road.drive(12.0)
    assert controller.minimum_round_trip == pytest.approx(0.051, rel=0.1)
