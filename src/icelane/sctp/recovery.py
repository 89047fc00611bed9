"""When something is lost: RACK and tail loss probes (RFC 8985), and the T3-rtx timer (RFC 9260 section 6.3).

A chunk is lost when one that was sent later has arrived, and the time for reordering is over. When nothing comes back a
probe is sent after about two round trips, and after a retransmission timeout everything counts as lost.
"""

from __future__ import annotations

from typing import Final

from icelane.core.clock import NEVER
from icelane.sctp.send_queue import OutgoingChunk

# RFC 9260 section 16.
INITIAL_TIMEOUT: Final = 1.0
# What the timeout exceeds the smoothed round trip by at least, in place of RTO.Min of 1 s: longer than peers may delay
# a SACK for a single packet (RFC 9260 section 6.2: 200 ms is customary).
ACK_DELAY: Final = 0.2
MIN_MARGIN: Final = 0.25
# How far the timeout is doubled: a path that comes back after a while is used again soon.
MAX_TIMEOUT: Final = 3.0
DUPLICATE_THRESHOLD: Final = 3
# The least time that is given to reordering once there was some; also what timers can keep.
MIN_REORDERING: Final = 0.001
# The growth of that time by reports of duplicates, in quarters of the minimum round trip.
MAX_REORDERING_STEPS: Final = 8

_NEVER: Final = float(NEVER)


