"""iceTransportPolicy "relay": nobody but the TURN server hears of us, and nothing that we tell says where we are.

The same on real interfaces, with a capture, is in `tests/aio/test_relay_only_on_the_wire.py`.
"""

from __future__ import annotations

import logging
from itertools import pairwise

import pytest

from icelane.core.clock import Instant, UnixSeconds
from icelane.core.net import SocketAddress
from icelane.ice.event import IceState
from icelane.peer.connection_options import PeerOptions
from icelane.peer.ice_transport_event import CandidateFailed
from icelane.peer.security_report import SecurityReport
from icelane.peer.stats import collect_stats
from icelane.stun.attributes import AttributeType, encode_address, encode_error_code
from icelane.stun.message import MessageBuilder, MessageClass, Method, parse_message
from icelane.testing.clock import VirtualClock
from icelane.testing.nat import ENDPOINT_INDEPENDENT
from icelane.testing.network import Link, VirtualNetwork
from icelane.testing.peer import PeerHost
from tests.scenarios.internet import (
    RELAY,
    SERVER,
    Internet,
    assert_data_flows,
    assert_everything_is_given_back,
    connect,
    run_until,
    settle,
)

RELAY_ONLY = PeerOptions(relay_only=True)
GONE = Link(loss=1.0)
URLS = frozenset({RELAY.url, f"stun:{SERVER}"})
MDNS = "candidate:1 1 udp 2122260223 6a1f4c1e-0000-4000-8000-000000000000.local 50000 typ host"


def everything_told(peer: PeerHost, *, selected: bool = True) -> str:
    """All that a program, or the peer, can learn from it; with `selected`, also the path that the engine keeps."""
    descriptions = [peer.engine.negotiation.local_description, peer.engine.negotiation.current_local_description]
    told = [description.sdp for description in descriptions if description is not None]
    told += [candidate.line for candidate in peer.told]
    told += [str(event) for event in peer.events if isinstance(event, CandidateFailed)]
    told += [
        repr(stats) for stats in collect_stats(peer.engine, UnixSeconds(0.0), Instant(0.0)).of_type("local-candidate")
    ]
    told += [str(SecurityReport.of(peer.engine)), repr(SecurityReport.of(peer.engine))]
    if peer.engine.transport is not None:
        told += [str(report.candidate) for report in peer.engine.transport.ice.local_reports]
        told += [str(peer.engine.transport.ice.selected)] if selected else []
    return "\n".join(told)


def secrets_of(peer: PeerHost, *more: str) -> list[str]:
    """Where it is: its hosts, its ports, and how a NAT shows it."""
    return [*peer.hosts, *(f" {base.port} " for base in peer.bases), *more]


