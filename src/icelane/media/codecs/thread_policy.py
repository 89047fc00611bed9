"""Threads stay ordinary ones, whatever a library thinks of itself.

SVT-AV1, where it may, makes the threads that it starts real-time ones (SCHED_FIFO), and the thread that opens it with
them. From there every thread and every program that is started later would inherit it, and starve all others.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

_TASKS: Final = "/proc/self/task"


@contextmanager
def ordinary_threads() -> Iterator[None]:
    """What is opened within changes no thread's policy, and starts none of another policy than the usual."""
    before = _policies()
    try:
        yield
    finally:
        for thread, policy in _policies().items():
            if sys.platform == "linux" and policy != (wanted := before.get(thread, (os.SCHED_OTHER, 0))):
                with suppress(OSError):  # the thread has ended, or is not to be had back
                    os.sched_setscheduler(thread, wanted[0], os.sched_param(wanted[1]))


def _policies() -> dict[int, tuple[int, int]]:
    """Policy and priority of every thread of this process; nothing where a system has no such thing."""
    found: dict[int, tuple[int, int]] = {}
    if sys.platform == "linux" and os.path.isdir(_TASKS):
        for name in os.listdir(_TASKS):
            thread = int(name)
            with suppress(OSError):  # it has ended
                found[thread] = os.sched_getscheduler(thread), os.sched_getparam(thread).sched_priority
    return found
