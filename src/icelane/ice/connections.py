"""The TCP connections of one session (RFC 6544 sections 7 and 11).

    active side     check due -> ConnectionWanted -> connected -> Binding request -> answered: valid
    passive side    accepted by whoever holds the socket -> verified Binding request: known here

    lost   -> its pair fails; one that worked, from our active candidate, is connected anew: at once, then more slowly
    unwanted   when its pair has failed or is not needed any more: ConnectionUnwanted

Which connections are accepted, and for how long without a verified request, is for the holder of the socket.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from icelane.core.clock import Duration, Instant, TimerTable, later
from icelane.core.net import Path
from icelane.ice.checklist import Checklist
from icelane.ice.event import ConnectionUnwanted, ConnectionWanted, IceEvent
from icelane.ice.pair import CandidatePair, PairState
from icelane.ice.sources import Sources

# Connections under way at a time; the check of a further pair waits until one of them is there or has failed (IC-6).
MAX_OPENING: Final = 16
# How often a pair that has worked is connected anew, the first time at once, then after these seconds; after an answer
# it is counted from the beginning.
REOPEN_DELAYS: Final[tuple[Duration, ...]] = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)


class Connections:
    """Which connections are wanted, there, and to be made again.

    The pairs are those of the session's checklist; `sources` and `events` are the session's and the agent's.
    """

    def __init__(self, checklist: Checklist, sources: Sources, events: deque[IceEvent]) -> None:
        self._checklist = checklist
        self._sources = sources
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

    def handle_connected(self, planned: Path, path: Path) -> CandidatePair | None:
        """A connection that was asked for is there: the pair that is to be checked on it, None when none needs it."""
        pair = self._opening.pop(planned, None)
        if pair is None or pair.state is not PairState.IN_PROGRESS or not self._checklist.still_has(pair):
            return None
        self._open.add(path)
        self._checklist.connect(pair, path)
        return pair

    def handle_connect_failed(self, planned: Path) -> CandidatePair | None:
        """A connection that was asked for cannot be had: the pair that waited for it."""
        return self._opening.pop(planned, None)

    def handle_disconnected(self, path: Path) -> bool:
        """A connection is gone; whether it was one of these."""
        if path not in self._open:
            return False
        self._open.discard(path)
        self._sources.forget(path)
        return True

    def note_accepted(self, path: Path) -> None:
        """The peer has proved itself on a connection that it made."""
        self._open.add(path)

    def disconnect(self, pair: CandidatePair) -> None:
        """The connection of `pair` is not needed: it is closed when it is there, and when it comes."""
        if self._opening.get(pair.planned) is pair:
            del self._opening[pair.planned]
        self._close(pair.path)
        self._checklist.disconnect(pair)

    def close_unneeded(self) -> None:
        """Close those whose pair has failed."""
        for path in [path for path in self._open if not self._is_needed(path)]:
            self._close(path)

    def clear(self, but: Path | None = None) -> None:
        """Close all `but` that one, and make none again."""
        self._opening.clear()
        self._again.clear()
        for path in [path for path in self._open if path != but]:
            self._close(path)

    def _is_needed(self, path: Path) -> bool:
        pair = self._checklist.pair_at(path)
        if pair is None:
            # What the peer has asked there is remembered, or it was one pair too many.
            return path in self._sources and self._checklist.has_way(path)
        return pair.valid or pair.live

    def _close(self, path: Path) -> None:
        if self.handle_disconnected(path):
            self._events.append(ConnectionUnwanted(path))

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
