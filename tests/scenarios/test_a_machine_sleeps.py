"""A machine sleeps in the middle of a call: what ran out meanwhile is noticed when it wakes, and nothing is stuck."""

from __future__ import annotations

import pytest

from icelane.core.clock import Duration
from icelane.core.net import SocketAddress
from icelane.ice.candidate import CandidateType
from icelane.ice.event import IceState
from icelane.peer.connection_options import PeerOptions
from icelane.testing.entropy import SeededEntropy
from icelane.testing.network import Link
from icelane.testing.peer import PeerHost
from icelane.testing.relay import RelayHost
from icelane.turn.credentials import CredentialStore, StaticUsers
from icelane.turn.peer_policy import PeerPolicy
from icelane.turn.server import TurnServer
from icelane.turn.server_config import TurnServerConfig
from tests.scenarios.internet import PORTS, SERVER, Internet, assert_data_flows, connect, is_relayed, settle

GONE = Link(loss=1.0)
HERE = Link(delay=0.02)
RELAY_ONLY = PeerOptions(relay_only=True)


def call(*, relay_only: bool) -> tuple[Internet, PeerHost, PeerHost]:
    """Alice and Bob, who are connected and have agreed on a path."""
    internet = Internet()
    options = RELAY_ONLY if relay_only else None
    alice, bob = internet.peer(1, options=options), internet.peer(2, options=options)
    connect(alice, bob)
    settle(alice, bob)
    assert is_relayed(alice) is relay_only
    assert_data_flows(alice, bob)
    return internet, alice, bob


def sleep(internet: Internet, alice: PeerHost, bob: PeerHost, duration: Duration) -> None:
    """Alice hears nothing, sends nothing and no timer of hers runs; then she is told that she has slept."""
    network = internet.network
    others = (SERVER.host, *bob.hosts)
    for host in alice.hosts:
        for other in others:
            network.connect(host, other, GONE)
    network._timed.remove(alice)
    network.run_for(duration)
    network.add_timed(alice)
    for host in alice.hosts:
        for other in others:
            network.connect(host, other, HERE)
    alice.run(alice.engine.handle_timeout)
    alice.run(alice.engine.doubt)


def relayed_candidates(peer: PeerHost) -> list[SocketAddress]:
    assert peer.engine.transport is not None
    found = [report.candidate for report in peer.engine.transport.ice.local_reports]
    return [candidate.address for candidate in found if candidate.type is CandidateType.RELAYED]


@pytest.mark.parametrize("relay_only", [False, True], ids=["direct", "relayed"])
def test_a_short_sleep_is_over_within_a_round_trip(relay_only: bool) -> None:
    internet, alice, bob = call(relay_only=relay_only)
    sleep(internet, alice, bob, 2.0)
    internet.network.run_for(0.2)
    assert alice.engine.ice_state in (IceState.CONNECTED, IceState.COMPLETED)
    assert_data_flows(alice, bob)


@pytest.mark.parametrize("relay_only", [False, True], ids=["direct", "relayed"])
def test_consent_that_ran_out_is_noticed_at_once_and_a_restart_mends_it(relay_only: bool) -> None:
    internet, alice, bob = call(relay_only=relay_only)
    sleep(internet, alice, bob, 7200.0)
    assert alice.engine.ice_state is IceState.FAILED
    assert bob.engine.ice_state is IceState.FAILED
    internet.network.run_for(0.5)
    assert relayed_candidates(alice) == [], "the allocation has expired"
    alice.run(lambda _: alice.engine.restart_ice())
    connect(alice, bob)
    assert_data_flows(alice, bob)


def test_an_allocation_that_the_server_has_forgotten_is_lost_at_once() -> None:
    """It answers 437 to the refresh, which without a doubt would have been minutes away."""
    internet = Internet()
    alice, bob = internet.peer(1, options=RELAY_ONLY), internet.peer(2)
    bob._relays = bob._stun = ()
    connect(alice, bob)
    settle(alice, bob)
    assert_data_flows(alice, bob)
    assert relayed_candidates(alice)
    internet.network.detach(SERVER)
    for relay in internet.server.relays:
        internet.network.detach(relay)
    again = TurnServer(
        TurnServerConfig(
            realm="example.org",
            relay_addresses=(SERVER.host,),
            relay_ports=PORTS,
            policy=PeerPolicy(relay_addresses=(SERVER.host,), relay_ports=PORTS),
        ),
        credentials=CredentialStore(StaticUsers({"alice": "secret"})),
        entropy=SeededEntropy(500),
        wall_clock=internet.clock,
    )
    RelayHost(internet.network, again, SERVER, SeededEntropy(600))
    sleep(internet, alice, bob, 10.0)
    internet.network.run_for(1.0)
    assert relayed_candidates(alice) == []
    assert alice.engine.ice_state is IceState.DISCONNECTED
    alice.run(lambda _: alice.engine.restart_ice())
    connect(alice, bob)
    assert relayed_candidates(alice)
    assert_data_flows(alice, bob)


def test_a_doubt_before_there_is_anything_and_after_the_end_means_nothing() -> None:
    internet, alice, _ = call(relay_only=True)
    alice.run(alice.engine.abort)
    alice.run(alice.engine.doubt)
    fresh = internet.peer(3)
    fresh.run(fresh.engine.doubt)
    fresh.create_channel()
    fresh.run(lambda now: fresh.engine.set_local_description(None, now))
    fresh.run(fresh.engine.doubt)
    internet.network.run_for(5.0)
    assert fresh.engine.ice_state is IceState.NEW
