"""Payload through the real server: sockets, listeners, routes and the plane together, on loopback."""

from __future__ import annotations

import asyncio
import dataclasses
import secrets
import socket
from typing import Any

import pytest

from icelane.aio.udp import RawAddress, bind_udp
from icelane.core.clock import Instant
from icelane.core.net import AddressFamily, Path, SocketAddress, Transport
from icelane.crypto.provider import SystemEntropy
from icelane.server.relay_plane import MAX_PAYLOAD, RelayPlane, RelaySocket
from icelane.server.turn_server import TurnServer
from icelane.stun.attributes import AttributeType, encode_xor_address
from icelane.stun.message import MessageBuilder, MessageClass, Method, parse_message
from icelane.turn.attributes import IcmpError
from icelane.turn.peer_policy import Verdict
from icelane.turn.routes import (
    AssignRelayPort,
    BindId,
    BindRelayPort,
    ChannelRoute,
    InstallChannelRoute,
    InstallPermissionRoute,
    PermissionRoute,
    ReleaseRelayPort,
    RemoveChannelRoute,
    RemovePermissionRoute,
)
from icelane.turn.server_config import TurnServerConfig
from icelane.turn.translation import parse_data_indication
from tests.loops import Run, close_later
from tests.server.clients import (
    EVEN_PORT_AND_NEXT,
    IPV6,
    USER,
    Attribute,
    Client,
    Peer,
    Refused,
    address_on,
    eventually,
    settings,
)

CHANNEL = 0x4000
TRANSPORTS = pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP], ids=["UDP", "TCP"])
FAMILIES = pytest.mark.parametrize("family", list(AddressFamily), ids=["client IPv4", "client IPv6"])
RELAYS = pytest.mark.parametrize(
    ("wanted", "peer_host"), [((), "127.0.0.1"), ((IPV6,), "::1")], ids=["relay IPv4", "relay IPv6"]
)

# Every remainder of the padding, nothing at all, and what a network carries.
SIZES = (0, 1, 2, 3, 4, 5, 1200, 9000)


def short_lived(config: TurnServerConfig) -> TurnServerConfig:
    """TR-8: seconds where RFC 8656 says minutes."""
    return dataclasses.replace(
        config, permission_lifetime=0.3, channel_lifetime=0.6, default_lifetime=1, max_lifetime=1
    )


@TRANSPORTS
@FAMILIES
@RELAYS
def test_payload_of_every_size_goes_both_ways_by_indications(
    run: Run, transport: Transport, family: AddressFamily, wanted: tuple[Attribute, ...], peer_host: str
) -> None:
    """TR-14: a payload of no bytes too."""

    async def scenario() -> None:
        async with TurnServer(settings()) as server:
            client = await Client.allocated(address_on(server, transport, family), transport, *wanted)
            peer = Peer(peer_host)
            await client.permit(peer.address)
            for size in SIZES:
                payload = secrets.token_bytes(size)
                client.send_to(peer.address, payload)
                assert await peer.inbox.take() == (payload, client.relayed[0])
                peer.send(payload[::-1], client.relayed[0])
                arrived = await client.receive()
                assert (arrived.peer, arrived.payload, arrived.icmp) == (peer.address, payload[::-1], None)

    run(scenario())


@TRANSPORTS
@FAMILIES
@RELAYS
def test_payload_of_every_size_goes_both_ways_on_a_channel_and_is_padded_on_streams_alone(
    run: Run, transport: Transport, family: AddressFamily, wanted: tuple[Attribute, ...], peer_host: str
) -> None:
    """RFC 8656 section 12.5: padding to four bytes over TCP, none in a datagram; its length is not in the header."""

    async def scenario() -> None:
        async with TurnServer(settings()) as server:
            client = await Client.allocated(address_on(server, transport, family), transport, *wanted)
            peer = Peer(peer_host)
            await client.bind(CHANNEL, peer.address)
            for size in SIZES:
                payload = secrets.token_bytes(size)
                client.send_on(CHANNEL, payload)
                assert await peer.inbox.take() == (payload, client.relayed[0])
                peer.send(payload, client.relayed[0])
                padding = bytes(-size % 4) if transport is Transport.TCP else b""
                frame = await client.inbox.take()
                assert frame == CHANNEL.to_bytes(2, "big") + size.to_bytes(2, "big") + payload + padding

    run(scenario())


