"""Asking for a key frame until one comes, less and less often."""

from __future__ import annotations

from typing import Final

from icelane.core.clock import NEVER, Duration, Instant, later

# The first repetition leaves an encoder and the network the time to answer; libwebrtc answers no faster than each
# 300 ms. An answer to us may be lost as well as the request, so it never ends, but it gets rare.
FIRST_INTERVAL: Final[Duration] = 0.3
MAX_INTERVAL: Final[Duration] = 2.0


class KeyFrameRequest:
    """One wish: made by `want`, told by `take` each time that it is due, over when `fulfil` is called."""

    __slots__ = ("_interval", "_next_at")

    def __init__(self) -> None:
        self._next_at = NEVER
        self._interval = FIRST_INTERVAL

    @property
    def next_at(self) -> Instant:
        """When to ask; NEVER when no key frame is wanted."""
        return self._next_at

    def want(self, now: Instant) -> None:
        """Decoding cannot go on. Nothing changes when a key frame is wanted already."""
        if self._next_at == NEVER:
            self._next_at = now
            self._interval = FIRST_INTERVAL

    def take(self, round_trip: Duration, now: Instant) -> bool:
        """Whether to ask now."""
        if now < self._next_at:
            return False
        self._next_at = later(now, max(self._interval, 1.5 * round_trip))
        self._interval = min(self._interval * 2, MAX_INTERVAL)
        return True

    def fulfil(self) -> None:
        """A key frame is there."""
        self._next_at = NEVER
