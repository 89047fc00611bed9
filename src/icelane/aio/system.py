"""The machine's clocks. Nothing else in icelane reads one."""

from __future__ import annotations

import time

from icelane.core.clock import Instant, UnixSeconds


def monotonic() -> Instant:
    """Now, on the clock that the event loop's `call_at` uses too."""
    return Instant(time.monotonic())


class SystemWallClock:
    """Calendar time of this machine; satisfies `icelane.core.clock.WallClock`.

    The difference to the monotonic clock is read at every call, because NTP and administrators step it.
    """

    def unix_time(self, now: Instant) -> UnixSeconds:
        """Calendar time at the instant `now`."""
        return UnixSeconds(now + (time.time() - time.monotonic()))
