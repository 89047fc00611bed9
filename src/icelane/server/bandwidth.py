"""Soft limits on how much an allocation, a user and the server relay.

Each limit is a bucket that fills at so many bytes per second and holds one second's worth. A packet passes while its
allocation's, its user's and the server's bucket all have something in them, and is taken from each, so a bucket may
go into debt by one packet: that keeps any size of packet passing at any limit. Bytes to and from the peer count alike.
What does not pass is dropped, never queued.

A user's bucket outlives the user's last allocation until it would be full anyway; otherwise whoever allocates again and
again would start with a second's worth each time (TQ-9).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Final, Protocol

from icelane.core.clock import NEVER, Instant, TimerTable, later

# Users without an allocation whose bucket is still filling: for a second after a flow, a little more after a debt. One
# more, and the one is forgotten that is nearest to full, which gives its user the least. By default the server has no
# more allocations than this that could end at once.
MAX_RESTING_USERS: Final = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class BandwidthLimits:
    """Bytes per second; 0 is no limit, which is the default because a relay that throttles unasked looks broken."""

    per_allocation: int = 0
    per_user: int = 0
    total: int = 0


class Bucket(Protocol):
    """Made for every allocation and user, asked for every packet. `level` is what is in it, which may be a debt."""

    level: float

    def fill(self, now: Instant) -> float:
        """What is in it now."""
        ...

    def full_at(self, now: Instant) -> Instant:
        """When it holds all it can, if nothing is taken."""
        ...


class PythonBucket:
    """See Bucket."""

    __slots__ = ("_filled_at", "_rate", "level")

    def __init__(self, rate: int) -> None:
        self._rate = float(rate)
        self._filled_at = float("-inf")
        self.level = 0.0

    def fill(self, now: Instant) -> float:
        """What is in it now."""
        self.level = min(self._rate, self.level + (now - self._filled_at) * self._rate)
        self._filled_at = now
        return self.level

    def full_at(self, now: Instant) -> Instant:
        """When it holds all it can, if nothing is taken."""
        return later(now, (self._rate - self.fill(now)) / self._rate)


class Meter:
    """The buckets that one allocation draws on. `dropped` counts the packets that did not pass."""

    __slots__ = ("_buckets", "dropped")

    def __init__(self, buckets: tuple[Bucket, ...]) -> None:
        self._buckets = buckets
        self.dropped = 0

    @property
    def buckets(self) -> tuple[Bucket, ...]:
        """Of the allocation, of its user, of the server; those that there are."""
        return self._buckets

    def admit(self, size: int, now: Instant) -> bool:
        """Whether a packet of `size` bytes may pass; it is paid for when it does."""
        for bucket in self._buckets:
            if bucket.fill(now) <= 0:
                self.dropped += 1
                return False
        for bucket in self._buckets:
            bucket.level -= size
        return True


_UNLIMITED: Final[tuple[Bucket, ...]] = ()


class Bandwidth:
    """The limits of one server.

    Memory is a bucket for each open allocation, each user that has one, and at most MAX_RESTING_USERS others.
    """

    def __init__(self, limits: BandwidthLimits, make: Callable[[int], Bucket] = PythonBucket) -> None:
        """`make` gives a bucket of so many bytes per second: who relays without Python needs buckets of its own."""
        self._limits = limits
        self._make = make
        self._total = (make(limits.total),) if limits.total else _UNLIMITED
        self._meters_by_allocation: dict[Hashable, tuple[Meter, str]] = {}
        self._buckets_by_user: dict[str, tuple[Bucket, int]] = {}
        self._resting: TimerTable[str] = TimerTable()

    def __len__(self) -> int:
        """How many allocations are open."""
        return len(self._meters_by_allocation)

    @property
    def users(self) -> int:
        """How many users have a bucket of their own."""
        return len(self._buckets_by_user)

    @property
    def limits(self) -> BandwidthLimits:
        """What it goes by."""
        return self._limits

    @property
    def unlimited(self) -> bool:
        """Whether everything passes, so that nobody need ask."""
        return self._limits == BandwidthLimits()

    def open(self, allocation: Hashable, user_key: str) -> Meter:
        """Begin to count an allocation; keep the meter beside its routes. Opening it again returns the same meter."""
        known = self._meters_by_allocation.get(allocation)
        if known is not None:
            return known[0]
        own = (self._make(self._limits.per_allocation),) if self._limits.per_allocation else _UNLIMITED
        meter = Meter(own + self._join(user_key) + self._total)
        self._meters_by_allocation[allocation] = (meter, user_key)
        return meter

    def close(self, allocation: Hashable, now: Instant) -> None:
        """Forget an allocation, and users without one as soon as their buckets are full again."""
        known = self._meters_by_allocation.pop(allocation, None)
        if known is not None:
            self._leave(known[1], now)
        while (rested := self._resting.pop_due(now)) is not None:
            del self._buckets_by_user[rested]

    def _join(self, user_key: str) -> tuple[Bucket, ...]:
        if not self._limits.per_user:
            return _UNLIMITED
        bucket, members = self._buckets_by_user.get(user_key, (None, 0))
        if bucket is None:
            bucket = self._make(self._limits.per_user)
        self._resting.cancel(user_key)
        self._buckets_by_user[user_key] = (bucket, members + 1)
        return (bucket,)

    def _leave(self, user_key: str, now: Instant) -> None:
        known = self._buckets_by_user.get(user_key)
        if known is None:
            return
        bucket, members = known[0], known[1] - 1
        self._buckets_by_user[user_key] = (bucket, members)
        if members:
            return
        self._resting.set(user_key, bucket.full_at(now))
        if len(self._resting) > MAX_RESTING_USERS:
            nearest = self._resting.pop_due(NEVER)
            assert nearest is not None, "there are too many"
            del self._buckets_by_user[nearest]
