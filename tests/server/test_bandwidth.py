from __future__ import annotations

import pytest

from icelane.core.clock import Instant
from icelane.server.bandwidth import Bandwidth, BandwidthLimits, Meter

PACKET = 1000


def passed(meter: Meter, packets_per_second: int, seconds: float, start: float = 100.0, size: int = PACKET) -> int:
    """How many bytes of a steady flow pass."""
    count = int(packets_per_second * seconds)
    return sum(size * meter.admit(size, Instant(start + index / packets_per_second)) for index in range(count))


def test_without_limits_everything_passes() -> None:
    """TQ-9: 0 is no limit."""
    bandwidth = Bandwidth(BandwidthLimits())
    assert bandwidth.unlimited
    assert passed(bandwidth.open("a", "alice"), 10_000, 2) == 20_000 * PACKET
    assert not Bandwidth(BandwidthLimits(total=1)).unlimited


def test_ten_times_the_limit_is_throttled_to_it() -> None:
    """TQ-9: after a second's worth in stock."""
    meter = Bandwidth(BandwidthLimits(per_allocation=100_000)).open("a", "alice")
    assert passed(meter, 1000, 10) == pytest.approx(100_000 * 11, rel=0.01)
    assert meter.dropped == 10_000 - 1100


def test_what_stays_under_the_limit_loses_nothing() -> None:
    """TQ-9: at nine tenths, and after any pause."""
    meter = Bandwidth(BandwidthLimits(per_allocation=100_000)).open("a", "alice")
    assert passed(meter, 90, 60) == 90 * 60 * PACKET
    assert passed(meter, 90, 60, start=10_000.0) == 90 * 60 * PACKET
    assert meter.dropped == 0


def test_another_allocation_is_unaffected() -> None:
    """TQ-9: the other's loss stays below 1 %."""
    bandwidth = Bandwidth(BandwidthLimits(per_allocation=100_000, total=1_000_000))
    greedy, modest = bandwidth.open("a", "alice"), bandwidth.open("b", "bob")
    for index in range(10_000):
        greedy.admit(PACKET, Instant(index / 1000))
        if index % 20 == 0:
            assert modest.admit(PACKET, Instant(index / 1000))
    assert greedy.dropped > 8000


def test_the_allocations_of_a_user_share_its_limit() -> None:
    bandwidth = Bandwidth(BandwidthLimits(per_user=100_000))
    first, second, other = bandwidth.open(1, "alice"), bandwidth.open(2, "alice"), bandwidth.open(3, "bob")
    shared = sum(
        PACKET * (first if index % 2 else second).admit(PACKET, Instant(index / 1000)) for index in range(5000)
    )
    assert shared == pytest.approx(100_000 * 6, rel=0.01)
    assert passed(other, 90, 5) == 90 * 5 * PACKET


def test_the_server_has_a_limit_for_all() -> None:
    bandwidth = Bandwidth(BandwidthLimits(total=100_000))
    meters = [bandwidth.open(number, f"user{number}") for number in range(10)]
    total = sum(PACKET * meters[index % 10].admit(PACKET, Instant(index / 1000)) for index in range(5000))
    assert total == pytest.approx(100_000 * 6, rel=0.01)


def test_a_packet_that_one_limit_refuses_is_not_charged_to_another() -> None:
    bandwidth = Bandwidth(BandwidthLimits(per_allocation=10_000, per_user=1_000_000))
    greedy = bandwidth.open("a", "alice")
    passed(greedy, 1000, 10)
    assert passed(bandwidth.open("b", "alice"), 9, 10, start=110.0) == 90 * PACKET


def test_a_packet_larger_than_the_limit_passes_now_and_then() -> None:
    """TQ-9: a soft limit slows, it does not cut off."""
    meter = Bandwidth(BandwidthLimits(per_allocation=1000)).open("a", "alice")
    assert passed(meter, 10, 640, size=64_000) == pytest.approx(640 * 1000, rel=0.11)


