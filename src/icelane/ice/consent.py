"""Whether the peer still consents to be sent to, on one pair (RFC 7675; decision 0009).

    check ---- answered: the next one 4 to 6 s after it, or 2.5 s after data stopped coming in
      |
      +-- not answered: repeated a few times, each time as a new transaction
      |
      +-- not answered for 1 s: `lost`, a check every second
      |
      +-- 30 s after the last valid answer: expired, nothing may be sent any more

A lite agent sends no checks: for it every verified request of the peer is the answer. Between two of them nobody asks,
and nothing is `watched`.
"""

from __future__ import annotations

from typing import Final

from icelane.core.clock import NEVER, Duration, Instant, later
from icelane.core.entropy import Entropy
from icelane.ice.options import IceOptions

# A check is repeated up to this often, at this interval or one and a half round trips, so that one lost datagram is no
# disconnection. RFC 7675 section 5.1: each is a transaction of its own.
CHECKS_BEFORE_LOST: Final = 4
REPEAT_INTERVAL: Final = 0.25
# While the path is lost.
RECOVERY_INTERVAL: Final = 1.0
# Doubts from elsewhere have a check sent ahead of its time no more often than this: a peer, or a flapping interface,
# may raise them as often as it likes.
HURRY_INTERVAL: Final = 1.0
# A full peer checks its consent at least every 6 s; what a lite agent waits for until it calls the path lost.
LITE_SILENCE: Final = 6.8

_JITTER_STEPS: Final = 1 << 16


class Consent:
    """The clockwork: it says when to check, when the path is lost and when consent has expired."""

    __slots__ = (
        "_check_at",
        "_checks",
        "_data_since_check",
        "_entropy",
        "_heard",
        "_hurried_at",
        "_lost_at",
        "_options",
        "_probe_at",
        "_regular_at",
        "_watched",
        "last_response",
        "lost",
    )

    def __init__(
        self, options: IceOptions, entropy: Entropy, last_response: Instant, now: Instant, *, watched: bool = True
    ) -> None:
        self.lost = False
        self.last_response = last_response
        self._watched = watched
        self._options = options
        self._entropy = entropy
        self._heard = now
        self._data_since_check = False
        self._checks = 0  # without an answer
        self._hurried_at: Instant | None = None
        self._regular_at = self._after_interval(now)
        self._probe_at = later(now, options.consent_silence)
        self._check_at = self._regular_at
        self._lost_at = NEVER
        if options.lite:
            self._probe_at = self._check_at = NEVER
            self._lost_at = later(now, LITE_SILENCE) if watched else NEVER

    # Inputs

    def handle_data(self, now: Instant) -> None:
        """Authenticated data came in. Called for every packet."""
        self._heard = now
        self._data_since_check = True

    def handle_request(self, now: Instant) -> None:
        """A verified request came in."""
        self._heard = now

    def handle_response(self, now: Instant) -> None:
        """A valid answer came in: consent is renewed."""
        self._heard = self.last_response = now
        self.lost = False
        self._checks = 0
        if self._options.lite:
            self._lost_at = later(now, LITE_SILENCE)
            return
        self._lost_at = NEVER
        if self._regular_at <= now:
            self._regular_at = self._after_interval(now)
        self._check_at = self._regular_at

    def handle_sent(self, now: Instant, round_trip: Duration | None) -> None:
        """A check has gone out."""
        known = round_trip or 0.0
        if self._checks == 0:
            self._regular_at = self._after_interval(now)
            self._lost_at = later(now, max(self._options.consent_response_timeout, 2 * known))
        self._checks += 1
        self._data_since_check = False
        self._probe_at = later(now, self._options.consent_silence)
        if self.lost:
            self._check_at = later(now, RECOVERY_INTERVAL)
        elif self._checks < CHECKS_BEFORE_LOST:
            self._check_at = later(now, max(REPEAT_INTERVAL, 1.5 * known))
        else:
            self._check_at = self._lost_at

    def handle_timeout(self, now: Instant) -> None:
        """A deadline passed; look at `lost`, `has_expired` and `wants_check` then."""
        if self._lost_at <= now:
            self.lost = True
            self._lost_at = NEVER
        if self._probe_at <= now:
            self._probe(now)

    # Commands

    def hurry(self, now: Instant) -> None:
        """Whether the path leads anywhere is in doubt: a check is due now, or HURRY_INTERVAL after the last doubt.

        Where one is on its way this changes nothing: doubts without end must not put off that the path is lost.
        """
        if self._options.lite or self._checks:
            return
        at = now if self._hurried_at is None else max(now, later(self._hurried_at, HURRY_INTERVAL))
        if at < self._check_at:
            self._check_at = self._hurried_at = at

    # Outputs

    def has_expired(self, now: Instant) -> bool:
        """Whether nothing may be sent any more."""
        return now >= self._expires_at

    def wants_check(self, now: Instant) -> bool:
        """Whether a check is due."""
        return self._check_at <= now

    def next_timeout(self) -> Instant:
        """When `handle_timeout` wants to be called."""
        return min(self._check_at, self._probe_at, self._lost_at, self._expires_at)

    @property
    def _expires_at(self) -> Instant:
        return later(self.last_response, self._options.consent_expiry) if self._watched else NEVER

    def _probe(self, now: Instant) -> None:
        """Data that came in since the last check has stopped, or is still coming, or there was none."""
        silent_from = later(self._heard, self._options.consent_silence)
        if not self._data_since_check:
            self._probe_at = NEVER
        elif silent_from > now:
            self._probe_at = silent_from
        else:
            self._probe_at = NEVER
            self._check_at = min(self._check_at, now)

    def _after_interval(self, now: Instant) -> Instant:
        # RFC 7675 section 5.1: between 0.8 and 1.2 times the interval, so that checks of many do not fall together.
        share = 0.8 + 0.4 * self._entropy.below(_JITTER_STEPS) / _JITTER_STEPS
        return later(now, share * self._options.consent_interval)
