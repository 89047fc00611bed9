"""When what belongs to an allocation expires: one alarm for each, however much it holds.

An alarm is never later than the first deadline of its allocation. It may be earlier, when that deadline has moved
since; then it is moved when it is its turn. So what is refreshed, which is most of what happens, moves no alarm.
"""

from __future__ import annotations

import heapq
from typing import Final

from icelane.core.clock import NEVER, Instant
from icelane.turn.allocation import Allocation

# Alarms that were moved ahead, and those of allocations that have ended, stay in the heap until it is their turn; it is
# built anew when they are more than the live ones and this.
_STALE_SLACK: Final = 64
_NEVER: Final = NEVER


class AllocationAlarms:
    """The alarms of live allocations. To set one costs O(log n) amortised; memory is bounded by twice the live ones."""

    __slots__ = ("_heap", "_live", "_sequence")

    def __init__(self) -> None:
        self._heap: list[tuple[Instant, int, Allocation]] = []
        self._live = 0
        self._sequence = 0

    @property
    def entries(self) -> int:
        """How many alarms are remembered, stale ones included."""
        return len(self._heap)

    def watch(self, allocation: Allocation, at: Instant) -> None:
        """The allocation has a deadline at `at`, beside those it had."""
        if at >= allocation.alarm_at:
            return
        if allocation.alarm_at == _NEVER:
            self._live += 1
        allocation.alarm_at = at
        if len(self._heap) > 2 * self._live + _STALE_SLACK:
            self._heap = _without_stale(self._heap)
        self._push(allocation)

    def forget(self, allocation: Allocation) -> None:
        """The allocation has ended."""
        if allocation.alarm_at != _NEVER:
            self._live -= 1
            allocation.alarm_at = _NEVER
            # Else those that have ended would be remembered until their time had come.
            if len(self._heap) > 2 * self._live + _STALE_SLACK:
                self._heap = _without_stale(self._heap)

    def next(self) -> Instant | None:
        """The earliest deadline of all, or None when there is none."""
        while self._heap:
            allocation = self._heap[0][2]
            at = self._heap[0][0]
            if at != allocation.alarm_at:
                heapq.heappop(self._heap)
                continue
            deadline = allocation.next_expiry()
            if deadline <= at:
                return at
            heapq.heappop(self._heap)
            allocation.alarm_at = deadline
            self._push(allocation)
        return None

    def pop_due(self, now: Instant) -> Allocation | None:
        """One allocation with a deadline that is not after `now`, to be watched anew; None when none is left."""
        at = self.next()
        if at is None or at > now:
            return None
        allocation = heapq.heappop(self._heap)[2]
        self.forget(allocation)
        return allocation

    def _push(self, allocation: Allocation) -> None:
        self._sequence += 1
        heapq.heappush(self._heap, (allocation.alarm_at, self._sequence, allocation))


def _without_stale(heap: list[tuple[Instant, int, Allocation]]) -> list[tuple[Instant, int, Allocation]]:
    """A heap of the live alarms, one for each allocation."""
    live = list({entry[2]: entry for entry in heap if entry[0] == entry[2].alarm_at}.values())
    heapq.heapify(live)
    return live
