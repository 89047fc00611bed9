"""Lite agents: beside a full one, and beside each other (RFC 8445 sections 6.1.1, 7.3.2 and 8.1)."""

from __future__ import annotations

import pytest

from icelane.core.net import Path, SocketAddress, Transport
from icelane.ice.candidate import parse_candidate
from icelane.ice.check import Check, encode_check
from icelane.ice.event import IceRole, IceState, RoleChanged
from icelane.ice.options import IceOptions
from icelane.testing.network import Link, VirtualNetwork
from icelane.testing.streams import VirtualStreams
from tests.ice.hosts import ALICE, BOB, IceHost, assert_state, both, make_network, make_pair
from tests.ice.tcp_hosts import TcpHost

CONTROLLING, CONTROLLED = IceRole.CONTROLLING, IceRole.CONTROLLED
LITE = IceOptions(lite=True)
GONE = Link(loss=1.0)


def lite_pair(network: VirtualNetwork | None = None) -> tuple[IceHost, IceHost]:
    """Alice, who is full, and Bob, who is lite; they have not heard of one another."""
    return make_pair(network or make_network(), roles=(CONTROLLED, CONTROLLING), options=(None, LITE))


def introduce(alice: IceHost, bob: IceHost) -> None:
    alice.hear_credentials(bob, lite=True)
    for candidate in bob.candidates:
        alice.hear_candidate(candidate)
    bob.hear(alice)
    both(lambda host, _: host.finish(), alice, bob)


def test_the_full_agent_controls_whatever_role_it_had_and_nominates() -> None:
    alice, bob = lite_pair()
    introduce(alice, bob)
    alice.network.run_until(lambda: alice.state_is(IceState.COMPLETED) and bob.state_is(IceState.COMPLETED), 2.0)
    assert alice.told(RoleChanged) == [RoleChanged(CONTROLLING)]
    assert (alice.engine.role, bob.engine.role) == (CONTROLLING, CONTROLLED)
    assert not bob.requests()


def test_the_full_agent_stays_in_control_whatever_a_lite_peer_claims() -> None:
    """IC-11: who said that it is lite has no role to fight for."""
    alice, bob = lite_pair()
    introduce(alice, bob)
    ours, theirs = alice.engine.credentials, bob.engine.credentials
    check = Check(priority=1, use_candidate=True, role=CONTROLLING, tie_breaker=2**64 - 1)
    request = encode_check(bytes(12), check, local=theirs, remote=ours)
    alice.network.send(request, BOB, ALICE)
    alice.network.run_for(1.0)
    assert alice.engine.role is CONTROLLING
    assert_state(IceState.COMPLETED, alice, bob)


def test_after_a_restart_with_a_full_peer_roles_are_negotiated_again() -> None:
    alice, bob = lite_pair()
    introduce(alice, bob)
    alice.network.run_for(1.0)
    alice.run(alice.engine.restart)
    alice.hear_credentials(alice)  # any credentials of an agent that is not lite
    check = Check(priority=1, use_candidate=False, role=CONTROLLING, tie_breaker=2**64 - 1)
    ours = alice.engine.credentials
    alice.candidates.clear()
    alice.add()
    alice.network.send(encode_check(bytes(12), check, local=ours, remote=ours), BOB, ALICE)
    alice.network.run_for(0.1)
    assert alice.engine.role is CONTROLLED


def test_a_lite_agent_follows_the_newest_nomination() -> None:
    """What full agents do that find a better path, or lose the one that they had."""
    alice, bob = lite_pair()
    second = SocketAddress("198.51.100.11", 5001)
    alice.add(address=second, preference=10)
    introduce(alice, bob)
    alice.network.run_until(lambda: bob.engine.selected is not None, 2.0)
    assert bob.engine.selected == Path(BOB, ALICE, Transport.UDP)
    check = Check(priority=1, use_candidate=True, role=CONTROLLING, tie_breaker=1)
    for source in (second, ALICE, second):
        request = encode_check(
            source.port.to_bytes(12, "big"), check, local=alice.engine.credentials, remote=bob.engine.credentials
        )
        alice.network.send(request, source, BOB)
        alice.network.run_for(0.1)
        assert bob.engine.selected == bob.engine.data_path == Path(BOB, source, Transport.UDP)


