"""When frames of a track are sent, as their times say: what comes at once is spread, and what is too much left out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from icelane.core.clock import Duration, Instant

if TYPE_CHECKING:
    from icelane.media.pyav import av

# Most tracks wait by themselves, and are a little early or late. One that does not wait may be ahead by so much, and
# the peer's buffer takes it.
MAX_AHEAD: Final[Duration] = 0.25
# One that stopped for longer goes on from now, rather than catch up at once. After less it may catch up: a track that
# waits by itself does so, and would be late for ever if it were held back, by other than what it belongs to.
MAX_LATE: Final[Duration] = 5.0
# A step of the frames' own times that is more than this is another beginning: a file that starts again.
MAX_STEP: Final[Duration] = 5.0
# What a frame without a time is taken to last.
_PICTURE: Final[Duration] = 1 / 30


class FramePace:
    """Follows the times of one track's frames, in seconds from any beginning."""

    def __init__(self) -> None:
        self._begin: Instant | None = None
        self._last: Duration | None = None
        self._next: Duration = 0.0

    def time_of(self, frame: av.AudioFrame | av.VideoFrame) -> Duration:
        """The frame's time, or what follows on the one before it where it has none."""
        time = self._next
        if frame.pts is not None and frame.time_base is not None:
            time = frame.pts * frame.time_base.numerator / frame.time_base.denominator
        samples, rate = getattr(frame, "samples", 0), getattr(frame, "sample_rate", 0)
        self._next = time + (samples / rate if samples and rate else _PICTURE)
        return time

    def follow(self, time: Duration, now: Instant) -> tuple[bool, Duration]:
        """Whether the frame begins anew, and for how many seconds it is to be held back."""
        last, self._last = self._last, time
        is_new = last is None or time < last or time - last > MAX_STEP
        if is_new or self._begin is None:
            self._begin = Instant(now - time)
            return is_new, 0.0
        ahead = self._begin + time - now
        if ahead < -MAX_LATE:
            self._begin = Instant(now - time)
        return False, max(0.0, ahead - MAX_AHEAD)


class FrameRateLimit:
    """Leaves frames out beyond a rate that may change: all at 0, none at None."""

    def __init__(self, rate: Callable[[], float | None]) -> None:
        self._rate = rate
        self._next: Duration | None = None

    def admits(self, time: Duration) -> bool:
        """Whether the frame of that time is to be sent."""
        rate = self._rate()
        if rate is None:
            self._next = None
            return True
        if rate <= 0:
            self._next = None
            return False
        if self._next is None or time < self._next - 2 / rate:
            self._next = time  # the beginning, or a time before it: another source
        if time < self._next - 0.001:
            return False
        self._next = max(self._next, time - 1 / rate) + 1 / rate
        return True


class TimestampMapper:
    """Timestamps of one stream that go on across sources and pauses, by the clock."""

    def __init__(self, clock_rate: int) -> None:
        self.clock_rate = clock_rate
        self._offset: int | None = None
        self._last: tuple[int, Instant] | None = None

    def begin(self) -> None:
        """What comes next is of another source, or follows on a pause."""
        self._offset = None

    def map(self, timestamp: int, now: Instant) -> int:
        """The timestamp that is sent at `now` for a source's own."""
        if self._offset is None:
            expected = 0
            if self._last is not None:
                last, at = self._last
                expected = last + max(1, round((now - at) * self.clock_rate))
            self._offset = expected - timestamp
        mapped = timestamp + self._offset
        self._last = mapped, now
        return mapped
