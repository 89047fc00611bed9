"""The machine's clocks."""

from __future__ import annotations

import asyncio
import time

import pytest

from icelane.aio import system
from icelane.aio.system import SystemWallClock, monotonic
from icelane.core.clock import Instant


def test_the_clock_does_not_fall_behind_that_of_the_event_loop() -> None:
    """It is ahead by as long as the machine has slept."""

    async def scenario() -> None:
        assert monotonic() > asyncio.get_running_loop().time() - 1

    asyncio.run(scenario())


def test_the_clock_goes_as_fast_as_time_does() -> None:
    before, wall = monotonic(), time.monotonic()
    time.sleep(0.05)
    assert abs((monotonic() - before) - (time.monotonic() - wall)) < 0.05


@pytest.mark.parametrize("missing", [True, False])
def test_without_a_clock_that_runs_on_there_is_the_other_one(monkeypatch: pytest.MonkeyPatch, missing: bool) -> None:
    def refuse(_: int) -> float:
        raise OSError(22, "Invalid argument")

    if missing:
        monkeypatch.delattr(time, "CLOCK_BOOTTIME", raising=False)
    else:
        monkeypatch.setattr(time, "clock_gettime", refuse)
    assert system._clock_that_runs_on() is time.monotonic


def test_calendar_time_is_told_for_the_instant_asked_about() -> None:
    clock = SystemWallClock()
    now = monotonic()
    assert abs(clock.unix_time(now) - time.time()) < 1
    assert abs(clock.unix_time(Instant(now + 600)) - time.time() - 600) < 1
