"""Which TSNs beyond the cumulative one have arrived: sorted ranges that neither touch nor overlap.

TSNs here do not wrap: whoever keeps ranges counts in 64 bits and translates at the wire.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right


class TsnRanges:
    """A set of TSNs as ranges. Whatever is asked costs O(log n) of the ranges, plus what it changes."""

    __slots__ = ("_firsts", "_lasts")

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []

    def __len__(self) -> int:
        """How many ranges there are."""
        return len(self._firsts)

    def contains(self, tsn: int) -> bool:
        """Whether `tsn` is in one of the ranges."""
        i = bisect_right(self._firsts, tsn) - 1
        return i >= 0 and tsn <= self._lasts[i]

    def add(self, tsn: int) -> bool:
        """Put `tsn` in; returns whether it was new."""
        firsts, lasts = self._firsts, self._lasts
        count = len(firsts)
        if not count or tsn > lasts[count - 1]:
            if count and lasts[count - 1] == tsn - 1:
                lasts[count - 1] = tsn
            else:
                firsts.append(tsn)
                lasts.append(tsn)
            return True
        i = bisect_right(firsts, tsn)
        if i and tsn <= lasts[i - 1]:
            return False
        joins_left = i > 0 and lasts[i - 1] == tsn - 1
        if firsts[i] == tsn + 1:  # there is a range behind: else it would have been appended
            if joins_left:
                lasts[i - 1] = lasts[i]
                del firsts[i]
                del lasts[i]
            else:
                firsts[i] = tsn
        elif joins_left:
            lasts[i - 1] = tsn
        else:
            firsts.insert(i, tsn)
            lasts.insert(i, tsn)
        return True

    def add_range(self, first: int, last: int) -> list[int]:
        """Put `first` to `last` in; returns what of it was new as a flat list of firsts and lasts."""
        firsts, lasts = self._firsts, self._lasts
        i = bisect_left(lasts, first - 1)  # the first range that touches, overlaps or lies behind
        count = len(firsts)
        if i < count and firsts[i] <= first and last <= lasts[i]:
            return []
        new: list[int] = []
        at = first
        start, end = first, last
        j = i
        while j < count and firsts[j] <= last + 1:
            if at < firsts[j]:
                new.append(at)
                new.append(min(firsts[j] - 1, last))
            at = max(at, lasts[j] + 1)
            start = min(start, firsts[j])
            end = max(end, lasts[j])
            j += 1
        if at <= last:
            new.append(at)
            new.append(last)
        firsts[i:j] = [start]
        lasts[i:j] = [end]
        return new

    def take_adjoining(self, tsn: int) -> int:
        """The last TSN of the first range if that follows on `tsn`, and the range is gone; otherwise `tsn`."""
        if self._firsts and self._firsts[0] == tsn + 1:
            del self._firsts[0]
            return self._lasts.pop(0)
        return tsn

    def drop_through(self, tsn: int) -> None:
        """Take out everything up to `tsn`."""
        firsts, lasts = self._firsts, self._lasts
        if not firsts or firsts[0] > tsn:
            return
        i = bisect_right(lasts, tsn)
        del firsts[:i]
        del lasts[:i]
        if firsts and firsts[0] <= tsn:
            firsts[0] = tsn + 1

    def blocks(self, limit: int) -> list[int]:
        """The first `limit` ranges as a flat list of firsts and lasts."""
        flat: list[int] = []
        for i in range(min(limit, len(self._firsts))):
            flat.append(self._firsts[i])
            flat.append(self._lasts[i])
        return flat

    def clear(self) -> None:
        """Take everything out."""
        self._firsts.clear()
        self._lasts.clear()
