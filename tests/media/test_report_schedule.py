"""When reports are due."""

from __future__ import annotations

from icelane.core.clock import Instant
from icelane.media.report_schedule import AUDIO_INTERVAL, FIRST_INTERVAL, VIDEO_INTERVAL, ReportSchedule
from icelane.testing.entropy import SeededEntropy


def intervals(*, has_video: bool) -> list[float]:
    schedule = ReportSchedule(SeededEntropy(3), Instant(0.0), has_video=has_video)
    assert 0.5 * FIRST_INTERVAL <= schedule.next_at <= 1.5 * FIRST_INTERVAL
    found = []
    for _ in range(300):
        now = schedule.next_at
        assert schedule.is_due(now)
        schedule.reported(now)
        assert not schedule.is_due(now)
        found.append(schedule.next_at - now)
    return found


def test_intervals_are_those_of_browsers_spread_by_chance() -> None:
    for has_video, interval in ((True, VIDEO_INTERVAL), (False, AUDIO_INTERVAL)):
        found = intervals(has_video=has_video)
        assert 0.5 * interval <= min(found) < 0.6 * interval
        assert 1.4 * interval < max(found) <= 1.5 * interval
        assert abs(sum(found) / len(found) - interval) < 0.1 * interval


def test_a_new_stream_is_reported_soon() -> None:
    schedule = ReportSchedule(SeededEntropy(3), Instant(0.0), has_video=False)
    schedule.reported(Instant(10.0))
    schedule.hurry(Instant(10.1))
    assert schedule.next_at <= 10.1 + 1.5 * FIRST_INTERVAL
    before = schedule.next_at
    schedule.hurry(Instant(10.2))
    assert schedule.next_at <= max(before, 10.2 + 1.5 * FIRST_INTERVAL)
