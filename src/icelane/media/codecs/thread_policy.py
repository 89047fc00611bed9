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
_CALLING_THREAD: Final = 0


@contextmanager
def ordinary_threads() -> Iterator[None]:
    """What is opened within leaves the calling thread its policy, and starts none of another policy than the usual.

    Threads that were there before are left alone: another one may be opening an encoder too, and what its policy is
    just now is not what it is to be.
    """
    if sys.platform == "linux":
        policy, parameters = os.sched_getscheduler(_CALLING_THREAD), os.sched_getparam(_CALLING_THREAD)
        before = _threads()
        try:
            yield
        finally:
            os.sched_setscheduler(_CALLING_THREAD, policy, parameters)
            for thread in _threads() - before:
                with suppress(OSError):  # it has ended
                    os.sched_setscheduler(thread, os.SCHED_OTHER, os.sched_param(0))
    else:
        yield


def _threads() -> set[int]:
    """The kernel's numbers of this process's threads; none where it does not say."""
    return {int(name) for name in os.listdir(_TASKS)} if os.path.isdir(_TASKS) else set()
