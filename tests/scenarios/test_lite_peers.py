"""A peer whose ICE agent is a lite one is called and calls, and two of them meet (RFC 8445 section 2.5)."""

from __future__ import annotations

import pytest

from icelane.ice.event import IceRole
from icelane.ice.options import IceOptions
from icelane.peer.connection_event import ConnectionState
from icelane.peer.connection_options import PeerOptions
from icelane.stun.message import MessageClass, looks_like_stun, parse_message
from icelane.testing.clock import VirtualClock
from icelane.testing.nat import Nat
from icelane.testing.network import Link, VirtualNetwork
from icelane.testing.peer import PeerHost, signal

LITE = PeerOptions(ice=IceOptions(lite=True))
SERVER, CLIENT = "203.0.113.1", "10.0.0.2"


def network() -> VirtualNetwork:
    return VirtualNetwork(VirtualClock(), link=Link(delay=0.02, loss=0.05))


def talk(one: PeerHost, other: PeerHost) -> None:
    """Until both have a channel, and a message has come each way."""
    one.create_channel("chat")
    signal(one, other)
    one.network.run_until(lambda: one.opened and other.opened, 20.0)
    for sender, receiver in ((one, other), (other, one)):
        sender.send(sender.opened[0], f"from {sender.hosts[0]}")
        sender.network.run_until(lambda: receiver.messages, 10.0)  # noqa: B023


def description_of(peer: PeerHost) -> str:
    description = peer.engine.negotiation.local_description
    assert description is not None
    return description.sdp


def role_of(peer: PeerHost) -> IceRole:
    assert peer.engine.transport is not None
    assert peer.engine.transport.ice.agent.role is peer.engine.negotiation.ice_role
    return peer.engine.transport.ice.agent.role


@pytest.mark.parametrize("server_offers", [True, False])
def test_a_client_behind_a_nat_reaches_a_lite_server(server_offers: bool) -> None:
    net = network()
    Nat(net, public="198.51.100.7", inside="10.0.0.0/24")
    server, client = PeerHost(net, SERVER, seed=1, options=LITE), PeerHost(net, CLIENT, seed=2)
    server.keeps_sent = True
    talk(*((server, client) if server_offers else (client, server)))
    assert "a=ice-lite\r\n" in description_of(server)
    assert "ice-lite" not in description_of(client)
    assert (role_of(server), role_of(client)) == (IceRole.CONTROLLED, IceRole.CONTROLLING)
    asked = [data for _, data in server.sent if looks_like_stun(data)]
    assert all(parse_message(data).message_class is not MessageClass.REQUEST for data in asked)
    net.run_for(120.0)
    assert server.is_connected
    assert client.is_connected


@pytest.mark.parametrize("server_offers", [True, False])
def test_ice_restarts_with_a_lite_server(server_offers: bool) -> None:
    net = network()
    server, client = PeerHost(net, SERVER, seed=1, options=LITE), PeerHost(net, "192.0.2.9", seed=2)
    talk(client, server)
    offerer, answerer = (server, client) if server_offers else (client, server)
    offerer.engine.restart_ice()
    signal(offerer, answerer)
    net.run_for(10.0)
    assert server.is_connected
    assert client.is_connected
    assert (role_of(server), role_of(client)) == (IceRole.CONTROLLED, IceRole.CONTROLLING)


def test_two_lite_peers_talk_without_a_check() -> None:
    net = network()
    one, other = (PeerHost(net, host, seed=seed, options=LITE) for seed, host in enumerate((SERVER, "203.0.113.2"), 1))
    for peer in (one, other):
        peer.keeps_sent = True
    talk(one, other)
    net.run_for(300.0)
    assert one.engine.connection_state is other.engine.connection_state is ConnectionState.CONNECTED
    assert not any(looks_like_stun(data) for peer in (one, other) for _, data in peer.sent)
    assert (role_of(one), role_of(other)) == (IceRole.CONTROLLING, IceRole.CONTROLLED)
    talk_again = other.opened[0]
    other.send(talk_again, "still there")
    net.run_until(lambda: one.messages[-1][1] == "still there", 10.0)
