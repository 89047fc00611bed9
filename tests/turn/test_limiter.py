from __future__ import annotations

import resource
from pathlib import Path

import pytest

from icelane.core.clock import Instant
from icelane.core.net import unpack_host
from icelane.errors import MalformedError
from icelane.testing.entropy import SeededEntropy
from icelane.turn.limiter import REPORT_WINDOW, Allowance, BucketSketch, SourceLimiter, source_key

T0 = Instant(1000.0)


def allowed(limiter: SourceLimiter, host: str, count: int, now: float = T0) -> int:
    return sum(limiter.allow(host, Instant(now)).allowed for _ in range(count))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("2001:db8::1%eth0", "2001:db8::1", True),
    ],
)
def test_a_source_is_an_ipv4_address_or_an_ipv6_64(one: str, other: str, same: bool) -> None:
    """TQ-3: ports rotate, and so do the lower 64 bits."""
    assert (source_key(one) == source_key(other)) is same


def test_a_source_has_its_burst_and_then_its_rate() -> None:
    """TQ-3: 1,000 at once, then 200 per second."""
    limiter = SourceLimiter(SeededEntropy())
    assert allowed(limiter, "192.0.2.1", 5000) == 1000
    assert allowed(limiter, "192.0.2.1", 5000, T0 + 1) == 200
    assert allowed(limiter, "192.0.2.1", 5000, T0 + 1.5) == 100
    assert allowed(limiter, "192.0.2.1", 5000, T0 + 3600) == 1000


def test_rotating_the_lower_half_of_an_ipv6_address_gains_nothing() -> None:
    """TQ-3: IPv6 by /64."""
    limiter = SourceLimiter(SeededEntropy(), rate=10, burst=10)
    assert sum(limiter.allow(f"2001:db8::{number:x}", T0).allowed for number in range(100)) == 10
    assert limiter.allow("2001:db8:0:1::1", T0).allowed


def test_another_source_is_unaffected() -> None:
    """TQ-3."""
    limiter = SourceLimiter(SeededEntropy(), rate=10, burst=10)
    allowed(limiter, "192.0.2.1", 100)
    assert allowed(limiter, "192.0.2.2", 10) == 10


def test_one_record_per_window_counts_what_was_refused_in_between() -> None:
    """TQ-3: one log line per window."""
    limiter = SourceLimiter(SeededEntropy(), rate=1, burst=1)
    assert limiter.allow("192.0.2.1", T0) == Allowance(True)
    found = [limiter.allow("192.0.2.1", T0) for _ in range(8)]
    assert found == [Allowance(False, True, 0)] + [Allowance(False)] * 7
    for _ in range(3):
        limiter.allow("192.0.2.1", Instant(T0 + REPORT_WINDOW))
    assert limiter.allow("192.0.2.1", Instant(T0 + 2 * REPORT_WINDOW)).allowed
    assert limiter.allow("192.0.2.1", Instant(T0 + 2 * REPORT_WINDOW)) == Allowance(False, True, 1)


def test_a_rate_of_zero_is_no_limit() -> None:
    """TQ-3: 0 is off, and costs no memory."""
    limiter = SourceLimiter(SeededEntropy(), rate=0)
    assert allowed(limiter, "192.0.2.1", 10_000) == 10_000


def test_time_that_stands_still_or_starts_at_zero_is_no_trouble() -> None:
    limiter = SourceLimiter(SeededEntropy(), rate=2, burst=2)
    assert allowed(limiter, "192.0.2.1", 5, 0.0) == 2
    assert allowed(limiter, "192.0.2.1", 5, 0.5) == 1


def test_a_host_that_is_no_address_is_malformed() -> None:
    with pytest.raises(MalformedError):
        SourceLimiter(SeededEntropy()).allow("example.org", T0)


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def flood(sources: int) -> None:
    limiter = SourceLimiter(SeededEntropy())
    allowed(limiter, "192.0.2.1", 1)
    before = resident_bytes()
    refused = 0
    for number in range(sources):
        # As fast as a gigabit of 401s could be asked for.
        now = Instant(T0 + number / 1_000_000)
        refused += not limiter.allow(unpack_host((0x0B000000 + number).to_bytes(4, "big")), now).allowed
    assert refused == 0
    assert allowed(limiter, "192.0.2.1", 1000, T0 + sources / 1_000_000) >= 900
    # The limiter holds nothing per source; the cache of addresses, which is bounded too, fills.
    assert resident_bytes() - before < 5_000_000


def test_a_hundred_thousand_sources_cost_no_memory_and_hurt_nobody() -> None:
    """TQ-3: limiter memory fixed; a tenth of the long run."""
    flood(100_000)


@pytest.mark.long
def test_a_million_sources_cost_no_memory_and_hurt_nobody() -> None:
    """TQ-3: limiter memory fixed under 10^6 sources."""
    flood(1_000_000)


def test_a_flood_of_others_does_not_reset_a_source() -> None:
    """TQ-3: nothing is evicted, so a reflected victim stays protected while a million spoofed sources pass."""
    limiter = SourceLimiter(SeededEntropy(), rate=1, burst=20, buckets=256)
    assert allowed(limiter, "192.0.2.1", 100) == 20
    for number in range(5000):
        limiter.allow(unpack_host((0x0B000000 + number).to_bytes(4, "big")), T0)
    assert allowed(limiter, "192.0.2.1", 100) == 0


def test_who_shares_a_bucket_depends_on_the_key() -> None:
    """TQ-3: collisions cannot be computed in advance."""
    keys = [number.to_bytes(4, "big") for number in range(64)]
    layouts = []
    for seed in (1, 2):
        sketch = BucketSketch(1, 1, SeededEntropy(seed), 1024)
        layouts.append([sketch.slots(key) for key in keys])
    assert layouts[0] != layouts[1]


def test_sharing_one_bucket_costs_nothing() -> None:
    sketch = BucketSketch(1, 5, SeededEntropy(), 64)
    keys = [number.to_bytes(4, "big") for number in range(4000)]
    victim = keys[0]
    first, second = sketch.slots(victim)
    half_shared = [key for key in keys[1:] if (sketch.slots(key)[0] == first) != (sketch.slots(key)[1] == second)]
    other = next(key for key in half_shared if sketch.slots(key)[0] == first)
    for _ in range(50):
        sketch.pour(other, T0)
    assert sketch.full(other, T0)
    assert not sketch.full(victim, T0)
    assert sum(sketch.pour(victim, T0) for _ in range(10)) == 5
