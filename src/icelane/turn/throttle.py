"""Slows those who guess passwords without locking out those who know theirs (TA-12).

Only wrong passwords count, and names that nobody has, as if they were one: else the limits would tell which names
exist. They count after the nonce has proved the source. Three limits, each in fixed memory:

* a source (IPv4 address or IPv6 /64, ports ignored) has 20 in stock and gets one per second back; beyond that none of
  its requests is looked at, right or wrong;
* a user has 50 in stock and gets one per second back; beyond that the user is under attack, which alone refuses
  nobody, since it would let anyone lock anyone out;
* while a user is under attack, a source has 3 wrong passwords for that user and gets one per 10 seconds back. Whoever
  comes from elsewhere with the right password is let in at the first attempt.

A request that is not looked at is best dropped without an answer: its sender's retransmissions are more attempts, and
one of them gets through as soon as the source may try again.
"""

from __future__ import annotations

from typing import Final

from icelane.core.clock import Instant
from icelane.core.entropy import Entropy
from icelane.turn.limiter import BucketSketch, source_key

SOURCE_FAILURES: Final = 20
SOURCE_RECOVERY: Final = 1.0
USER_FAILURES: Final = 50
USER_RECOVERY: Final = 1.0
ATTACKED_FAILURES: Final = 3
ATTACKED_RECOVERY: Final = 0.1

# Wrong passwords are rarer than packets.
_BUCKETS: Final = 16_384


class FailureThrottle:
    """Decides whether a password is worth checking. 800 kB, whoever comes."""

    __slots__ = ("_pairs", "_sources", "_users")

    def __init__(self, entropy: Entropy) -> None:
        self._sources = BucketSketch(SOURCE_RECOVERY, SOURCE_FAILURES, entropy, _BUCKETS)
        self._users = BucketSketch(USER_RECOVERY, USER_FAILURES, entropy, _BUCKETS)
        self._pairs = BucketSketch(ATTACKED_RECOVERY, ATTACKED_FAILURES, entropy, _BUCKETS)

    def failed(self, host: str, user: str, now: Instant) -> None:
        """A request of `user` from `host` had the wrong password, or nobody is called that.

        Raises MalformedError when `host` is no address.
        """
        source, name = source_key(host), user.encode()
        self._sources.pour(source, now)
        self._users.pour(name, now)
        self._pairs.pour(_pair(source, name), now)

    def admits_source(self, host: str, now: Instant) -> bool:
        """Whether to look at a request at all. Raises MalformedError when `host` is no address."""
        return not self._sources.full(source_key(host), now)

    def admits(self, host: str, user: str, now: Instant) -> bool:
        """Whether to check the password of a request. Raises MalformedError when `host` is no address."""
        source, name = source_key(host), user.encode()
        if self._sources.full(source, now):
            return False
        return not (self._users.full(name, now) and self._pairs.full(_pair(source, name), now))


def _pair(source: bytes, name: bytes) -> bytes:
    # The length keeps an IPv4 source and a name apart from an IPv6 source and a shorter name.
    return bytes((len(source),)) + source + name