class Recovery:
    """Round trips, the chunks on their way in the order of their sending, and three deadlines.

    `probe_at` and `timeout_at` are for whoever retransmits; a deadline that is off is infinite.
    """

    __slots__ = (
        "_acked_round_trip",
        "_acked_sent_at",
        "_acked_tsn",
        "_backoff",
        "_highest_acked",
        "_newest",
        "_oldest",
        "_reordering_seen",
        "_reordering_steps",
        "minimum_round_trip",
        "on_their_way",
        "probe_at",
        "reordering_at",
        "smoothed_round_trip",
        "timeout",
        "timeout_at",
        "variation",
    )

    def __init__(self) -> None:
        self.smoothed_round_trip = 0.0
        self.variation = 0.0
        self.minimum_round_trip = 0.0
        self.timeout = INITIAL_TIMEOUT
        self.timeout_at = _NEVER
        self.probe_at = _NEVER
        self.reordering_at = _NEVER
        self.on_their_way = 0
        self._backoff = 1.0
        self._oldest: OutgoingChunk | None = None
        self._newest: OutgoingChunk | None = None
        self._acked_sent_at = 0.0
        self._acked_tsn = -1
        self._acked_round_trip = 0.0
        self._highest_acked = -1
        self._reordering_seen = False
        self._reordering_steps = 1

    def learn_round_trip(self, seconds: float) -> None:
        """A new measurement (RFC 9260 section 6.3.1)."""
        if seconds <= 0.0:
            seconds = 1e-6  # a virtual clock may stand still
        if self.smoothed_round_trip == 0.0:
            self.smoothed_round_trip = seconds
            self.variation = seconds / 2
            self.minimum_round_trip = seconds
        else:
            self.variation += (abs(self.smoothed_round_trip - seconds) - self.variation) / 4
            self.smoothed_round_trip += (seconds - self.smoothed_round_trip) / 8
            if seconds < self.minimum_round_trip:
                self.minimum_round_trip = seconds
        self.timeout = min(self.smoothed_round_trip + max(4 * self.variation, MIN_MARGIN), MAX_TIMEOUT)
        self._backoff = 1.0

    def current_timeout(self) -> float:
        """The retransmission timeout with what it was backed off by."""
        return min(self.timeout * self._backoff, MAX_TIMEOUT)

    # What happens to chunks

    def on_sent(self, chunk: OutgoingChunk, now: float) -> None:
        """`chunk` leaves, for the first time or again."""
        chunk.sent_at = now
        chunk.transmissions += 1
        self._append(chunk)
        if self.timeout_at == _NEVER:
            self.timeout_at = now + self.current_timeout()
        self._arm_probe(now)

    def on_acked(self, chunk: OutgoingChunk, now: float) -> float:
        """`chunk` has arrived. Returns how long it took, 0 where that cannot be known (Karn's rule)."""
        if chunk.linked:
            self._unlink(chunk)
        round_trip = now - chunk.sent_at
        known = chunk.transmissions == 1
        if not known and round_trip < self.minimum_round_trip:
            return 0.0  # RFC 8985 section 6.2 step 2: this acknowledges an earlier transmission
        if chunk.sent_at > self._acked_sent_at or (
            chunk.sent_at == self._acked_sent_at and chunk.tsn > self._acked_tsn
        ):
            self._acked_sent_at = chunk.sent_at
            self._acked_tsn = chunk.tsn
            self._acked_round_trip = round_trip
        if chunk.tsn > self._highest_acked:
            self._highest_acked = chunk.tsn
        elif known:
            self._reordering_seen = True
        return max(round_trip, 1e-6) if known else 0.0

    def forget(self, chunk: OutgoingChunk) -> None:
        """Nobody waits for `chunk` any more."""
        if chunk.linked:
            self._unlink(chunk)

    def on_progress(self, now: float, waiting: bool) -> None:
        """Something new was acknowledged; `waiting` says whether more is awaited (RFC 9260 section 6.3.2)."""
        self._backoff = 1.0
        if waiting:
            self.timeout_at = now + self.timeout
            self._arm_probe(now)
        else:
            self.timeout_at = self.probe_at = self.reordering_at = _NEVER

    def on_duplicates(self) -> None:
        """The peer got something twice: more time for reordering (RFC 8985 section 6.2 step 4)."""
        if self._reordering_steps < MAX_REORDERING_STEPS:
            self._reordering_steps += 1

    def find_lost(self, now: float, eager: bool) -> list[OutgoingChunk]:
        """Which chunks are lost by now; they are not on their way any more.

        `eager` is for recovery and after three gap acknowledgements, when no time is given to reordering that was never
        seen. `reordering_at` is set to when the next one will be lost.
        """
        self.reordering_at = _NEVER
        lost: list[OutgoingChunk] = []
        patience = self._acked_round_trip + self._reordering_time(eager)
        chunk = self._oldest
        while chunk is not None:
            sent_at = chunk.sent_at
            if sent_at > self._acked_sent_at or (sent_at == self._acked_sent_at and chunk.tsn >= self._acked_tsn):
                break
            expires = sent_at + patience
            if expires > now + 1e-9:
                self.reordering_at = expires
                break
            newer = chunk.newer
            self._unlink(chunk)
            lost.append(chunk)
            chunk = newer
        return lost

    def on_probe(self) -> None:
        """A tail loss probe leaves; there is one for each time of silence."""
        self.probe_at = _NEVER

    def newest(self) -> OutgoingChunk | None:
        """The chunk that was sent last of those on their way."""
        return self._newest

    def on_timeout(self) -> list[OutgoingChunk]:
        """T3-rtx expired: the timeout is doubled, and all that was on its way is lost (RFC 9260 section 6.3.3)."""
        self._backoff = min(self._backoff * 2.0, MAX_TIMEOUT / self.timeout * 2.0)
        self.timeout_at = self.probe_at = self.reordering_at = _NEVER
        lost: list[OutgoingChunk] = []
        while self._oldest is not None:
            lost.append(self._oldest)
            self._unlink(self._oldest)
        return lost

    def arm_timeout(self, now: float) -> None:
        """Something awaits an answer although no chunk is on its way."""
        if self.timeout_at == _NEVER:
            self.timeout_at = now + self.current_timeout()

    def clear(self) -> None:
        """Forget all chunks and deadlines."""
        while self._oldest is not None:
            self._unlink(self._oldest)
        self.timeout_at = self.probe_at = self.reordering_at = _NEVER

    # How

    def _reordering_time(self, eager: bool) -> float:
        if not self._reordering_seen and eager:
            return 0.0
        return max(min(self._reordering_steps * self.minimum_round_trip / 4, self.smoothed_round_trip), MIN_REORDERING)

    def _arm_probe(self, now: float) -> None:
        if self.smoothed_round_trip == 0.0 or self._backoff > 1.0:
            return
        wait = 2 * self.smoothed_round_trip
        if self.on_their_way <= 1:
            wait += ACK_DELAY
        self.probe_at = now + max(wait, 2 * MIN_REORDERING)

    def _append(self, chunk: OutgoingChunk) -> None:
        if chunk.linked:
            self._unlink(chunk)
        newest = self._newest
        chunk.older = newest
        chunk.linked = True
        if newest is None:
            self._oldest = chunk
        else:
            newest.newer = chunk
        self._newest = chunk
        self.on_their_way += 1

    def _unlink(self, chunk: OutgoingChunk) -> None:
        older, newer = chunk.older, chunk.newer
        if older is None:
            self._oldest = newer
        else:
            older.newer = newer
        if newer is None:
            self._newest = older
        else:
            newer.older = older
        chunk.older = chunk.newer = None
        chunk.linked = False
        self.on_their_way -= 1
