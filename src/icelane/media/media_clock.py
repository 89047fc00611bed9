"""Which RTP timestamp is now, of a stream that is sent: what sender reports say, and where a tone begins."""

from __future__ import annotations

from typing import Final

from icelane.core.clock import Instant

# No frame comes before it was captured, and on a busy machine some come much later: the early ones say when that was.
# So the mapping goes back by this part of what a frame is early, and on by that part of what it is late, which is
# still faster than clocks drift.
_EARLY: Final = 4
_LATE: Final = 256
# What is off by more is a jump: another source, or one that was paused. A single frame may be so late for nothing.
_JUMP: Final = 0.2
_LATE_FRAMES: Final = 8


class MediaClock:
    """Maps instants to timestamps, which grow without end here."""

    __slots__ = ("_is_known", "_late", "_offset", "clock_rate")

    def __init__(self, clock_rate: int) -> None:
        self.clock_rate = clock_rate
        self._offset = 0.0
        self._is_known = False
        self._late = 0

    def learn(self, timestamp: int, captured_at: Instant) -> None:
        """What has this timestamp was captured then."""
        offset = captured_at - timestamp / self.clock_rate
        off = offset - self._offset
        self._late = self._late + 1 if off > _JUMP else 0
        if not self._is_known or off < -_JUMP or self._late >= _LATE_FRAMES:
            self._offset = offset
            self._is_known = True
        elif not self._late:
            self._offset += off / (_EARLY if off < 0 else _LATE)

    def timestamp_at(self, at: Instant) -> int:
        """The timestamp of that instant; before anything was learned, the clock began with the first that is asked."""
        if not self._is_known:
            self.learn(0, at)
        return round((at - self._offset) * self.clock_rate)
