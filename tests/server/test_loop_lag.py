"""The loop's lateness, measured by a timer that sets itself again."""

from __future__ import annotations

import asyncio

from icelane.core.clock import Duration, later
from icelane.server.loop_lag import INTERVAL, LoopLag
from tests.loops import Run
from tests.server.clients import eventually


def test_lateness_is_observed_again_and_again_until_it_is_stopped(run: Run) -> None:
    async def scenario() -> None:
        seen: list[Duration] = []
        lag = LoopLag(seen.append)
        lag.start()
        await eventually(lambda: len(seen) >= 2)
        lag.stop()
        lag.stop()
        assert all(late >= 0 for late in seen)

    run(scenario())


def test_the_average_follows_a_loop_that_is_late_and_forgets_it() -> None:
    lag = LoopLag(lambda _: None)
    due = lag._due
    for _ in range(20):
        lag.handle_timer(later(due, 0.2))
    assert 0.15 < lag.average < 0.2
    for _ in range(40):
        lag.handle_timer(due)
    assert lag.average < 0.01


def test_a_timer_that_is_early_is_not_late() -> None:
    """uvloop rounds to milliseconds, both ways."""
    seen: list[Duration] = []
    lag = LoopLag(seen.append)
    lag.handle_timer(later(lag._due, -0.001))
    assert seen == [0.0]


def test_the_timer_is_the_only_thing_that_is_left_between_two_measurements(run: Run) -> None:
    async def scenario() -> None:
        before = asyncio.all_tasks()
        lag = LoopLag(lambda _: None)
        lag.start()
        assert asyncio.all_tasks() == before
        assert INTERVAL > 0.1, "it costs nothing that anybody could measure"
        lag.stop()

    run(scenario())
