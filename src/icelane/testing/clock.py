"""A clock that moves only when it is told to."""

from __future__ import annotations

from icelane.core.clock import Duration, Instant, UnixSeconds

# Any date will do, as long as it is not 1970: an expiry of zero must lie in the past.
DEFAULT_EPOCH = UnixSeconds(1_800_000_000.0)


class VirtualClock:
    """Monotonic and calendar time of a test; satisfies `icelane.core.clock.WallClock`.

    `step_wall` moves the calendar alone, as an administrator or NTP does.
    """

    def __init__(self, epoch: UnixSeconds = DEFAULT_EPOCH) -> None:
        self.now = Instant(1000.0)
        self._offset = epoch - self.now

    def advance(self, by: Duration) -> Instant:
        """Move both clocks `by` seconds forward and return the new instant."""
        if by < 0:
            raise ValueError("time does not run backwards")
        self.now = Instant(self.now + by)
        return self.now

    def step_wall(self, by: Duration) -> None:
        """Move calendar time alone, in either direction."""
        self._offset += by

    def unix_time(self, now: Instant) -> UnixSeconds:
        """Calendar time at `now`."""
        return UnixSeconds(now + self._offset)
