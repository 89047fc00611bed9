"""Identifiers of statistics: the same as long as the thing is there, and never that of another one.

identifiers.begin()
identifiers.of("CP", (base, remote, ufrag))     # "CP3" today, and "CP3" tomorrow

They are numbers and hold nothing of the thing: statistics go to servers, and addresses of ours are not for all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable


class StatsIdentifiers:
    """What was not asked for between two calls of `begin` is gone, and gets a new one if it comes again."""

    def __init__(self) -> None:
        self._before: dict[tuple[str, Hashable], str] = {}
        self._now: dict[tuple[str, Hashable], str] = {}
        self._last_by_kind: Counter[str] = Counter()

    def begin(self) -> None:
        """The next report."""
        self._before, self._now = self._now, {}

    def of(self, kind: str, key: Hashable) -> str:
        """`kind` and a number; `key` tells the thing from all others of its kind."""
        entry = (kind, key)
        known = self._now.get(entry) or self._before.get(entry)
        if known is None:
            self._last_by_kind[kind] += 1
            known = f"{kind}{self._last_by_kind[kind]}"
        self._now[entry] = known
        return known
