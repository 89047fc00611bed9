"""Two agents connect over TCP, active and passive, and keep and lose their connection (RFC 6544)."""

from __future__ import annotations

from itertools import pairwise

import pytest

from icelane.core.net import Path, SocketAddress, Transport
from icelane.errors import LocalProtocolError
from icelane.ice.candidate import ACTIVE_PORT, CandidateType, compute_priority, parse_candidate
from icelane.ice.check import Check, encode_check
from icelane.ice.connections import MAX_OPENING, REOPEN_DELAYS
from icelane.ice.credentials import Credentials
from icelane.ice.event import ConnectionUnwanted, ConnectionWanted, IceRole, IceState
from icelane.ice.options import IceOptions, NominationMode
from icelane.ice.pair import PairState
from icelane.testing.network import VirtualNetwork
from icelane.testing.streams import StreamEnd, VirtualStreams
from tests.ice.hosts import ALICE, BOB, IceHost, assert_state, both, connect, introduce, make_network
from tests.ice.tcp_hosts import TcpHost, connects

CONTROLLING, CONTROLLED = IceRole.CONTROLLING, IceRole.CONTROLLED
ROLES = pytest.mark.parametrize("roles", [(CONTROLLING, CONTROLLED), (CONTROLLED, CONTROLLING)])


def make_tcp_pair(
    roles: tuple[IceRole, IceRole] = (CONTROLLING, CONTROLLED),
    options: tuple[IceOptions | None, IceOptions | None] = (None, None),
    network: VirtualNetwork | None = None,
) -> tuple[TcpHost, TcpHost]:
    """Alice, who has an active candidate, and Bob, who has a passive one. No UDP."""
    network = network or make_network()
    streams = VirtualStreams(network)
    alice = TcpHost(network, streams, ALICE, roles[0], 11, options[0])
    bob = TcpHost(network, streams, BOB, roles[1], 12, options[1])
    alice.add_active()
    bob.add_passive()
    return alice, bob


def connected_tcp_pair(roles: tuple[IceRole, IceRole] = (CONTROLLING, CONTROLLED)) -> tuple[TcpHost, TcpHost]:
    alice, bob = make_tcp_pair(roles)
    connect(alice, bob)
    return alice, bob


def assert_speaking(alice: TcpHost, bob: TcpHost) -> None:
    """Data arrives both ways, over TCP, and is let in."""
    for sender, receiver in ((alice, bob), (bob, alice)):
        before = len(receiver.arrived)
        assert sender.say(b"\x80data")
        sender.network.run_for(0.1)
        assert [data for data, _ in receiver.arrived[before:]] == [b"\x80data"]
        assert not receiver.refused


@ROLES
def test_an_active_and_a_passive_agent_connect_over_one_connection(roles: tuple[IceRole, IceRole]) -> None:
    alice, bob = make_tcp_pair(roles)
    start = alice.network.clock.now
    connect(alice, bob)
    assert alice.network.clock.now - start < 0.25
    (attempt,) = [path for _, path in alice.streams.attempts]
    assert alice.engine.selected == alice.engine.data_path == attempt
    assert bob.engine.selected == bob.engine.data_path == Path(attempt.remote, attempt.local, Transport.TCP)
    (seen,) = alice.selections
    assert (seen.local.type, seen.local.tcp_type, seen.local.port) == (CandidateType.HOST, "active", ACTIVE_PORT)
    assert (seen.remote.type, seen.remote.tcp_type) == (CandidateType.HOST, "passive")
    (seen,) = bob.selections
    assert (seen.local.type, seen.local.tcp_type) == (CandidateType.HOST, "passive")
    assert (seen.remote.type, seen.remote.tcp_type) == (CandidateType.PEER_REFLEXIVE, "active")
    assert_speaking(alice, bob)


