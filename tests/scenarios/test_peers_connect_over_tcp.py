"""UDP does not pass between two peers, and TCP does (RFC 6544)."""

from __future__ import annotations

import pytest

from icelane.core.clock import Instant, UnixSeconds
from icelane.core.net import Path, SocketAddress, Transport
from icelane.peer.connection_event import ConnectionState
from icelane.peer.connection_options import PeerOptions
from icelane.peer.security_report import SecurityReport
from icelane.peer.stats import collect_stats
from icelane.stun.binding import encode_binding_request
from icelane.testing.clock import VirtualClock
from icelane.testing.network import Link, VirtualNetwork
from icelane.testing.peer import LISTENING_PORT, PeerHost, pass_candidates, signal
from icelane.testing.streams import StreamEnd, VirtualStreams

ALICE, BOB = "192.0.2.1", "198.51.100.1"
BLOCKED = Link(delay=0.02, loss=1.0)


def peers(
    alice_tcp: str = "active", bob_tcp: str = "passive", *, udp: bool = False, options: PeerOptions | None = None
) -> tuple[PeerHost, PeerHost, VirtualStreams]:
    """Alice calls Bob over a network that loses every datagram; `udp`: they try all the same."""
    network = VirtualNetwork(VirtualClock(), link=BLOCKED)
    streams = VirtualStreams(network)
    alice = PeerHost(network, ALICE, seed=1, streams=streams, tcp=alice_tcp, udp=udp, options=options)
    bob = PeerHost(network, BOB, seed=2, streams=streams, tcp=bob_tcp, udp=udp)
    return alice, bob, streams


def connect(alice: PeerHost, bob: PeerHost, *, timeout: float = 10.0) -> None:
    """Until both have a channel."""
    alice.create_channel("chat")
    signal(alice, bob)
    alice.network.run_until(lambda: alice.opened and bob.opened, timeout)


def assert_messages_arrive(alice: PeerHost, bob: PeerHost) -> None:
    for sender, receiver in ((alice, bob), (bob, alice)):
        text = f"from {sender.hosts} at {sender.network.clock.now}"
        sender.send(sender.opened[0], text)
        sender.network.run_until(lambda: receiver.messages and receiver.messages[-1][1] == text, 5.0)  # noqa: B023


def path_of(peer: PeerHost) -> Path | None:
    assert peer.engine.transport is not None
    return peer.engine.transport.ice.agent.data_path


@pytest.mark.parametrize("udp", [False, True], ids=["no UDP", "UDP that is lost"])
@pytest.mark.parametrize("kinds", [("active", "passive"), ("passive", "active"), ("both", "both"), ("active", "both")])
def test_peers_connect_over_tcp_and_talk(kinds: tuple[str, str], udp: bool) -> None:
    alice, bob, _ = peers(*kinds, udp=udp)
    connect(alice, bob)
    assert_messages_arrive(alice, bob)
    for peer in (alice, bob):
        path = path_of(peer)
        assert path is not None
        assert path.transport is Transport.TCP
        assert SecurityReport.of(peer.engine).selected_pair == f"tcp {path.local} <-> {path.remote}"


def test_statistics_tell_the_protocol_and_the_direction() -> None:
    alice, bob, _ = peers()
    connect(alice, bob)
    report = collect_stats(alice.engine, UnixSeconds(0.0), Instant(0.0))
    assert [(one["protocol"], one["tcpType"], one["port"]) for one in report.of_type("local-candidate")] == [
        ("tcp", "active", 9)
    ]
    assert [(one["protocol"], one["tcpType"]) for one in report.of_type("remote-candidate")] == [("tcp", "passive")]
    report = collect_stats(bob.engine, UnixSeconds(0.0), Instant(0.0))
    assert [(one["tcpType"], one["candidateType"]) for one in report.of_type("remote-candidate")] == [
        ("active", "prflx")
    ]


