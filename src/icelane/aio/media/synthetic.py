"""Tracks that are made here: a test card with a clock in it, a tone, a beep, noise, each at its time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from fractions import Fraction
from typing import Final

from icelane.aio.media_stream_track import MediaStreamTrack, Pace, TrackFrame
from icelane.errors import LocalProtocolError
from icelane.media.synthetic.clock_card import MAX_NUMBER, draw_card
from icelane.media.synthetic.sound import Sound, beep, noise, tone

_CLOCK_RATE: Final = 90_000


class TestCardTrack(MediaStreamTrack):
    """Pictures with a clock that `read_card` reads: by default the event loop's, in milliseconds, when each is drawn.

    `number` gives another one. Raises LocalProtocolError for a size that cannot be drawn.
    """

    __test__ = False  # pytest looks for classes of that name

    kind = "video"

    def __init__(
        self,
        width: int = 640,
        height: int = 480,
        frame_rate: float = 30.0,
        *,
        number: Callable[[], int] | None = None,
    ) -> None:
        super().__init__()
        if not 0 < frame_rate <= 240:
            raise LocalProtocolError("a frame rate is between 0 and 240")
        draw_card(width, height, 0)
        self._size = width, height
        self._frame_rate = frame_rate
        self._number = number or _loop_milliseconds
        self._pace = Pace()
        self._index = 0

    async def recv(self) -> TrackFrame:
        self._require_live()
        seconds = self._index / self._frame_rate
        await self._pace.reach(seconds)
        self._require_live()
        self._index += 1
        return draw_card(*self._size, self._number() & MAX_NUMBER, pts=round(seconds * _CLOCK_RATE))


class _SoundTrack(MediaStreamTrack):
    kind = "audio"

    def __init__(self, sound: Sound, rate: int) -> None:
        super().__init__()
        self._sound = sound
        self._rate = rate
        self._samples = rate // 50
        self._pace = Pace()
        self._next = 0

    async def recv(self) -> TrackFrame:
        self._require_live()
        await self._pace.reach(float(Fraction(self._next, self._rate)))
        self._require_live()
        frame = self._sound.frame(self._next, self._samples)
        self._next += self._samples
        return frame


class ToneTrack(_SoundTrack):
    """A sine of `frequency` Hz at `level` dBov, s16 in frames of 20 ms."""

    def __init__(self, frequency: int = 440, *, level: float = -20.0, rate: int = 48_000, channels: int = 2) -> None:
        super().__init__(tone(frequency, level=level, rate=rate, channels=channels), rate)


class BeepTrack(_SoundTrack):
    """A beep of `frequency` Hz at the beginning of each second, s16 in frames of 20 ms."""

    def __init__(self, frequency: int = 880, *, level: float = -20.0, rate: int = 48_000, channels: int = 2) -> None:
        super().__init__(beep(frequency, level=level, rate=rate, channels=channels), rate)


class NoiseTrack(_SoundTrack):
    """White noise at `level` dBov, s16 in frames of 20 ms; the same for the same `seed`."""

    def __init__(self, *, level: float = -20.0, rate: int = 48_000, channels: int = 2, seed: bytes = b"noise") -> None:
        super().__init__(noise(level=level, rate=rate, channels=channels, seed=seed), rate)


def _loop_milliseconds() -> int:
    return int(asyncio.get_running_loop().time() * 1000)