def test_closing_forgets_everything() -> None:
    """TQ-9: bounded: nothing is left of allocations that are gone."""
    bandwidth = Bandwidth(BandwidthLimits(per_allocation=1, per_user=1, total=1))
    now = Instant(100.0)
    for number in range(100):
        meter = bandwidth.open(number, f"user{number % 10}")
        assert bandwidth.open(number, "again") is meter
    assert (len(bandwidth), bandwidth.users) == (100, 10)
    for number in range(100):
        bandwidth.close(number, now)
        bandwidth.close(number, now)
    assert (len(bandwidth), bandwidth.users) == (0, 0)


def spend(meter: Meter, now: Instant) -> None:
    """Use up all that there is."""
    while meter.admit(PACKET, now):
        pass


def test_a_user_is_remembered_until_its_bucket_is_full_again() -> None:
    """TQ-9: what was used up stays used up, with an allocation or without; whoever comes back later is new."""
    bandwidth = Bandwidth(BandwidthLimits(per_user=10 * PACKET))
    spent, other = bandwidth.open("a", "alice"), bandwidth.open("b", "alice")
    now = Instant(100.0)
    spend(spent, now)
    bandwidth.close("a", now)
    assert not other.admit(PACKET, now)
    assert not bandwidth.open("c", "alice").admit(PACKET, now)
    bandwidth.close("b", now)
    bandwidth.close("c", now)
    again = bandwidth.open("d", "alice")
    assert not again.admit(PACKET, now)
    assert again.admit(PACKET, Instant(100.1))
    bandwidth.close("d", Instant(100.2))
    bandwidth.close("nothing", Instant(100.9))
    assert bandwidth.users == 1
    bandwidth.close("nothing", Instant(101.2))
    assert bandwidth.users == 0


def test_allocating_again_and_again_gains_nothing() -> None:
    """TQ-9: a hundred allocations, one after the other, carry what one of them would."""
    bandwidth = Bandwidth(BandwidthLimits(per_user=100_000))
    carried = 0
    for cycle in range(100):
        now = Instant(100.0 + cycle / 20)
        meter = bandwidth.open(cycle, "alice")
        carried += sum(PACKET * meter.admit(PACKET, now) for _ in range(200))
        bandwidth.close(cycle, now)
    assert carried == pytest.approx(100_000 * 6, rel=0.02)


def test_an_allocation_that_begins_before_the_bucket_is_full_keeps_it() -> None:
    """TQ-9: the time at which it would have been full passes with the user back."""
    bandwidth = Bandwidth(BandwidthLimits(per_user=10 * PACKET))
    spend(bandwidth.open("a", "alice"), Instant(100.0))
    bandwidth.close("a", Instant(100.0))
    back = bandwidth.open("b", "alice")
    spend(back, Instant(102.0))
    bandwidth.close("nothing", Instant(102.0))
    assert not bandwidth.open("c", "alice").admit(PACKET, Instant(102.0))


def test_users_who_left_are_remembered_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """TQ-9: beyond it the one is forgotten that gains least by it."""
    monkeypatch.setattr("icelane.server.bandwidth.MAX_RESTING_USERS", 3)
    bandwidth = Bandwidth(BandwidthLimits(per_user=10 * PACKET))
    now = Instant(100.0)
    for user, packets in [("dave", 8), ("alice", 2), ("bob", 10), ("carol", 5), ("erin", 9)]:
        meter = bandwidth.open(user, user)
        for _ in range(packets):
            meter.admit(PACKET, now)
        bandwidth.close(user, now)
    assert bandwidth.users == 3
    left = {user: bandwidth.open(user, user) for user in ("alice", "bob", "carol", "dave", "erin")}
    room = {user: sum(meter.admit(PACKET, now) for _ in range(20)) for user, meter in left.items()}
    assert room == {"alice": 10, "bob": 0, "carol": 10, "dave": 2, "erin": 1}