def test_candidates_are_written_as_browsers_write_them() -> None:
    alice, bob, _ = peers("both", "passive")
    connect(alice, bob)
    assert [event.line.partition(" ufrag ")[0] for event in alice.told] == [
        f"candidate:1 1 tcp {90 << 24 | 0xDFFF << 8 | 255} {ALICE} 9 typ host tcptype active",
        f"candidate:1 1 tcp {90 << 24 | 0x9FFF << 8 | 255} {ALICE} {LISTENING_PORT} typ host tcptype passive",
    ]


def test_a_call_survives_connections_that_are_reset() -> None:
    alice, bob, streams = peers()
    connect(alice, bob)
    for _ in range(3):
        alice.network.run_for(5.0)
        streams.cut()
        assert alice.engine.connection_state is ConnectionState.DISCONNECTED
        alice.network.run_until(lambda: alice.is_connected and bob.is_connected, 5.0)
        assert_messages_arrive(alice, bob)


def test_what_is_written_while_the_connection_is_lost_arrives_afterwards() -> None:
    alice, bob, streams = peers()
    connect(alice, bob)
    alice.network.run_for(2.0)
    streams.blocks = lambda *_: True
    streams.cut()
    for number in range(50):
        alice.send(alice.opened[0], f"{number}")
    alice.network.run_for(3.0)
    assert not bob.messages
    streams.blocks = lambda *_: False
    alice.network.run_until(lambda: len(bob.messages) == 50, 30.0)
    assert [message for _, message in bob.messages] == [f"{number}" for number in range(50)]


def test_a_restart_moves_to_a_connection_of_its_own() -> None:
    alice, bob, _ = peers()
    connect(alice, bob)
    alice.network.run_for(1.0)
    before = path_of(alice)
    alice.engine.restart_ice()
    signal(alice, bob)
    pass_candidates(alice, bob)
    alice.network.run_until(lambda: path_of(alice) not in (before, None), 5.0)
    alice.network.run_for(5.0)
    assert_messages_arrive(alice, bob)
    assert len(alice.ends) == len(bob.ends) == 1


def test_the_end_of_a_call_leaves_no_connection() -> None:
    alice, bob, streams = peers()
    connect(alice, bob)
    alice.run(alice.engine.close)
    alice.network.run_for(5.0)
    bob.run(bob.engine.close)
    alice.network.run_for(5.0)
    assert alice.engine.connection_state is bob.engine.connection_state is ConnectionState.CLOSED
    assert not alice.ends
    assert not bob.ends
    assert not streams.ends


def listen(end: StreamEnd, heard: list[bytes]) -> None:
    """Send what no peer would, and listen."""
    end.on_message = heard.append
    end.send(encode_binding_request(bytes(12)))


def test_relay_only_makes_no_connection_and_names_no_candidate() -> None:
    """IC-8: not one connection to anybody but the TURN server, and nothing that listens is told."""
    alice, bob, streams = peers("both", "both", options=PeerOptions(relay_only=True))
    alice.create_channel("chat")
    signal(alice, bob)
    alice.network.run_for(5.0)
    assert alice.told == []
    assert all(path.local.host != ALICE for _, path in streams.attempts)
    # Bob's candidates were told, and nobody came.
    assert [event.line for event in bob.told]
    # Somebody who knows the port, which is open here, hears nothing.
    heard: list[bytes] = []
    streams.connect(BOB, SocketAddress(ALICE, LISTENING_PORT), lambda end: listen(end, heard), lambda: None)
    alice.network.run_for(1.0)
    assert heard == []


def test_the_policy_becomes_relay_only_under_a_call_over_tcp() -> None:
    """IC-8: the connection serves until the restart has a pair, and no other one is made."""
    alice, bob, streams = peers("active", "passive")
    connect(alice, bob)
    alice.network.run_for(1.0)
    attempts = len(streams.attempts)
    alice.engine.change_ice_configuration(relay_only=True, urls=frozenset())
    signal(alice, bob)
    alice.network.run_for(3.0)
    assert_messages_arrive(alice, bob)
    assert len(streams.attempts) == attempts
