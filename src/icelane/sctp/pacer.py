"""Spreads packets over time, in bursts: what is not allowed now is allowed at `next_at`."""

from __future__ import annotations

from typing import Final

from icelane.core.clock import NEVER

# A burst is at least this many packets, so that a batch of them can leave in one system call.
BURST_PACKETS: Final = 16
# And at least what leaves in this time: timers of operating systems are no better.
BURST_SECONDS: Final = 0.002
# Slow packets are not held back longer than this in order to send several at once.
LONGEST_PAUSE: Final = 0.01

_NEVER: Final = float(NEVER)


class Pacer:
    """A bucket of bytes that fills at `rate`; sending is allowed while something is in it. A rate of 0 is no limit."""

    __slots__ = ("_budget", "_filled_at", "_least_burst", "next_at", "rate")

    def __init__(self, path_mtu: int) -> None:
        self.rate = 0.0
        self.next_at = _NEVER
        self._least_burst = BURST_PACKETS * path_mtu
        self._budget = float(self._least_burst)
        self._filled_at = 0.0

    def allows(self, now: float) -> bool:
        """Whether a packet may leave now. When not, `next_at` is when to ask again."""
        rate = self.rate
        if rate <= 0.0:
            return True
        if now > self._filled_at:
            burst = max(float(self._least_burst), rate * BURST_SECONDS)
            self._budget = min(self._budget + (now - self._filled_at) * rate, burst)
            self._filled_at = now
        if self._budget > 0.0:
            self.next_at = _NEVER
            return True
        # Not for each packet: some at a time, so that timers do not cost more than packets, but no long pauses either.
        at_once = max(min(self._least_burst / 4, rate * LONGEST_PAUSE), rate * BURST_SECONDS / 2)
        self.next_at = now + (at_once - self._budget) / rate
        return False

    def on_sent(self, size: int) -> None:
        """`size` bytes left."""
        if self.rate > 0.0:
            self._budget -= size
