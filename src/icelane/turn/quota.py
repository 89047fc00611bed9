"""How many allocations a user and the whole server may have at once."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Protocol

from icelane.core.garbage import untracked


class QuotaRefusal(enum.Enum):
    """Which limit is reached, for the error code and the log."""

    USER = "user-quota"
    """This user has as many as it may: 486 Allocation Quota Reached."""
    TOTAL = "total-quota"
    """The server has: 508 Insufficient Capacity, since another user cannot do better."""

    @property
    def code(self) -> int:
        """The error code of RFC 8656 section 19."""
        return 486 if self is QuotaRefusal.USER else 508


@dataclass(eq=False)
class QuotaSlot:
    """The right to one allocation; held from before the relay port is bound until after it is released."""

    __slots__ = ("held", "user_key")

    user_key: str
    held: bool


class Tally(Protocol):
    """Who holds how many of something, counted by us alone or by several servers together."""

    def enter(self, key: str, *, per_key: int, total: int) -> Limit | None:
        """Count one more of `key`, or nothing when a limit, 0 for none, is reached: then which."""
        ...

    def leave(self, key: str) -> None:
        """Count one less of a key that has been counted."""
        ...

    @property
    def total(self) -> int:
        """How many are counted of all keys."""
        ...


class Limit(enum.Enum):
    """What stands against one more."""

    KEY = "key"
    TOTAL = "total"


class LocalTally:
    """Counts for one server. Memory is one counter for each key that is counted."""

    __slots__ = ("_count_by_key", "total")

    def __init__(self) -> None:
        self._count_by_key: dict[str, int] = {}
        self.total = 0

    def __len__(self) -> int:
        """How many keys are counted."""
        return len(self._count_by_key)

    def count_of(self, key: str) -> int:
        """How many are counted of one key."""
        return self._count_by_key.get(key, 0)

    def enter(self, key: str, *, per_key: int, total: int) -> Limit | None:
        """See Tally."""
        count = self._count_by_key.get(key, 0)
        if per_key and count >= per_key:
            return Limit.KEY
        if total and self.total >= total:
            return Limit.TOTAL
        self._count_by_key[key] = count + 1
        self.total += 1
        return None

    def leave(self, key: str) -> None:
        """See Tally."""
        left = self._count_by_key.pop(key) - 1
        if left:
            self._count_by_key[key] = left
        self.total -= 1


class AllocationQuota:
    """Counts allocations, those being made included. A limit of 0 is none.

    `tally` is by whom they are counted: where several servers count together, the limits are those of all of them.
    """

    def __init__(self, per_user: int, total: int, tally: Tally | None = None) -> None:
        self._per_user = per_user
        self._total = total
        self._tally: Tally = tally if tally is not None else LocalTally()
        self._count = 0

    def __len__(self) -> int:
        """How many slots are held here."""
        return self._count

    def set_limits(self, per_user: int, total: int) -> None:
        """Judge whoever comes from now on by these; nobody loses what he holds."""
        self._per_user = per_user
        self._total = total

    def reserve(self, user_key: str) -> QuotaSlot | QuotaRefusal:
        """A slot for one more allocation, which counts from now on, or the limit that stands against it."""
        limit = self._tally.enter(user_key, per_key=self._per_user, total=self._total)
        if limit is not None:
            return QuotaRefusal.USER if limit is Limit.KEY else QuotaRefusal.TOTAL
        self._count += 1
        return untracked(QuotaSlot(user_key, held=True))

    def release(self, slot: QuotaSlot) -> None:
        """Give a slot back, once; doing it again changes nothing, so that every way out may do it."""
        if not slot.held:
            return
        slot.held = False
        self._count -= 1
        self._tally.leave(slot.user_key)