@ROLES
def test_udp_is_preferred_and_the_connection_is_closed(roles: tuple[IceRole, IceRole]) -> None:
    alice, bob = make_tcp_pair(roles)
    for host in (alice, bob):
        host.add()
    connect(alice, bob)
    assert alice.engine.selected == Path(ALICE, BOB, Transport.UDP)
    alice.network.run_for(5.0)
    assert not alice.streams.ends
    assert not alice.ends
    assert not bob.ends
    assert_state(IceState.COMPLETED, alice, bob)


def test_two_active_or_two_passive_agents_have_no_pair() -> None:
    for tcp_types in (("active", "active"), ("passive", "passive")):
        network = make_network()
        streams = VirtualStreams(network)
        alice = TcpHost(network, streams, ALICE, CONTROLLING, 1)
        bob = TcpHost(network, streams, BOB, CONTROLLED, 2)
        for host, tcp_type in zip((alice, bob), tcp_types, strict=True):
            host.add_active() if tcp_type == "active" else host.add_passive()
        introduce(alice, bob)
        network.run_for(60.0)
        assert not streams.attempts
        assert not alice.engine.pairs()
        assert not bob.engine.pairs()


@pytest.mark.parametrize(
    "line",
    [
        "1 1 tcp 1 192.0.2.1 9 typ host tcptype active",
        "1 1 tcp 1 192.0.2.1 5000 typ host tcptype so",
        "1 1 tcp 1 192.0.2.1 5000 typ host",
        "1 1 tcp 1 192.0.2.1 0 typ host tcptype passive",
        "1 1 tcp 1 224.0.0.1 5000 typ host tcptype passive",
        "1 1 tls 1 192.0.2.1 5000 typ host tcptype passive",
        "1 1 tcp 1 127.0.0.1 5000 typ host tcptype passive",
        "1 1 tcp 1 2001:db8::1 5000 typ host tcptype passive",
        "1 2 tcp 1 192.0.2.1 5000 typ host tcptype passive",
    ],
)
def test_only_passive_candidates_that_may_be_reached_make_pairs(line: str) -> None:
    alice, bob = make_tcp_pair()
    alice.hear_credentials(bob)
    alice.hear_candidate(parse_candidate(line))
    alice.network.run_for(1.0)
    assert not alice.engine.pairs()
    assert not alice.streams.attempts


@pytest.mark.parametrize("port", [22, 25, 79, 81, 1023])
def test_nobody_has_us_connect_to_a_port_of_the_system(port: int) -> None:
    """IC-6: a candidate is no way to knock at the doors of a network."""
    alice, bob = make_tcp_pair()
    alice.hear_credentials(bob)
    alice.hear_candidate(parse_candidate(f"1 1 tcp 1 192.0.2.1 {port} typ host tcptype passive"))
    alice.network.run_for(1.0)
    assert not alice.streams.attempts
    alice.hear_candidate(parse_candidate("1 1 tcp 1 192.0.2.1 443 typ host tcptype passive"))
    alice.network.run_for(1.0)
    assert len(alice.streams.attempts) == 1


def test_connections_are_begun_no_faster_than_checks_and_no_more_than_the_bound_at_once() -> None:
    """IC-6: never a port scanner faster than Ta."""
    alice, bob = make_tcp_pair()
    alice.streams.blocks = lambda *_: True
    alice.hear_credentials(bob)
    for number in range(60):
        line = f"1 1 tcp {1000 - number} 192.0.2.1 {5000 + number} typ host tcptype passive"
        alice.hear_candidate(parse_candidate(line))
    alice.network.run_for(9.0)
    times = connects(alice)
    assert len(times) == MAX_OPENING
    assert all(after - before > 0.05 - 1e-9 for before, after in pairwise(times))
    alice.network.run_for(31.0)
    times = connects(alice)
    assert len(times) == 60
    assert all(after - before > 0.05 - 1e-9 for before, after in pairwise(times))
    assert {pair.state for pair in alice.engine.pairs()} == {PairState.FAILED}


