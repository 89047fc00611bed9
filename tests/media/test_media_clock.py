"""Which timestamp is now."""

from __future__ import annotations

import random

from icelane.core.clock import Instant
from icelane.media.media_clock import MediaClock


def test_time_goes_on_between_frames() -> None:
    clock = MediaClock(90_000)
    clock.learn(1000, Instant(5.0))
    assert clock.timestamp_at(Instant(5.5)) == 46_000


def test_a_clock_of_which_nothing_is_known_begins_when_it_is_asked() -> None:
    clock = MediaClock(8000)
    assert clock.timestamp_at(Instant(5.0)) == 0
    assert clock.timestamp_at(Instant(6.0)) == 8000


def test_frames_that_are_a_little_late_move_it_a_little() -> None:
    clock = MediaClock(48_000)
    seeded = random.Random(1)
    for index in range(500):
        clock.learn(960 * index, Instant(0.02 * index + seeded.random() * 0.02))
    assert abs(clock.timestamp_at(Instant(10.0)) - 48_000 * 9.99) < 480


def test_a_jump_is_followed_at_once() -> None:
    clock = MediaClock(48_000)
    clock.learn(0, Instant(0.0))
    clock.learn(10**7, Instant(0.02))
    assert clock.timestamp_at(Instant(0.02)) == 10**7
