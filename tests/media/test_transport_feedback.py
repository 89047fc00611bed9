"""Which packets of a transport arrived, and when."""

from __future__ import annotations

import random

import pytest

from icelane.core.clock import NEVER, Instant, later
from icelane.media.transport_feedback import INTERVAL, MAX_ARRIVALS, MAX_UNREPORTED, TransportFeedbackRecorder
from icelane.rtp.rtcp import parse_rtcp, serialize_rtcp
from icelane.rtp.rtcp.transport_feedback import TransportFeedback

pytestmark = pytest.mark.twin

NOW = Instant(50.0)


def told(recorder: TransportFeedbackRecorder, now: Instant) -> list[tuple[int, float | None]]:
    """What the sender reads of the next reports, as they are on the wire."""
    found: list[tuple[int, float | None]] = []
    for report in recorder.take(now):
        (parsed,) = parse_rtcp(serialize_rtcp([report]))
        assert isinstance(parsed, TransportFeedback)
        found += parsed.arrivals()
    return found


def test_what_came_is_told_every_tenth_of_a_second() -> None:
    recorder = TransportFeedbackRecorder(1)
    assert recorder.next_at == NEVER
    for number in (65_534, 65_535, 0, 2):
        recorder.record(number, 7, NOW)
    assert recorder.next_at == later(NOW, INTERVAL)
    assert recorder.take(later(NOW, 0.05)) == []
    arrivals = told(recorder, later(NOW, INTERVAL))
    assert [(number, at is not None) for number, at in arrivals] == [
        (65_534, True),
        (65_535, True),
        (0, True),
        (1, False),
        (2, True),
    ]
    assert recorder.next_at == NEVER


def test_differences_of_arrival_times_are_right_to_a_quarter_of_a_millisecond() -> None:
    recorder = TransportFeedbackRecorder(1)
    seeded = random.Random(2)
    times = []
    now = NOW
    for number in range(200):
        now = later(now, seeded.random() * 0.02)
        recorder.record(number, 7, now)
        times.append(now)
    arrivals = told(recorder, later(now, INTERVAL))
    offset = (arrivals[0][1] or 0) - times[0]
    for (_, at), expected in zip(arrivals, times, strict=True):
        assert at is not None
        assert abs(at - expected - offset) < 0.00026


def test_what_is_lost_between_two_reports_is_told() -> None:
    recorder = TransportFeedbackRecorder(1)
    recorder.record(10, 7, NOW)
    told(recorder, later(NOW, 0.1))
    recorder.record(13, 7, later(NOW, 0.15))
    arrivals = told(recorder, later(NOW, 0.3))
    assert [(number, at is not None) for number, at in arrivals] == [(11, False), (12, False), (13, True)]


def test_what_comes_after_it_was_told_lost_is_told_again() -> None:
    recorder = TransportFeedbackRecorder(1)
    for number in (10, 12, 13):
        recorder.record(number, 7, NOW)
    told(recorder, later(NOW, 0.1))
    recorder.record(11, 7, later(NOW, 0.12))
    arrivals = told(recorder, later(NOW, 0.3))
    assert [(number, at is not None) for number, at in arrivals] == [(11, True), (12, True), (13, True)]


def test_reports_are_numbered() -> None:
    recorder = TransportFeedbackRecorder(1)
    counts = []
    for turn in range(300):
        at = later(NOW, turn * 0.2)
        recorder.record(turn, 7, at)
        counts += [report.feedback_count for report in recorder.take(later(at, INTERVAL))]
    assert counts == [turn & 0xFF for turn in range(300)]


def test_the_second_arrival_of_a_packet_does_not_count() -> None:
    recorder = TransportFeedbackRecorder(1)
    recorder.record(10, 7, NOW)
    recorder.record(10, 7, later(NOW, 0.05))
    assert len(told(recorder, later(NOW, 0.1))) == 1


def test_many_packets_are_told_earlier() -> None:
    recorder = TransportFeedbackRecorder(1)
    for number in range(MAX_UNREPORTED):
        recorder.record(number, 7, NOW)
    assert len(told(recorder, NOW)) == MAX_UNREPORTED


def test_what_is_kept_is_bounded_also_when_nobody_asks() -> None:
    recorder = TransportFeedbackRecorder(1)
    seeded = random.Random(1)
    for number in range(3 * MAX_ARRIVALS):
        recorder.record(number & 0xFFFF, 7, NOW)
        recorder.record(seeded.randrange(1 << 16), 7, NOW)
        assert len(recorder._arrivals) <= MAX_ARRIVALS
    for report in recorder.take(NOW):
        assert parse_rtcp(serialize_rtcp([report]))


def test_a_counter_that_begins_anew_is_no_loss() -> None:
    recorder = TransportFeedbackRecorder(1)
    recorder.record(10, 7, NOW)
    told(recorder, later(NOW, 0.1))
    recorder.record(30_000, 7, later(NOW, 0.2))
    assert len(told(recorder, later(NOW, 0.4))) == 1
