"""How often, and how many at a time: per address, identity, room and kind of message. In fixed memory.

An address is an IPv4 address or the /64 of an IPv6 one. What is counted here is counted per process, and signaling of
one node runs in one (SG-15). The buckets are those of the relay (`icelane.turn.limiter`): no flood of new keys makes
them grow or hides behind another's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from icelane.core.clock import Duration, Instant
from icelane.core.entropy import Entropy
from icelane.turn.limiter import BucketSketch, source_key

# Per row: connects and messages are rarer than packets. 128 kB a sketch.
BUCKETS: Final = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """So many a second, and so many at once after a pause. 0 a second is no limit."""

    per_second: float
    burst: float

    @classmethod
    def per_minute(cls, count: float) -> Rate:
        """`count` a minute, of which a sixth may come at once."""
        return cls(per_second=count / 60, burst=max(1.0, math.ceil(count / 6)))


DEFAULT_KIND_RATES: Final[Mapping[str, Rate]] = {
    # A whole room gets what one sends to it; joins cost everybody in the room a push.
    "join": Rate(per_second=2, burst=32),
    "update": Rate(per_second=2, burst=32),
    "signal": Rate(per_second=50, burst=200),
    "message": Rate(per_second=50, burst=200),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RateSettings:
    """Every limit. Their defaults let a household with three browsers reload pages as fast as it can."""

    connects_per_address: Rate = field(default_factory=lambda: Rate.per_minute(60))
    connects: Rate = Rate(per_second=200, burst=1000)
    admissions_per_identity: Rate = field(default_factory=lambda: Rate.per_minute(60))
    credentials_per_identity: Rate = field(default_factory=lambda: Rate.per_minute(60))
    refusals_per_address: Rate = field(default_factory=lambda: Rate.per_minute(120))
    messages_per_room: Rate = Rate(per_second=1000, burst=4000)
    messages_per_identity: Mapping[str, Rate] = field(default_factory=lambda: DEFAULT_KIND_RATES)
    connections_per_address: int = 100
    connections: int = 20_000


class _Limit:
    """One limit over any number of keys; a rate of 0 is none."""

    def __init__(self, rate: Rate, entropy: Entropy) -> None:
        self._sketch = BucketSketch(rate.per_second, rate.burst, entropy, BUCKETS) if rate.per_second else None
        # Whoever is refused has a full bucket, and room for one is there after this.
        self._wait = 1.0 / rate.per_second if rate.per_second else 0.0

    def take(self, key: bytes, now: Instant) -> Duration | None:
        """Count one; the seconds to wait when there was no room."""
        return None if self._sketch is None or self._sketch.pour(key, now) else self._wait

    def full(self, key: bytes, now: Instant) -> Duration | None:
        """The seconds to wait when there is no room, without counting."""
        return self._wait if self._sketch is not None and self._sketch.full(key, now) else None


class RateLimits:
    """Counts, and says how long to wait. A reload makes another one, which begins empty."""

    def __init__(self, settings: RateSettings, entropy: Entropy) -> None:
        self.settings = settings
        self._connects = _Limit(settings.connects, entropy)
        self._by_address = _Limit(settings.connects_per_address, entropy)
        self._refused = _Limit(settings.refusals_per_address, entropy)
        self._by_identity = _Limit(settings.admissions_per_identity, entropy)
        self._credentials = _Limit(settings.credentials_per_identity, entropy)
        self._rooms = _Limit(settings.messages_per_room, entropy)
        self._kinds = {kind: _Limit(rate, entropy) for kind, rate in settings.messages_per_identity.items()}

    def connect(self, ip: str, now: Instant) -> Duration | None:
        """One more wants in from an address; the seconds to wait when it may not be looked at."""
        source = source_key(ip)
        wait = self._refused.full(source, now)
        if wait is None:
            wait = self._by_address.take(source, now)
        # Last, so that whoever floods from one address uses up nothing of everybody's.
        return wait if wait is not None else self._connects.take(b"", now)

    def refused(self, ip: str, now: Instant) -> None:
        """Somebody at an address had a wrong token, ticket or key: those are what guessing costs."""
        self._refused.take(source_key(ip), now)

    def admit(self, identity: str, now: Instant) -> Duration | None:
        """One more connection of an identity; the seconds to wait when it is one too many."""
        return self._by_identity.take(identity.encode(), now)

    def credentials(self, identity: str, now: Instant) -> Duration | None:
        """TURN credentials for an identity; the seconds to wait when he has had enough."""
        return self._credentials.take(identity.encode(), now)

    def message(self, identity: str, room: str, kind: str, now: Instant) -> Duration | None:
        """A frame of a kind, from somebody in a room ("" without one); the seconds to wait when it is one too many."""
        limit = self._kinds.get(kind)
        wait = limit.take(identity.encode(), now) if limit is not None else None
        if wait is None and room:
            wait = self._rooms.take(room.encode(), now)
        return wait


class Connections:
    """How many are connected, by address. Entries are as many as connections, so the total bounds them."""

    def __init__(self, per_address: int, total: int) -> None:
        self._per_address = per_address
        self._total = total
        self._count = 0
        self._counts_by_source: dict[bytes, int] = {}

    def __len__(self) -> int:
        return self._count

    def open(self, ip: str) -> Connection | None:
        """Count one more; None when there are too many, from this address or at all."""
        source = source_key(ip)
        count = self._counts_by_source.get(source, 0)
        if self._count >= self._total or count >= self._per_address:
            return None
        self._count += 1
        self._counts_by_source[source] = count + 1
        return Connection(self, source)

    def resize(self, per_address: int, total: int) -> None:
        """Other limits from now on; nobody is closed for them."""
        self._per_address = per_address
        self._total = total

    def closed(self, source: bytes) -> None:
        """Count one less; a Connection calls it."""
        self._count -= 1
        count = self._counts_by_source[source] - 1
        if count:
            self._counts_by_source[source] = count
        else:
            del self._counts_by_source[source]


class Connection:
    """A place among the connections, until it is closed. Also a context manager."""

    __slots__ = ("_connections", "_source")

    def __init__(self, connections: Connections, source: bytes) -> None:
        self._connections: Connections | None = connections
        self._source = source

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the place back; once is enough and twice no harm."""
        if self._connections is not None:
            self._connections.closed(self._source)
            self._connections = None
