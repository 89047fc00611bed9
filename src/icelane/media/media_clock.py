"""Which RTP timestamp is now, of a stream that is sent: what sender reports say, and where a tone begins."""

from __future__ import annotations

from typing import Final

from icelane.core.clock import Instant

# Frames come from a timer or an encoder, a little early or late: each moves the mapping by a part of what it is off.
_SMOOTHING: Final = 32
# What is off by more is a jump: another source, or one that was paused.
_JUMP: Final = 0.2


class MediaClock:
    """Maps instants to timestamps, which grow without end here."""

    __slots__ = ("_is_known", "_offset", "clock_rate")

    def __init__(self, clock_rate: int) -> None:
        self.clock_rate = clock_rate
        self._offset = 0.0
        self._is_known = False

    def learn(self, timestamp: int, captured_at: Instant) -> None:
        """What has this timestamp was captured then."""
        offset = captured_at - timestamp / self.clock_rate
        off = offset - self._offset
        if not self._is_known or abs(off) > _JUMP:
            self._offset = offset
            self._is_known = True
        else:
            self._offset += off / _SMOOTHING

    def timestamp_at(self, at: Instant) -> int:
        """The timestamp of that instant; before anything was learned, the clock began with the first that is asked."""
        if not self._is_known:
            self.learn(0, at)
        return round((at - self._offset) * self.clock_rate)
