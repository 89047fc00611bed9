"""Times of what is decoded."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from icelane.aio.received_times import MediaTimes, SoundTimes
from icelane.media.pyav import av


def sound(samples: int = 960, rate: int = 48_000) -> av.AudioFrame:
    frame = av.AudioFrame(format="s16", layout="mono", samples=samples)
    frame.sample_rate = rate
    return frame


@given(st.integers(0, 2**32 - 1))
def test_timestamps_begin_with_zero_and_go_on_over_the_end_of_32_bits(first: int) -> None:
    times = MediaTimes()
    steps = [index * 2**30 // 64 for index in range(300)]
    assert [times.of(first + step & 0xFFFFFFFF, 90_000_000) for step in steps] == steps


def test_another_source_goes_on_where_the_last_one_stopped() -> None:
    times = MediaTimes()
    assert [times.of(1_000, 90_000), times.of(4_000, 90_000)] == [0, 3_000]
    assert [times.of(3_000_000_000, 90_000), times.of(3_000_003_000, 90_000)] == [3_001, 6_001]


def test_another_clock_goes_on_in_its_own_units() -> None:
    times = MediaTimes()
    times.of(0, 48_000)
    assert times.of(48_000, 48_000) == 48_000
    assert times.of(77, 8_000) == 8_000
    assert times.of(77 + 160, 8_000) == 8_160


def test_sound_has_no_gap_when_nothing_is_stretched() -> None:
    times, given_out = SoundTimes(), []
    for index in range(10):
        frame = sound()
        times.stamp(frame, Fraction(index, 50))
        given_out.append(frame.pts)
    assert given_out == [index * 960 for index in range(10)]
    frame = sound()
    times.stamp(frame, None)
    assert (frame.pts, frame.time_base) == (9_600, Fraction(1, 48_000))


def test_what_was_stretched_is_brought_back_little_by_little() -> None:
    times, last = SoundTimes(), -960
    for _ in range(5):  # 100 ms are made up for a packet that is late
        frame = sound()
        times.stamp(frame, None)
    for index in range(300):
        frame = sound()
        times.stamp(frame, Fraction(index, 50))
        assert frame.pts is not None
        if index:
            assert 960 - 24 <= frame.pts - last <= 960
        last = frame.pts
    assert last == 299 * 960


def test_a_long_pause_is_taken_over_at_once() -> None:
    times = SoundTimes()
    times.stamp(sound(), Fraction(0))
    later = sound()
    times.stamp(later, Fraction(2))
    assert later.pts == 96_000


def test_another_rate_goes_on() -> None:
    times = SoundTimes()
    times.stamp(sound(), Fraction(0))
    other = sound(160, 8_000)
    times.stamp(other, Fraction(1, 50))
    assert (other.pts, other.time_base) == (160, Fraction(1, 8_000))
