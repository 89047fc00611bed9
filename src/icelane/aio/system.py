"""The machine's clocks. Nothing else in icelane reads one."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from icelane.core.clock import Instant, UnixSeconds


def monotonic() -> Instant:
    """Now, on a clock that runs on while the machine sleeps, where there is one.

    Consent, permissions and allocations end at the other side then, too. The event loop's clock may stand still
    meanwhile: `call_later` with a difference, and never `call_at`.
    """
    return Instant(_read_clock())


def _clock_that_runs_on() -> Callable[[], float]:
    """CLOCK_BOOTTIME of Linux; where it is missing, the clock that may stand still."""
    if not hasattr(time, "CLOCK_BOOTTIME"):
        return time.monotonic
    try:
        time.clock_gettime(time.CLOCK_BOOTTIME)
    except OSError:
        return time.monotonic
    return partial(time.clock_gettime, time.CLOCK_BOOTTIME)


_read_clock = _clock_that_runs_on()


def monotonic_microseconds() -> int:
    """Now, on the clock that service managers compare by: Linux's CLOCK_MONOTONIC, which stands still during sleep."""
    return time.monotonic_ns() // 1000


class SystemWallClock:
    """Calendar time of this machine; satisfies `icelane.core.clock.WallClock`.

    The difference to the monotonic clock is read at every call, because NTP and administrators step it.
    """

    def unix_time(self, now: Instant) -> UnixSeconds:
        """Calendar time at the instant `now`."""
        return UnixSeconds(now + (time.time() - _read_clock()))
