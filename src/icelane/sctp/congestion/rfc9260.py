"""Slow start, congestion avoidance and fast recovery as RFC 9260 section 7.2 has them."""

# ruff: noqa: ARG002 -- the interface tells more than each controller uses

from __future__ import annotations

from icelane.core.clock import Instant
from icelane.sctp.congestion import Acknowledgement


class Rfc9260Controller:
    """The window of RFC 9260. Nothing is paced."""

    def __init__(self, path_mtu: int) -> None:
        self._mtu = path_mtu
        self.window = min(4 * path_mtu, max(2 * path_mtu, 4404))  # section 7.2.1
        self.pacing_rate = 0.0
        self._threshold = 1 << 30
        self._partial_bytes_acked = 0

    def on_acknowledged(self, ack: Acknowledgement, now: Instant) -> None:
        """Grow: by what was acknowledged in slow start, by a packet for each window afterwards."""
        if ack.in_recovery or not ack.cumulative_advanced:
            return
        if self.window <= self._threshold:
            if ack.window_limited:
                self.window += min(ack.acked, self._mtu)
            return
        self._partial_bytes_acked += ack.acked
        if self._partial_bytes_acked >= self.window:
            self._partial_bytes_acked -= self.window
            if ack.window_limited:
                self.window += self._mtu

    def on_recovery_entered(self, flight: int, now: Instant) -> None:
        """Section 7.2.3: half the window."""
        self._threshold = max(self.window // 2, 4 * self._mtu)
        self.window = self._threshold
        self._partial_bytes_acked = 0

    def on_timeout(self, now: Instant) -> None:
        """Section 7.2.3: one packet, and slow start up to half of what was."""
        self._threshold = max(self.window // 2, 4 * self._mtu)
        self.window = self._mtu
        self._partial_bytes_acked = 0
