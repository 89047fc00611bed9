from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.rtp.sequence import (
    TIMESTAMPS,
    Unwrapper,
    sequence_distance,
    timestamp_distance,
)


@pytest.mark.parametrize(
    ("later", "earlier", "distance"),
    [(5, 3, 2), (3, 5, -2), (0, 65_535, 1), (65_535, 0, -1), (0x7FFF, 0, 0x7FFF), (0x8000, 0, -0x8000)],
)
def test_distances_go_the_short_way_round(later: int, earlier: int, distance: int) -> None:
    assert sequence_distance(later, earlier) == distance
    wide = timestamp_distance(later << 16, earlier << 16)
    assert wide == distance << 16


@given(st.integers(0, 0xFFFF), st.lists(st.integers(-0x8000, 0x7FFF), max_size=40))
def test_what_is_unwrapped_keeps_its_distances(first: int, steps: list[int]) -> None:
    unwrapper = Unwrapper()
    wanted = first
    assert unwrapper.unwrap(first) == first
    for step in steps:
        wanted += step
        assert unwrapper.peek(wanted & 0xFFFF) == wanted
        assert unwrapper.unwrap(wanted & 0xFFFF) == wanted


@given(st.lists(st.integers(-(1 << 31), (1 << 31) - 1), max_size=40))
def test_timestamps_unwrap_too(steps: list[int]) -> None:
    unwrapper = Unwrapper(TIMESTAMPS)
    wanted = unwrapper.unwrap(90_000)
    for step in steps:
        wanted += step
        assert unwrapper.unwrap(wanted & 0xFFFFFFFF) == wanted


def test_peeking_at_the_first_number_does_not_begin() -> None:
    unwrapper = Unwrapper()
    assert unwrapper.peek(65_535) == 65_535
    assert unwrapper.unwrap(0) == 0
    assert unwrapper.peek(65_535) == -1
