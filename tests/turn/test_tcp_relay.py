"""TCP allocations (RFC 6062) in the engine: who may connect to whom, who gets the connection, and when it ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, TypeVar

import pytest

from icelane.core.net import Path, SocketAddress, Transport
from icelane.stun.attributes import AttributeType, encode_uint32, parse_uint32, parse_xor_address
from icelane.stun.message import MessageClass, Method, parse_message
from icelane.testing.peers import ALLOWED, REFUSED_ALWAYS, REFUSED_BY_DEFAULT
from icelane.turn.attributes import encode_address_family, encode_even_port, encode_requested_transport
from icelane.turn.credentials import Minted, Secret, mint
from icelane.turn.peer_policy import PeerPolicy
from icelane.turn.routes import BindRelayPort, BindStreams, ClosePeer, ConnectionId, ConnectPeer
from icelane.turn.tcp_relay import MAX_PEER_CONNECTIONS
from tests.turn.server_driver import (
    OTHER_PEER,
    PEER,
    PEER_V6,
    RELAY,
    UDP_RELAY,
    USERS,
    Caller,
    Reply,
    ServerDriver,
    checked,
    credentials,
    lifetime,
    path_from,
    settings,
)

pytestmark = pytest.mark.twin

TCP_RELAY: Final = (AttributeType.REQUESTED_TRANSPORT, encode_requested_transport(6))
IPV6: Final = (AttributeType.REQUESTED_ADDRESS_FAMILY, encode_address_family(PEER_V6.family))
WAIT: Final = 30.0  # RFC 6062 sections 5.2 and 5.3
ON: Final = settings(tcp_allocations=True)

SECRET: Final = Secret("k1", "a secret that is long enough")
OTHER_SECRET: Final = Secret("k2", "another that is long enough")

C = TypeVar("C")


class World(ServerDriver):
    """The engine with TCP allocations turned on; clients are reached over TCP."""

    def __init__(
        self, *, on: bool = True, policy: PeerPolicy | None = None, secrets: Sequence[Secret] = (), **changes: object
    ) -> None:
        super().__init__(config=settings(tcp_allocations=on, **changes), policy=policy, secrets=secrets)
        self._ports = 50_000

    def client(self, username: str = "alice", transport: Transport = Transport.TCP) -> Caller:
        """A connection, or a UDP port, of its own."""
        self._ports += 1
        return self.caller(username, path=path_from(port=self._ports, transport=transport))

    def allocated(self, username: str = "alice", *attributes: tuple[int, bytes]) -> Caller:
        """A client with a TCP allocation."""
        client = self.client(username)
        assert client.request(Method.ALLOCATE, TCP_RELAY, *attributes).code is None
        return client

    def guest(self, minted: Minted) -> Caller:
        """A connection of somebody with an ephemeral credential."""
        self._ports += 1
        path = path_from(port=self._ports, transport=Transport.TCP)
        return self.caller(minted.username, minted.password, path=path)

    def minted(self, ttl: float = 60) -> Minted:
        """An ephemeral credential."""
        return mint(SECRET, "carol", ttl, self.clock.unix_time(self.clock.now))

    def relay(self, client: Caller) -> SocketAddress:
        """Its relayed address."""
        allocation = self.allocation(client)
        assert allocation is not None
        (relay,) = allocation.relays.values()
        return relay.local

    def told(self, kind: type[C]) -> list[C]:
        """The commands of that kind, in order."""
        return [command for command in self.plane.commands if isinstance(command, kind)]

    def connect(self, client: Caller, peer: SocketAddress = PEER) -> ConnectionId:
        """Send Connect, which nobody answers before the plane has; returns what the plane was told."""
        assert client.send(client.build(Method.CONNECT, peer)) is None
        return self.told(ConnectPeer)[-1].connection_id

    def peer_connected(self, connection_id: ConnectionId) -> Reply:
        """The plane has connected; returns what the client hears."""
        before = len(self.sent)
        self.engine.handle_peer_connected(connection_id, self.clock.now)
        self.drain()
        ((_, answer),) = self.sent[before:]
        return checked(answer)

    def peer_accepted(self, relay: SocketAddress, peer: SocketAddress) -> ConnectionId | None:
        """A peer has connected to a relayed address."""
        connection_id = self.engine.handle_peer_accepted(relay, peer, self.clock.now)
        self.drain()
        return connection_id

    def peer_closed(self, connection_id: ConnectionId) -> None:
        """The plane could not connect, or lost the connection."""
        self.engine.handle_peer_closed(connection_id, self.clock.now)
        self.drain()

    def connected(self, client: Caller, peer: SocketAddress = PEER) -> ConnectionId:
        """A connection with a peer that waits to be bound."""
        connection_id = self.connect(client, peer)
        assert connection_id_of(self.peer_connected(connection_id)) == connection_id
        return connection_id

    def bind(self, client: Caller, connection_id: int) -> Reply | None:
        """ConnectionBind; None for success, whose response is the plane's to send."""
        return client.send(client.build(Method.CONNECTION_BIND, connection_attribute(connection_id)))

    def bound(self, client: Caller, connection_id: ConnectionId) -> None:
        """ConnectionBind that succeeds."""
        assert self.bind(client, connection_id) is None
        command = self.told(BindStreams)[-1]
        assert (command.connection_id, command.client) == (connection_id, client.path)
        assert checked(command.response).message.message_class is MessageClass.SUCCESS


