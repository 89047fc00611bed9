"""Loss up to 30 %, reordering, duplicates. Criterion: both are connected within 10 s, and what is sent arrives."""

from __future__ import annotations

import hashlib

import pytest

from icelane.testing.network import Link
from tests.scenarios.internet import Internet, assert_data_flows, connect

SEEDS = range(1, 6)

pytestmark = pytest.mark.usefixtures("follows_our_clock")


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("loss", [0.0, 0.01, 0.1, 0.2, 0.3])
def test_peers_connect_within_ten_seconds_whatever_is_lost(loss: float, seed: int) -> None:
    internet = Internet(seed=seed, link=Link(delay=0.03, jitter=0.01, loss=loss), has_servers=False)
    alice, bob = internet.peer(1), internet.peer(2)
    connect(alice, bob)
    assert_data_flows(alice, bob, within=15.0)


@pytest.mark.parametrize("seed", SEEDS)
def test_reordering_and_duplicates_change_nothing(seed: int) -> None:
    link = Link(delay=0.02, jitter=0.02, reordering=0.3, reorder_delay=0.06, duplication=0.3)
    internet = Internet(seed=seed, link=link, has_servers=False)
    alice, bob = internet.peer(1), internet.peer(2)
    assert connect(alice, bob) < 1.5
    assert_data_flows(alice, bob)


def test_a_large_message_arrives_whole_over_a_link_that_does_all_of_it() -> None:
    link = Link(delay=0.02, jitter=0.02, loss=0.1, reordering=0.2, duplication=0.2)
    internet = Internet(seed=3, link=link, has_servers=False)
    alice, bob = internet.peer(1), internet.peer(2)
    connect(alice, bob)
    internet.network.run_until(lambda: alice.opened and bob.opened)
    payload = bytes(number * 7 % 251 for number in range(250_000))
    for _ in range(4):
        alice.send(alice.opened[0], payload)
    internet.network.run_until(lambda: len(bob.messages) == 4)
    for _, data in bob.messages:
        assert isinstance(data, bytes)
        assert hashlib.sha256(data).digest() == hashlib.sha256(payload).digest()
