"""What the tests of the server share: loops that tell of everything that went wrong in them."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

Run = Callable[[Coroutine[Any, Any, None]], None]
"""Runs a scenario in a loop of its own; see `run`."""


def run_in(loop_factory: Callable[[], asyncio.AbstractEventLoop], scenario: Coroutine[Any, Any, None]) -> None:
    """OP-9: run a scenario, and fail when any exception reached the loop's handler or a task was left behind."""
    unhandled: list[dict[str, Any]] = []
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        loop = runner.get_loop()
        loop.set_exception_handler(lambda _, context: unhandled.append(context))
        runner.run(scenario)
        left = asyncio.all_tasks(loop)
    gc.collect()  # exceptions of tasks and futures that nobody asked are reported when these are collected
    assert not unhandled, unhandled
    assert not left, left


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a scenario on each of the two loops that the server supports."""
    return lambda scenario: run_in(request.param, scenario)