def connection_attribute(connection_id: int) -> tuple[int, bytes]:
    return AttributeType.CONNECTION_ID, encode_uint32(connection_id)


def connection_id_of(reply: Reply) -> int:
    assert reply.code is None
    return parse_uint32(reply[AttributeType.CONNECTION_ID])


@pytest.fixture
def world() -> World:
    return World()


# Off


def test_tcp_allocations_are_off_unless_they_are_turned_on() -> None:
    """TR-9: 442 and 400, and only to who has said who he is."""
    world = World(on=False)
    client = world.client()
    assert client.request(Method.ALLOCATE, TCP_RELAY).code == 442
    assert client.request(Method.CONNECT, PEER).code == 400
    assert client.request(Method.CONNECTION_BIND, connection_attribute(1)).code == 400
    assert {refused.reason for refused in world.refusals} >= {"transport-unsupported", "tcp-allocations-off"}
    world.close()


# Allocate, section 5.1


def test_a_tcp_allocation_listens_and_has_no_reservation(world: World) -> None:
    client = world.client()
    reply = client.request(Method.ALLOCATE, TCP_RELAY)
    (command,) = world.told(BindRelayPort)
    assert (reply.relayed, command.transport) == ([command.relay], Transport.TCP)
    assert not reply.has(AttributeType.RESERVATION_TOKEN)
    world.close()


def test_a_udp_allocation_beside_is_what_it_was(world: World) -> None:
    client = world.client()
    assert client.request(Method.ALLOCATE, UDP_RELAY).code is None
    assert world.told(BindRelayPort)[0].transport is Transport.UDP
    assert client.request(Method.CONNECT, PEER).code == 400
    assert world.refusals[-1].reason == "not-a-tcp-allocation"
    world.close()


def test_a_client_over_udp_gets_no_tcp_allocation(world: World) -> None:
    """TR-9: RFC 6062 section 5.1 asks for 400."""
    client = world.client(transport=Transport.UDP)
    assert client.request(Method.ALLOCATE, TCP_RELAY).code == 400
    assert world.refusals[-1].reason == "tcp-allocation-over-udp"
    world.close()


@pytest.mark.parametrize(
    "attribute",
    [
        (AttributeType.DONT_FRAGMENT, b""),
        (AttributeType.EVEN_PORT, encode_even_port(False)),
        (AttributeType.RESERVATION_TOKEN, bytes(8)),
    ],
)
def test_what_is_for_udp_only_is_refused_with_tcp(world: World, attribute: tuple[int, bytes]) -> None:
    assert world.client().request(Method.ALLOCATE, TCP_RELAY, attribute).code == 400
    assert world.refusals[-1].reason == "not-with-tcp"
    world.close()


