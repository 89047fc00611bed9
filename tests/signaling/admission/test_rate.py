"""How often, and how many."""

from __future__ import annotations

import pytest

from icelane.core.clock import Instant
from icelane.crypto.provider import SystemEntropy
from icelane.signaling.admission.rate import Connections, Rate, RateLimits, RateSettings

T0 = Instant(1000.0)


def limits(**changes: object) -> RateLimits:
    return RateLimits(RateSettings(**changes), SystemEntropy())  # type: ignore[arg-type]


def connects(found: RateLimits, ip: str, count: int, now: float = T0) -> int:
    """How many of `count` connects go through."""
    return sum(found.connect(ip, Instant(now)) is None for _ in range(count))


def test_an_address_connects_so_often_a_minute() -> None:
    """SG-11: sixty a minute by default, ten of them at once; the wait is told."""
    found = limits()
    assert connects(found, "203.0.113.1", 100) == 10
    assert found.connect("203.0.113.1", T0) == pytest.approx(1.0)
    assert connects(found, "203.0.113.1", 5, T0 + 1.01) == 1
    assert connects(found, "203.0.113.2", 5) == 5


def test_a_network_of_ipv6_is_one_address() -> None:
    """SG-15: by /64, since whoever has one has all of it."""
    found = limits()
    assert sum(connects(found, f"2001:db8::{number:x}", 1) for number in range(1, 100)) == 10
    assert connects(found, "2001:db8:0:1::1", 1) == 1
    assert connects(found, "::ffff:203.0.113.9", 20) + connects(found, "203.0.113.9", 20) == 10


def test_everybody_together_has_a_limit_that_one_address_cannot_use_up() -> None:
    """SG-11: a flood from one address costs others nothing."""
    found = limits(connects=Rate(per_second=1, burst=20))
    assert connects(found, "203.0.113.1", 1000) == 10
    assert sum(connects(found, f"203.0.114.{number}", 1) for number in range(50)) == 10


def test_whoever_guesses_is_not_looked_at_for_a_while() -> None:
    found = limits(connects_per_address=Rate(per_second=0, burst=0))
    for _ in range(20):
        assert found.connect("203.0.113.1", T0) is None
        found.refused("203.0.113.1", T0)
    assert found.connect("203.0.113.1", T0) == pytest.approx(0.5)
    assert found.connect("203.0.113.2", T0) is None
    assert found.connect("203.0.113.1", Instant(T0 + 0.6)) is None


def test_a_rate_of_zero_is_no_limit() -> None:
    none = Rate(per_second=0, burst=0)
    found = limits(connects_per_address=none, connects=none, admissions_per_identity=none)
    assert connects(found, "203.0.113.1", 5000) == 5000
    assert all(found.admit("alice", T0) is None for _ in range(5000))


def test_an_identity_has_limits_of_its_own() -> None:
    """CR-4: credentials per user, wherever he asks from."""
    found = limits()
    assert sum(found.admit("alice", T0) is None for _ in range(50)) == 10
    assert sum(found.credentials("alice", T0) is None for _ in range(50)) == 10
    assert found.admit("bob", T0) is None


def test_messages_are_limited_by_kind_and_room() -> None:
    """SG-12: one who floods with one kind may still send the other; a room has a limit for all in it."""
    found = limits(
        messages_per_identity={"message": Rate(per_second=50, burst=200), "signal": Rate(per_second=50, burst=400)},
        messages_per_room=Rate(per_second=100, burst=500),
    )
    assert sum(found.message("alice", "lobby", "message", T0) is None for _ in range(1000)) == 200
    assert found.message("alice", "lobby", "message", T0) == pytest.approx(1 / 50)
    assert found.message("alice", "lobby", "signal", T0) is None
    assert found.message("alice", "", "unknown", T0) is None
    assert sum(found.message(f"u{number}", "lobby", "message", T0) is None for number in range(1000)) == 299
    assert found.message("bob", "other", "message", T0) is None


def test_no_number_of_sources_makes_memory_grow() -> None:
    """SG-15: there is no entry for a source; a million and one take what none takes."""
    import tracemalloc

    found = limits(connects=Rate(per_second=0, burst=0))
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(20_000):
        found.connect(f"2001:db8:{number >> 4:x}:{number & 15:x}::1", T0)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 4 << 20  # the texts of addresses that are remembered, of which there are 4096


def test_a_place_is_given_back() -> None:
    """SG-11: caps per address and in all."""
    places = Connections(per_address=2, total=3)
    first, second = places.open("203.0.113.1"), places.open("::ffff:203.0.113.1")
    assert first is not None
    assert second is not None
    assert places.open("203.0.113.1") is None
    other = places.open("2001:db8::1")
    assert other is not None
    assert places.open("2001:db8:1::1") is None
    assert len(places) == 3
    first.close()
    first.close()
    with second, other:
        assert len(places) == 2
    assert len(places) == 0
    assert not places._counts_by_source
    places.resize(1, 1)
    assert places.open("203.0.113.1") is not None
    assert places.open("203.0.113.2") is None
