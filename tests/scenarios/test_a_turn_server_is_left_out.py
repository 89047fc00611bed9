"""setConfiguration names other TURN servers: what the ones that are left out gave is given back after the restart."""

from __future__ import annotations

from dataclasses import replace

import pytest

from icelane.core.net import SocketAddress
from icelane.peer.connection_options import PeerOptions
from icelane.peer.description import Description
from icelane.peer.relays import RelayServer
from icelane.peer.signaling_state import DescriptionType
from icelane.testing.entropy import SeededEntropy
from icelane.testing.peer import PeerHost, signal
from icelane.testing.relay import RelayHost
from icelane.turn.credentials import CredentialStore, StaticUsers
from icelane.turn.peer_policy import PeerPolicy
from icelane.turn.server import TurnServer
from icelane.turn.server_config import TurnServerConfig
from tests.scenarios.internet import (
    CONNECTED_WITHIN,
    RELAY,
    SERVER,
    Internet,
    assert_data_flows,
    connect,
    run_until,
    settle,
)

OTHER = SocketAddress("198.41.0.5", 3478)
OTHER_RELAY = replace(RELAY, address=OTHER, host_name="turn.example.net", url="turn:turn.example.net")
STUN_URL = f"stun:{RELAY.address}"


def second_server(internet: Internet) -> RelayHost:
    """Another TURN server in the same internet."""
    engine = TurnServer(
        TurnServerConfig(realm="example.net", relay_addresses=(OTHER.host,), policy=PeerPolicy()),
        credentials=CredentialStore(StaticUsers({"alice": "secret"})),
        entropy=SeededEntropy(5),
        wall_clock=internet.clock,
    )
    return RelayHost(internet.network, engine, OTHER, SeededEntropy(6))


def configure(peer: PeerHost, *relays: RelayServer, stun: bool = True) -> None:
    """What setConfiguration does."""
    peer._relays = relays
    peer._stun = [SERVER] if stun else []
    urls = frozenset({*(relay.url for relay in relays), *([STUN_URL] if stun else [])})
    relay_only = peer.engine.negotiation.relay_only
    peer.run(lambda _: peer.engine.change_ice_configuration(relay_only=relay_only, urls=urls))


def call(seed: int, *, relay_only: bool) -> tuple[Internet, PeerHost, PeerHost, RelayHost]:
    """Alice, who knows the first server, has called Bob, who knows none."""
    internet = Internet(seed=seed)
    other = second_server(internet)
    alice = internet.peer(1, options=PeerOptions(relay_only=relay_only))
    bob = internet.peer(2)
    bob._relays = ()
    connect(alice, bob)
    settle(alice, bob)
    assert_data_flows(alice, bob)
    assert len(internet.server.relays) == 1
    return internet, alice, bob, other


def restart(alice: PeerHost, bob: PeerHost) -> None:
    alice.told.clear()
    signal(alice, bob)  # the configuration asks for the restart


def roll_back(alice: PeerHost) -> None:
    alice.run(lambda now: alice.engine.set_local_description(Description(DescriptionType.ROLLBACK, ""), now))
    alice.take_candidates()


def has_moved(peer: PeerHost) -> bool:
    assert peer.engine.transport is not None
    agent = peer.engine.transport.ice.agent
    return agent._previous is None and agent.selected is not None


@pytest.mark.parametrize("relay_only", [True, False])
def test_the_address_is_kept_until_the_restart_has_its_pair_and_is_given_back_then(relay_only: bool) -> None:
    internet, alice, bob, other = call(51, relay_only=relay_only)
    configure(alice, OTHER_RELAY)
    internet.network.run_for(5.0)
    assert len(internet.server.relays) == 1  # nothing changes before the restart
    restart(alice, bob)
    assert len(internet.server.relays) == 1
    run_until(alice, bob, lambda: has_moved(alice) and has_moved(bob), CONNECTED_WITHIN)
    assert len(internet.server.relays) == 1  # what is still on its way is let in
    internet.network.run_for(4.0)
    assert not internet.server.relays
    assert internet.server.empty
    assert len(other.relays) == 1
    assert_data_flows(alice, bob)
    assert not any(RELAY.address.host in candidate.line.split(" raddr")[0] for candidate in alice.told)
    alice.run(lambda now: alice.engine.close(now))
    bob.run(lambda now: bob.engine.close(now))
    run_until(alice, bob, lambda: alice.engine.idle and bob.engine.idle, 5.0)
    assert other.empty


def test_without_any_server_left_the_call_goes_on_directly() -> None:
    internet, alice, bob, _ = call(52, relay_only=False)
    configure(alice, stun=False)
    restart(alice, bob)
    run_until(alice, bob, lambda: has_moved(alice) and has_moved(bob), CONNECTED_WITHIN)
    internet.network.run_for(4.0)
    assert internet.server.empty
    assert alice.engine.idle
    assert_data_flows(alice, bob)
    assert all(" typ host" in candidate.line for candidate in alice.told)


def test_a_restart_that_is_taken_back_takes_back_the_giving_back() -> None:
    internet, alice, bob, other = call(53, relay_only=True)
    configure(alice, OTHER_RELAY)
    alice.run(lambda now: alice.engine.set_local_description(None, now))
    internet.network.run_for(2.0)
    roll_back(alice)
    internet.network.run_for(10.0)
    assert len(internet.server.relays) == 1
    assert_data_flows(alice, bob)
    # What the other server gave for the offer that was taken back serves the next one.
    restart(alice, bob)
    run_until(alice, bob, lambda: has_moved(alice) and has_moved(bob), CONNECTED_WITHIN)
    internet.network.run_for(4.0)
    assert internet.server.empty
    assert len(other.relays) == 1
    assert_data_flows(alice, bob)


def test_a_server_that_is_named_again_before_the_restart_has_ended_keeps_its_address() -> None:
    internet, alice, bob, _ = call(54, relay_only=True)
    before = list(internet.server.relays)
    configure(alice, OTHER_RELAY)
    alice.run(lambda now: alice.engine.set_local_description(None, now))
    internet.network.run_for(1.0)
    configure(alice, RELAY)
    roll_back(alice)
    restart(alice, bob)
    run_until(alice, bob, lambda: has_moved(alice) and has_moved(bob), CONNECTED_WITHIN)
    internet.network.run_for(4.0)
    assert list(internet.server.relays) == before
    assert_data_flows(alice, bob)


def test_a_restart_with_the_same_servers_keeps_every_address() -> None:
    internet, alice, bob, _ = call(55, relay_only=True)
    before = list(internet.server.relays)
    configure(alice, RELAY)
    restart(alice, bob)
    run_until(alice, bob, lambda: has_moved(alice) and has_moved(bob), CONNECTED_WITHIN)
    internet.network.run_for(4.0)
    assert list(internet.server.relays) == before
    assert_data_flows(alice, bob)
