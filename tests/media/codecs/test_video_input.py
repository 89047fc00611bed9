"""What encoders of video are told about pictures and time."""

from __future__ import annotations

import pytest

from icelane.media.codecs.capability import VIDEO_CLOCK_RATE
from icelane.media.codecs.interface import MAX_FRAME_RATE
from icelane.media.codecs.video_input import PictureClock


@pytest.mark.parametrize(("asked", "expected"), [(25.0, 25.0), (0.0, 1.0), (-3.0, 1.0), (1e9, MAX_FRAME_RATE)])
def test_a_rate_that_no_encoder_takes_is_the_nearest_one_that_it_does(asked: float, expected: float) -> None:
    clock = PictureClock(30.0)
    clock.expect(asked)
    assert clock.frame_rate == expected
    assert clock.duration == round(VIDEO_CLOCK_RATE / expected)
