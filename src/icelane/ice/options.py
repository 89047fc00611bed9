"""What can be set about an agent, with the reason for each default."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from icelane.core.clock import Duration
from icelane.errors import LocalProtocolError


class NominationMode(enum.Enum):
    """When the controlling side says which pair it wants."""

    REGULAR = "regular"
    """One pair, once it is known to work (RFC 8445 section 8.1.1)."""
    AGGRESSIVE = "aggressive"
    """Every pair, with every check (RFC 5245 section 8.1.1.2): the best that works is taken. For old peers."""


@dataclass(frozen=True, kw_only=True)
class IceOptions:
    """Times are in seconds. Raises LocalProtocolError for values that no agent could work with."""

    # RFC 8445 section 14.2: the pace of new checks, 50 ms by default and never below 5.
    ta: Duration = 0.05
    # Section 14.3: the shortest retransmission interval of a check on a path whose round trip is not known.
    min_rto: Duration = 0.5
    # Section 6.1.2.5.
    max_pairs: int = 100
    # RFC 8863 section 4: how long an agent without a valid pair goes on hoping, from the last pair that was formed.
    # It is what a transaction takes by RFC 8489.
    patience: Duration = 39.5
    nomination: NominationMode = NominationMode.REGULAR
    # How long a valid pair is not nominated because a better one is still being checked. Data flows meanwhile.
    nomination_wait: Duration = 0.2
    # The same for a relayed one and for one of TCP: giving up a better path too early is paid for as long as the call
    # lasts.
    relayed_nomination_wait: Duration = 1.0
    # RFC 7675 section 5.1: five seconds, give or take a fifth.
    consent_interval: Duration = 5.0
    # When data came in and then stopped for so long, the next check does not wait for its turn.
    consent_silence: Duration = 2.5
    # An answer that takes longer, or longer than twice the round trip, means `disconnected`.
    consent_response_timeout: Duration = 1.0
    # RFC 7675 section 5.1.
    consent_expiry: Duration = 30.0
    # Being an ICE-lite agent (RFC 8445 section 2.5): answers checks, sends none, is always controlled.
    lite: bool = False

    def __post_init__(self) -> None:
        if self.ta < 0.005:
            raise LocalProtocolError("RFC 8445 section 14.2: checks are at least 5 ms apart")
        if self.max_pairs < 1:
            raise LocalProtocolError("an agent needs at least one pair")
        waits = (self.nomination_wait, self.relayed_nomination_wait)
        positive = (self.min_rto, self.patience, self.consent_interval, self.consent_silence,
                    self.consent_response_timeout, self.consent_expiry)  # fmt: skip
        if min(waits) < 0 or min(positive) <= 0:
            raise LocalProtocolError("times are positive")
