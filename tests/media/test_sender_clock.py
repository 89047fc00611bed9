"""Which moment a timestamp stands for."""

from __future__ import annotations

import pytest

from icelane.media.sender_clock import SenderClock
from icelane.rtp.ntp import ntp_of
from icelane.testing.clock import DEFAULT_EPOCH

pytestmark = pytest.mark.twin


def test_timestamps_before_and_behind_the_report_have_their_times() -> None:
    clock = SenderClock(90_000)
    assert clock.time_of(0) is None
    clock.handle_sender_report(ntp_of(DEFAULT_EPOCH), 0xFFFFFFFF)
    assert clock.time_of(0xFFFFFFFF - 45_000) == pytest.approx(DEFAULT_EPOCH - 0.5)
    assert clock.time_of(89_999) == pytest.approx(DEFAULT_EPOCH + 1.0)


def test_a_report_without_a_time_says_nothing() -> None:
    clock = SenderClock(90_000)
    clock.handle_sender_report(0, 5)
    assert not clock.is_known
