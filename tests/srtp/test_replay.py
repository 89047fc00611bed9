from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.errors import ReplayError
from icelane.srtp.replay import WINDOW_SIZE, ReplayWindow, estimate_index


def index(rollover: int, sequence_number: int) -> int:
    return rollover << 16 | sequence_number


@pytest.mark.parametrize(
    ("highest", "sequence_number", "expected"),
    [
        (-1, 65_535, index(0, 65_535)),
        (index(0, 5), 6, index(0, 6)),
        (index(0, 5), 4, index(0, 4)),
        (index(0, 65_535), 0, index(1, 0)),
        (index(1, 0), 65_535, index(0, 65_535)),
        (index(7, 0x7FFF), 0xFFFF, index(7, 0xFFFF)),  # 32,768 ahead: RFC 3711 counts it as ahead
        (index(7, 0x7FFE), 0xFFFF, index(6, 0xFFFF)),
        (index(7, 0x8000), 0, index(7, 0)),  # 32,768 behind
        (index(7, 0x8001), 0, index(8, 0)),
        (index(0, 5), 40_000, index(0, 40_000)),  # there is nothing before rollover 0
        (index(0xFFFFFFFF, 65_535), 0, 0),  # after 2**48 packets: behind everything
    ],
)
def test_a_number_belongs_to_the_nearest_rollover(highest: int, sequence_number: int, expected: int) -> None:
    """SR-3: RFC 3711 section 3.3.1, the table of our own."""
    assert estimate_index(highest, sequence_number) == expected


@given(st.integers(0, 1 << 47), st.integers(-0x7FFF, 0x7FFF))
def test_what_is_near_is_found(highest: int, distance: int) -> None:
    """SR-3."""
    wanted = highest + distance
    if wanted >= 0:
        assert estimate_index(highest, wanted & 0xFFFF) == wanted


@given(st.lists(st.integers(0, 3 * WINDOW_SIZE), max_size=60))
def test_a_window_remembers_as_a_set_would(indexes: list[int]) -> None:
    """SR-3."""
    window, seen = ReplayWindow(), set[int]()
    for number in indexes:
        too_old = bool(seen) and number <= max(seen) - WINDOW_SIZE
        if number in seen or too_old:
            with pytest.raises(ReplayError):
                window.check(number)
        else:
            window.check(number)
            window.add(number)
            seen.add(number)


def test_a_jump_far_ahead_keeps_no_memory() -> None:
    window = ReplayWindow()
    window.add(0)
    window.add(1 << 47)
    assert window._seen == 1
