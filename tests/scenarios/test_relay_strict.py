"""iceTransportPolicy "relay-strict": the TURN server is asked for ways to relayed addresses of the peer, and no others.

A spy reads every message to the server: whom permissions, channels and Send indications are for.
"""

from __future__ import annotations

import logging

import pytest

from icelane.core.clock import Instant, UnixSeconds
from icelane.core.net import SocketAddress
from icelane.ice.candidate import CandidateType, parse_candidate
from icelane.ice.event import IceState
from icelane.peer.connection_options import PeerOptions
from icelane.peer.stats import collect_stats
from icelane.stun.attributes import AttributeType, parse_xor_address
from icelane.stun.message import looks_like_stun, parse_message
from icelane.testing.nat import ENDPOINT_INDEPENDENT
from icelane.testing.peer import PeerHost, signal
from tests.scenarios.internet import (
    SERVER,
    Internet,
    assert_data_flows,
    assert_everything_is_given_back,
    connect,
    run_until,
    settle,
)
from tests.scenarios.test_relay_only import MDNS, URLS, everything_told, secrets_of

STRICT = PeerOptions(strict=True)
RELAY_ONLY = PeerOptions(relay_only=True)


def asked_for(peer: PeerHost) -> set[SocketAddress]:
    """For which addresses of peers the server was asked to do something; that of a permission has port 0."""
    found = set()
    for _, data in peer.sent:
        if looks_like_stun(data):
            message = parse_message(data)
            found |= {
                parse_xor_address(value, message.transaction_id)
                for value in message.get_all(AttributeType.XOR_PEER_ADDRESS)
            }
    return found


def relayed_of(peer: PeerHost) -> set[SocketAddress]:
    """What it has announced on the server."""
    candidates = [parse_candidate(told.line) for told in peer.told]
    return {one.address for one in candidates if one.type is CandidateType.RELAYED}


