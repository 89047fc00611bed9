"""Asking for a key frame."""

from __future__ import annotations

from itertools import pairwise

import pytest

from icelane.core.clock import NEVER, Instant
from icelane.media.key_frame_request import FIRST_INTERVAL, MAX_INTERVAL, KeyFrameRequest

pytestmark = pytest.mark.twin


def test_it_is_asked_for_at_once_and_then_less_and_less_often() -> None:
    request = KeyFrameRequest()
    assert request.next_at == NEVER
    request.want(Instant(1.0))
    times = []
    for _ in range(8):
        now = request.next_at
        assert request.take(0.05, now)
        assert not request.take(0.05, now)
        times.append(now)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert times[0] == 1.0
    assert abs(gaps[0] - FIRST_INTERVAL) < 1e-9
    assert gaps == sorted(gaps)
    assert abs(gaps[-1] - MAX_INTERVAL) < 1e-9


def test_wanting_it_again_changes_nothing() -> None:
    request = KeyFrameRequest()
    request.want(Instant(1.0))
    request.take(0.05, Instant(1.0))
    request.want(Instant(1.1))
    assert not request.take(0.05, Instant(1.1))


def test_it_is_over_when_one_is_there_and_begins_anew() -> None:
    request = KeyFrameRequest()
    request.want(Instant(1.0))
    request.take(0.05, Instant(1.0))
    request.fulfil()
    assert request.next_at == NEVER
    request.want(Instant(1.1))
    assert request.take(0.05, Instant(1.1))
