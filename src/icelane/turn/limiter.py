"""How often one source may do something, in memory that no number of sources makes grow.

A source is an IPv4 address or the /64 of an IPv6 address; ports are ignored, because whoever sends the packets picks
them. There is no entry per source: two rows of buckets are indexed by two halves of a keyed hash, and a source is over
its limit when both of its buckets say so. Sources that share one bucket rarely share the other, and nobody can choose
whom to share with, since the key is random. A flood of spoofed sources evicts nothing, so it cannot hide one of them.
"""

from __future__ import annotations

from array import array
from typing import Final, NamedTuple

from icelane.core.clock import Instant
from icelane.core.entropy import Entropy
from icelane.core.net import pack_host
from icelane.crypto.provider import hmac_sha256

# Per row. At 200 replies per second and bucket, a flood has to be thirteen million packets per second wide before it
# fills the buckets of those who are not in it.
BUCKETS: Final = 65_536
# One log record per source and so many seconds; what is refused in between is counted in it.
REPORT_WINDOW: Final = 10.0

DEFAULT_RATE: Final = 200.0
DEFAULT_BURST: Final = 1000.0

_MAPPED: Final = bytes(10) + b"\xff\xff"


def source_key(host: str) -> bytes:
    """What identifies a source: the 4 bytes of an IPv4 address, mapped or not, the first 8 of an IPv6 address."""
    packed = pack_host(host)
    if len(packed) == 4:
        return packed
    return packed[12:] if packed.startswith(_MAPPED) else packed[:8]


class BucketSketch:
    """Leaky buckets for any number of keys: each drains at `rate` per second and holds `burst`.

    Memory is 16 bytes for each of `buckets`, whatever happens. Keys that share both buckets, one pair in
    `buckets` squared, share a limit.
    """

    __slots__ = ("_depth", "_drained_at", "_first", "_hash_key", "_interval", "_mask", "_second")

    def __init__(self, rate: float, burst: float, entropy: Entropy, buckets: int = BUCKETS) -> None:
        """`buckets` is a power of two."""
        assert buckets & (buckets - 1) == 0
        self._interval = 1.0 / rate
        # Half a drop more, so that rounding never costs the last one.
        self._depth = (burst + 0.5) / rate
        self._mask = buckets - 1
        self._hash_key = entropy.token(32)
        self._drained_at = float("-inf")
        # A bucket is the instant at which it will be empty (the generic cell rate algorithm): one number, no timer.
        self._first = array("d", (float("-inf"),)) * buckets
        self._second = array("d", (float("-inf"),)) * buckets

    def slots(self, key: bytes) -> tuple[int, int]:
        """Where the two buckets of a key are."""
        digest = hmac_sha256(self._hash_key, key)
        return int.from_bytes(digest[:4], "big") & self._mask, int.from_bytes(digest[4:8], "big") & self._mask

    def pour(self, key: bytes, now: Instant) -> bool:
        """Add one to the buckets of a key unless they are full; whether there was room."""
        return self.pour_into(self.slots(key), now)

    def pour_into(self, slots: tuple[int, int], now: Instant) -> bool:
        """`pour` for a key whose `slots` are known."""
        first, second = slots
        level = self._level(first, second, now) + self._interval
        if level - now > self._depth:
            return False
        self._raise(first, second, level)
        return True

    def full(self, key: bytes, now: Instant) -> bool:
        """Whether there is no room for one more."""
        if now >= self._drained_at:
            return self._interval > self._depth  # every bucket is empty, so nobody's need be looked up
        first, second = self.slots(key)
        return self._level(first, second, now) + self._interval - now > self._depth

    def _level(self, first: int, second: int, now: Instant) -> float:
        return max(now, min(self._first[first], self._second[second]))

    def _raise(self, first: int, second: int, level: float) -> None:
        self._drained_at = max(self._drained_at, level)
        # The fuller of two buckets is another key's doing and stays as it is.
        self._first[first] = max(self._first[first], level)
        self._second[second] = max(self._second[second], level)


class Allowance(NamedTuple):
    """Whether a source may go on. `report` asks for a log record: `refused` more were refused without one."""

    allowed: bool
    report: bool = False
    refused: int = 0


_ALLOWED: Final = Allowance(True)
_REFUSED: Final = Allowance(False)


class SourceLimiter:
    """A limit per source on something that costs us more than it costs them: replies to the unauthenticated (TQ-3)."""

    __slots__ = ("_refused", "_reported", "_sketch")

    def __init__(
        self, entropy: Entropy, rate: float = DEFAULT_RATE, burst: float = DEFAULT_BURST, buckets: int = BUCKETS
    ) -> None:
        """`rate` per second, after a `burst`; a rate of 0 sets no limit."""
        self._sketch = BucketSketch(rate, burst, entropy, buckets) if rate else None
        self._reported = array("d", (float("-inf"),)) * (buckets if rate else 0)
        self._refused = array("L", (0,)) * (buckets if rate else 0)

    def allow(self, host: str, now: Instant) -> Allowance:
        """Count one from `host`. Raises MalformedError when that is not an address."""
        if self._sketch is None:
            return _ALLOWED
        slots = self._sketch.slots(source_key(host))
        return _ALLOWED if self._sketch.pour_into(slots, now) else self._refuse(slots[0], now)

    def _refuse(self, slot: int, now: Instant) -> Allowance:
        if now - self._reported[slot] < REPORT_WINDOW:
            self._refused[slot] += 1
            return _REFUSED
        before = self._refused[slot]
        self._reported[slot] = now
        self._refused[slot] = 0
        return Allowance(False, True, before)
