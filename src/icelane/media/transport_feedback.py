"""Transport-wide feedback: what has arrived of all streams of a transport, and when, told to the sender in a row.

The sequence number is one counter over all streams (draft-holmer-rmcat-transport-wide-cc-extensions-01). A report
begins with what the last one had not told yet, so that what was lost between the two is told too. A packet that comes
after it was reported lost is told again, and with it all that came behind it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import Final

from icelane.core.clock import NEVER, Duration, Instant, later
from icelane.rtp.packet import RtpPacket
from icelane.rtp.rtcp import TransportFeedback, feedback_from_arrivals
from icelane.rtp.rtcp.transport_feedback import MAX_STATUSES
from icelane.rtp.sequence import Unwrapper

# How often there is a report, and after how many packets at the latest.
INTERVAL: Final[Duration] = 0.1
MAX_UNREPORTED: Final = 500
# How long an arrival is remembered, so that it can be told again; and how many of them. At the bound the oldest go.
MEMORY: Final[Duration] = 0.5
MAX_ARRIVALS: Final = 4000
# A number this far ahead is another beginning of the counter; what lies between is not reported as lost.
_MAX_GAP: Final = MAX_STATUSES // 2


class TransportFeedbackRecorder:
    """The arrivals of one transport. `sender_ssrc` is any of ours."""

    __slots__ = (
        "_arrivals",
        "_count",
        "_from",
        "_media_ssrc",
        "_next_at",
        "_order",
        "_unreported",
        "_unwrapper",
        "sender_ssrc",
    )

    def __init__(self, sender_ssrc: int) -> None:
        self.sender_ssrc = sender_ssrc
        self._unwrapper = Unwrapper()
        self._arrivals: dict[int, Instant] = {}
        # As they came: numbers are not in order, times are.
        self._order: deque[int] = deque()
        self._unreported = 0
        self._from: int | None = None
        self._media_ssrc = 0
        self._count = 0
        self._next_at = NEVER

    @property
    def next_at(self) -> Instant:
        """When there is something to report; NEVER when nothing has come since the last time."""
        return self._next_at

    def record_packets(self, packets: list[RtpPacket], identifier: int, now: Instant) -> None:
        """Packets came, whose numbers are in the element of the header extension with this identifier."""
        for packet in packets:
            data = packet.extension(identifier)
            if data is not None and len(data) >= 2:
                self.record(data[0] << 8 | data[1], packet.ssrc, now)

    def record(self, sequence_number: int, media_ssrc: int, now: Instant) -> None:
        """A packet with this transport-wide sequence number (0 to 65,535) came; the second time does not count."""
        number = self._unwrapper.unwrap(sequence_number)
        if number in self._arrivals:
            return
        if self._from is None or abs(number - self._from) > _MAX_GAP:
            self._arrivals.clear()
            self._order.clear()
            self._from = number
            self._unreported = 0
        self._arrivals[number] = now
        self._order.append(number)
        self._media_ssrc = media_ssrc
        self._from = min(self._from, number)
        self._unreported += 1
        if self._next_at == NEVER:
            self._next_at = later(now, INTERVAL)
        if self._unreported >= MAX_UNREPORTED:
            self._next_at = now
        if len(self._arrivals) > MAX_ARRIVALS:
            del self._arrivals[self._order.popleft()]

    def take(self, now: Instant) -> list[TransportFeedback]:
        """What is to be reported now; empty before `next_at`."""
        if now < self._next_at or self._from is None:
            return []
        start = self._from
        told = sorted([(number, at) for number, at in self._arrivals.items() if number >= start])
        self._next_at = NEVER
        self._unreported = 0
        if not told:
            return []
        reports = feedback_from_arrivals(
            told, sender_ssrc=self.sender_ssrc, media_ssrc=self._media_ssrc, feedback_count=self._count
        )
        reports[0] = _beginning_at(start, told[0][0], reports[0])
        self._count = self._count + len(reports) & 0xFF
        self._from = told[-1][0] + 1
        self._forget(now)
        return reports

    def _forget(self, now: Instant) -> None:
        arrivals, order = self._arrivals, self._order
        while order and now - arrivals[order[0]] > MEMORY:
            del arrivals[order.popleft()]


def _beginning_at(start: int, first: int, report: TransportFeedback) -> TransportFeedback:
    missing = first - start
    if missing == 0 or missing + len(report.deltas) > MAX_STATUSES:
        return report
    return replace(report, base_sequence_number=start & 0xFFFF, deltas=(None,) * missing + report.deltas)
