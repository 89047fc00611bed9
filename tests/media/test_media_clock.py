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


def test_it_goes_by_the_frames_that_are_least_late() -> None:
    clock = MediaClock(48_000)
    seeded = random.Random(1)
    for index in range(500):
        clock.learn(960 * index, Instant(0.02 * index + seeded.random() * 0.02))
    assert abs(clock.timestamp_at(Instant(10.0)) - 48_000 * 10) < 240


def test_it_recovers_soon_from_a_first_frame_that_was_late() -> None:
    clock = MediaClock(90_000)
    clock.learn(0, Instant(0.15))
    for index in range(1, 15):
        clock.learn(6_000 * index, Instant(index / 15))
    assert abs(clock.timestamp_at(Instant(1.0)) - 90_000) < 900


def test_a_frame_that_is_very_late_says_nothing_and_many_are_a_pause() -> None:
    clock = MediaClock(90_000)
    clock.learn(0, Instant(0.0))
    clock.learn(6_000, Instant(0.5))
    assert clock.timestamp_at(Instant(1.0)) == 90_000
    for index in range(2, 12):
        clock.learn(6_000 * index, Instant(2 + index / 15))
    assert clock.timestamp_at(Instant(3.0)) == 90_000


def test_a_jump_is_followed_at_once() -> None:
    clock = MediaClock(48_000)
    clock.learn(0, Instant(0.0))
    clock.learn(10**7, Instant(0.02))
    assert clock.timestamp_at(Instant(0.02)) == 10**7
