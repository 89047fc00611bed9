"""Congestion control on virtual bottlenecks."""

from __future__ import annotations

import pytest

from icelane.sctp.congestion import Acknowledgement
from icelane.sctp.congestion.model import ModelController, Phase
from icelane.sctp.congestion.rfc9260 import Rfc9260Controller
from icelane.testing.network import Link
from tests.sctp.roads import Controller, Road


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
    assert road.wait(0.5) < 0.015
    assert road.wait(0.95) < 0.03
    assert road.flows[0].sender.association.statistics.timeouts == 0


def test_rfc_9260_fills_the_queue() -> None:
    """What the model is compared with."""
    road = Road(Rfc9260Controller)
    (rate,) = road.drive(10.0)
    assert rate >= 9.0
    assert road.wait(0.5) > 0.04


def test_two_models_share() -> None:
    road = Road(ModelController, ModelController)
    road.drive(20.0)
    one, other = road.drive(10.0)
    assert one + other >= 9.0
    assert min(one, other) > 3.0


def test_beside_rfc_9260_neither_starves() -> None:
    """The figures are in decision 0015."""
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
    assert road.wait(0.5) < 0.05


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


def test_on_a_very_short_path_the_window_holds_more_than_a_burst() -> None:
    """0.2 ms at 200 Mbit/s hold 5,000 bytes: too little for an end that wakes up once a millisecond."""
    road = Road(ModelController, rate=200e6, rtt=0.0002)
    (rate,) = road.drive(1.0)
    assert rate > 150.0
    assert road.flows[0].sender.association.statistics.congestion_window > 100_000
    assert road.wait(0.95) < 0.03
