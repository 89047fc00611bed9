"""When frames are sent, which are left out, and with which timestamps."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.aio.frame_pace import MAX_AHEAD, FramePace, FrameRateLimit, TimestampMapper
from icelane.core.clock import Instant
from icelane.media.pyav import av


def picture(pts: int | None = None, time_base: Fraction | None = Fraction(1, 90_000)) -> av.VideoFrame:
    frame = av.VideoFrame(16, 16, "yuv420p")
    frame.pts = pts
    if pts is not None and time_base is not None:
        frame.time_base = time_base
    return frame


def test_the_time_of_a_frame_is_its_own_or_follows() -> None:
    pace = FramePace()
    assert pace.time_of(picture(90_000)) == 1.0
    assert pace.time_of(picture()) == pytest.approx(1 + 1 / 30)
    sound = av.AudioFrame(format="s16", layout="mono", samples=800)
    sound.sample_rate = 8_000
    assert pace.time_of(sound) == pytest.approx(1 + 2 / 30)
    assert pace.time_of(sound) == pytest.approx(1.1 + 2 / 30)


def test_what_comes_at_its_time_is_not_held_back() -> None:
    pace = FramePace()
    assert pace.follow(5.0, Instant(100.0)) == (True, 0.0)
    for index in range(1, 50):
        jitter = 0.03 * (index % 3)
        assert pace.follow(5.0 + index / 30, Instant(100.0 + index / 30 + jitter)) == (False, 0.0)


def test_what_comes_at_once_is_spread() -> None:
    pace, now, waited = FramePace(), 10.0, 0.0
    for index in range(90):
        _, wait = pace.follow(index / 30, Instant(now))
        now += wait
        waited += wait
    assert waited == pytest.approx(89 / 30 - MAX_AHEAD)


def test_a_time_before_the_last_one_begins_anew_and_so_does_one_far_behind_it() -> None:
    pace = FramePace()
    pace.follow(100.0, Instant(0.0))
    assert pace.follow(0.0, Instant(0.1)) == (True, 0.0)
    assert pace.follow(0.02, Instant(0.12)) == (False, 0.0)
    assert pace.follow(50.0, Instant(0.14)) == (True, 0.0)


def test_who_was_stopped_goes_on_from_then() -> None:
    pace = FramePace()
    pace.follow(0.0, Instant(0.0))
    assert pace.follow(0.02, Instant(20.0)) == (False, 0.0)
    assert pace.follow(0.52, Instant(20.0))[1] == pytest.approx(0.5 - MAX_AHEAD)


@pytest.mark.parametrize("stall", [0.9, 1.2, 4.5])
def test_who_waits_by_itself_and_catches_up_is_not_late_for_ever(stall: float) -> None:
    pace, frames = FramePace(), range(50 * 10)
    now = 0.0
    for index in frames:
        now = max(now, index / 50, 3.0 + stall if index > 150 else 0.0)
        _, wait = pace.follow(index / 50, Instant(now))
        now += wait
    assert now == pytest.approx(frames[-1] / 50)


@pytest.mark.parametrize(
    ("rate", "limit", "expected"), [(30, 10, 10), (30, 15, 15), (30, 20, 20), (30, 60, 30), (25, 24, 24)]
)
def test_a_limit_leaves_as_many_out_as_it_must(rate: int, limit: float, expected: int) -> None:
    admits = FrameRateLimit(lambda: limit)
    seconds = 10
    admitted = sum(admits.admits(index / rate) for index in range(rate * seconds))
    assert admitted == pytest.approx(expected * seconds, abs=2)


def test_without_a_limit_everything_goes_and_one_may_come_and_go() -> None:
    limit: list[float | None] = [None]
    admits = FrameRateLimit(lambda: limit[0])
    assert all(admits.admits(index / 30) for index in range(30))
    limit[0] = 1.0
    assert sum(admits.admits(1 + index / 30) for index in range(90)) == 3
    assert admits.admits(0.0)  # another source, whose times begin anew
    limit[0] = None
    assert all(admits.admits(index / 30) for index in range(30))


@given(st.lists(st.tuples(st.integers(0, 2**40), st.floats(0.0, 5.0)), min_size=1, max_size=20))
def test_timestamps_of_one_source_after_another_grow(sources: list[tuple[int, float]]) -> None:
    mapper, now, last = TimestampMapper(90_000), 0.0, -1
    for first, pause in sources:
        now += pause
        mapper.begin()
        for index in range(3):
            mapped = mapper.map(first + index * 3_000, Instant(now))
            assert mapped > last
            last = mapped
            now += 1 / 30
    assert last <= now * 90_000 + 3 * len(sources)
