"""Threads on which codecs work, so that the event loop does not wait for them.

    workers = MediaWorkers()
    lane = workers.lane()                      # one for each encoder or decoder: what it is given runs in order
    frames = await lane.run(encoder.encode, frame)
    ...
    await lane.close(encoder.close)
    await workers.close()

Threads are few, daemons, and started when there is work. A lane runs on one of them at a time, and after each piece of
work another lane has its turn.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final, Generic, ParamSpec, Protocol, TypeVar

from icelane.errors import LocalProtocolError, OperationError

P = ParamSpec("P")
T = TypeVar("T")

# Codecs share the processor with the event loop, and more threads than processors only wait for each other.
MAX_THREADS: Final = 8
# Pieces of work that a lane may hold. Who gives work awaits it, so more means that nobody does: it is refused.
MAX_WAITING: Final = 16


class MediaWorkers:
    """A few threads, `threads` at most, by default as many as there are processors. For one event loop."""

    def __init__(self, threads: int | None = None) -> None:
        if threads is not None and threads < 1:
            raise LocalProtocolError("work needs a thread")
        self._limit = min(MAX_THREADS, threads or os.cpu_count() or 1)
        self._threads: list[threading.Thread] = []
        self._changed = threading.Condition()
        # Guarded by `_changed`. Each lane is in there once at most.
        self._ready: deque[MediaLane] = deque()
        self._idle = 0
        self._is_closed = False

    @property
    def threads(self) -> int:
        """How many there are."""
        return len(self._threads)

    @property
    def is_closed(self) -> bool:
        """Whether no more work is taken."""
        return self._is_closed

    def lane(self) -> MediaLane:
        """Where pieces of work run one after the other. Raises OperationError after `close`."""
        if self._is_closed:
            raise OperationError("the media threads are closed")
        return MediaLane(self)

    async def close(self) -> None:
        """End the threads, when the piece that each works on is done. What waits raises OperationError. Idempotent."""
        with self._changed:
            self._is_closed = True
            given_up, self._ready = list(self._ready), deque()
            self._changed.notify_all()
        for lane in given_up:
            lane._give_up()
        threads, self._threads = self._threads, []
        if threads:
            await run_in_thread(partial(_join, threads), name="media-workers-end")

    def _schedule(self, lane: MediaLane, *, by_worker: bool = False) -> bool:
        """Have a thread see to `lane`, which may be the one that asks; False after `close`."""
        with self._changed:
            if self._is_closed:
                return False
            self._ready.append(lane)
            if self._idle:
                self._changed.notify()
            if not by_worker and len(self._ready) > self._idle and len(self._threads) < self._limit:
                thread = threading.Thread(target=self._serve, name=f"media-worker-{len(self._threads)}", daemon=True)
                self._threads.append(thread)
                thread.start()
        return True

    def _serve(self) -> None:
        while (lane := self._next_lane()) is not None:
            if lane._work_once() and not self._schedule(lane, by_worker=True):
                lane._give_up()

    def _next_lane(self) -> MediaLane | None:
        with self._changed:
            while not self._ready:
                if self._is_closed:
                    return None
                self._idle += 1
                self._changed.wait()
                self._idle -= 1
            return self._ready.popleft()


class MediaLane:
    """Work that is done in order, one piece at a time, on whichever thread is free."""

    def __init__(self, workers: MediaWorkers) -> None:
        self._workers = workers
        self._lock = threading.Lock()
        self._running = threading.Lock()
        self._waiting: deque[_Piece] = deque()
        self._is_scheduled = False
        self._is_closed = False

    async def run(self, function: Callable[P, T], *arguments: P.args, **keywords: P.kwargs) -> T:
        """What `function` returns or raises, from a thread. What has not begun when this is cancelled does not begin.

        Raises OperationError when the lane is closed, or when MAX_WAITING pieces wait in it already.
        """
        if self._is_closed:
            raise OperationError("the media thread is closed")
        if len(self._waiting) >= MAX_WAITING:
            raise OperationError(f"{MAX_WAITING} pieces of work wait for a media thread")
        return await self._submit(lambda: function(*arguments, **keywords))

    async def close(self, last: Callable[[], None] | None = None) -> None:
        """Take no more work; run `last` behind what there is, and come back then. Idempotent.

        `last` is run even when this is cancelled, and even when the threads have ended.
        """
        if self._is_closed:
            return
        self._is_closed = True
        if last is None:
            return
        if self._workers.is_closed:
            self._run_last(last)
        else:
            await asyncio.shield(self._submit(partial(self._run_last, last), is_last=True))

    def _run_last(self, last: Callable[[], None]) -> None:
        with self._running:  # on whichever thread: never beside a piece of work
            last()

    def _submit(self, function: Callable[[], T], *, is_last: bool = False) -> asyncio.Future[T]:
        work = _Work(function, is_last=is_last)
        with self._lock:
            self._waiting.append(work)
            is_new, self._is_scheduled = not self._is_scheduled, True
        if is_new and not self._workers._schedule(self):
            self._give_up()
        return work.future

    def _work_once(self) -> bool:
        """On a thread: do one piece; whether there is another."""
        with self._lock:
            work = self._waiting.popleft() if self._waiting else None
        if work is not None and work.is_last:
            work.do()
        elif work is not None:
            with self._running:
                work.do()
        with self._lock:
            self._is_scheduled = bool(self._waiting)
            return self._is_scheduled

    def _give_up(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, deque()
            self._is_scheduled = False
        for work in waiting:
            if work.is_last:
                threading.Thread(target=work.do, name="media-worker-last", daemon=True).start()
            else:
                work.give_up()


class _Piece(Protocol):
    @property
    def is_last(self) -> bool: ...
    def do(self) -> None: ...
    def give_up(self) -> None: ...


class _Work(Generic[T]):
    """A piece of work, and who waits for it in an event loop."""

    def __init__(self, function: Callable[[], T], *, is_last: bool = False) -> None:
        self._function = function
        self.is_last: Final = is_last  # it is done though nobody may wait for it any more
        self._loop = asyncio.get_running_loop()
        self.future: asyncio.Future[T] = self._loop.create_future()

    def do(self) -> None:
        if self.future.cancelled() and not self.is_last:
            return
        try:
            result = self._function()
        except BaseException as error:  # whatever it is belongs to who waits
            self._settle(partial(self.future.set_exception, error))
        else:
            self._settle(partial(self.future.set_result, result))

    def give_up(self) -> None:
        self._settle(lambda: self.future.set_exception(OperationError("the media threads are closed")))

    def _settle(self, settle: Callable[[], None]) -> None:
        def in_loop() -> None:
            if not self.future.done():
                settle()

        with suppress(RuntimeError):  # the loop is closed, and nobody waits
            self._loop.call_soon_threadsafe(in_loop)


def _join(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.join()


async def run_in_thread(function: Callable[[], T], *, name: str) -> T:
    """What `function` returns or raises, from a daemon thread of its own. It goes on when this is cancelled."""
    work = _Work(function)
    threading.Thread(target=work.do, name=name, daemon=True).start()
    return await work.future
