from __future__ import annotations

import pytest

from icelane.core.clock import Instant
from icelane.errors import MalformedError
from icelane.testing.entropy import SeededEntropy
from icelane.turn.throttle import ATTACKED_FAILURES, SOURCE_FAILURES, USER_FAILURES, FailureThrottle

T0 = 1000.0


def guess(throttle: FailureThrottle, host: str, user: str, count: int, now: float = T0) -> int:
    """How many of `count` wrong passwords were looked at."""
    looked_at = 0
    for _ in range(count):
        if throttle.admits(host, user, Instant(now)):
            looked_at += 1
            throttle.failed(host, user, Instant(now))
    return looked_at


def test_one_source_has_a_few_wrong_passwords_and_then_one_per_second() -> None:
    """TA-12: 1,000 wrong passwords per second from one address."""
    throttle = FailureThrottle(SeededEntropy())
    assert guess(throttle, "192.0.2.1", "alice", 1000) == SOURCE_FAILURES
    assert sum(guess(throttle, "192.0.2.1", "alice", 100, T0 + step / 10) for step in range(101)) == 10


def test_changing_the_user_or_the_ipv6_host_part_gains_a_source_nothing() -> None:
    """TA-12: by address and IPv6 /64."""
    throttle = FailureThrottle(SeededEntropy())
    assert sum(guess(throttle, "192.0.2.1", f"user{number}", 1) for number in range(100)) == SOURCE_FAILURES
    assert sum(guess(throttle, f"2001:db8::{number:x}", "bob", 1) for number in range(100)) == SOURCE_FAILURES


def test_the_user_still_gets_in_from_elsewhere() -> None:
    """TA-12: nobody can lock anybody out."""
    throttle = FailureThrottle(SeededEntropy())
    for number in range(200):
        guess(throttle, f"198.51.100.{number}", "alice", 50)
    for _ in range(1000):
        assert throttle.admits("192.0.2.1", "alice", Instant(T0))


def test_many_sources_have_fewer_guesses_each_once_the_user_is_under_attack() -> None:
    """TA-12: per user."""
    throttle = FailureThrottle(SeededEntropy())
    looked_at = [guess(throttle, f"198.51.100.{number}", "alice", 1000) for number in range(100)]
    assert looked_at[:2] == [SOURCE_FAILURES, SOURCE_FAILURES]
    assert looked_at[10:] == [ATTACKED_FAILURES] * 90
    assert sum(looked_at) <= 2 * USER_FAILURES + 100 * ATTACKED_FAILURES
    assert guess(throttle, "203.0.113.1", "bob", 1000) == SOURCE_FAILURES


def test_an_attack_that_is_over_is_forgotten() -> None:
    """TA-12: recovery within a minute, without anything to clean up."""
    throttle = FailureThrottle(SeededEntropy())
    for number in range(100):
        guess(throttle, f"198.51.100.{number}", "alice", 1000)
    assert guess(throttle, "198.51.100.1", "alice", 1000, T0 + 60) == SOURCE_FAILURES


def test_an_address_and_a_name_cannot_be_read_as_others() -> None:
    throttle = FailureThrottle(SeededEntropy())
    for number in range(100):
        guess(throttle, f"198.51.100.{number}", "aaaax", 1000)
        guess(throttle, f"198.51.100.{number}", "x", 1000)
    # 1.2.3.4 with "aaaax" and 102:304:6161:6161::/64 with "x" would be the same bytes.
    guess(throttle, "1.2.3.4", "aaaax", ATTACKED_FAILURES)
    assert not throttle.admits("1.2.3.4", "aaaax", Instant(T0))
    assert throttle.admits("102:304:6161:6161::1", "x", Instant(T0))


def test_a_host_that_is_no_address_is_malformed() -> None:
    with pytest.raises(MalformedError):
        FailureThrottle(SeededEntropy()).admits("example.org", "alice", Instant(T0))