@pytest.mark.parametrize("behind_nat", [False, True], ids=["in the open", "behind a NAT"])
def test_of_a_peer_only_its_relayed_addresses_are_asked_for_and_sent_to(
    behind_nat: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """IC-8: host, reflexive and mDNS candidates are refused; no permission, channel or indication is for them."""
    caplog.set_level(logging.INFO)
    internet = Internet(seed=41)
    alice = internet.behind_nat(1, ENDPOINT_INDEPENDENT, options=STRICT)
    bob = internet.behind_nat(2, ENDPOINT_INDEPENDENT) if behind_nat else internet.peer(2)
    alice.keeps_sent = True
    alice.create_channel("chat")
    connect(alice, bob)
    settle(alice, bob)
    alice.run(lambda now: alice.engine.add_remote_candidate(MDNS, "0", None, None, now))
    assert_data_flows(alice, bob)
    alice.run(lambda _: alice.engine.restart_ice())
    connect(alice, bob)
    settle(alice, bob)
    assert_data_flows(alice, bob)
    internet.network.run_for(20.0)
    assert {path.remote for path, _ in alice.sent} == {SERVER}
    assert asked_for(alice)
    assert asked_for(alice) <= {SocketAddress(SERVER.host, 0), *relayed_of(bob)}
    assert alice.engine.transport is not None
    assert alice.engine.transport.ice.refused
    remotes = collect_stats(alice.engine, UnixSeconds(0.0), Instant(0.0)).of_type("remote-candidate")
    assert {(remote.candidateType, remote.address) for remote in remotes} == {("relay", SERVER.host)}
    told = everything_told(alice)
    for secret in (*secrets_of(alice, "203.0.115.1"), *bob.hosts, "203.0.115.2"):
        assert secret not in told
        assert secret not in caplog.text
    assert_everything_is_given_back(internet, alice, bob)


def test_with_plain_relay_a_permission_for_the_peer_itself_is_asked_for() -> None:
    """What `relay-strict` is there for; and proof that the spy sees it."""
    internet = Internet(seed=42)
    alice, bob = internet.peer(1, options=RELAY_ONLY), internet.peer(2)
    alice.keeps_sent = True
    connect(alice, bob)
    settle(alice, bob)
    assert bob.hosts[0] in {address.host for address in asked_for(alice)}


def test_our_candidates_have_a_neutral_related_address() -> None:
    """IC-8: as with plain `relay`; Firefox drops a candidate without one."""
    internet = Internet(seed=43)
    alice, bob = internet.behind_nat(1, ENDPOINT_INDEPENDENT, options=STRICT), internet.peer(2)
    connect(alice, bob)
    settle(alice, bob)
    description = alice.engine.negotiation.local_description
    assert description is not None
    lines = [line for line in description.sdp.splitlines() if line.startswith("a=candidate:")]
    assert lines
    for line in (*lines, *(candidate.line for candidate in alice.told)):
        assert f" {SERVER.host} " in line
        assert " typ relay raddr 0.0.0.0 rport 9" in line


def test_both_ends_may_be_strict() -> None:
    internet = Internet(seed=44)
    alice, bob = internet.peer(1, options=STRICT), internet.peer(2, options=STRICT)
    alice.keeps_sent = bob.keeps_sent = True
    connect(alice, bob)
    settle(alice, bob)
    assert_data_flows(alice, bob)
    for one, other in ((alice, bob), (bob, alice)):
        assert asked_for(one) <= {SocketAddress(SERVER.host, 0), *relayed_of(other)}


def test_a_peer_without_relayed_addresses_is_not_reached() -> None:
    """IC-8: no fallback; and nothing is sent but to the TURN server."""
    internet = Internet(seed=45)
    alice, bob = internet.peer(1, options=STRICT), internet.peer(2)
    bob._relays = []
    alice.keeps_sent = True
    with pytest.raises(AssertionError, match="not within"):
        connect(alice, bob, within=60.0)
    assert alice.engine.ice_state in (IceState.NEW, IceState.CHECKING, IceState.FAILED)
    assert asked_for(alice) == set()
    assert {path.remote for path, _ in alice.sent} <= {SERVER}


def test_a_check_from_an_address_that_nobody_announced_gets_nothing() -> None:
    """IC-8: not even at a host for which there is a permission, with the right password."""
    internet = Internet(seed=46)
    alice = internet.peer(1, options=STRICT)
    bob = internet.peer(2, "203.0.114.2", "203.0.114.3", options=RELAY_ONLY)  # two sockets, two relayed addresses
    alice.keeps_sent = True
    alice.create_channel("chat")
    signal(alice, bob, trickle=False)
    hidden: set[SocketAddress] = set()

    def pass_one_of_bob(now: Instant) -> None:
        for told in bob.take_candidates():
            address = parse_candidate(told.line).address
            if bob.told.index(told) == 0:
                alice.engine.add_remote_candidate(told.line, told.place.mid, told.place.index, told.ufrag, now)
            else:
                hidden.add(address)

    for _ in range(60):
        internet.network.run_for(0.1)
        for told in alice.take_candidates():
            bob.run(
                lambda now, told=told: bob.engine.add_remote_candidate(  # type: ignore[misc]
                    told.line, told.place.mid, told.place.index, told.ufrag, now
                )
            )
        alice.run(pass_one_of_bob)
    assert len(hidden) == 1
    assert alice.is_connected
    assert alice.engine.transport is not None
    assert alice.engine.transport.ice.agent.unannounced, "checks from there have arrived"
    assert not asked_for(alice) & hidden
    assert {
        remote.port
        for remote in collect_stats(alice.engine, UnixSeconds(0.0), Instant(0.0)).of_type("remote-candidate")
    } == {address.port for address in relayed_of(bob) - hidden}


def test_a_change_to_strict_counts_from_the_restart_on_and_back() -> None:
    """IC-8: what was learned before the restart is not used after it; a change back finds the direct path."""
    internet = Internet(seed=47)
    alice, bob = internet.peer(1, options=RELAY_ONLY), internet.peer(2)
    connect(alice, bob)
    settle(alice, bob)
    alice.run(lambda _: alice.engine.change_ice_configuration(relay_only=True, strict=True, urls=URLS))
    alice.told.clear()
    bob.told.clear()
    connect(alice, bob)
    run_until(alice, bob, lambda: remote_of(alice).host == SERVER.host, 10.0)
    assert alice.told
    assert all(" typ relay raddr 0.0.0.0 rport 9" in candidate.line for candidate in alice.told)
    alice.keeps_sent = True
    assert_data_flows(alice, bob)
    internet.network.run_for(400.0)  # permissions and channels are renewed
    assert_data_flows(alice, bob)
    alice.run(lambda _: alice.engine.change_ice_configuration(relay_only=True, urls=URLS))
    connect(alice, bob)
    run_until(alice, bob, lambda: remote_of(alice).host == bob.hosts[0], 10.0)
    alice.run(lambda _: alice.engine.change_ice_configuration(relay_only=False, urls=URLS))
    connect(alice, bob)
    run_until(alice, bob, lambda: is_direct(alice), 10.0)


@pytest.mark.parametrize("first", [RELAY_ONLY, PeerOptions()], ids=["relay", "all"])
def test_after_a_change_to_strict_nothing_is_renewed_for_addresses_that_are_not_relayed(first: PeerOptions) -> None:
    """IC-8: once the restart has its pair, permissions and channels of before it run out."""
    internet = Internet(seed=48)
    alice = internet.behind_nat(1, ENDPOINT_INDEPENDENT, options=first)
    bob = internet.behind_nat(2, ENDPOINT_INDEPENDENT)
    alice.keeps_sent = True
    connect(alice, bob)
    settle(alice, bob)
    assert asked_for(alice) - {SocketAddress(SERVER.host, 0), *relayed_of(bob)}
    alice.run(lambda _: alice.engine.change_ice_configuration(relay_only=True, strict=True, urls=URLS))
    connect(alice, bob)
    run_until(alice, bob, lambda: remote_of(alice).host == SERVER.host, 10.0)
    internet.network.run_for(30.0)
    alice.sent.clear()
    internet.network.run_for(1300.0)
    assert asked_for(alice) == {SocketAddress(SERVER.host, 0), *relayed_of(bob)}
    assert_data_flows(alice, bob)
    assert_everything_is_given_back(internet, alice, bob)


def is_direct(peer: PeerHost) -> bool:
    assert peer.engine.transport is not None
    path = peer.engine.transport.ice.agent.data_path
    return path is not None and path.local.host == peer.hosts[0]


def remote_of(peer: PeerHost) -> SocketAddress:
    """Where its data goes."""
    assert peer.engine.transport is not None
    path = peer.engine.transport.ice.agent.data_path
    assert path is not None
    return path.remote
