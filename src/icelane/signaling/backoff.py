"""Whether a client comes back, and when: after a random while, longer with each failure, so as not to come with all."""

from __future__ import annotations

from typing import Final

from icelane.core.clock import Duration
from icelane.core.entropy import Entropy
from icelane.signaling.close_code import Reconnect, reconnect_rule
from icelane.signaling.messages import Goodbye

# The first attempt comes within this many seconds after the connection has gone. A server that restarts with a thousand
# clients gets them spread over it.
FIRST: Final[Duration] = 1.0
LONGEST: Final[Duration] = 30.0
# What a server may ask us to wait; it cannot send us away for good by a number.
MAX_AFTER: Final[Duration] = 3600.0
_STEPS: Final = 1_000_000


class Backoff:
    """Counts failures in a row."""

    def __init__(self, entropy: Entropy) -> None:
        self._entropy = entropy
        self._failures = 0
        self.url: str | None = None
        """Where the server said to go, until an attempt there has failed."""

    def next_delay(self, after: Duration | None, url: str | None) -> Duration:
        """How long to wait now. `after` is the least, as the server wishes."""
        self.url = url
        bound = min(LONGEST, FIRST * 2.0 ** min(self._failures, 10))
        self._failures += 1
        jitter = bound * self._entropy.below(_STEPS) / _STEPS
        least = 0.0 if after is None or not after > 0 else min(after, MAX_AFTER)
        return least + jitter

    def reset(self) -> None:
        """All is well."""
        self._failures = 0


def rule_of_goodbye(goodbye: Goodbye) -> Reconnect:
    """Whether to come back is for the server to say; how is known from the code."""
    rule = reconnect_rule(goodbye.code)
    if not goodbye.reconnect:
        return Reconnect.NEVER
    return Reconnect.JITTER if rule is Reconnect.NEVER else rule


def rule_of_status(status: int) -> Reconnect:
    """What follows from an answer by HTTP instead of a WebSocket."""
    if status == 401:
        return Reconnect.FRESH_TOKEN
    if status == 429:
        return Reconnect.AFTER
    return Reconnect.NEVER if 400 <= status < 500 and status not in (408, 425) else Reconnect.JITTER
