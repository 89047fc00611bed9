"""What was received of one source, counted as RFC 3550 counts (appendices A.1, A.3 and A.8)."""

from __future__ import annotations

from typing import Final

from icelane.core.clock import Instant
from icelane.rtp.ntp import compact_duration, compact_ntp
from icelane.rtp.rtcp import ReportBlock
from icelane.rtp.sequence import sequence_distance, timestamp_distance

# RFC 3550 appendix A.1: how far ahead and behind a sequence number may be. What is farther is dropped, unless the next
# packet follows on it: then the source has begun anew. Behind, a second of fast video rather than 100 packets.
MAX_DROPOUT: Final = 3000
MAX_MISORDER: Final = 1000
# Numbers of which it is remembered whether they came; what is older counts as having come.
WINDOW: Final = 1024
# A step of the media clock of more than this is no jitter, but another beginning.
_MAX_JITTER_STEP: Final = 5.0

_WINDOW_MASK: Final = (1 << WINDOW) - 1


class Reception:
    """The state of one source: extended sequence numbers, jitter, losses.

    Extended numbers only grow, also when the source begins anew; `restarts` then goes up. `packets_received` counts
    duplicates too, as the RFC wants it, so `packets_lost` can be below zero.
    """

    __slots__ = (
        "_arrived_at",
        "_base",
        "_expected_before",
        "_jitter",
        "_received_before",
        "_report_at",
        "_report_ntp",
        "_resumes_at",
        "_seen",
        "_timestamp",
        "clock_rate",
        "highest",
        "packets_received",
        "restarts",
        "ssrc",
    )

    def __init__(self, ssrc: int, clock_rate: int) -> None:
        self.ssrc = ssrc
        self.clock_rate = clock_rate
        self.highest = -1
        self.packets_received = 0
        self.restarts = 0
        self._base = -1
        self._seen = 0
        self._resumes_at = -1
        self._jitter = 0.0
        self._timestamp = 0
        self._arrived_at = 0.0
        self._expected_before = 0
        self._received_before = 0
        self._report_ntp = 0
        self._report_at = 0.0

    def receive(self, sequence_number: int, timestamp: int, now: Instant) -> int:
        """Count a packet; its extended sequence number, or -1 when it does not belong where the others are."""
        if self.highest < 0:
            self._begin(sequence_number, timestamp, now)
            return self.highest
        distance = sequence_distance(sequence_number, self.highest & 0xFFFF)
        if not -MAX_MISORDER <= distance <= MAX_DROPOUT:
            if sequence_number != self._resumes_at:
                self._resumes_at = sequence_number + 1 & 0xFFFF
                return -1
            distance = self._restart(sequence_number)
        self.packets_received += 1
        if distance > 0:
            self.highest += distance
            self._seen <<= distance
            self._seen &= _WINDOW_MASK
            self._resumes_at = -1
            self._learn_jitter(timestamp, now)
            return self.highest
        return self.highest + distance

    def extended(self, sequence_number: int) -> int:
        """The extended number that is nearest to the highest one; nothing is counted."""
        return self.highest + sequence_distance(sequence_number, self.highest & 0xFFFF)

    def mark(self, extended: int) -> bool:
        """Remember that a packet came, by whatever way; False when it had come before or is too old to know."""
        behind = self.highest - extended
        if not 0 <= behind < WINDOW:
            return False
        bit = 1 << behind
        if self._seen & bit:
            return False
        self._seen |= bit
        return True

    @property
    def packets_expected(self) -> int:
        """How many packets the source has sent as far as is known, from the first that came."""
        return self.highest - self._base + 1 if self.highest >= 0 else 0

    @property
    def packets_lost(self) -> int:
        """Expected and not received; below zero where packets came twice."""
        return self.packets_expected - self.packets_received

    @property
    def jitter(self) -> float:
        """Interarrival jitter in seconds."""
        return self._jitter / self.clock_rate

    # Reports

    def handle_sender_report(self, ntp_time: int, now: Instant) -> None:
        """The source sent a report: the next block of ours refers to it."""
        self._report_ntp = ntp_time
        self._report_at = now

    def report_block(self, now: Instant) -> ReportBlock | None:
        """What is to be reported now, about the time since the last block; None when nothing came yet."""
        if self.highest < 0:
            return None
        expected, received = self.packets_expected, self.packets_received
        expected_now, received_now = expected - self._expected_before, received - self._received_before
        self._expected_before, self._received_before = expected, received
        lost = expected_now - received_now
        fraction = min((lost << 8) // expected_now, 255) if expected_now > 0 and lost > 0 else 0
        known = self._report_ntp != 0
        return ReportBlock(
            ssrc=self.ssrc,
            fraction_lost=fraction,
            packets_lost=expected - received,
            highest_sequence_number=self.highest - (1 << 16) & 0xFFFFFFFF,
            jitter=int(self._jitter) & 0xFFFFFFFF,
            last_sender_report=compact_ntp(self._report_ntp) if known else 0,
            delay_since_last_sender_report=compact_duration(now - self._report_at) if known else 0,
        )

    # How

    def _begin(self, sequence_number: int, timestamp: int, now: Instant) -> None:
        # One circle up, so that packets from before the first one have numbers that are not below zero.
        self.highest = self._base = sequence_number + (1 << 16)
        self.packets_received = 1
        self._timestamp = timestamp
        self._arrived_at = now

    def _restart(self, sequence_number: int) -> int:
        """How far ahead the new beginning lies, in numbers that nobody has used; losses so far stay as they are."""
        self.restarts += 1
        distance = (sequence_number - self.highest & 0xFFFF) + (1 << 16)
        self._base += distance - 1
        self._seen = 0
        return distance

    def _learn_jitter(self, timestamp: int, now: Instant) -> None:
        # Packets of one picture share a timestamp and leave one behind the other, which is no jitter of the network.
        if timestamp == self._timestamp:
            return
        sent = timestamp_distance(timestamp, self._timestamp)
        step = abs((now - self._arrived_at) * self.clock_rate - sent)
        self._timestamp = timestamp
        self._arrived_at = now
        if step < _MAX_JITTER_STEP * self.clock_rate:
            self._jitter += (step - self._jitter) / 16
