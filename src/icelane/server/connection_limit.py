"""How many connections there may be, of everybody and of one source."""

from __future__ import annotations

from icelane.server.events import source_of


class ConnectionLimit:
    """Counts the connections of all stream listeners. A source is an IPv4 address or an IPv6 /64."""

    __slots__ = ("_open_by_source", "_open_total", "per_source", "total")

    def __init__(self, *, total: int, per_source: int) -> None:
        self.total = total
        self.per_source = per_source
        # As many entries as there are connections at most, which is `total`.
        self._open_by_source: dict[str, int] = {}
        self._open_total = 0

    def __len__(self) -> int:
        return self._open_total

    @property
    def full(self) -> bool:
        """Whether nobody may come in any more."""
        return self._open_total >= self.total

    def enter(self, host: str) -> bool:
        """Count a connection from `host`; False when there are too many of it, or of all, and nothing was counted."""
        source = source_of(host)
        count = self._open_by_source.get(source, 0)
        if self.full or count >= self.per_source:
            return False
        self._open_by_source[source] = count + 1
        self._open_total += 1
        return True

    def leave(self, host: str) -> None:
        """A connection that was counted is gone."""
        source = source_of(host)
        count = self._open_by_source.pop(source) - 1
        if count:
            self._open_by_source[source] = count
        self._open_total -= 1
