"""How many allocations a user and the whole server may have at once."""

from __future__ import annotations

import enum
from dataclasses import dataclass


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


@dataclass(slots=True, eq=False)
class QuotaSlot:
    """The right to one allocation; held from before the relay port is bound until after it is released."""

    user_key: str
    held: bool = True


class AllocationQuota:
    """Counts allocations, those being made included. A limit of 0 is none.

    Memory is one counter for each user that holds a slot.
    """

    def __init__(self, per_user: int, total: int) -> None:
        self._per_user = per_user
        self._total = total
        self._count = 0
        self._count_by_user: dict[str, int] = {}

    def __len__(self) -> int:
        """How many slots are held."""
        return self._count

    @property
    def users(self) -> int:
        """How many users hold at least one."""
        return len(self._count_by_user)

    def held_by(self, user_key: str) -> int:
        """How many slots a user holds."""
        return self._count_by_user.get(user_key, 0)

    def set_limits(self, per_user: int, total: int) -> None:
        """Judge whoever comes from now on by these; nobody loses what he holds."""
        self._per_user = per_user
        self._total = total

    def reserve(self, user_key: str) -> QuotaSlot | QuotaRefusal:
        """A slot for one more allocation, which counts from now on, or the limit that stands against it."""
        if self._per_user and self.held_by(user_key) >= self._per_user:
            return QuotaRefusal.USER
        if self._total and self._count >= self._total:
            return QuotaRefusal.TOTAL
        self._count += 1
        self._count_by_user[user_key] = self.held_by(user_key) + 1
        return QuotaSlot(user_key)

    def release(self, slot: QuotaSlot) -> None:
        """Give a slot back, once; doing it again changes nothing, so that every way out may do it."""
        if not slot.held:
            return
        slot.held = False
        self._count -= 1
        left = self._count_by_user[slot.user_key] - 1
        if left:
            self._count_by_user[slot.user_key] = left
        else:
            del self._count_by_user[slot.user_key]