def test_silence_of_the_peer_is_disconnected_and_then_failed_and_a_check_in_between_is_neither() -> None:
    alice, bob = lite_pair()
    introduce(alice, bob)
    network = alice.network
    network.run_for(60.0)
    assert_state(IceState.COMPLETED, alice, bob)
    network.connect(ALICE.host, BOB.host, GONE)
    network.run_until(lambda: bob.state_is(IceState.DISCONNECTED), 8.0)
    network.connect(ALICE.host, BOB.host, Link(delay=0.02))
    network.run_until(lambda: bob.state_is(IceState.CONNECTED), 3.0)
    network.connect(ALICE.host, BOB.host, GONE)
    network.run_until(lambda: bob.state_is(IceState.FAILED), 40.0)
    assert bob.has_nowhere_to_send()
    assert not bob.requests()


def test_a_lite_agent_takes_a_connection_of_tcp() -> None:
    network = make_network()
    streams = VirtualStreams(network)
    alice = TcpHost(network, streams, ALICE, CONTROLLING, 1)
    bob = TcpHost(network, streams, BOB, CONTROLLED, 2, LITE)
    alice.add_active()
    bob.add_passive()
    introduce(alice, bob)
    network.run_until(lambda: alice.engine.selected and bob.engine.selected, 3.0)
    assert bob.say(b"\x80data")
    network.run_for(0.1)
    assert [data for data, _ in alice.arrived] == [b"\x80data"]
    streams.cut()
    network.run_until(lambda: alice.engine.selected and bob.engine.selected, 3.0)


# -- both lite


def both_lite(*, hosts: int = 1) -> tuple[IceHost, IceHost]:
    """Two lite agents with so many hosts each, which know of one another."""
    alice, bob = make_pair(make_network(), options=(LITE, LITE))
    for number in range(1, hosts):
        alice.add(address=SocketAddress(f"2001:db8::a{number}", 5000), preference=65_535 - number)
        bob.add(address=SocketAddress(f"2001:db8::b{number}", 6000), preference=65_535 - number)
    both(lambda one, other: one.hear_credentials(other, lite=True), alice, bob)
    for sender, receiver in ((alice, bob), (bob, alice)):
        for candidate in sender.candidates:
            receiver.hear_candidate(candidate)
    both(lambda host, _: host.finish(), alice, bob)
    return alice, bob


@pytest.mark.parametrize("hosts", [1, 2, 3])
def test_two_lite_agents_select_the_best_pair_without_a_check(hosts: int) -> None:
    alice, bob = both_lite(hosts=hosts)
    assert alice.engine.selected == Path(ALICE, BOB, Transport.UDP)
    assert bob.engine.selected == Path(BOB, ALICE, Transport.UDP)
    assert_state(IceState.COMPLETED, alice, bob)
    assert (alice.engine.role, bob.engine.role) == (CONTROLLING, CONTROLLED)
    alice.network.run_for(300.0)
    assert_state(IceState.COMPLETED, alice, bob)
    assert not alice.sent
    assert not bob.sent


def test_of_two_lite_agents_a_better_candidate_that_comes_later_is_taken() -> None:
    alice, _ = both_lite()
    better = parse_candidate("1 1 udp 4294967295 198.51.100.22 7000 typ host")
    alice.hear_candidate(better)
    assert alice.engine.selected == Path(ALICE, better.address, Transport.UDP)


def test_two_lite_agents_let_in_what_comes_from_announced_addresses_alone() -> None:
    """IC-3, as far as it can be had where nothing is checked."""
    _, bob = both_lite()
    assert bob.engine.accepts(Path(BOB, ALICE, Transport.UDP))
    assert not bob.engine.accepts(Path(BOB, SocketAddress(ALICE.host, 4999), Transport.UDP))


def test_two_lite_agents_restart() -> None:
    alice, bob = both_lite()
    for host in (alice, bob):
        host.run(host.engine.restart)
    assert alice.engine.data_path == Path(ALICE, BOB, Transport.UDP)
    for host in (alice, bob):
        host.candidates.clear()
    alice.add(address=SocketAddress("198.51.100.31", 5000))
    bob.add()
    both(lambda one, other: one.hear_credentials(other, lite=True), alice, bob)
    bob.hear_candidate(alice.candidates[0])
    alice.hear_candidate(bob.candidates[0])
    assert bob.engine.selected == Path(BOB, SocketAddress("198.51.100.31", 5000), Transport.UDP)
