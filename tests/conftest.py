"""What holds for every test."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
import sys
from collections.abc import Generator, Iterator
from typing import Final

import pytest
from hypothesis import settings

# What helpers beside the tests assert has to hold under `python -O` too. Here, because whoever imports one first must
# find it registered.
pytest.register_assert_rewrite("tests.turn.server_driver", "tests.ice.hosts")

# The same examples every time, so that a failure is the change's and not the day's; `fuzz/` looks for new ones. No
# deadline: a slow machine is not a bug, and what must be fast has a bench.
settings.register_profile("icelane", deadline=None, derandomize=True)
settings.load_profile("icelane")

_REALTIME_NICENESS: Final = -15

# A shell that runs the suite in the background has it ignore SIGINT, and what we start would ignore it, too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Take what was loaded for the tests out of every later collection: tests collect garbage to find what was left."""
    gc.collect()
    gc.freeze()


class _LoopErrors(logging.Handler):
    """What asyncio's and uvloop's handlers of last resort were told."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


_loop_errors = _LoopErrors()
logging.getLogger("asyncio").addHandler(_loop_errors)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, object, object]:
    """OP-9: an exception that nobody handled but the loop fails the test in which that happened."""
    _loop_errors.said.clear()
    result = yield
    if _loop_errors.said:
        raise AssertionError("\n".join(_loop_errors.said))
    if sys.platform == "linux" and os.sched_getscheduler(0) != os.SCHED_OTHER:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        raise AssertionError("this thread has become a real-time one, as an encoder does that: see ordinary_threads")
    return result


@pytest.fixture(autouse=True)
def _processor(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test that is about real time goes before what else runs here, where this process may ask for that."""
    if request.node.get_closest_marker("realtime") is None:
        yield
        return
    before = os.getpriority(os.PRIO_PROCESS, 0)
    _prefer(_REALTIME_NICENESS)
    try:
        yield
    finally:
        _prefer(before)


def _prefer(niceness: int) -> None:
    """Of all threads: Linux keeps one for each, and a new thread or program has that of whoever starts it."""
    threads = os.listdir("/proc/self/task") if os.path.isdir("/proc/self/task") else ["0"]
    for thread in threads:
        with contextlib.suppress(OSError):  # we may not, or it has ended
            os.setpriority(os.PRIO_PROCESS, int(thread), niceness)