@TRANSPORTS
def test_many_packets_arrive_in_order_and_are_counted(run: Run, transport: Transport) -> None:
    async def scenario() -> None:
        async with TurnServer(settings()) as server:
            client = await Client.allocated(address_on(server, transport), transport)
            peer = Peer()
            await client.bind(CHANNEL, peer.address)
            for number in range(200):
                client.send_on(CHANNEL, b"%03d" % number)
                payload, source = await peer.inbox.take()
                assert payload == b"%03d" % number
                peer.send(payload, source)
            for number in range(200):
                assert (await client.inbox.take())[4:7] == b"%03d" % number
            (relayed,) = server.plane.clients.values()
            assert (relayed.traffic().packets_from_client, relayed.traffic().bytes_from_client) == (200, 600)
            assert (relayed.traffic().packets_to_client, relayed.traffic().bytes_to_client) == (200, 600)
            assert relayed.traffic().dropped == 0

    run(scenario())


@TRANSPORTS
def test_nothing_passes_without_a_permission_or_a_channel(run: Run, transport: Transport) -> None:
    """TR-8: neither way; what follows by an open way arrives, and it alone."""

    async def scenario() -> None:
        async with TurnServer(settings()) as server:
            client = await Client.allocated(address_on(server, transport), transport)
            known, stranger = Peer("127.0.0.1"), Peer("127.0.0.2")
            await client.permit(known.address)
            client.send_to(stranger.address, b"to a stranger")
            client.send_on(CHANNEL, b"on an unbound channel")
            client.send_to(known.address, b"to a friend")
            assert (await known.inbox.take())[0] == b"to a friend"
            stranger.send(b"from a stranger", client.relayed[0])
            known.send(b"from a friend", client.relayed[0])
            assert (await client.receive()).payload == b"from a friend"
            assert stranger.inbox.empty()
            assert known.inbox.empty()
            assert client.inbox.empty()
            (relayed,) = server.plane.clients.values()
            assert relayed.traffic().dropped == 3

    run(scenario())


@TRANSPORTS
def test_permissions_channels_and_allocations_expire_without_any_traffic(run: Run, transport: Transport) -> None:
    """TR-8: with lifetimes of 0.3, 0.6 and 1 s; once expired, nothing passes either way."""

    async def scenario() -> None:
        async with TurnServer(settings(), tune=short_lived) as server:
            client = await Client.allocated(address_on(server, transport), transport)
            permitted, bound = Peer("127.0.0.2"), Peer("127.0.0.3")
            await client.permit(permitted.address)
            await client.bind(CHANNEL, bound.address)
            (allocation,) = server.allocations
            relay = client.relayed[0]

            await eventually(lambda: not allocation.permissions_by_host)
            permitted.send(b"too late", relay)
            client.send_to(permitted.address, b"too late")
            bound.send(b"in time", relay)
            assert (await client.inbox.take())[4:11] == b"in time"
            client.send_on(CHANNEL, b"in time")
            assert (await bound.inbox.take())[0] == b"in time"
            assert permitted.inbox.empty()

            await eventually(lambda: not allocation.channels_by_number)
            bound.send(b"too late", relay)
            client.send_on(CHANNEL, b"too late")
            await client.permit(permitted.address)
            permitted.send(b"again", relay)
            assert (await client.receive()).payload == b"again"
            assert bound.inbox.empty()

            await eventually(lambda: not len(server.allocations))
            assert server.idle
            Peer(relay.host, relay.port).close()  # the port is free

    run(scenario())


def test_a_permission_is_for_a_host_and_all_its_ports(run: Run) -> None:
    async def scenario() -> None:
        async with TurnServer(settings()) as server:
            client = await Client.allocated(address_on(server, Transport.UDP))
            one, other = Peer(), Peer()
            await client.permit(one.address)
            client.send_to(other.address, b"1")
            assert (await other.inbox.take())[0] == b"1"
            other.send(b"2", client.relayed[0])
            assert (await client.receive()).peer == other.address

    run(scenario())


