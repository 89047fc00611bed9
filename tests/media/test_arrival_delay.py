"""How much later than the fastest packets others come."""

from __future__ import annotations

import random

import pytest

from icelane.core.clock import Instant
from icelane.media.arrival_delay import MAX_DELAY, ArrivalDelay

pytestmark = pytest.mark.twin


def feed(delay: ArrivalDelay, latenesses: list[float], start: float = 0.0) -> Instant:
    now = start
    for index, lateness in enumerate(latenesses):
        now = start + 0.02 * index
        delay.learn(round(48_000 * now), Instant(now + 0.1 + lateness))
    return Instant(now + 0.1)


def test_a_steady_network_needs_nothing() -> None:
    delay = ArrivalDelay(48_000, 0.97)
    before = delay.is_known
    now = feed(delay, [0.0] * 100)
    assert (before, delay.is_known) == (False, True)
    assert delay.needed(now) == 0
    assert delay.expected(48_000) == pytest.approx(1.1)


def test_the_delay_is_enough_for_that_share_of_packets() -> None:
    delay = ArrivalDelay(48_000, 0.95)
    seeded = random.Random(3)
    now = feed(delay, [seeded.random() * 0.1 for _ in range(1000)])
    assert 0.09 <= delay.needed(now) <= 0.1


def test_one_late_packet_in_a_hundred_does_not_count_unless_it_was_too_late() -> None:
    delay = ArrivalDelay(48_000, 0.97)
    now = feed(delay, [0.2 if index % 100 == 50 else 0.0 for index in range(500)])
    assert delay.needed(now) == 0
    delay.was_late(0.2, now)
    assert delay.needed(now) == pytest.approx(0.2)
    assert delay.needed(Instant(now + 5.0)) == pytest.approx(0.1)
    assert delay.needed(Instant(now + 60.0)) < 0.001


def test_a_path_that_has_got_longer_is_believed_after_a_while() -> None:
    delay = ArrivalDelay(48_000, 0.97)
    feed(delay, [0.0] * 100)
    now = feed(delay, [0.3] * 800, start=2.0)
    assert delay.expected(round(48_000 * now)) == pytest.approx(now + 0.4)


def test_the_clocks_may_drift_apart() -> None:
    delay = ArrivalDelay(48_000, 0.97)
    now = 0.0
    for index in range(3000):
        now = 0.02 * index * 1.001  # a thousandth is ten times what clocks do
        delay.learn(960 * index, Instant(now))
    assert delay.needed(Instant(now)) <= 0.015


def test_a_clock_that_begins_anew_is_followed_at_once() -> None:
    delay = ArrivalDelay(48_000, 0.97)
    now = feed(delay, [0.0] * 50)
    assert delay.learn(2**31, now) == 0
    assert delay.expected(2**31) == pytest.approx(now)
    assert delay.needed(now) <= MAX_DELAY


def test_it_counts_for_hours() -> None:
    delay = ArrivalDelay(48_000, 0.97)
    now = feed(delay, [0.01] * 20 + [0.0] * 200_000)
    assert delay.needed(now) == 0
