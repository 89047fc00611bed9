"""Soft limits on how much an allocation, a user and the server relay.

Each limit is a bucket that fills at so many bytes per second and holds one second's worth. A packet passes while its
allocation's, its user's and the server's bucket all have something in them, and is taken from each, so a bucket may
go into debt by one packet: that keeps any size of packet passing at any limit. Bytes to and from the peer count alike.
What does not pass is dropped, never queued.

A bucket is one number: when it will be full. It is empty while that is a second away or more. So what several
processes draw on is a word of memory that they share, and nobody has to lock it.

A user's bucket outlives the user's last allocation until it would be full anyway; otherwise whoever allocates again and
again would start with a second's worth each time (TQ-9).
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final, Protocol

from icelane.core.clock import NEVER, Duration, Instant, TimerTable

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


CAPACITY: Final[Duration] = 1.0
"""What a bucket holds, as the time that filling it takes."""

# Less room than this is none: the sum of many packets is off by less.
GRAIN: Final[Duration] = 1e-6


class Cell(Protocol):
    """Where a bucket keeps its number: index 0 of a list, or of shared memory. 0 is a bucket that is full."""

    def __getitem__(self, index: int, /) -> float: ...

    def __setitem__(self, index: int, value: float, /) -> None: ...


class Bucket(Protocol):
    """Made for every allocation and user, asked for every packet."""

    def has_some(self, now: Instant) -> bool:
        """Whether there is something in it now."""
        ...

    def take(self, size: int, now: Instant) -> None:
        """Take so many bytes, whether they are in it or not."""
        ...

    def full_at(self, now: Instant) -> Instant:
        """When it holds all it can, if nothing is taken; `now` when it does."""
        ...


class MakeBucket(Protocol):
    """How a plane makes its buckets; without a cell the number is the bucket's own."""

    def __call__(self, rate: int, cell: Cell | None = None) -> Bucket: ...


class Cells(Protocol):
    """Where several servers keep the buckets that they draw on together."""

    def of_user(self, user_key: str) -> Cell:
        """Of a user who has an allocation; for as long as he has one."""
        ...

    def of_all(self) -> Cell:
        """Of everybody."""
        ...


class PythonBucket:
    """See Bucket."""

    __slots__ = ("_cell", "_rate")

    def __init__(self, rate: int, cell: Cell | None = None) -> None:
        self._rate = float(rate)
        self._cell: Cell = cell if cell is not None else [0.0]

    def has_some(self, now: Instant) -> bool:
        """Whether there is something in it now."""
        return self._cell[0] - now < CAPACITY - GRAIN

    def take(self, size: int, now: Instant) -> None:
        """Take so many bytes, whether they are in it or not."""
        self._cell[0] = max(self._cell[0], now) + size / self._rate

    def full_at(self, now: Instant) -> Instant:
        """When it holds all it can, if nothing is taken; `now` when it does."""
        return Instant(max(self._cell[0], now))


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
            if not bucket.has_some(now):
                self.dropped += 1
                return False
        for bucket in self._buckets:
            bucket.take(size, now)
        return True


_UNLIMITED: Final[tuple[Bucket, ...]] = ()


class Bandwidth:
    """The limits of one server.

    Memory is a bucket for each open allocation, each user that has one, and at most MAX_RESTING_USERS others.
    """

    def __init__(self, limits: BandwidthLimits, make: MakeBucket = PythonBucket, cells: Cells | None = None) -> None:
        """`make` gives a bucket of so many bytes per second: who relays without Python needs buckets of its own.

        `cells` are where the buckets of users and of everybody are kept that other servers draw on, too.
        """
        self._limits = limits
        self._unlimited = limits == BandwidthLimits()
        self._make = make
        self._cells = cells
        all_cell = cells.of_all() if cells is not None else None
        self._total = (make(limits.total, all_cell),) if limits.total else _UNLIMITED
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
        return self._unlimited

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
        if self._cells is not None:
            return (self._make(self._limits.per_user, self._cells.of_user(user_key)),)
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