@TRANSPORTS
def test_what_is_no_valid_payload_message_is_dropped_and_the_rest_goes_on(run: Run, transport: Transport) -> None:
    """TR-14, ST-6: lengths that lie, channels that do not exist, indications without their attributes."""

    def indication(*attributes: Attribute) -> bytes:
        builder = MessageBuilder(Method.SEND, MessageClass.INDICATION, bytes(12))
        for kind, value in attributes:
            builder.add(kind, value)
        return builder.build()

    async def scenario() -> None:
        async with TurnServer(settings()) as server:
            client = await Client.allocated(address_on(server, transport), transport)
            peer = Peer()
            await client.bind(CHANNEL, peer.address)
            junk = [
                indication(),
                indication((AttributeType.DATA, b"no peer")),
                indication((AttributeType.XOR_PEER_ADDRESS, b"\0\1bad")),
                indication((AttributeType.XOR_PEER_ADDRESS, b"\0\3\0\0\0\0\0\0"), (AttributeType.DATA, b"family 3")),
                indication((0x7FFF, b"what?"), (AttributeType.DATA, b"unknown attribute")),
                indication(
                    (AttributeType.XOR_PEER_ADDRESS, encode_xor_address(peer.address, bytes(12))),
                    (AttributeType.DATA, b"wrong fingerprint"),
                    (AttributeType.FINGERPRINT, bytes(4)),
                ),
                b"\x4f\xff\x00\x04none",
                b"\x7f\xff\x00\x00",
            ]
            if transport is Transport.UDP:
                junk += [b"", b"\x40", b"\x40\x00\x00", b"\x40\x00\xff\xffshort", b"\x00\x16", b"\x00\x16" + bytes(18)]
            for data in junk:
                client.send(data)
            client.send_on(CHANNEL, b"well")
            assert (await peer.inbox.take())[0] == b"well"
            assert peer.inbox.empty()

    run(scenario())


def test_a_datagram_may_carry_channel_data_with_padding(run: Run) -> None:
    """RFC 8656 section 12.5: over UDP padding is not required, and whoever sends it is understood."""

    async def scenario() -> None:
        async with TurnServer(settings()) as server:
            client = await Client.allocated(address_on(server, Transport.UDP))
            peer = Peer()
            await client.bind(CHANNEL, peer.address)
            client.send(b"\x40\x00\x00\x01x\0\0\0")
            assert (await peer.inbox.take())[0] == b"x"

    run(scenario())


def test_the_largest_payloads_are_carried_or_dropped_and_stop_nothing(run: Run) -> None:
    """TR-14: 65,507 bytes fit over TCP on a channel; what a UDP packet cannot hold is dropped, without spinning."""

    async def scenario() -> None:
        async with TurnServer(settings()) as server:
            over_tcp = await Client.allocated(address_on(server, Transport.TCP), Transport.TCP)
            over_udp = await Client.allocated(address_on(server, Transport.UDP))
            peer = Peer()
            for client in (over_tcp, over_udp):
                await client.bind(CHANNEL, peer.address)
            for size in (65_508, 65_535):
                over_tcp.send_on(CHANNEL, bytes(size))
            over_tcp.send_on(CHANNEL, bytes(65_507))
            payload, _ = await peer.inbox.take()
            assert len(payload) == 65_507

            peer.send(payload, over_tcp.relayed[0])
            assert len(await over_tcp.inbox.take()) == 4 + 65_508
            peer.send(payload, over_udp.relayed[0])  # four bytes too many for a datagram
            peer.send(payload[4:], over_udp.relayed[0])
            assert len(await over_udp.inbox.take()) == 65_507
            assert peer.inbox.empty()

    run(scenario())


@TRANSPORTS
def test_a_data_indication_carries_no_more_than_a_datagram_can(run: Run, transport: Transport) -> None:
    """TR-14."""

    async def scenario() -> None:
        async with TurnServer(settings()) as server:
            client = await Client.allocated(address_on(server, transport), transport)
            peer = Peer()
            await client.permit(peer.address)
            peer.send(bytes(MAX_PAYLOAD + 1), client.relayed[0])
            peer.send(bytes(MAX_PAYLOAD), client.relayed[0])
            assert len((await client.receive()).payload) == MAX_PAYLOAD

    run(scenario())


