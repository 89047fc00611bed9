"""What is asked for again, when, and for how long."""

from __future__ import annotations

import pytest

from icelane.core.clock import NEVER, Instant
from icelane.media.missing_packets import MAX_AGE, MAX_MISSING, MAX_REORDERING, MAX_TRIES, MissingPackets

pytestmark = pytest.mark.twin


def test_a_gap_is_asked_for_at_once_and_again_after_a_round_trip() -> None:
    missing = MissingPackets()
    missing.learn_round_trip(0.05)
    missing.add(10, 13, Instant(1.0))
    assert missing.next_at == 1.0
    assert missing.due(Instant(1.0)) == [10, 11, 12]
    assert missing.due(Instant(1.05)) == []
    assert 1.05 < missing.next_at < 1.1
    assert missing.due(missing.next_at) == [10, 11, 12]


def test_what_came_is_not_asked_for() -> None:
    missing = MissingPackets()
    missing.add(10, 12, Instant(1.0))
    missing.due(Instant(1.0))
    missing.repaired(10, Instant(1.04))
    assert 10 not in missing
    assert missing.round_trip == pytest.approx(0.04)
    missing.repaired(11, Instant(1.04))
    assert missing.next_at == NEVER


def test_it_ends_after_some_tries() -> None:
    missing = MissingPackets()
    missing.learn_round_trip(0.02)
    missing.add(10, 11, Instant(1.0))
    tries = 0
    while missing.next_at != NEVER:
        tries += len(missing.due(missing.next_at))
    assert tries == MAX_TRIES
    assert len(missing) == 0


def test_it_ends_when_it_is_too_late() -> None:
    missing = MissingPackets()
    missing.learn_round_trip(0.9)
    missing.add(10, 11, Instant(1.0))
    missing.due(Instant(1.0))
    assert missing.due(Instant(1.0 + MAX_AGE + 0.3)) == []
    assert len(missing) == 0


def test_a_gap_that_is_too_long_is_given_up() -> None:
    missing = MissingPackets()
    missing.add(0, MAX_MISSING, Instant(1.0))
    assert (len(missing), missing.overflows) == (MAX_MISSING, 0)
    missing.add(MAX_MISSING + 1, MAX_MISSING + 2, Instant(1.0))
    assert (len(missing), missing.overflows) == (0, 1)
    assert missing.next_at == NEVER


def test_what_nobody_waits_for_is_forgotten() -> None:
    missing = MissingPackets()
    missing.add(10, 20, Instant(1.0))
    missing.forget_before(15)
    assert missing.due(Instant(1.0)) == [15, 16, 17, 18, 19]
    missing.forget_before(20)
    assert missing.next_at == NEVER


def test_where_packets_overtake_each_other_they_are_given_time() -> None:
    missing = MissingPackets()
    missing.add(10, 11, Instant(1.0))
    assert not missing.arrived(10, Instant(1.008))
    missing.add(20, 21, Instant(2.0))
    assert missing.due(Instant(2.0)) == []
    assert missing.next_at == pytest.approx(2.008, abs=0.001)
    assert missing.due(missing.next_at) == [20]
    missing.arrived(20, Instant(2.5))
    assert missing.reordering <= MAX_REORDERING


def test_an_answer_in_the_stream_itself_is_one_when_it_takes_about_a_round_trip() -> None:
    missing = MissingPackets()
    missing.learn_round_trip(0.05)
    missing.add(10, 12, Instant(1.0))
    missing.due(Instant(1.0))
    assert not missing.arrived(10, Instant(1.001))
    assert missing.arrived(11, Instant(1.051))
    assert not missing.arrived(99, Instant(1.1))


def test_a_round_trip_that_is_believed_too_short_is_found_out() -> None:
    missing = MissingPackets()
    missing.learn_round_trip(0.005)
    for number in range(100):
        at = Instant(1.0 + number)
        missing.add(number, number + 1, at)
        while missing.next_at < at + 0.2:
            missing.due(missing.next_at)
        missing.repaired(number, Instant(at + 0.2))
    assert missing.round_trip > 0.1
