"""Time as a value: engines are told `now`, they never read a clock."""

from __future__ import annotations

import heapq
from collections.abc import Hashable
from typing import Generic, NewType, Protocol, TypeVar

Instant = NewType("Instant", float)
"""A point on the monotonic clock, in seconds. Only differences mean anything."""

Duration = float
"""A length of time in seconds."""

UnixSeconds = NewType("UnixSeconds", float)
"""Seconds since 1970 on the wall clock. Only credentials and nonces may depend on it."""

NEVER = Instant(float("inf"))


def later(now: Instant, by: Duration) -> Instant:
    """`now` moved `by` seconds into the future."""
    return Instant(now + by)


def earliest(*deadlines: Instant | None) -> Instant | None:
    """The first of some deadlines; None where there is none, and when all are None."""
    found: Instant | None = None
    for at in deadlines:
        if at is not None and (found is None or at < found):
            found = at
    return found


class WallClock(Protocol):
    """What translates the monotonic `now` into calendar time, for credentials with an expiry date."""

    def unix_time(self, now: Instant) -> UnixSeconds:
        """Calendar time at the instant `now`."""
        ...


K = TypeVar("K", bound=Hashable)

# Cancelled and moved timers leave stale heap entries behind; the heap is rebuilt when they outnumber the live ones.
_STALE_SLACK = 64


class TimerTable(Generic[K]):
    """Deadlines by key: each key has at most one.

    `set` and `cancel` cost O(log n) amortised, `next` O(1). Memory is bounded by twice the live timers.
    """

    __slots__ = ("_deadlines", "_heap", "_sequence")

    def __init__(self) -> None:
        self._deadlines: dict[K, tuple[Instant, int]] = {}
        self._heap: list[tuple[Instant, int, K]] = []
        self._sequence = 0

    def __len__(self) -> int:
        return len(self._deadlines)

    def __contains__(self, key: K) -> bool:
        return key in self._deadlines

    def set(self, key: K, at: Instant) -> None:
        """Arm `key` for `at`; an earlier deadline of the same key is replaced."""
        self._sequence += 1
        self._deadlines[key] = (at, self._sequence)
        if len(self._heap) > 2 * len(self._deadlines) + _STALE_SLACK:
            self._heap = [(when, order, name) for name, (when, order) in self._deadlines.items()]
            heapq.heapify(self._heap)
        else:
            heapq.heappush(self._heap, (at, self._sequence, key))

    def cancel(self, key: K) -> None:
        """Disarm `key`; nothing happens when it was not armed."""
        self._deadlines.pop(key, None)

    def deadline(self, key: K) -> Instant | None:
        """When `key` fires, or None."""
        entry = self._deadlines.get(key)
        return entry[0] if entry else None

    def next(self) -> Instant | None:
        """The earliest deadline, or None when nothing is armed."""
        self._drop_stale()
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now: Instant) -> K | None:
        """Disarm and return one key whose deadline is not after `now`, earliest first; None when none is left."""
        self._drop_stale()
        if not self._heap or self._heap[0][0] > now:
            return None
        key = heapq.heappop(self._heap)[2]
        del self._deadlines[key]
        return key

    def clear(self) -> None:
        """Disarm everything."""
        self._deadlines.clear()
        self._heap.clear()

    def _drop_stale(self) -> None:
        heap = self._heap
        while heap:
            at, order, key = heap[0]
            if self._deadlines.get(key) == (at, order):
                return
            heapq.heappop(heap)
