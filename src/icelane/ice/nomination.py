"""Which pair the controlling side nominates, and when (RFC 8445 section 8.1.1; decision 0008).

A valid pair is nominated at once when nothing better is left to hope for. While a better pair is being checked, or a
relayed one or one of TCP is all there is and more candidates may come, the nomination waits for a moment:
`nomination_wait`, or `relayed_nomination_wait` for such a pair, from the first valid pair on. Data does not wait: it
flows on the best valid pair.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from icelane.core.clock import Instant, later
from icelane.ice.event import IceRole
from icelane.ice.options import IceOptions
from icelane.ice.pair import CandidatePair


class Nominee(NamedTuple):
    """The pair to nominate, and from which instant on."""

    pair: CandidatePair
    at: Instant


def best_of(pairs: Sequence[CandidatePair], role: IceRole) -> CandidatePair | None:
    """The pair with the highest priority."""
    return max(pairs, key=lambda pair: pair.priority(role), default=None)


def choose_nominee(
    valid: Sequence[CandidatePair],
    live: Sequence[CandidatePair],
    *,
    options: IceOptions,
    first_valid: Instant,
    complete: bool,
) -> Nominee | None:
    """What to nominate as things stand; `complete` when no candidates come any more. None without a valid pair."""
    best = best_of(valid, IceRole.CONTROLLING)
    if best is None:
        return None
    priority = best.priority(IceRole.CONTROLLING)
    better_may_come = any(pair.priority(IceRole.CONTROLLING) > priority for pair in live)
    if best.costly:
        if better_may_come or not complete:
            return Nominee(best, later(first_valid, options.relayed_nomination_wait))
    elif better_may_come:
        return Nominee(best, later(first_valid, options.nomination_wait))
    return Nominee(best, first_valid)
