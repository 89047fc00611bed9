"""How many frames one client may send."""

from __future__ import annotations

import pytest

from icelane.core.clock import Instant
from icelane.signaling.token_bucket import TokenBucket


def test_a_burst_and_then_the_rate() -> None:
    bucket = TokenBucket(50.0, 200, Instant(0.0))
    assert sum(bucket.take(Instant(0.0)) for _ in range(300)) == 200
    assert bucket.wait(Instant(0.0)) == pytest.approx(2.0)
    assert sum(bucket.take(Instant(1.0)) for _ in range(300)) == 50
    assert sum(bucket.take(Instant(100.0)) for _ in range(300)) == 200


def test_time_that_goes_back_gives_nothing() -> None:
    bucket = TokenBucket(1.0, 1, Instant(10.0))
    assert bucket.take(Instant(10.0))
    assert not bucket.take(Instant(5.0))
    assert bucket.wait(Instant(5.0)) >= 0.0


def test_other_bounds_keep_what_was_used() -> None:
    bucket = TokenBucket(1.0, 10, Instant(0.0))
    for _ in range(4):
        bucket.take(Instant(0.0))
    bucket.limit(1.0, 6)
    assert sum(bucket.take(Instant(0.0)) for _ in range(10)) == 2
    bucket.limit(1.0, 9)
    assert sum(bucket.take(Instant(0.0)) for _ in range(10)) == 3