def test_a_connection_that_is_refused_fails_its_pair_at_once() -> None:
    alice, bob = make_tcp_pair()
    bob.streams.stop_listening(BOB)
    introduce(alice, bob)
    alice.network.run_for(0.5)
    assert [pair.state for pair in alice.engine.pairs()] == [PairState.FAILED]
    assert len(alice.streams.attempts) == 1
    alice.network.run_until(lambda: alice.state_is(IceState.FAILED), 60.0)


@ROLES
def test_a_connection_that_is_lost_is_made_again_by_the_active_side(roles: tuple[IceRole, IceRole]) -> None:
    alice, bob = connected_tcp_pair(roles)
    before = alice.engine.selected
    for _ in range(3):
        alice.network.run_for(7.0)
        alice.streams.cut()
        assert_state(IceState.DISCONNECTED, alice, bob)
        assert alice.has_nowhere_to_send()
        assert bob.has_nowhere_to_send()
        alice.network.run_until(lambda: alice.engine.selected and bob.engine.selected, 2.0)
        assert alice.engine.selected != before
        assert_state(IceState.CONNECTED, alice, bob)
        assert_speaking(alice, bob)
    alice.network.run_for(60.0)
    assert_state(IceState.CONNECTED, alice, bob)


def test_a_connection_that_cannot_be_made_again_is_tried_less_and_less_and_then_the_agents_fail() -> None:
    alice, bob = connected_tcp_pair()
    alice.network.run_for(3.0)
    bob.streams.stop_listening(BOB)
    alice.streams.cut()
    alice.network.run_for(23.0)
    assert len(connects(alice)) == 1 + len(REOPEN_DELAYS)
    assert_state(IceState.DISCONNECTED, alice, bob)
    # 30 s after the last valid answer, as without a connection that is lost.
    alice.network.run_until(lambda: alice.state_is(IceState.FAILED) and bob.state_is(IceState.FAILED), 7.1)
    assert alice.has_nowhere_to_send()


def test_consent_expires_over_a_connection_on_which_nothing_is_answered() -> None:
    alice, bob = connected_tcp_pair()
    for end in bob.ends.values():
        end.on_message = lambda _: None
    alice.network.run_until(lambda: alice.state_is(IceState.DISCONNECTED), 10.0)
    alice.network.run_until(lambda: bob.state_is(IceState.FAILED), 30.0)
    # Alice sees her connection closed, and knocks in vain.
    alice.network.run_until(lambda: alice.state_is(IceState.FAILED), 40.0)
    assert not alice.ends


@ROLES
def test_a_restart_makes_a_connection_of_its_own_and_the_old_one_serves_until_then(
    roles: tuple[IceRole, IceRole],
) -> None:
    alice, bob = connected_tcp_pair(roles)
    before = alice.engine.selected
    assert before is not None
    for host in (alice, bob):
        host.run(host.engine.restart)
        host.candidates.clear()
    assert alice.engine.data_path == before
    assert_speaking(alice, bob)
    alice.add_active()
    bob.add_passive()
    both(IceHost.hear, alice, bob)
    alice.network.run_until(lambda: alice.engine.selected != before and bob.engine.selected is not None, 5.0)
    alice.network.run_for(0.5)
    assert alice.engine.selected is not None
    assert alice.engine.selected.remote == before.remote
    assert alice.engine.selected.local != before.local
    assert_speaking(alice, bob)
    alice.network.run_for(5.0)
    assert len(alice.ends) == len(bob.ends) == 1


def test_a_connection_that_comes_too_late_is_closed() -> None:
    alice, bob = make_tcp_pair()
    alice.hear(bob)
    alice.network.run_for(0.01)
    assert len(alice.told(ConnectionWanted)) == 1
    alice.run(alice.engine.close)
    alice.network.run_for(1.0)
    assert len(alice.told(ConnectionUnwanted)) == 1
    assert not alice.ends
    assert not alice.streams.ends


def test_the_end_closes_every_connection() -> None:
    alice, bob = connected_tcp_pair()
    alice.run(alice.engine.close)
    assert not alice.ends
    bob.network.run_for(1.0)
    assert not bob.ends


