"""Frames that wait for whoever reads a track: never more than a few, and what happens then is chosen.

latest       a reader gets the newest frame; one that was not read is gone
drop-oldest  up to so many wait, and then the oldest is gone
block        up to so many wait, and then whoever brings the next one does
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, Generic, Literal, TypeVar

from icelane.errors import LocalProtocolError, MediaStreamError

QueuePolicy = Literal["latest", "block", "drop-oldest"]

# What waits by default, and at most: two seconds of audio, and more pictures than anybody wants to be late by.
DEFAULT_CAPACITY: Final = 100
MAX_CAPACITY: Final = 1_000

T = TypeVar("T")


class FrameQueue(Generic[T]):
    """A bounded queue of one event loop; `dropped` counts what nobody read."""

    def __init__(self, policy: QueuePolicy = "drop-oldest", *, capacity: int = DEFAULT_CAPACITY) -> None:
        if policy not in ("latest", "block", "drop-oldest"):
            raise LocalProtocolError(f"a queue's policy is latest, block or drop-oldest, not {policy!r}")
        if not 1 <= capacity <= MAX_CAPACITY:
            raise LocalProtocolError(f"a queue holds 1 to {MAX_CAPACITY} frames, not {capacity}")
        self.policy: Final = policy
        self._capacity = 1 if policy == "latest" else capacity
        self._frames: deque[T] = deque()
        self._readers: deque[asyncio.Future[None]] = deque()
        self._writers: deque[asyncio.Future[None]] = deque()
        self._is_closed = False
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def is_full(self) -> bool:
        """Whether the next frame costs another one, or makes who brings it wait."""
        return len(self._frames) >= self._capacity

    async def put(self, frame: T) -> None:
        """Add `frame`; with the policy `block`, wait for room. After `close` it is dropped."""
        while self.policy == "block" and self.is_full and not self._is_closed:
            await _wait_in(self._writers)
        self.put_nowait(frame)

    def put_nowait(self, frame: T) -> bool:
        """Add `frame` at once; False when it was dropped, as it is with `block` when there is no room."""
        if self._is_closed:
            return False
        if self.is_full:
            self.dropped += 1
            if self.policy == "block":
                return False
            self._frames.popleft()
        self._frames.append(frame)
        _wake_one(self._readers)
        return True

    def drop_while(self, is_dropped: Callable[[T], bool]) -> None:
        """Drop from the oldest on, up to the first that is to stay."""
        while self._frames and is_dropped(self._frames[0]):
            self._frames.popleft()
            self.dropped += 1
            _wake_one(self._writers)

    async def get(self) -> T:
        """The next frame. Raises MediaStreamError when the queue is closed and none is left."""
        while not self._frames:
            if self._is_closed:
                raise MediaStreamError("the track has ended")
            await _wait_in(self._readers)
        frame = self._frames.popleft()
        _wake_one(self._writers)
        if self._frames:
            _wake_one(self._readers)
        return frame

    def drop_all(self) -> None:
        """Let go of what waits; it counts as dropped."""
        self.dropped += len(self._frames)
        self._frames.clear()
        while self._writers and not self.is_full:
            _wake_one(self._writers)

    def close(self, *, discard: bool = False) -> None:
        """Let nothing more in; what waits can still be read, but for `discard`. Idempotent."""
        self._is_closed = True
        if discard:
            self._frames.clear()
        for waiters in (self._readers, self._writers):
            while waiters:
                _wake_one(waiters)


async def _wait_in(waiters: deque[asyncio.Future[None]]) -> None:
    waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    waiters.append(waiter)
    try:
        await waiter
    except asyncio.CancelledError:
        # Who was woken and then cancelled passes it on.
        if waiter.done() and not waiter.cancelled():
            _wake_one(waiters)
        raise
    finally:
        if waiter in waiters:
            waiters.remove(waiter)


def _wake_one(waiters: deque[asyncio.Future[None]]) -> None:
    while waiters:
        waiter = waiters.popleft()
        if not waiter.done():
            waiter.set_result(None)
            return
