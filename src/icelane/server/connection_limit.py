"""How many connections there may be, of everybody and of one source."""

from __future__ import annotations

from icelane.server.events import source_of
from icelane.turn.quota import LocalTally, Tally


class ConnectionLimit:
    """Counts the connections of all stream listeners. A source is an IPv4 address or an IPv6 /64.

    `tally` is by whom they are counted: where several servers count together, the limits are those of all of them.
    """

    __slots__ = ("_tally", "per_source", "total")

    def __init__(self, *, total: int, per_source: int, tally: Tally | None = None) -> None:
        self.total = total
        self.per_source = per_source
        self._tally: Tally = tally if tally is not None else LocalTally()

    def __len__(self) -> int:
        return self._tally.total

    @property
    def full(self) -> bool:
        """Whether nobody may come in any more."""
        return self._tally.total >= self.total

    def enter(self, host: str) -> bool:
        """Count a connection from `host`; False when there are too many of it, or of all, and nothing was counted."""
        return self._tally.enter(source_of(host), per_key=self.per_source, total=self.total) is None

    def leave(self, host: str) -> None:
        """A connection that was counted is gone."""
        self._tally.leave(source_of(host))
