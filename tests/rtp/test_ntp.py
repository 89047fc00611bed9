from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.core.clock import UnixSeconds
from icelane.rtp.ntp import compact_duration, compact_ntp, duration_of, ntp_of, round_trip_time, unix_time_of


def test_the_epoch_is_in_1900() -> None:
    assert ntp_of(UnixSeconds(0.0)) == 2_208_988_800 << 32
    assert ntp_of(UnixSeconds(0.5)) & 0xFFFFFFFF == 1 << 31
    assert unix_time_of(2_208_988_800 << 32) == 0.0


@given(st.floats(0, 4.2e9))
def test_times_come_back_over_2036(time: float) -> None:
    assert unix_time_of(ntp_of(UnixSeconds(time))) == pytest.approx(time, abs=1e-5)


def test_the_compact_form_is_the_middle() -> None:
    assert compact_ntp(0x11223344_55667788) == 0x33445566
    assert compact_duration(1.5) == 0x18000
    assert duration_of(0x18000) == 1.5
    assert (compact_duration(-1.0), compact_duration(1e9)) == (0, 0xFFFFFFFF)


def test_the_example_of_rfc_3550_comes_out() -> None:
    """Section 6.4.1, figure 2: 6.125 s."""
    assert round_trip_time(0xB710_8000, 0xB705_2000, 0x0005_4000) == 6.125


@pytest.mark.parametrize(
    ("arrival", "last", "delay", "expected"),
    [
        (5, 0, 0, None),  # no sender report was seen
        (0x10000, 0x18000, 0, None),  # half a second before our report left
        (0x10000, 0x10001, 0, 0.0),  # rounded
        (0x0001_0000, 0xFFFF_0000, 0x1_0000, 1.0),  # over the end of 18 hours
    ],
)
def test_round_trips_at_the_edges(arrival: int, last: int, delay: int, expected: float | None) -> None:
    assert round_trip_time(arrival, last, delay) == expected