def test_a_tcp_allocation_has_permissions_and_no_channels_and_no_routes(world: World) -> None:
    client = world.allocated()
    assert client.permit(PEER).code is None
    assert client.bind(0x4000, PEER).code == 400
    assert not world.plane.permissions
    world.engine.set_peer_policy(replace(world.policy, deny=("8.8.8.0/24",)))
    world.drain()
    allocation = world.allocation(client)
    assert allocation is not None
    assert not allocation.permissions_by_host
    world.close()


# Connect, section 5.2


def test_connect_is_answered_when_the_peer_has_answered(world: World) -> None:
    client = world.allocated()
    connection_id = world.connect(client)
    assert world.told(ConnectPeer) == [ConnectPeer(connection_id, world.relay(client), PEER)]
    assert connection_id_of(world.peer_connected(connection_id)) == connection_id
    world.close()


def test_a_peer_that_cannot_be_reached_is_447(world: World) -> None:
    client = world.allocated()
    connection_id = world.connect(client)
    world.peer_closed(connection_id)
    assert checked(world.sent[-1][1]).code == 447
    assert world.refusals[-1].reason == "peer-unreachable"
    world.connect(client)  # and may be tried again
    world.close()


def test_a_peer_that_does_not_answer_is_447_after_thirty_seconds(world: World) -> None:
    """TR-9: the attempt is given up, and not before."""
    client = world.allocated()
    connection_id = world.connect(client)
    sent = len(world.sent)
    world.advance(WAIT - 0.1)
    assert len(world.sent) == sent
    world.advance(0.2)
    assert checked(world.sent[-1][1]).code == 447
    assert world.told(ClosePeer) == [ClosePeer(connection_id)]
    world.engine.handle_peer_connected(connection_id, world.clock.now)  # too late
    world.drain()
    assert len(world.sent) == sent + 1
    world.close()


def test_a_second_connect_to_the_same_peer_is_446(world: World) -> None:
    """RFC 6062 section 5.2: while it is tried, while it waits, and while it is used."""
    client = world.allocated()
    connection_id = world.connect(client)
    assert client.request(Method.CONNECT, PEER).code == 446
    world.peer_connected(connection_id)
    assert client.request(Method.CONNECT, PEER).code == 446
    world.bound(world.client(), connection_id)
    assert client.request(Method.CONNECT, PEER).code == 446
    world.connect(client, OTHER_PEER)
    world.connect(world.allocated(), PEER)  # another relayed address, so another connection
    world.close()


@pytest.mark.parametrize("host", [*REFUSED_ALWAYS, *REFUSED_BY_DEFAULT])
def test_connect_goes_nowhere_that_a_permission_would_not(world: World, host: str) -> None:
    """TR-1, TR-9: the same policy, the same answer, and the plane is told nothing."""
    for attributes in ((), (IPV6,)):
        client = world.allocated("alice", *attributes)
        peer = SocketAddress(host, 80)
        refused = client.request(Method.CONNECT, peer)
        assert refused.code in (403, 443)
        assert refused.code == client.permit(peer).code
    assert not world.told(ConnectPeer)
    world.close()


@pytest.mark.parametrize("host", ALLOWED)
def test_connect_reaches_public_peers(world: World, host: str) -> None:
    client = world.allocated("alice", *((IPV6,) if ":" in host else ()))
    world.connected(client, SocketAddress(host, 80))
    world.close()


def test_connect_to_port_zero_or_to_the_relayed_address_itself_is_refused(world: World) -> None:
    client = world.allocated()
    assert client.request(Method.CONNECT, SocketAddress(PEER.host, 0)).code == 403
    assert client.request(Method.CONNECT, world.relay(client)).code == 403
    assert world.refusals[-1].reason == "own-relay"
    assert client.request(Method.CONNECT).code == 400
    world.close()


def test_connect_without_an_allocation_is_437(world: World) -> None:
    assert world.client().request(Method.CONNECT, PEER).code == 437