@RELAYS
def test_dont_fragment_is_for_one_packet(run: Run, wanted: tuple[Attribute, ...], peer_host: str) -> None:
    """TR-14: the next packet may be fragmented again. `relay_paths` looks at the bit on the wire."""

    async def scenario() -> None:
        async with TurnServer(settings()) as server:
            client = await Client.allocated(address_on(server, Transport.UDP), Transport.UDP, *wanted)
            peer = Peer(peer_host)
            await client.permit(peer.address)
            (relayed,) = server.plane.clients.values()
            (relay,) = relayed.relays.values()
            client.send_to(peer.address, b"whole", dont_fragment=True)
            client.send_to(peer.address, b"or not")
            assert [(await peer.inbox.take())[0] for _ in range(2)] == [b"whole", b"or not"]
            assert isinstance(relay, RelaySocket)
            ipv6 = peer_host == "::1"
            level, option = (socket.IPPROTO_IPV6, 23) if ipv6 else (socket.IPPROTO_IP, 10)  # IP*_MTU_DISCOVER
            assert relay.udp._socket.getsockopt(level, option) == 0  # IP*_PMTUDISC_DONT

    run(scenario())


@TRANSPORTS
@RELAYS
def test_a_closed_port_of_a_peer_comes_back_as_icmp(
    run: Run, transport: Transport, wanted: tuple[Attribute, ...], peer_host: str
) -> None:
    """RFC 8656 section 11.5: a Data indication with ICMP and without DATA; other peers lose nothing by it."""

    async def scenario() -> None:
        async with TurnServer(settings()) as server:
            client = await Client.allocated(address_on(server, transport), transport, *wanted)
            gone, alive = Peer(peer_host), Peer(peer_host)
            gone.close()
            await client.bind(CHANNEL, gone.address)
            unreachable = IcmpError(3, 3, 0) if peer_host == "127.0.0.1" else IcmpError(1, 4, 0)
            for number in range(5):
                client.send_to(gone.address, b"anybody there?")
                client.send_to(alive.address, b"%d" % number)
                client.send_on(CHANNEL, b"anybody there?")
                client.send_to(alive.address, b"%d" % number)
                assert (await alive.inbox.take())[0] == b"%d" % number
                assert (await alive.inbox.take())[0] == b"%d" % number
                for _ in range(2):  # a run of many packets may come back as one
                    report = await client.receive()
                    assert (report.peer, report.payload, report.icmp) == (gone.address, b"", unreachable)

    run(scenario())


def test_an_icmp_error_about_a_peer_that_lost_its_permission_is_not_told(run: Run) -> None:
    """RFC 8656 section 11.5 asks for a permission, as for data."""

    async def scenario() -> None:
        async with TurnServer(settings()) as server:
            client = await Client.allocated(address_on(server, Transport.UDP))
            gone, alive = Peer("127.0.0.2"), Peer()
            gone.close()
            await client.permit(gone.address, alive.address)
            (relayed,) = server.plane.clients.values()
            relay, route = relayed.permissions_by_host["127.0.0.2"]
            relay.send(b"anybody there?", tuple(gone.address), dont_fragment=False)
            relay.remove_permission(route)
            alive.send(b"marker", client.relayed[0])
            await eventually(lambda: client.inbox.qsize() > 0)
            assert (await client.receive()).payload == b"marker"
            assert client.inbox.empty()

    run(scenario())


@TRANSPORTS
def test_two_clients_reach_each_other_through_their_relayed_addresses(run: Run, transport: Transport) -> None:
    """TR-5: own relay ports are open to own clients."""

    async def scenario() -> None:
        async with TurnServer(settings()) as server:
            one = await Client.allocated(address_on(server, transport), transport)
            other = await Client.allocated(address_on(server, Transport.UDP))
            await one.bind(CHANNEL, other.relayed[0])
            await other.permit(one.relayed[0])
            one.send_on(CHANNEL, b"ping")
            arrived = await other.receive()
            assert (arrived.peer, arrived.payload) == (one.relayed[0], b"ping")
            other.send_to(one.relayed[0], b"pong")
            assert (await one.inbox.take())[4:8] == b"pong"

    run(scenario())


