"""Where frames belong in a recording."""

from __future__ import annotations

import pytest

from icelane.aio.media.timeline import Timeline


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
