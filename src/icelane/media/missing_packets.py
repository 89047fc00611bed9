"""Packets that have not come: which to ask for now (RFC 4585 section 6.2.1), and which to wait for no longer."""

from __future__ import annotations

from typing import Final

from icelane.core.clock import NEVER, Duration, Instant, later

# Packets that are asked for at a time. When a gap does not fit, all are given up: after so much a key frame is quicker.
MAX_MISSING: Final = 1000
# How often one is asked for, and for how long it is waited for: a frame buffer waits for a second at most.
MAX_TRIES: Final = 10
MAX_AGE: Final[Duration] = 1.0
# The round trip as long as none was measured, and between what it is believed to be.
INITIAL_ROUND_TRIP: Final[Duration] = 0.1
MIN_ROUND_TRIP: Final[Duration] = 0.005
MAX_ROUND_TRIP: Final[Duration] = 1.0
# How long a packet may be overtaken by others before it is asked for: as long as was seen of late, and this at most.
MAX_REORDERING: Final[Duration] = 0.03
_REORDERING_FADES: Final = 0.98
# Where what is sent again looks like what was sent at first: it is an answer after this part of a round trip.
_ANSWER: Final = 0.4
_TOO_AMBIGUOUS: Final = 8
# What a second request comes later than one round trip: the first answer may be held up a little.
_MARGIN: Final[Duration] = 0.01


class MissingPacket:
    """One of them."""

    __slots__ = ("asked_at", "since", "tries")

    def __init__(self, now: Instant) -> None:
        self.since = now
        self.asked_at = NEVER
        self.tries = 0


class MissingPackets:
    """By extended sequence numbers. `overflows` counts gaps that were too long to be asked for."""

    __slots__ = ("_ambiguous", "_missing", "_next_at", "overflows", "reordering", "round_trip")

    def __init__(self) -> None:
        self._missing: dict[int, MissingPacket] = {}
        self._next_at = NEVER
        self._ambiguous = 0
        self.round_trip: Duration = INITIAL_ROUND_TRIP
        self.overflows = 0
        self.reordering: Duration = 0.0

    def __len__(self) -> int:
        return len(self._missing)

    def __contains__(self, extended: int) -> bool:
        return extended in self._missing

    @property
    def next_at(self) -> Instant:
        """When `due` has something to say; NEVER when nothing is missing."""
        return self._next_at

    def add(self, first: int, stop: int, now: Instant) -> None:
        """The numbers from `first` up to, not including, `stop` have been passed over.

        They are asked for at once, or soon where packets are known to overtake each other.
        """
        if stop - first > MAX_MISSING - len(self._missing):
            self.clear()
            self.overflows += 1
            return
        for number in range(first, stop):
            self._missing[number] = MissingPacket(now)
        self._next_at = min(self._next_at, later(now, self.reordering))
        self.reordering *= _REORDERING_FADES

    def arrived(self, extended: int, now: Instant) -> bool:
        """A packet came in the stream itself; whether it was sent again, rather than overtaken by others."""
        entry = self._missing.get(extended)
        if entry is None:
            return False
        if entry.tries and now - entry.asked_at >= self.round_trip * _ANSWER:
            self.repaired(extended, now)
            return True
        self._remove(extended)
        self.reordering = min(max(self.reordering, now - entry.since), MAX_REORDERING)
        return False

    def repaired(self, extended: int, now: Instant) -> None:
        """A packet came because it was asked for; when that was just once, it tells the round trip."""
        entry = self._remove(extended)
        if entry is None or not entry.tries:
            return
        if entry.tries == 1:
            self._ambiguous = 0
            self.learn_round_trip(now - entry.asked_at)
            return
        self._doubt()

    def _doubt(self) -> None:
        """Nobody knows which request was answered, if any. When it is always so, they come faster than answers."""
        self._ambiguous += 1
        if self._ambiguous >= _TOO_AMBIGUOUS:
            self._ambiguous = 0
            self.round_trip = min(2 * self.round_trip, MAX_ROUND_TRIP)

    def _remove(self, extended: int) -> MissingPacket | None:
        entry = self._missing.pop(extended, None)
        if not self._missing:
            self._next_at = NEVER
        return entry

    def forget_before(self, extended: int) -> None:
        """Nobody waits for what is older than this any more."""
        for number in [number for number in self._missing if number < extended]:
            self._remove(number)

    def due(self, now: Instant) -> list[int]:
        """The numbers to ask for now, growing. What was asked for too often, or is too old, is given up."""
        asked: list[int] = []
        given_up: list[int] = []
        patience = self.round_trip * 1.25 + _MARGIN
        next_at = NEVER
        for number, entry in self._missing.items():
            due_at = later(entry.asked_at, patience) if entry.tries else later(entry.since, self.reordering)
            if now < due_at:
                next_at = min(next_at, due_at)
            elif entry.tries >= MAX_TRIES or now - entry.since > MAX_AGE:
                given_up.append(number)
            else:
                entry.tries += 1
                entry.asked_at = now
                asked.append(number)
                next_at = min(next_at, later(now, patience))
        for number in given_up:
            del self._missing[number]
            self._doubt()
        self._next_at = next_at
        return sorted(asked)

    def learn_round_trip(self, seconds: Duration) -> None:
        """A measurement, by whatever means."""
        measured = min(max(seconds, MIN_ROUND_TRIP), MAX_ROUND_TRIP)
        if self.round_trip == INITIAL_ROUND_TRIP:
            self.round_trip = measured
        else:
            self.round_trip += (measured - self.round_trip) / 8

    def clear(self) -> None:
        """Nothing is waited for."""
        self._missing.clear()
        self._next_at = NEVER