# Relay addresses on loopback that, unlike 127.0.0.1, are clearly not what clients may name.
BEHIND_NAT: dict[str, Any] = {
    "relay_addresses": ["127.0.0.5", "127.0.0.6"],
    "external_addresses": {"127.0.0.5": "203.0.113.5", "127.0.0.6": "203.0.113.6"},
}


@TRANSPORTS
def test_two_clients_behind_one_to_one_nat_reach_each_other_by_external_addresses(
    run: Run, transport: Transport
) -> None:
    """TR-5: each sees and names the other as the outside would; no packet goes to the external address."""

    async def scenario() -> None:
        async with TurnServer(settings(**BEHIND_NAT)) as server:
            one = await Client.allocated(address_on(server, transport), transport)
            other = await Client.allocated(address_on(server, Transport.UDP))
            assert {one.relayed[0].host, other.relayed[0].host} == {"203.0.113.5", "203.0.113.6"}
            await one.bind(CHANNEL, other.relayed[0])
            await other.permit(one.relayed[0])
            one.send_on(CHANNEL, b"ping")
            arrived = await other.receive()
            assert (arrived.peer, arrived.payload) == (one.relayed[0], b"ping")
            other.send_to(one.relayed[0], b"pong")
            assert (await one.inbox.take())[4:8] == b"pong"

    run(scenario())


@TRANSPORTS
def test_a_peer_that_was_permitted_by_both_its_names_keeps_the_one_that_has_not_expired(
    run: Run, transport: Transport
) -> None:
    """TR-8: the external name expires while the local one is refreshed; the peer goes by the local one from then on."""

    async def scenario() -> None:
        async with TurnServer(settings(**BEHIND_NAT), tune=short_lived) as server:
            one = await Client.allocated(address_on(server, transport), transport)
            other = await Client.allocated(address_on(server, Transport.UDP))
            external = other.relayed[0]
            local = SocketAddress(external.host.replace("203.0.113", "127.0.0"), external.port)
            (allocation,) = (found for found in server.allocations if found.client.remote == one.local)
            await one.permit(external)

            async def refresh() -> None:
                await one.permit(local)
                await other.permit(one.relayed[0])
                await asyncio.sleep(0.02)  # the other name expires in here, and not between two refreshments

            await refresh()
            await eventually(lambda: external.host not in allocation.permissions_by_host, refresh)
            other.send_to(one.relayed[0], b"still here")
            arrived = await one.receive()
            assert (arrived.peer, arrived.payload) == (local, b"still here")

    run(scenario())


def test_each_name_of_a_peer_has_routes_of_its_own(run: Run) -> None:
    """TR-8: the one that goes does not take the other's with it, and the last one leaves nothing behind."""

    async def scenario() -> None:
        routed = Routed()
        near, far = (routed.permission(host, "127.0.0.2") for host in ("127.0.0.2", "203.0.113.2"))
        first, second = (
            routed.channel(number, host) for number, host in ((CHANNEL, "127.0.0.2"), (0x4001, "203.0.113.2"))
        )
        for keep, go in ((near, far), (far, near)):
            for route in (near, far, near):
                routed.plane.route(InstallPermissionRoute(route))
            routed.plane.route(RemovePermissionRoute(go))
            assert routed.named("127.0.0.2") == keep.peer_host
            routed.plane.route(RemovePermissionRoute(keep))
            assert routed.named("127.0.0.2") is None
        for left, gone in ((first, second), (second, first)):
            for bound in (first, second, first):
                routed.plane.route(InstallChannelRoute(bound))
            routed.plane.route(RemoveChannelRoute(gone))
            assert routed.numbered("127.0.0.2") == left.channel
            routed.plane.route(RemoveChannelRoute(left))
            assert routed.numbered("127.0.0.2") is None

    run(scenario())


