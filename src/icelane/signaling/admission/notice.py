"""`on_connected` and `on_left`: told to the program in order, best effort, and never waited for."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

from icelane.aio.system import monotonic
from icelane.core.clock import Duration, Instant
from icelane.signaling.admission.hook import Hook, Notice
from icelane.signaling.admission.hook_times import FAILED, ON_CONNECTED, ON_LEFT, TIMEOUT, TOLD, HookTimes
from icelane.signaling.admission.request import Connected, Left

LOGGER: Final = logging.getLogger("icelane.signaling")

# What waits. At the bound the oldest is dropped and counted: the newest is what a program wants to know.
MAX_QUEUED: Final = 4096
_TIMEOUT: Final[Duration] = 1.0
# How long `close` waits for what is queued.
_LINGER: Final[Duration] = 2.0


class Notices:
    """A queue to the hooks, by the name of the event. One call runs at a time, so that they come in order."""

    def __init__(
        self,
        hooks: Mapping[type[Notice], Hook[Notice]],
        timeout: Duration = _TIMEOUT,
        clock: Callable[[], Instant] = monotonic,
        times: HookTimes | None = None,
    ) -> None:
        self._hooks = hooks
        self._timeout = timeout
        self._clock = clock
        self._times = times or HookTimes()
        self._queue: deque[Notice] = deque()
        self._task: asyncio.Task[None] | None = None
        self._call: asyncio.Task[object] | None = None

    def __len__(self) -> int:
        return len(self._queue)

    def tell(self, notice: Notice) -> None:
        """Queue one; nothing happens when no hook is for it."""
        if type(notice) not in self._hooks:
            return
        if len(self._queue) >= MAX_QUEUED:
            oldest = self._queue.popleft()
            self._times.dropped[_NAMES[type(oldest)]] += 1
        self._queue.append(notice)
        if self._task is None:
            self._task = asyncio.create_task(self._deliver(), name="hook notices")

    async def close(self) -> None:
        """Deliver what is queued, for two seconds at most."""
        running = self._task
        if running is None:
            return
        await asyncio.wait((running,), timeout=_LINGER)
        left = [task for task in (running, self._call) if task is not None and not task.done()]
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=_LINGER)

    async def _deliver(self) -> None:
        try:
            while self._queue:
                notice = self._queue.popleft()
                # A task, so that a hook that raises CancelledError ends only itself.
                self._call = call = asyncio.create_task(_run(self._hooks[type(notice)], notice))
                call.add_done_callback(_look_at)
                began = self._clock()
                await asyncio.wait((call,), timeout=self._timeout)
                if not call.done():
                    call.cancel()
                outcome = _outcome(call)
                self._times.observe(_NAMES[type(notice)], outcome, self._clock() - began)
                if outcome != TOLD:
                    LOGGER.warning("signaling.notice_failed", extra={"hook": _NAMES[type(notice)]})
        finally:
            self._task = None


async def _run(hook: Hook[Notice], notice: Notice) -> object:
    return await hook(notice)


def _outcome(call: asyncio.Task[object]) -> str:
    if not call.done():
        return TIMEOUT
    return FAILED if call.cancelled() or call.exception() is not None else TOLD


def _look_at(call: asyncio.Task[object]) -> None:
    """Take its exception, so that nobody is told that it was never looked at."""
    if not call.cancelled():
        call.exception()


_NAMES: Final[Mapping[type[Notice], str]] = {Connected: ON_CONNECTED, Left: ON_LEFT}
