"""Where frames belong in a recording."""

from __future__ import annotations

from itertools import pairwise

import pytest

from icelane.aio.media.timeline import MAX_ENDPOINTS, CaptureClocks, Timeline
from icelane.core.clock import UnixSeconds
from icelane.media.capture_time import CaptureTime


def test_only_the_first_frame_goes_by_its_arrival() -> None:
    timeline = Timeline()
    arrivals = [(100.0, 2.0), (100.02, 2.3), (100.04, 2.01), (100.5, 2.9)]
    assert [timeline.place(time, 0.02, arrival) for time, arrival in arrivals] == pytest.approx([2.0, 2.02, 2.04, 2.5])


@pytest.mark.parametrize("jump", [0.0, 5_000.0])
def test_times_that_begin_anew_go_on_from_their_arrival(jump: float) -> None:
    timeline = Timeline()
    timeline.place(1_000.0, 0.02, 0.0)
    timeline.place(1_003.0, 0.02, 3.1)
    assert timeline.place(jump, 0.02, 4.0) == pytest.approx(4.0)
    assert timeline.place(jump + 0.02, 0.02, 9.0) == pytest.approx(4.02)


def test_what_begins_anew_is_not_put_upon_what_was_before() -> None:
    timeline = Timeline()
    timeline.place(0.0, 0.02, 0.0)
    timeline.place(8.0, 0.02, 0.1)  # made faster than it is played
    assert timeline.place(0.0, 0.02, 0.2) == pytest.approx(8.02)


def test_nothing_is_placed_before_the_beginning() -> None:
    timeline = Timeline()
    timeline.place(10.0, 0.02, 0.1)
    assert timeline.place(9.7, 0.02, 0.1) == 0.0


def captured(at: float, cname: str = "alice") -> CaptureTime:
    return CaptureTime(cname, UnixSeconds(at))


def test_tracks_of_one_endpoint_are_placed_by_when_they_were_captured() -> None:
    """Sound came at once, and the picture that was captured with it half a second late."""
    clocks = CaptureClocks()
    sound, picture = Timeline(clocks), Timeline(clocks)
    assert sound.place(7.0, 0.02, 0.1, captured(1_000.0)) == pytest.approx(0.1)
    assert picture.place(0.0, 0.02, 0.6, captured(1_000.0)) == pytest.approx(0.1)
    assert picture.place(1.0, 0.02, 1.6) == pytest.approx(1.1)  # made up: it follows what was known


def test_tracks_of_two_endpoints_are_placed_by_their_arrival() -> None:
    clocks = CaptureClocks()
    Timeline(clocks).place(0.0, 0.02, 0.1, captured(1_000.0))
    assert Timeline(clocks).place(0.0, 0.02, 0.6, captured(1_003.0, "bob")) == pytest.approx(0.6)


def test_a_clock_that_is_set_anew_moves_nothing() -> None:
    clocks = CaptureClocks()
    timeline, other = Timeline(clocks), Timeline(clocks)
    timeline.place(0.0, 0.02, 0.0, captured(1_000.0))
    assert timeline.place(1.0, 0.02, 1.0, captured(90_000.0)) == pytest.approx(1.0)
    assert other.place(0.0, 0.02, 3.0, captured(90_001.0)) == pytest.approx(2.0)


def test_reports_that_are_a_little_off_move_little_and_those_that_stay_so_are_followed() -> None:
    timeline = Timeline()
    timeline.place(0.0, 0.02, 0.0, captured(1_000.0))
    assert timeline.place(1.0, 0.02, 1.0, captured(1_001.008)) == pytest.approx(1.0, abs=0.0002)
    places = [timeline.place(1 + index / 50, 0.02, 0.0, captured(1_001.008 + index / 50)) for index in range(1, 250)]
    assert places[-1] == pytest.approx(1.008 + 249 / 50, abs=0.0005)
    assert all(0.0195 < later - one < 0.0205 for one, later in pairwise(places))


def test_endpoints_beyond_the_bound_go_by_arrivals() -> None:
    clocks = CaptureClocks()
    for index in range(MAX_ENDPOINTS):
        clocks.place(captured(0.0, str(index)), 0.0)
    for at in (5.0, 6.0):
        assert clocks.place(captured(at, "another"), 3.0) == 3.0
