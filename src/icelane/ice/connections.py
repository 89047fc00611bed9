"""The TCP connections of one session (RFC 6544 sections 7 and 11).

    active side     check due -> ConnectionWanted -> connected -> Binding request -> answered: valid
    passive side    accepted by whoever holds the socket -> verified Binding request: known here

    lost   -> its pair fails; one that worked, from our active candidate, is connected anew: at once, then more slowly
    unwanted   when its pair has failed or is not needed any more: ConnectionUnwanted

Which connections are accepted, and for how long without a verified request, is for the holder of the socket.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from icelane.core.clock import Duration, Instant, TimerTable, later
from icelane.core.net import Path
from icelane.ice.event import ConnectionUnwanted, ConnectionWanted, IceEvent
from icelane.ice.pair import CandidatePair

# Connections under way at a time; the check of a further pair waits until one of them is there or has failed (IC-6).
MAX_OPENING: Final = 16
# How often a pair that has worked is connected anew, the first time at once, then after these seconds; after an answer
# it is counted from the beginning.
REOPEN_DELAYS: Final[tuple[Duration, ...]] = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)


class Connections:
    """Which connections are wanted, there, and to be made again. `events` are the agent's."""

    def __init__(self, events: deque[IceEvent]) -> None:
        self._events = events
        self._opening: dict[Path, CandidatePair] = {}
        self._open: set[Path] = set()
        self._again: TimerTable[Path] = TimerTable()
        self._tries: dict[Path, int] = {}

    @property
    def full(self) -> bool:
        """Whether no connection may be begun now."""
        return len(self._opening) >= MAX_OPENING

    def open(self, pair: CandidatePair) -> None:
        """Ask for the connection of `pair`."""
        self._opening[pair.planned] = pair
        self._again.cancel(pair.planned)
        self._events.append(ConnectionWanted(pair.planned))

    def take_opening(self, planned: Path) -> CandidatePair | None:
        """The pair for which a connection was asked, which is there now or cannot be had."""
        return self._opening.pop(planned, None)

    def cancel(self, pair: CandidatePair) -> None:
        """The connection of `pair` is not needed: closed when it is there, and when it comes."""
        if self._opening.get(pair.planned) is pair:
            del self._opening[pair.planned]
        self.close(pair.path)

    def note_open(self, path: Path) -> None:
        """A connection is there."""
        self._open.add(path)

    def note_closed(self, path: Path) -> bool:
        """A connection is gone; whether it was one of these."""
        if path not in self._open:
            return False
        self._open.discard(path)
        return True

    def close(self, path: Path) -> None:
        """The connection of `path` is not needed any more."""
        if self.note_closed(path):
            self._events.append(ConnectionUnwanted(path))

    def keep(self, wanted: Callable[[Path], bool]) -> None:
        """Close all connections but those that are wanted."""
        for path in [path for path in self._open if not wanted(path)]:
            self.close(path)

    def clear(self, but: Path | None = None) -> None:
        """Close all `but` that one, and make none again."""
        self._opening.clear()
        self._again.clear()
        self.keep(lambda path: path == but)

    # Again

    def plan_again(self, planned: Path, now: Instant) -> None:
        """The connection of a pair that has worked was lost, or could not be made again: try once more, or no more."""
        tries = self._tries.get(planned, 0)
        if tries < len(REOPEN_DELAYS):
            self._tries[planned] = tries + 1
            self._again.set(planned, later(now, REOPEN_DELAYS[tries]))

    def is_again(self, planned: Path) -> bool:
        """Whether the connection has been lost before, and has not worked since."""
        return planned in self._tries

    def note_valid(self, planned: Path) -> None:
        """The pair works."""
        self._tries.pop(planned, None)

    def pop_again(self, now: Instant) -> Path | None:
        """The next one whose turn has come, or None."""
        return self._again.pop_due(now)

    def next_timeout(self) -> Instant | None:
        """When to look at `pop_again`, or None."""
        return self._again.next()