def test_two_clients_of_one_server_reach_each_other(world: World) -> None:
    """TR-5: from one relayed address to the other."""
    alice, bob = world.allocated("alice"), world.allocated("bob")
    assert bob.permit(world.relay(alice)).code is None
    world.connect(alice, world.relay(bob))
    assert world.peer_accepted(world.relay(bob), world.relay(alice)) is not None
    world.close()


def test_an_allocation_has_so_many_connections_and_no_more(world: World) -> None:
    """TR-9: the bound holds for Connect and for peers that connect."""
    client = world.allocated()
    client.permit(PEER)
    for number in range(MAX_PEER_CONNECTIONS):
        world.connect(client, SocketAddress(PEER.host, 1000 + number))
    assert client.request(Method.CONNECT, PEER).code == 508
    assert world.peer_accepted(world.relay(client), PEER) is None
    world.peer_closed(world.told(ConnectPeer)[0].connection_id)
    assert world.peer_accepted(world.relay(client), PEER) is not None
    world.close()


# Peers that connect, section 5.3


def test_a_permitted_peer_that_connects_is_announced(world: World) -> None:
    client = world.allocated()
    client.permit(PEER)
    connection_id = world.peer_accepted(world.relay(client), PEER)
    path, data = world.sent[-1]
    indication = parse_message(data)
    assert path == client.path
    assert (indication.method, indication.message_class) == (Method.CONNECTION_ATTEMPT, MessageClass.INDICATION)
    peer, number = indication.get(AttributeType.XOR_PEER_ADDRESS), indication.get(AttributeType.CONNECTION_ID)
    assert peer is not None
    assert number is not None
    assert parse_xor_address(peer, indication.transaction_id) == PEER
    assert parse_uint32(number) == connection_id
    assert connection_id is not None
    world.bound(world.client(), connection_id)
    world.close()


def test_a_peer_without_permission_that_connects_is_closed_in_silence(world: World) -> None:
    """TR-9: also when the permission has expired, or is somebody else's."""
    client, other = world.allocated(), world.allocated("bob")
    client.permit(PEER)
    sent = len(world.sent)
    assert world.peer_accepted(world.relay(client), OTHER_PEER) is None
    assert world.peer_accepted(world.relay(other), PEER) is None
    assert world.peer_accepted(SocketAddress(RELAY, 1), PEER) is None
    world.advance(300.1)
    assert world.peer_accepted(world.relay(client), PEER) is None
    assert len(world.sent) == sent
    world.close()


@pytest.mark.parametrize("host", [*REFUSED_ALWAYS, *REFUSED_BY_DEFAULT])
def test_a_refused_address_that_connects_is_closed(world: World, host: str) -> None:
    """TR-1: no row comes in by TCP either."""
    for attributes in ((), (IPV6,)):
        client = world.allocated("alice", *attributes)
        client.permit(SocketAddress(host, 80))
        assert world.peer_accepted(world.relay(client), SocketAddress(host, 80)) is None
    world.close()


def test_a_peer_that_connects_again_from_the_same_port_replaces_what_was(world: World) -> None:
    client = world.allocated()
    client.permit(PEER)
    first = world.peer_accepted(world.relay(client), PEER)
    second = world.peer_accepted(world.relay(client), PEER)
    assert first is not None
    assert second is not None
    assert first != second
    assert world.told(ClosePeer) == [ClosePeer(first)]
    world.bound(world.client(), second)
    world.close()


# ConnectionBind, section 5.4


def test_a_connection_is_bound_once(world: World) -> None:
    """TR-9: the number is good for one use."""
    connection_id = world.connected(world.allocated())
    world.bound(world.client(), connection_id)
    again = world.bind(world.client(), connection_id)
    assert again is not None
    assert again.code == 400
    assert world.refusals[-1].reason == "connection-unknown"
    assert len(world.told(BindStreams)) == 1
    world.close()


def test_only_the_user_of_the_allocation_may_bind_its_connections(world: World) -> None:
    """TR-9: another user hears what he would hear of no connection at all, and takes nothing from the owner."""
    connection_id = world.connected(world.allocated("alice"))
    thief = world.bind(world.client("bob"), connection_id)
    nothing = world.bind(world.client("bob"), connection_id ^ 1)
    assert thief is not None
    assert nothing is not None
    assert thief.message.attributes[0] == nothing.message.attributes[0]
    assert thief.code == 400
    assert [refused.reason for refused in world.refusals[-4:] if refused.code == 400] == [
        "connection-of-another",
        "connection-unknown",
    ]
    assert not world.told(BindStreams)
    world.bound(world.client("alice"), connection_id)
    world.close()


