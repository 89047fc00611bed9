"""How long hooks take to answer, by hook and by what came of it; and what they were never told."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final

from icelane.core.clock import Duration

# From a function that looks something up to the second after which nobody waits; what is above is in the last one.
BOUNDS: Final[tuple[Duration, ...]] = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)

ALLOWED: Final = "allowed"
DENIED: Final = "denied"
TOLD: Final = "told"
TIMEOUT: Final = "timeout"
# Nothing that counts for an answer: an exception, another type, a webhook's status.
FAILED: Final = "failed"
# Refused without a question: too many calls run, or the hook is down.
BUSY: Final = "busy"
CIRCUIT_OPEN: Final = "circuit-open"
OUTCOMES: Final = (ALLOWED, DENIED, TOLD, TIMEOUT, FAILED, BUSY, CIRCUIT_OPEN)

# The hooks that are told and not asked.
ON_CONNECTED: Final = "on_connected"
ON_LEFT: Final = "on_left"


@dataclass(slots=True)
class HookTime:
    """Of one hook and one outcome. `counts` are the answers up to each of BOUNDS, and above all of them."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    total: Duration = 0.0

    @property
    def cumulative(self) -> list[int]:
        """How many took at most so long, for each bound, and at last all."""
        return list(accumulate(self.counts))


class HookTimes:
    """Counts them. The names of hooks are ours, and so are outcomes (OP-14)."""

    def __init__(self) -> None:
        self._times: dict[tuple[str, str], HookTime] = {}
        self.dropped: Counter[str] = Counter({ON_CONNECTED: 0, ON_LEFT: 0})
        """Notices that were thrown away because too many waited, by hook."""

    @property
    def times(self) -> Mapping[tuple[str, str], HookTime]:
        """By hook and outcome."""
        return self._times

    def observe(self, hook: str, outcome: str, took: Duration) -> None:
        """A hook took so many seconds. An outcome that is none of OUTCOMES is a failure: a status of HTTP, say."""
        key = (hook, outcome if outcome in OUTCOMES else FAILED)
        time = self._times.setdefault(key, HookTime())
        time.counts[bisect_left(BOUNDS, took)] += 1
        time.total += took
