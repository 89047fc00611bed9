"""W3C insertDTMF."""

from __future__ import annotations

from math import inf, nan

import pytest

from icelane.core.clock import NEVER, Instant
from icelane.errors import InvalidAccessError
from icelane.media.payload.telephone_event import parse_reports
from icelane.media.tones import MAX_TONES, ToneQueue


def played(queue: ToneQueue) -> list[tuple[float, str]]:
    """When each tone began, "" at the end."""
    found = []
    while queue.next_at != NEVER:
        at = queue.next_at
        queue.advance(at)
        while (event := queue.poll_event()) is not None:
            found.append((round(at, 3), event.tone))
    return found


def test_tones_follow_each_other_with_a_gap() -> None:
    queue = ToneQueue(8000)
    queue.insert("1a#", Instant(10.0), duration=0.1, gap=0.05)
    assert queue.tones == "1A#"
    assert played(queue) == [(10.0, "1"), (10.15, "A"), (10.3, "#"), (10.45, "")]


def test_a_comma_is_a_pause_of_two_seconds() -> None:
    queue = ToneQueue(8000)
    queue.insert("1,2", Instant(10.0), duration=0.1, gap=0.1)
    assert played(queue) == [(10.0, "1"), (10.2, ","), (12.2, "2"), (12.4, "")]


def test_durations_are_kept_within_their_bounds() -> None:
    queue = ToneQueue(8000)
    queue.insert("12", Instant(10.0), duration=0.001, gap=0.0)
    assert [at for at, _ in played(queue)] == [10.0, 10.08, 10.16]  # three ends, 20 ms apart, outlast the gap
    queue.insert("12", Instant(20.0), duration=100.0, gap=0.03)
    assert [at for at, _ in played(queue)][1] == pytest.approx(26.04, abs=0.011)


@pytest.mark.parametrize(
    ("duration", "gap", "ends"), [(inf, inf, 24.0), (nan, nan, 0.16), (-inf, -1.0, 0.16), (1e300, 0.0, 12.08)]
)
def test_durations_that_are_no_durations_are_the_nearest(duration: float, gap: float, ends: float) -> None:
    """Web IDL takes what is no number as 0."""
    queue = ToneQueue(8000)
    queue.insert("12", Instant(0.0), duration=duration, gap=gap)
    assert played(queue)[-1] == (ends, "")


def test_more_tones_than_may_wait_are_refused() -> None:
    queue = ToneQueue(8000)
    queue.insert("1" * MAX_TONES, Instant(0.0))
    with pytest.raises(InvalidAccessError):
        queue.insert("1" * (MAX_TONES + 1), Instant(0.0))


def test_new_tones_take_the_place_of_those_that_have_not_begun() -> None:
    queue = ToneQueue(8000)
    queue.insert("123", Instant(10.0))
    queue.advance(Instant(10.0))
    queue.insert("9", Instant(10.01))
    assert [tone for _, tone in played(queue)] == ["1", "9", ""]


def test_no_tones_take_back_the_others() -> None:
    queue = ToneQueue(8000)
    queue.insert("123", Instant(10.0))
    queue.advance(Instant(10.0))
    queue.insert("", Instant(10.01))
    assert [tone for _, tone in played(queue)] == ["1", ""]
    assert queue.next_at == NEVER


def test_other_characters_are_refused_and_nothing_changes() -> None:
    queue = ToneQueue(8000)
    with pytest.raises(InvalidAccessError):
        queue.insert("1x", Instant(10.0))
    assert (queue.tones, queue.next_at) == ("", NEVER)


def test_packets_tell_how_long_the_tone_has_lasted() -> None:
    queue = ToneQueue(8000)
    queue.insert("0", Instant(10.0), duration=0.06)
    reports = []
    while queue.next_at != NEVER:
        for began_at, packet in queue.advance(queue.next_at):
            assert began_at == 10.0
            reports.append(parse_reports(packet.payload)[0])
    assert [report.duration for report in reports] == [160, 320, 480, 480, 480]
    assert [report.is_end for report in reports] == [False, False, True, True, True]