def test_a_connection_is_bound_by_the_credential_of_its_allocation_after_that_has_expired() -> None:
    """TA-9: ConnectionBind begins nothing of its own, though it comes over a connection of its own."""
    world = World(secrets=[SECRET])
    minted = world.minted()
    carol = world.guest(minted)
    assert carol.request(Method.ALLOCATE, TCP_RELAY).code is None
    world.advance(61)
    world.bound(world.guest(minted), world.connected(carol))
    assert world.guest(minted).request(Method.ALLOCATE, TCP_RELAY).code == 401
    world.close()


def test_with_strict_expiry_it_is_not() -> None:
    """TA-9: the allocation is gone by then."""
    world = World(secrets=[SECRET], strict_expiry=True)
    minted = world.minted()
    carol = world.guest(minted)
    assert carol.request(Method.ALLOCATE, TCP_RELAY).code is None
    world.advance(45)
    connection_id = world.connected(carol)
    world.clock.step_wall(16)
    late = world.bind(world.guest(minted), connection_id)
    assert late is not None
    assert late.code == 401
    world.close()


def test_a_connection_is_bound_by_the_credential_of_its_allocation_after_its_secret_was_removed() -> None:
    """TA-11: and the user is not taken for somebody who guesses passwords."""
    world = World(secrets=[SECRET])
    minted = world.minted(600)
    carol = world.guest(minted)
    assert carol.request(Method.ALLOCATE, TCP_RELAY).code is None
    world.engine.set_credentials(credentials(USERS, [OTHER_SECRET]))
    for number in range(MAX_PEER_CONNECTIONS):
        world.bound(world.guest(minted), world.connected(carol, SocketAddress(PEER.host, 1000 + number)))
    assert {refused.reason for refused in world.refusals} == {"no-credentials"}
    world.close()


def test_the_credential_of_an_allocation_is_no_good_for_another_user_s_connection() -> None:
    """TR-9, TA-11: nor for a number that does not exist."""
    world = World(secrets=[SECRET])
    minted = world.minted(600)
    carol = world.guest(minted)
    assert carol.request(Method.ALLOCATE, TCP_RELAY).code is None
    connection_id = world.connected(carol)
    of_alice = world.connected(world.allocated("alice"))
    world.engine.set_credentials(credentials(USERS, [OTHER_SECRET]))
    for number in (of_alice, connection_id ^ of_alice ^ 1):
        refused = world.bind(world.guest(minted), number)
        assert refused is not None
        assert refused.code == 401
    world.bound(world.guest(minted), connection_id)
    world.close()


def test_a_connection_that_nobody_binds_is_closed_after_thirty_seconds(world: World) -> None:
    """TR-9: one that the client asked for, and one that a peer made."""
    client = world.allocated()
    client.permit(OTHER_PEER)
    asked = world.connected(client)
    made = world.peer_accepted(world.relay(client), OTHER_PEER)
    world.advance(WAIT - 0.1)
    assert not world.told(ClosePeer)
    world.advance(0.2)
    assert world.told(ClosePeer) == [ClosePeer(asked), ClosePeer(ConnectionId(made or 0))]
    late = world.bind(world.client(), asked)
    assert late is not None
    assert late.code == 400
    world.close()


def test_a_bound_connection_lives_as_long_as_the_allocation(world: World) -> None:
    client = world.allocated("alice", lifetime(3600))
    connection_id = world.connected(client)
    world.bound(world.client(), connection_id)
    world.advance(3599)
    assert not world.told(ClosePeer)
    world.advance(2)
    assert world.told(ClosePeer) == [ClosePeer(connection_id)]
    world.assert_nothing_is_left()


