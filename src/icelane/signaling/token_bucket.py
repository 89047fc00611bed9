"""How many frames one client may send."""

from __future__ import annotations

from icelane.core.clock import Duration, Instant


class TokenBucket:
    """Holds `burst` tokens and gets `rate` of them per second."""

    __slots__ = ("_burst", "_filled_at", "_rate", "_tokens")

    def __init__(self, rate: float, burst: float, now: Instant) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._filled_at = now

    def take(self, now: Instant) -> bool:
        """Take a token; False when there is none."""
        self._fill(now)
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True

    def wait(self, now: Instant) -> Duration:
        """How long until half of the burst is there again; whoever comes back earlier will soon be gone again."""
        self._fill(now)
        return max(self._burst / 2 - self._tokens, 0.0) / self._rate

    def limit(self, rate: float, burst: float) -> None:
        """Other bounds from now on; what has been used stays used."""
        self._tokens = max(self._tokens + burst - self._burst, 0.0)
        self._rate = rate
        self._burst = burst

    def _fill(self, now: Instant) -> None:
        self._tokens = min(self._burst, self._tokens + max(now - self._filled_at, 0.0) * self._rate)
        self._filled_at = now
