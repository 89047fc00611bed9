"""The times of what a receiver decodes: they begin with 0, and go on when the source changes.

Those of pictures follow the sender's clock. Those of sound do so too, and have no gap: where the jitter buffer has
stretched or shortened time, they are brought back by half a millisecond with each frame.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Final

from icelane.core.clock import Duration
from icelane.rtp.sequence import TIMESTAMPS, Unwrapper

if TYPE_CHECKING:
    from icelane.media.pyav import av

# Two frames that are further apart than this belong to different sources, whose clocks have nothing in common.
_MAX_STEP: Final[Duration] = 60.0
# By how much sound may be behind its media time before that is taken over at once: a long pause.
_MAX_GAP: Final[Duration] = 0.5
# By how much sound is brought back with each frame: 2.5 % of 20 ms.
_CORRECTION: Final[Duration] = 0.0005


class MediaTimes:
    """Timestamps of 32 bits, made to grow without end from 0 on."""

    def __init__(self) -> None:
        self._clock_rate = 0
        self._unwrapper = Unwrapper(TIMESTAMPS)
        self._offset = 0
        self._last: int | None = None

    def of(self, timestamp: int, clock_rate: int) -> int:
        """The timestamp on the wire, as one that begins with 0, in the same units."""
        if clock_rate != self._clock_rate:
            self._begin(clock_rate)
        unwrapped = self._unwrapper.unwrap(timestamp & 0xFFFFFFFF)
        if self._last is None:
            self._offset -= unwrapped
        elif abs(unwrapped + self._offset - self._last) > _MAX_STEP * clock_rate:
            self._offset = self._last + 1 - unwrapped
        self._last = unwrapped + self._offset
        return self._last

    def _begin(self, clock_rate: int) -> None:
        """Another clock goes on where the last one has stopped."""
        reached = 0 if self._last is None else self._last * clock_rate // self._clock_rate
        self._clock_rate = clock_rate
        self._unwrapper = Unwrapper(TIMESTAMPS)
        self._offset, self._last = reached, None


class SoundTimes:
    """Gives decoded sound its `pts`, in samples."""

    def __init__(self) -> None:
        self._next: int | None = None
        self._rate = 0

    def stamp(self, frame: av.AudioFrame, media_time: Fraction | None) -> None:
        """`media_time` is in seconds, None for what just follows."""
        rate = frame.sample_rate
        if self._next is not None and rate != self._rate:
            self._next = self._next * rate // self._rate
        self._rate = rate
        pts = self._next if self._next is not None else 0
        if media_time is not None:
            wanted = round(media_time * rate)
            step, off = round(_CORRECTION * rate), wanted - pts
            pts = wanted if self._next is None or off > _MAX_GAP * rate else pts + max(-step, min(off, step))
        frame.pts, frame.time_base = pts, Fraction(1, rate)
        self._next = pts + frame.samples
