"""The machine's clocks."""

from __future__ import annotations

import asyncio
import time

from icelane.aio.system import SystemWallClock, monotonic
from icelane.core.clock import Instant


def test_the_monotonic_clock_is_that_of_the_event_loop() -> None:
    async def scenario() -> None:
        assert abs(asyncio.get_running_loop().time() - monotonic()) < 1

    asyncio.run(scenario())


def test_calendar_time_is_told_for_the_instant_asked_about() -> None:
    clock = SystemWallClock()
    now = monotonic()
    assert abs(clock.unix_time(now) - time.time()) < 1
    assert abs(clock.unix_time(Instant(now + 600)) - time.time() - 600) < 1
