"""Loops that tell of everything that went wrong in them, and close what a test has opened."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

import pytest
import uvloop

Run = Callable[[Coroutine[Any, Any, None]], None]
"""Runs a scenario in a loop of its own; see `run`."""


class Closeable(Protocol):
    """A socket, or what holds one."""

    def close(self) -> None: ...


_to_close: list[Closeable] = []


def close_later(opened: Closeable) -> None:
    """Close this at the end of the scenario that runs, whatever becomes of it."""
    _to_close.append(opened)


def close_now(opened: Closeable) -> None:
    """Close what was to be closed later, in a scenario that opens more than it can hold."""
    _to_close.remove(opened)
    opened.close()


async def close_opened() -> None:
    """Close it now."""
    while _to_close:
        _to_close.pop().close()
    await asyncio.sleep(0)  # connections close in the loop's next turn


def run_in(loop_factory: Callable[[], asyncio.AbstractEventLoop], scenario: Coroutine[Any, Any, None]) -> None:
    """OP-9: run a scenario, and fail when any exception reached the loop's handler or a task was left behind."""
    unhandled: list[dict[str, Any]] = []
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        loop = runner.get_loop()
        loop.set_exception_handler(lambda _, context: unhandled.append(context))
        runner.run(_and_close(scenario))
        left = asyncio.all_tasks(loop)
    gc.collect()  # exceptions of tasks and futures that nobody asked are reported when these are collected
    if unhandled or left:  # no assert: it is not there under python -O
        raise AssertionError(f"unhandled: {unhandled}, left behind: {left}")


async def _and_close(scenario: Coroutine[Any, Any, None]) -> None:
    try:
        await scenario
    finally:
        await close_opened()


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a scenario on each of the two loops that the server supports."""
    return lambda scenario: run_in(request.param, scenario)
