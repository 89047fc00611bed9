"""A tone, a beep and noise, and what a tone is when it arrives."""

from __future__ import annotations

import hashlib
import math
from array import array
from collections.abc import Iterable
from fractions import Fraction
from typing import Final, NamedTuple

from icelane.errors import LocalProtocolError
from icelane.media.pyav import av

_LAYOUTS: Final = {1: "mono", 2: "stereo"}
_FULL_SCALE: Final = 32_767


class Sound:
    """A second of packed s16 sound that is repeated for as long as somebody listens.

    `rate` in Hz, 1 or 2 channels with the same in both.
    """

    def __init__(self, second: array[int], *, rate: int, channels: int) -> None:
        self._rate = rate
        self._channels = channels
        self._time_base = Fraction(1, rate)
        interleaved = second if channels == 1 else array("h", [value for value in second for _ in range(2)])
        # Twice, so that a piece that runs over the end is one slice.
        self._bytes = interleaved.tobytes() * 2

    def frame(self, start: int, samples: int) -> av.AudioFrame:
        """`samples`, at most a second of them, from the sample number `start` on, which is also the `pts`."""
        size = 2 * self._channels
        begin = start % self._rate * size
        frame = av.AudioFrame(format="s16", layout=_LAYOUTS[self._channels], samples=samples)
        frame.planes[0].update(self._bytes[begin : begin + samples * size])
        frame.sample_rate = self._rate
        frame.time_base = self._time_base
        frame.pts = start
        return frame


def tone(frequency: int, *, level: float = -20.0, rate: int = 48_000, channels: int = 2) -> Sound:
    """A sine of `frequency` Hz, at `level` dBov, where 0 is a square wave of full scale and a sine reaches -3.01."""
    if not 0 < frequency < rate / 2:
        raise LocalProtocolError(f"a tone at {rate} Hz has a frequency between 0 and {rate / 2:.0f} Hz")
    amplitude = min(1.0, 10 ** (level / 20) * math.sqrt(2)) * _FULL_SCALE
    step = 2 * math.pi * frequency / rate
    return Sound(array("h", [round(amplitude * math.sin(step * i)) for i in range(rate)]), rate=rate, channels=channels)


def beep(frequency: int, *, length: float = 0.1, level: float = -20.0, rate: int = 48_000, channels: int = 2) -> Sound:
    """The first `length` seconds of each second are a sine as `tone` has it, the rest is silence."""
    if not 0 < frequency < rate / 2 or not 0 < length < 1:
        raise LocalProtocolError(f"a beep has a frequency below {rate / 2:.0f} Hz, and lasts less than a second")
    amplitude = min(1.0, 10 ** (level / 20) * math.sqrt(2)) * _FULL_SCALE
    step, samples = 2 * math.pi * frequency / rate, round(length * rate)
    second = array("h", bytes(2 * rate))
    second[:samples] = array("h", [round(amplitude * math.sin(step * i)) for i in range(samples)])
    return Sound(second, rate=rate, channels=channels)


def noise(*, level: float = -20.0, rate: int = 48_000, channels: int = 2, seed: bytes = b"noise") -> Sound:
    """White noise at `level` dBov, the same for the same `seed`."""
    raw = array("h", hashlib.shake_128(seed).digest(2 * rate))
    scale = min(1.0, 10 ** (level / 20) * math.sqrt(3))  # evenly spread values have a third of the power of the largest
    return Sound(array("h", [int(value * scale) for value in raw]), rate=rate, channels=channels)


class ToneMeasurement(NamedTuple):
    """`frequency` in Hz, 0.0 when there is no tone; `level` in dBov, -inf for silence."""

    frequency: float
    level: float


def measure_tone(frames: Iterable[av.AudioFrame]) -> ToneMeasurement:
    """What packed s16 sound is, if it is a tone: by where its first channel rises through zero.

    A tenth of a second gives the frequency within a few tenths of a percent.
    """
    samples, rate = array("h"), 0
    for frame in frames:
        channels = len(frame.layout.channels)
        samples.extend(memoryview(frame.planes[0])[: frame.samples * channels * 2].cast("h")[::channels])
        rate = frame.sample_rate
    power = sum(value * value for value in samples) / len(samples) if samples else 0.0
    if power == 0:
        return ToneMeasurement(0.0, -math.inf)
    crossings = _rising_crossings(samples, math.sqrt(power) / 2)
    level = 10 * math.log10(power / 32_768**2)
    if len(crossings) < 2:
        return ToneMeasurement(0.0, level)
    return ToneMeasurement((len(crossings) - 1) * rate / (crossings[-1] - crossings[0]), level)


def _rising_crossings(samples: array[int], threshold: float) -> list[float]:
    """Where, between samples, the sound rises through zero; noise below `threshold` does not count."""
    crossings: list[float] = []
    is_armed = False
    candidate = 0.0
    before = 0
    for index, value in enumerate(samples):
        if before < 0 <= value:
            candidate = index - value / (value - before)
        if value < -threshold:
            is_armed = True
        elif value > threshold and is_armed:
            crossings.append(candidate)
            is_armed = False
        before = value
    return crossings
