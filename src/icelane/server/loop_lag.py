"""How late the event loop is: what every packet waits, on average, before somebody looks at it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from icelane.aio.system import monotonic
from icelane.core.clock import Duration, Instant, later

# Often enough to see a burst of a second, rarely enough to cost nothing.
INTERVAL: Final[Duration] = 0.25

# Weight of the newest of the measurements: the average follows a change within about three seconds.
_WEIGHT: Final = 0.15


class LoopLag:
    """Sets a timer again and again and sees how late it runs. `average` follows the last few seconds."""

    def __init__(self, observe: Callable[[Duration], None]) -> None:
        self.average: Duration = 0.0
        self._observe = observe
        self._timer: asyncio.TimerHandle | None = None
        self._due: Instant = monotonic()

    def start(self) -> None:
        """Begin to measure in the running loop."""
        self._set()

    def stop(self) -> None:
        """Measure no more; again is harmless."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def handle_timer(self, now: Instant) -> None:
        """The timer ran at `now`."""
        lag = max(0.0, now - self._due)
        self.average += _WEIGHT * (lag - self.average)
        self._observe(lag)

    def _set(self) -> None:
        self._due = later(monotonic(), INTERVAL)
        self._timer = asyncio.get_running_loop().call_later(INTERVAL, self._run)

    def _run(self) -> None:
        self.handle_timer(monotonic())
        self._set()
