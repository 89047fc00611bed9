"""Tone and noise: frequency and level are what was asked for."""

from __future__ import annotations

import math

import pytest

from icelane.errors import LocalProtocolError
from icelane.media.synthetic.sound import measure_tone, noise, tone


@pytest.mark.parametrize(("frequency", "rate", "channels"), [(440, 48_000, 2), (1000, 8_000, 1), (3_000, 16_000, 1)])
def test_a_tone_has_its_frequency_and_level(frequency: int, rate: int, channels: int) -> None:
    sound = tone(frequency, level=-26, rate=rate, channels=channels)
    measured = measure_tone(sound.frame(index * rate // 50, rate // 50) for index in range(20))
    assert measured.frequency == pytest.approx(frequency, rel=1e-3)
    assert measured.level == pytest.approx(-26, abs=0.1)


def test_a_tone_goes_on_over_the_end_of_its_second() -> None:
    sound = tone(440)
    assert measure_tone([sound.frame(47_000, 9_600)]).frequency == pytest.approx(440, rel=1e-3)


def test_noise_has_its_level_and_is_the_same_each_time() -> None:
    assert measure_tone([noise(level=-30).frame(0, 48_000)]).level == pytest.approx(-30, abs=0.2)
    assert bytes(noise().frame(5, 960).planes[0]) == bytes(noise().frame(5, 960).planes[0])
    assert bytes(noise().frame(5, 960).planes[0]) != bytes(noise(seed=b"other").frame(5, 960).planes[0])


def test_silence_is_no_tone() -> None:
    silence = tone(440, level=-200).frame(0, 960)
    assert measure_tone([silence]) == (0.0, -math.inf)
    assert measure_tone([]) == (0.0, -math.inf)


@pytest.mark.parametrize("frequency", [0, 4_000])
def test_a_tone_that_the_rate_cannot_carry_is_refused(frequency: int) -> None:
    with pytest.raises(LocalProtocolError):
        tone(frequency, rate=8_000)