def test_with_aggressive_nomination_tcp_connects_too() -> None:
    alice, bob = make_tcp_pair(options=(IceOptions(nomination=NominationMode.AGGRESSIVE), None))
    connect(alice, bob)
    assert_speaking(alice, bob)


def test_an_address_that_goes_takes_its_connections_along() -> None:
    alice, bob = connected_tcp_pair()
    alice.run(lambda now: alice.engine.remove_base(SocketAddress(ALICE.host, ACTIVE_PORT), now, Transport.TCP))
    assert not alice.ends
    assert alice.has_nowhere_to_send()
    bob.run(lambda now: bob.engine.remove_base(BOB, now, Transport.TCP))
    assert bob.has_nowhere_to_send()


def test_udp_and_tcp_of_one_port_are_two_bases() -> None:
    alice, bob = make_tcp_pair()
    bob.add()  # UDP at the port at which it listens
    alice.add()
    connect(alice, bob)
    bob.run(lambda now: bob.engine.remove_base(BOB, now, Transport.TCP))
    assert bob.engine.selected == Path(BOB, ALICE, Transport.UDP)


def stranger(bob: TcpHost) -> StreamEnd:
    """Somebody has connected to Bob."""
    ends: list[StreamEnd] = []
    bob.streams.connect("203.0.113.66", BOB, ends.append, lambda: None)
    bob.network.run_for(0.1)
    return ends[0]


def test_a_stranger_without_the_password_leaves_no_trace() -> None:
    """IC-3: what a connection brings counts for nothing before the password is proved on it."""
    alice, bob = connected_tcp_pair()
    end = stranger(bob)
    ours = Credentials(bob.engine.credentials.ufrag, "a password that is none")
    check = Check(priority=1, use_candidate=True, role=CONTROLLING, tie_breaker=1)
    end.send(encode_check(bytes(12), check, local=alice.engine.credentials, remote=ours))
    end.send(b"\x80data")
    bob.network.run_for(0.1)
    path = Path(BOB, end.path.local, Transport.TCP)
    assert not bob.engine.has_authenticated(path)
    assert bob.refused == [(b"\x80data", path)]
    assert len(bob.engine.pairs()) == 1


def test_a_check_that_comes_before_the_credentials_of_the_peer_counts_once_they_are_there() -> None:
    alice, bob = make_tcp_pair()
    alice.hear(bob)
    alice.network.run_for(0.3)
    (path,) = bob.ends
    assert bob.engine.has_authenticated(path)
    assert not bob.engine.pairs()
    bob.hear(alice)
    alice.finish()
    bob.finish()
    alice.network.run_until(lambda: alice.state_is(IceState.COMPLETED) and bob.state_is(IceState.COMPLETED), 5.0)


def test_priorities_are_those_of_rfc_6544() -> None:
    udp = compute_priority(CandidateType.HOST, 0)
    active = compute_priority(CandidateType.HOST, 0xFFFF, tcp_type="active")
    passive = compute_priority(CandidateType.HOST, 0xFFFF, tcp_type="passive")
    assert active == 90 << 24 | ((6 << 13) + 0x1FFF) << 8 | 255
    relayed = compute_priority(CandidateType.RELAYED, 0xFFFF)
    assert udp > compute_priority(CandidateType.SERVER_REFLEXIVE, 0) > active > passive > relayed
    assert compute_priority(CandidateType.HOST, 0, tcp_type="active") > passive


def test_a_local_candidate_of_tcp_says_its_direction() -> None:
    alice, _ = make_tcp_pair()
    for tcp_type in ("so", None):
        line = "1 1 tcp 1 192.0.2.1 9 typ host" + (f" tcptype {tcp_type}" if tcp_type else "")
        with pytest.raises(LocalProtocolError):
            alice.engine.add_local_candidate(parse_candidate(line), ALICE, alice.network.clock.now)