@pytest.mark.parametrize("both", [False, True], ids=["one end", "both ends"])
@pytest.mark.parametrize("has_nat", [False, True], ids=["in the open", "behind a NAT"])
def test_not_one_packet_goes_to_anybody_but_the_turn_server(
    both: bool, has_nat: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """IC-8: from gathering to the end, with consent, candidates of every kind and an ICE restart between."""
    caplog.set_level(logging.INFO)
    internet = Internet(seed=9)
    alice = (
        internet.behind_nat(1, ENDPOINT_INDEPENDENT, options=RELAY_ONLY)
        if has_nat
        else internet.peer(1, options=RELAY_ONLY)
    )
    bob = internet.peer(2, options=RELAY_ONLY if both else None)
    alice.keeps_sent = True
    alice.create_channel("chat")
    connect(alice, bob)
    settle(alice, bob)
    alice.run(lambda now: alice.engine.add_remote_candidate(MDNS, "0", None, None, now))
    assert_data_flows(alice, bob)
    internet.network.run_for(20.0)
    alice.run(lambda _: alice.engine.restart_ice())
    connect(alice, bob)
    settle(alice, bob)
    assert_data_flows(alice, bob)
    assert alice.sent
    assert {path.remote for path, _ in alice.sent} == {SERVER}
    told = everything_told(alice)
    for secret in secrets_of(alice, "203.0.115.1"):
        assert secret not in told
        assert secret not in caplog.text
    assert_everything_is_given_back(internet, alice, bob)


def test_what_is_told_of_a_candidate_is_its_relayed_address_and_nothing_else() -> None:
    """IC-8: only `typ relay`, related addresses `0.0.0.0 9`, `o=` and `c=` without an address of ours."""
    internet = Internet(seed=10)
    alice, bob = internet.behind_nat(1, ENDPOINT_INDEPENDENT, options=RELAY_ONLY), internet.peer(2)
    connect(alice, bob)
    settle(alice, bob)
    description = alice.engine.negotiation.local_description
    assert description is not None
    lines = description.sdp.splitlines()
    candidates = [line for line in lines if line.startswith("a=candidate:")]
    assert candidates
    for line in candidates:
        assert f" {SERVER.host} " in line
        assert "typ relay raddr 0.0.0.0 rport 9" in line
    assert [line.rpartition(" ")[2] for line in lines if line.startswith("c=")] == ["0.0.0.0"]
    assert [line.rpartition(" ")[2] for line in lines if line.startswith("o=")] == ["127.0.0.1"]
    stats = collect_stats(alice.engine, UnixSeconds(0.0), Instant(0.0))
    for local in stats.of_type("local-candidate"):
        assert local.candidateType in ("relay", "prflx")
        assert local.address == SERVER.host
        assert local.get("relatedAddress") in (None, "0.0.0.0", SERVER.host)


@pytest.mark.parametrize("trouble", ["silent", "wrong password", "no server"])
def test_without_a_turn_server_there_is_no_way_and_none_is_tried(trouble: str) -> None:
    """IC-8: TURN fails, and nothing else is fallen back to."""
    internet = Internet(seed=11, has_servers=trouble != "no server")
    alice, bob = internet.peer(1, options=RELAY_ONLY), internet.peer(2)
    if trouble == "silent":
        internet.network.set_link(alice.hosts[0], SERVER.host, GONE)
    elif trouble == "wrong password":
        alice._relays = [
            type(RELAY)(
                address=SERVER, transport=RELAY.transport, host_name="", url=RELAY.url, username="alice", password="?"
            )
        ]
    alice.keeps_sent = True
    alice.create_channel("chat")
    with pytest.raises(AssertionError, match="not within"):
        connect(alice, bob, within=60.0)
    assert not alice.is_connected
    assert alice.engine.ice_state in (IceState.NEW, IceState.CHECKING, IceState.FAILED)
    assert {path.remote for path, _ in alice.sent} <= {SERVER}
    assert not alice.told
    failed = [event for event in alice.events if isinstance(event, CandidateFailed)]
    assert bool(failed) is (trouble != "no server")
    for event in failed:
        assert event.base is None
    for secret in secrets_of(alice):
        assert secret not in everything_told(alice)


def test_a_peer_that_knocks_at_the_door_is_not_answered() -> None:
    """IC-8: whoever guesses our address, and even has our password, must not learn that we are there."""
    internet = Internet(seed=12)
    alice, bob = internet.peer(1, options=RELAY_ONLY), internet.peer(2)
    connect(alice, bob)
    settle(alice, bob)
    alice.keeps_sent = True
    (base,) = alice.bases
    place = f"candidate:9 1 udp 2122260223 {base.host} {base.port} typ host"
    bob.run(lambda now: bob.engine.add_remote_candidate(place, "0", None, None, now))
    before = alice.engine.transport.ice.discarded if alice.engine.transport is not None else 0
    internet.network.run_for(10.0)
    assert alice.engine.transport is not None
    assert alice.engine.transport.ice.discarded > before
    assert {path.remote for path, _ in alice.sent} == {SERVER}


@pytest.mark.parametrize("restarts", ["who changed", "the other"])
def test_after_a_change_to_relay_a_restart_leaves_the_direct_path_for_good(restarts: str) -> None:
    """IC-8: once the restart has its pair, nothing goes to the peer directly any more; nothing new is told before."""
    internet = Internet(seed=13)
    alice, bob = internet.behind_nat(1, ENDPOINT_INDEPENDENT), internet.peer(2)
    connect(alice, bob)
    settle(alice, bob)
    assert_data_flows(alice, bob)
    alice.run(lambda _: alice.engine.change_ice_configuration(relay_only=True, urls=URLS))
    alice.told.clear()
    if restarts == "who changed":
        connect(alice, bob)
    else:
        bob.run(lambda _: bob.engine.restart_ice())
        connect(bob, alice)
    description = alice.engine.negotiation.local_description
    assert description is not None
    assert alice.told
    assert all("typ relay raddr 0.0.0.0" in candidate.line for candidate in alice.told)
    assert alice.hosts[0] not in description.sdp
    assert "203.0.115.1" not in description.sdp
    settle(alice, bob)
    run_until(alice, bob, lambda: relays_now(alice), 5.0)
    alice.keeps_sent = True
    assert_data_flows(alice, bob)
    internet.network.run_for(30.0)
    assert_data_flows(alice, bob)
    assert {path.remote for path, _ in alice.sent} == {SERVER}
    for secret in secrets_of(alice, "203.0.115.1"):
        assert secret not in everything_told(alice)
    assert_everything_is_given_back(internet, alice, bob)


def relays_now(peer: PeerHost) -> bool:
    transport = peer.engine.transport
    path = transport.ice.agent.data_path if transport is not None else None
    return path is not None and path.local.host == SERVER.host


def test_after_a_change_back_a_restart_finds_the_direct_path_again() -> None:
    internet = Internet(seed=14)
    alice, bob = internet.peer(1, options=RELAY_ONLY), internet.peer(2)
    connect(alice, bob)
    settle(alice, bob)
    assert relays_now(alice)
    alice.run(lambda _: alice.engine.change_ice_configuration(relay_only=False, urls=URLS))
    connect(alice, bob)
    run_until(alice, bob, lambda: not relays_now(alice), 10.0)
    assert_data_flows(alice, bob)


def test_a_change_in_the_middle_of_gathering_tells_nothing_more_of_the_old_policy() -> None:
    internet = Internet(seed=15)
    alice, bob = internet.behind_nat(1, ENDPOINT_INDEPENDENT), internet.peer(2)
    alice.create_channel("chat")
    alice.run(lambda now: alice.engine.set_local_description(None, now))
    alice.run(lambda _: alice.engine.change_ice_configuration(relay_only=True, urls=URLS))
    told = len(alice.told)
    internet.network.run_for(5.0)
    assert len(alice.told) == told
    alice.take_candidates()
    connect(alice, bob)
    settle(alice, bob)
    assert relays_now(alice)


def test_a_change_whose_restart_is_taken_back_goes_on_as_before_until_the_next_offer() -> None:
    internet = Internet(seed=16)
    alice, bob = internet.peer(1), internet.peer(2)
    connect(alice, bob)
    settle(alice, bob)
    alice.run(lambda _: alice.engine.change_ice_configuration(relay_only=True, urls=URLS))
    alice.run(lambda now: alice.engine.set_local_description(None, now))
    internet.network.run_for(0.2)
    offer = bob.engine.create_offer()
    bob.run(lambda now: bob.engine.set_local_description(offer, now))
    alice.take_candidates()
    alice.run(lambda now: alice.engine.set_remote_description(offer, now))  # glare: ours is taken back
    alice.run(lambda now: alice.engine.set_local_description(None, now))
    answer = alice.engine.negotiation.local_description
    assert answer is not None
    bob.run(lambda now: bob.engine.set_remote_description(answer, now))
    assert_data_flows(alice, bob)
    connect(alice, bob)
    run_until(alice, bob, lambda: relays_now(alice), 10.0)
    assert_data_flows(alice, bob)


class Redirecting:
    """A TURN server that sends everybody elsewhere. `asked` are the requests that it got."""

    def __init__(self, network: VirtualNetwork, address: SocketAddress, target: SocketAddress) -> None:
        self.asked = 0
        self._network = network
        self._target = target
        network.attach(address, self._received)

    def _received(self, data: bytes, source: SocketAddress, destination: SocketAddress) -> None:
        request = parse_message(data)
        if request.method != Method.ALLOCATE:
            return
        self.asked += 1
        answer = MessageBuilder(Method.ALLOCATE, MessageClass.ERROR, request.transaction_id)
        answer.add(AttributeType.ERROR_CODE, encode_error_code(300, "Try Alternate"))
        answer.add(AttributeType.ALTERNATE_SERVER, encode_address(self._target))
        self._network.send(answer.build(), destination, source)


def asker(network: VirtualNetwork, server: SocketAddress, host: str = "203.0.114.1") -> PeerHost:
    relay = type(RELAY)(
        address=server, transport=RELAY.transport, host_name="", url="turn:first", username="alice", password="secret"
    )
    return PeerHost(network, host, relays=[relay], options=RELAY_ONLY)


@pytest.mark.parametrize("target", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "192.168.1.1", "100.64.0.1"])
def test_a_public_turn_server_cannot_send_us_to_a_private_one(target: str) -> None:
    """IC-12: loopback, link-local and private networks: not one packet goes there."""
    network = VirtualNetwork(VirtualClock(), link=Link(delay=0.02))
    there = SocketAddress(target, 3478)
    knocked: list[bytes] = []
    network.attach(there, lambda data, *_: knocked.append(data))
    server = Redirecting(network, SERVER, there)
    alice = asker(network, SERVER)
    alice.keeps_sent = True
    alice.create_channel("chat")
    alice.run(lambda now: alice.engine.set_local_description(None, now))
    network.run_for(30.0)
    assert server.asked
    assert knocked == []
    assert {path.remote for path, _ in alice.sent} == {SERVER}
    (failed,) = [event for event in alice.events if isinstance(event, CandidateFailed)]
    assert failed.url == "turn:first"