def test_a_name_that_leads_elsewhere_now_leaves_no_route_where_it_led(run: Run) -> None:
    """TR-8: an external address that changed; what was permitted before it did would never expire."""

    async def scenario() -> None:
        routed = Routed()
        for wire_host in ("127.0.0.2", "127.0.0.3"):
            routed.plane.route(InstallPermissionRoute(routed.permission("203.0.113.2", wire_host)))
            routed.plane.route(InstallChannelRoute(routed.channel(CHANNEL, "203.0.113.2", wire_host)))
        assert (routed.numbered("127.0.0.2"), routed.numbered("127.0.0.3")) == (None, CHANNEL)
        routed.plane.route(RemoveChannelRoute(routed.channel(CHANNEL, "203.0.113.2", "127.0.0.3")))
        assert (routed.named("127.0.0.2"), routed.named("127.0.0.3")) == (None, "203.0.113.2")
        routed.plane.route(RemovePermissionRoute(routed.permission("203.0.113.2", "127.0.0.3")))
        assert routed.named("127.0.0.3") is None

    run(scenario())


class Routed:
    """A plane with one relay of one client, and what that is sent when a peer sends."""

    def __init__(self) -> None:
        self.plane = RelayPlane(SystemEntropy())
        self._relay = RelaySocket(bind_udp(SocketAddress("127.0.0.1", 0)))
        self._local = self._relay.udp.local
        self._client = Path(SocketAddress("192.0.2.1", 3478), SocketAddress("192.0.2.2", 9), Transport.UDP)
        self._sent: list[bytes] = []
        self.plane.adopt(self._local, self._relay)
        self.plane.assign(AssignRelayPort(self._local, self._client, USER), self._sent.append)
        close_later(self.plane)

    def permission(self, host: str, wire_host: str) -> PermissionRoute:
        verdict = Verdict(allowed=True, wire_host=wire_host)
        return PermissionRoute(self._client, self._local, host, verdict, Instant(300.0))

    def channel(self, number: int, host: str, wire_host: str = "127.0.0.2") -> ChannelRoute:
        peer, wire_peer = SocketAddress(host, 7), SocketAddress(wire_host, 7)
        return ChannelRoute(self._client, number, self._local, peer, wire_peer, Instant(600.0))

    def named(self, wire_host: str) -> str | None:
        """What the client hears the sender called when a packet comes from there, None when it hears nothing."""
        data = self._heard(wire_host)
        return parse_data_indication(parse_message(data)).peer.host if data is not None else None

    def numbered(self, wire_host: str) -> int | None:
        """The channel by which a packet from there comes, None when it comes by none."""
        data = self._heard(wire_host)
        return int.from_bytes(data[:2], "big") if data is not None and data[0] & 0xC0 else None

    def _heard(self, wire_host: str) -> bytes | None:
        self._relay._on_datagram(b"x", (wire_host, 7))
        return self._sent.pop() if self._sent else None


def test_several_relay_addresses_are_used_in_turn_and_packets_leave_from_their_own(run: Run) -> None:
    async def scenario() -> None:
        hosts = ["127.0.0.2", "127.0.0.3", "127.0.0.4"]
        async with TurnServer(settings(relay_addresses=hosts)) as server:
            peer = Peer()
            clients = [await Client.allocated(address_on(server, Transport.UDP)) for _ in range(6)]
            assert sorted(client.relayed[0].host for client in clients) == sorted(hosts * 2)
            for client in clients:
                await client.permit(peer.address)
                client.send_to(peer.address, b"from me")
                assert (await peer.inbox.take())[1] == client.relayed[0]

    run(scenario())


def test_one_client_can_relay_over_both_families(run: Run) -> None:
    """RFC 8656 section 7.2: ADDITIONAL-ADDRESS-FAMILY."""

    async def scenario() -> None:
        async with TurnServer(settings()) as server:
            client = await Client.allocated(
                address_on(server, Transport.UDP), Transport.UDP, (AttributeType.ADDITIONAL_ADDRESS_FAMILY, b"\2\0\0\0")
            )
            assert [relay.family for relay in client.relayed] == [AddressFamily.IPV4, AddressFamily.IPV6]
            peers = [Peer("127.0.0.1"), Peer("::1")]
            await client.permit(*(peer.address for peer in peers))
            for peer, relay in zip(peers, client.relayed, strict=True):
                client.send_to(peer.address, b"hello")
                assert await peer.inbox.take() == (b"hello", relay)
                peer.send(b"you too", relay)
                assert (await client.receive()).peer == peer.address
            await client.refresh(0)
            assert server.idle

    run(scenario())


