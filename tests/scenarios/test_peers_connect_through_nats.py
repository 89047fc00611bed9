"""Every pair of NATs: directly where theory says that it can be, over the relay everywhere.

Criterion: connected within 10 s. A NAT that maps by the destination (a "symmetric" one) sends a check from a port that
nobody could foretell. Where one side has such a NAT, the other one's filter must not look at ports. Where both have,
the answer to a check leaves from yet another port, and ICE takes no answer from elsewhere (RFC 8445 section 7.2.5.2.1):
then a mapping by address alone is needed on one side, whose port is the same for everything that the peer's host is
sent.
"""

from __future__ import annotations

import itertools

import pytest

from icelane.testing.nat import (
    ADDRESS_AND_PORT_DEPENDENT,
    ADDRESS_DEPENDENT,
    ENDPOINT_INDEPENDENT,
    Behaviour,
    Firewall,
)
from icelane.testing.network import Link
from icelane.testing.peer import PeerHost
from tests.scenarios.internet import (
    SERVER,
    Internet,
    assert_data_flows,
    assert_everything_is_given_back,
    connect,
    is_relayed,
    settle,
)

KINDS = list(itertools.product(Behaviour, Behaviour))


def is_symmetric(mapping: Behaviour) -> bool:
    return mapping is not ENDPOINT_INDEPENDENT


def can_be_direct(one: tuple[Behaviour, Behaviour], other: tuple[Behaviour, Behaviour]) -> bool:
    if one[0] is other[0] is ADDRESS_AND_PORT_DEPENDENT:
        return False
    if is_symmetric(one[0]) and is_symmetric(other[0]):
        return ADDRESS_AND_PORT_DEPENDENT not in (one[1], other[1]) and ENDPOINT_INDEPENDENT in (one[1], other[1])
    if is_symmetric(one[0]):
        return other[1] is not ADDRESS_AND_PORT_DEPENDENT
    if is_symmetric(other[0]):
        return one[1] is not ADDRESS_AND_PORT_DEPENDENT
    return True


def names(kind: tuple[Behaviour, Behaviour]) -> str:
    return f"{kind[0].value} mapping, {kind[1].value} filtering"


@pytest.mark.parametrize("theirs", KINDS, ids=names)
@pytest.mark.parametrize("ours", KINDS, ids=names)
def test_peers_behind_any_two_nats_connect(
    ours: tuple[Behaviour, Behaviour], theirs: tuple[Behaviour, Behaviour]
) -> None:
    internet = Internet(seed=4)
    alice, bob = internet.behind_nat(1, *ours), internet.behind_nat(2, *theirs)
    connect(alice, bob)
    settle(alice, bob)
    assert_data_flows(alice, bob)
    if can_be_direct(ours, theirs):
        assert not is_relayed(alice)
        assert not is_relayed(bob)
    assert_everything_is_given_back(internet, alice, bob)


@pytest.mark.parametrize("kind", KINDS, ids=names)
def test_a_peer_behind_any_nat_reaches_one_in_the_open_directly(kind: tuple[Behaviour, Behaviour]) -> None:
    internet = Internet(seed=5)
    alice, bob = internet.behind_nat(1, *kind), internet.peer(2)
    connect(alice, bob)
    settle(alice, bob)
    assert_data_flows(alice, bob)
    assert not is_relayed(alice)


@pytest.mark.usefixtures("follows_our_clock")
@pytest.mark.parametrize("seed", range(1, 6))
def test_two_symmetric_nats_are_crossed_over_the_relay_even_where_packets_are_lost(seed: int) -> None:
    internet = Internet(seed=seed, link=Link(delay=0.03, jitter=0.01, loss=0.1))
    kind = (ADDRESS_AND_PORT_DEPENDENT, ADDRESS_AND_PORT_DEPENDENT)
    alice, bob = internet.behind_nat(1, *kind), internet.behind_nat(2, *kind)
    connect(alice, bob)
    settle(alice, bob)
    assert is_relayed(alice)
    assert_data_flows(alice, bob, within=10.0)


@pytest.mark.parametrize("blocked", [1, 2])
def test_a_side_that_may_only_reach_the_relay_is_connected_over_it(blocked: int) -> None:
    internet = Internet(seed=6)
    peers: list[PeerHost] = [internet.peer(1), internet.peer(2)]
    Firewall(internet.network, inside=f"203.0.114.{blocked}/32", except_for=[SERVER.host])
    connect(*peers)
    settle(*peers)
    assert all(is_relayed(peer) for peer in peers)
    assert_data_flows(*peers)


def test_a_side_that_lets_nothing_in_unasked_is_reached_directly() -> None:
    internet = Internet(seed=7)
    alice = internet.behind_nat(1, ENDPOINT_INDEPENDENT, ADDRESS_DEPENDENT)
    bob = internet.peer(2)
    connect(bob, alice)
    settle(alice, bob)
    assert not is_relayed(alice)


def test_hosts_of_one_private_network_find_each_other_inside() -> None:
    internet = Internet(seed=8)
    alice = internet.behind_nat(1, ENDPOINT_INDEPENDENT)
    bob = internet.peer(2, "10.1.0.3")
    connect(alice, bob)
    settle(alice, bob)
    assert_data_flows(alice, bob)
    assert alice.engine.transport is not None
    selected = alice.engine.transport.ice.selected
    assert selected is not None
    assert selected.path.remote.host == "10.1.0.3"