def test_a_chain_of_redirections_ends_after_three_hops() -> None:
    """IC-12: the fourth server is never asked."""
    network = VirtualNetwork(VirtualClock(), link=Link(delay=0.02))
    addresses = [SocketAddress(f"198.41.0.{number}", 3478) for number in range(4, 10)]
    servers = [Redirecting(network, *pair) for pair in pairwise(addresses)]
    alice = asker(network, addresses[0])
    alice.create_channel("chat")
    alice.run(lambda now: alice.engine.set_local_description(None, now))
    network.run_for(30.0)
    assert [bool(server.asked) for server in servers] == [True, True, True, True, False]
    assert [event for event in alice.events if isinstance(event, CandidateFailed)]


def test_a_private_server_may_send_us_to_one_of_its_cluster() -> None:
    """IC-12: who is named first and is in that class itself may."""
    network = VirtualNetwork(VirtualClock(), link=Link(delay=0.02))
    first, second = SocketAddress("10.0.0.1", 3478), SocketAddress("10.0.0.2", 3478)
    Redirecting(network, first, second)
    knocked: list[bytes] = []
    network.attach(second, lambda data, *_: knocked.append(data))
    alice = asker(network, first, host="10.0.0.7")
    alice.create_channel("chat")
    alice.run(lambda now: alice.engine.set_local_description(None, now))
    network.run_for(5.0)
    assert knocked
