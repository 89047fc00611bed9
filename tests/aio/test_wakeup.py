"""The one timer of whoever drives an engine."""

from __future__ import annotations

import asyncio

import pytest

from icelane.aio import system
from icelane.aio.system import monotonic
from icelane.aio.wakeup import Wakeup
from icelane.core.clock import later


def test_a_later_deadline_leaves_the_timer_where_it_is_and_an_earlier_one_moves_it() -> None:
    async def scenario() -> None:
        woken = asyncio.Event()
        wakeup = Wakeup(woken.set, asyncio.get_running_loop())
        wakeup.set(later(monotonic(), 3600))
        wakeup.set(later(monotonic(), 0.005))
        wakeup.set(later(monotonic(), 3600))
        await asyncio.wait_for(woken.wait(), 5)
        assert not wakeup.armed

    asyncio.run(scenario())


def test_without_a_deadline_nobody_is_woken() -> None:
    async def scenario() -> None:
        woken = asyncio.Event()
        wakeup = Wakeup(woken.set)
        wakeup.set(monotonic())
        wakeup.set(None)
        wakeup.set(None)
        assert not wakeup.armed
        for _ in range(3):
            await asyncio.sleep(0)
        assert not woken.is_set()

    asyncio.run(scenario())


def test_who_is_woken_may_set_the_next_deadline() -> None:
    async def scenario() -> None:
        turns: list[bool] = []
        done = asyncio.Event()

        def wake() -> None:
            turns.append(wakeup.armed)
            if len(turns) == 3:
                done.set()
            else:
                wakeup.set(monotonic())

        wakeup = Wakeup(wake)
        wakeup.set(monotonic())
        await asyncio.wait_for(done.wait(), 5)
        assert turns == [False, False, False]

    asyncio.run(scenario())


def test_a_clock_that_is_ahead_of_the_loops_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the machine has slept, the instants of engines are far beyond the time of the loop."""
    awake = system._read_clock
    monkeypatch.setattr(system, "_read_clock", lambda: awake() + 1e6)

    async def scenario() -> None:
        woken = asyncio.Event()
        wakeup = Wakeup(woken.set)
        wakeup.set(later(monotonic(), 0.01))
        await asyncio.wait_for(woken.wait(), 5)

    asyncio.run(scenario())