def test_a_reserved_port_is_bound_deaf_and_claimed_with_its_token(run: Run) -> None:
    """RFC 8656 section 7.2, EVEN-PORT with R: the next port waits, and drops what comes, until it is claimed."""

    async def scenario() -> None:
        async with TurnServer(settings()) as server:
            first = await Client.connect(address_on(server, Transport.UDP))
            response = await first.allocate(EVEN_PORT_AND_NEXT)
            token = response.get(AttributeType.RESERVATION_TOKEN)
            assert token is not None
            even = first.relayed[0]
            reserved = SocketAddress(even.host, even.port + 1)
            with pytest.raises(OSError):
                Peer(reserved.host, reserved.port)
            peer = Peer()
            peer.send(b"too early", reserved)
            second = await Client.allocated(
                address_on(server, Transport.UDP), Transport.UDP, (AttributeType.RESERVATION_TOKEN, token)
            )
            assert second.relayed == [reserved]
            await second.permit(peer.address)
            peer.send(b"in time", reserved)
            assert (await second.receive()).payload == b"in time"

    run(scenario())


def test_the_port_of_another_program_is_passed_over(run: Run) -> None:
    async def scenario() -> None:
        for port in range(21_100, 21_103):
            Peer("127.0.0.9", port)
        config = settings(relay_addresses=["127.0.0.9"], relay_ports="21100-21103")
        async with TurnServer(config) as server:
            client = await Client.allocated(address_on(server, Transport.UDP))
            assert client.relayed == [("127.0.0.9", 21_103)]
            other = await Client.connect(address_on(server, Transport.UDP))
            with pytest.raises(Refused, match="508"):
                await other.allocate()

    run(scenario())


def test_a_pair_of_ports_is_bound_together_or_not_at_all(run: Run) -> None:
    async def scenario() -> None:
        plane = RelayPlane(SystemEntropy())
        squatter = Peer("127.0.0.9", 21_105)
        relay = SocketAddress("127.0.0.9", 21_104)
        pair = BindRelayPort(BindId(1), relay, and_next=True, transport=Transport.UDP)
        assert not plane.bind(pair)
        Peer("127.0.0.9", 21_104).close()  # was let go again
        squatter.close()
        assert plane.bind(pair)
        for port in (21_104, 21_105):
            assert plane.release(ReleaseRelayPort(SocketAddress("127.0.0.9", port))) is None
            Peer("127.0.0.9", port).close()
        plane.close()

    run(scenario())


def test_an_ipv6_relay_socket_never_reaches_ipv4(run: Run) -> None:
    """TR-2: IPV6_V6ONLY is 1, and an IPv4-mapped destination raises."""

    async def scenario() -> None:
        async with TurnServer(settings()) as server:
            await Client.allocated(address_on(server, Transport.UDP), Transport.UDP, IPV6)
            listening = Peer("127.0.0.1")
            (relayed,) = server.plane.clients.values()
            (relay,) = relayed.relays.values()
            assert isinstance(relay, RelaySocket)
            assert relay.udp._socket.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1
            wildcard = RelaySocket(bind_udp(SocketAddress("::", 0)))
            for sender in (relay, wildcard):
                with pytest.raises(OSError):
                    sender.sendto(b"x", ("::ffff:127.0.0.1", listening.address.port))
            marker = Peer("127.0.0.1")
            marker.send(b"marker", listening.address)
            assert await listening.inbox.take() == (b"marker", marker.address)
            wildcard.close()

    run(scenario())


def test_data_for_a_relay_socket_that_nobody_owns_is_dropped(run: Run) -> None:
    async def scenario() -> None:
        relay = RelaySocket(bind_udp(SocketAddress("127.0.0.1", 0)))
        source: RawAddress = ("127.0.0.1", 9)
        relay._on_datagram(b"x", source)
        assert relay.client is None
        relay.close()

    run(scenario())


def test_a_data_indication_has_a_fresh_transaction_id(run: Run) -> None:
    async def scenario() -> None:
        async with TurnServer(settings()) as server:
            client = await Client.allocated(address_on(server, Transport.UDP))
            peer = Peer()
            await client.permit(peer.address)
            seen = set()
            for _ in range(50):
                peer.send(b"same", client.relayed[0])
                seen.add(parse_message(await client.inbox.take()).transaction_id)
            assert len(seen) == 50

    run(scenario())