def test_a_connection_is_not_bound_before_the_peer_has_answered(world: World) -> None:
    connection_id = world.connect(world.allocated())
    early = world.bind(world.client(), connection_id)
    assert early is not None
    assert early.code == 400
    world.close()


def test_connection_bind_needs_a_connection_without_an_allocation_and_a_number(world: World) -> None:
    client = world.allocated()
    connection_id = world.connected(client)
    for other in (client, world.client(transport=Transport.UDP)):
        refused = world.bind(other, connection_id)
        assert refused is not None
        assert refused.code == 400
        assert world.refusals[-1].reason == "not-a-data-connection"
    assert world.client().request(Method.CONNECTION_BIND).code == 400
    assert world.refusals[-1].reason == "connection-id-missing"
    world.close()


def test_a_data_connection_carries_no_requests_any_more(world: World) -> None:
    data = world.client()
    world.bound(data, world.connected(world.allocated()))
    assert data.send(data.build(Method.ALLOCATE, TCP_RELAY)) is None
    assert world.allocation(data) is None
    world.close()


# Ends, section 5.5


def test_the_end_of_one_side_is_the_end_of_the_other(world: World) -> None:
    client = world.allocated()
    first, second = world.connected(client, PEER), world.connected(client, OTHER_PEER)
    data = world.client()
    world.bound(data, first)
    world.bound(world.client(), second)
    world.disconnect(data.path)
    assert world.told(ClosePeer) == [ClosePeer(first)]
    world.peer_closed(second)
    assert world.told(ClosePeer) == [ClosePeer(first)]  # the plane has closed both of its ends itself
    assert client.release().code is None
    world.assert_nothing_is_left()


@pytest.mark.parametrize("end", ["released", "expired", "disconnected", "revoked", "closed"])
def test_the_end_of_the_allocation_ends_its_connections(world: World, end: str) -> None:
    """TR-9, TR-12: whatever they are doing, and before the port is given back."""
    client = world.allocated()
    connecting = world.connect(client, SocketAddress(PEER.host, 1))
    waiting = world.connected(client, SocketAddress(PEER.host, 2))
    bound = world.connected(client, SocketAddress(PEER.host, 3))
    world.bound(world.client(), bound)
    match end:
        case "released":
            client.release()
        case "expired":
            world.advance(601)
        case "disconnected":
            world.disconnect(client.path)
        case "revoked":
            world.engine.revoke(lambda allocation: allocation.username == "alice")
            world.drain()
        case "closed":
            world.close()
    assert {command.connection_id for command in world.told(ClosePeer)} == {connecting, waiting, bound}
    assert not isinstance(world.plane.commands[-1], ClosePeer)
    world.assert_nothing_is_left()


def test_a_changed_policy_closes_connections_with_whom_it_refuses(world: World) -> None:
    """TR-7: at once, those that are still being made included; their client is told."""
    client = world.allocated()
    client.permit(PEER)
    connecting = world.connect(client, SocketAddress(PEER.host, 1))
    bound = world.connected(client, SocketAddress(PEER.host, 2))
    world.bound(world.client(), bound)
    made = world.peer_accepted(world.relay(client), PEER)
    kept = world.connected(client, OTHER_PEER)
    world.engine.set_peer_policy(replace(world.policy, deny=("8.8.8.8",)))
    world.drain()
    assert {command.connection_id for command in world.told(ClosePeer)} == {connecting, bound, made}
    world.advance(0)
    assert checked(world.sent[-1][1]).code == 447
    assert client.request(Method.CONNECT, PEER).code == 403
    assert world.peer_accepted(world.relay(client), PEER) is None
    world.bound(world.client(), kept)
    world.close()


def test_answers_of_the_plane_that_come_too_late_are_harmless(world: World) -> None:
    client = world.allocated()
    connection_id = world.connected(client)
    client.release()
    for answer in (world.engine.handle_peer_connected, world.engine.handle_peer_closed):
        answer(connection_id, world.clock.now)
        world.drain()
    world.engine.handle_closed(Path(client.path.local, SocketAddress("192.0.2.9", 9), Transport.TCP), world.clock.now)
    world.drain()
    world.close()
