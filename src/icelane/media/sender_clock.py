"""The clock of whoever sends a stream: which moment an RTP timestamp stands for (RFC 3550 section 6.4.1)."""

from __future__ import annotations

from icelane.core.clock import UnixSeconds
from icelane.rtp.ntp import unix_time_of
from icelane.rtp.sequence import timestamp_distance


class SenderClock:
    """What the sender's clock said at the RTP timestamps of one stream, from its last report."""

    __slots__ = ("_clock_rate", "_ntp_seconds", "_rtp_timestamp", "is_known")

    def __init__(self, clock_rate: int) -> None:
        self._clock_rate = clock_rate
        self._ntp_seconds = 0.0
        self._rtp_timestamp = 0
        self.is_known = False

    def handle_sender_report(self, ntp_time: int, rtp_timestamp: int) -> None:
        """A report came. One without a time (RFC 3550 section 6.4.1: zero) says nothing."""
        if ntp_time == 0:
            return
        self._ntp_seconds = unix_time_of(ntp_time)
        self._rtp_timestamp = rtp_timestamp
        self.is_known = True

    def time_of(self, timestamp: int) -> UnixSeconds | None:
        """When what has this timestamp was captured, on the sender's wall clock; None before the first report."""
        if not self.is_known:
            return None
        ticks = timestamp_distance(timestamp, self._rtp_timestamp)
        return UnixSeconds(self._ntp_seconds + ticks / self._clock_rate)
