"""TCP allocations (RFC 6062) on real sockets: bytes both ways at the pace of the slower side, and what ends when."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final, cast

import pytest

from icelane.aio.stream import StreamConnection
from icelane.aio.udp import address_of
from icelane.core.net import AddressFamily, SocketAddress, Transport
from icelane.server import tcp_relay_plane
from icelane.server.splice import HIGH_WATER
from icelane.server.tcp_relay_plane import TcpRelayPlane
from icelane.server.turn_server import TurnServer
from icelane.stun.attributes import AttributeType, encode_uint32, parse_uint32, parse_xor_address
from icelane.stun.message import Method, parse_message
from icelane.turn.attributes import encode_requested_transport
from icelane.turn.routes import BindStreams
from icelane.turn.server_config import TurnServerConfig
from tests.loops import Run, close_later
from tests.server.clients import (
    IPV6,
    PATIENCE,
    Client,
    Listening,
    Refused,
    _TcpLink,
    address_on,
    eventually,
    peer_attribute,
    settings,
)

TCP_RELAY: Final = (AttributeType.REQUESTED_TRANSPORT, encode_requested_transport(6))
LARGE: Final = bytes(range(256)) * 16 * 1024  # 4 MiB; eight of them are more than the kernel holds on the way
READ_SIZE: Final = 256 * 1024  # what asyncio reads at once


class Wire(asyncio.Protocol):
    """One end of a connection: `received` is what came, `ended` that nothing more will."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.ended = asyncio.Event()
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        close_later(self.transport)

    def data_received(self, data: bytes) -> None:
        self.received += data

    def eof_received(self) -> bool:
        self.ended.set()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set()

    async def hears(self, data: bytes) -> None:
        await eventually(lambda: len(self.received) >= len(data))
        assert self.received == data
        self.received.clear()

    async def is_over(self) -> None:
        """The other side is gone, or has said that it will send nothing more."""
        async with asyncio.timeout(PATIENCE):
            await self.ended.wait()
        self.transport.close()


class ListeningPeer:
    """A TCP server that knows nothing of TURN."""

    def __init__(self) -> None:
        self.wires: list[Wire] = []
        self.address: SocketAddress

    @classmethod
    async def start(cls, host: str = "127.0.0.1") -> ListeningPeer:
        peer = cls()
        server = await asyncio.get_running_loop().create_server(peer._accept, host, 0)
        close_later(server)
        peer.address = address_of(server.sockets[0].getsockname())
        return peer

    def _accept(self) -> Wire:
        wire = Wire()
        self.wires.append(wire)
        return wire

    async def wire(self) -> Wire:
        """The newest connection."""
        await eventually(lambda: bool(self.wires))
        wire = self.wires.pop()
        await eventually(lambda: hasattr(wire, "transport"))
        return wire


async def allocated(server: Listening, family: AddressFamily = AddressFamily.IPV4, username: str = "alice") -> Client:
    """A client with a TCP allocation."""
    client = await Client.connect(address_on(server, Transport.TCP), Transport.TCP, username=username)
    wanted = (IPV6,) if family is AddressFamily.IPV6 else ()
    response = await client.request(Method.ALLOCATE, TCP_RELAY, *wanted)
    client.relayed = [parse_xor_address(value, response.transaction_id) for value in
                      response.get_all(AttributeType.XOR_RELAYED_ADDRESS)]  # fmt: skip
    return client


async def connect(client: Client, peer: SocketAddress) -> int:
    """The number of a new connection with `peer`."""
    response = await client.request(Method.CONNECT, peer_attribute(peer))
    value = response.get(AttributeType.CONNECTION_ID)
    assert value is not None
    return parse_uint32(value)


async def bind(
    server: Listening, connection_id: int, username: str = "alice", transport: Transport = Transport.TCP
) -> Wire:
    """The data connection of that number."""
    data = await Client.connect(address_on(server, transport), transport, username=username)
    await data.request(Method.CONNECTION_BIND, (AttributeType.CONNECTION_ID, encode_uint32(connection_id)))
    link, wire = data._link, Wire()
    assert isinstance(link, _TcpLink)
    link.transport.set_protocol(wire)
    wire.connection_made(link.transport)
    wire.data_received(link._buffer)
    return wire


async def joined(server: Listening, peer: ListeningPeer) -> tuple[Client, Wire, Wire]:
    """A client, its data connection, and the other end of it at the peer."""
    client = await allocated(server)
    wire = await bind(server, await connect(client, peer.address))
    return client, wire, await peer.wire()


async def attempt(client: Client) -> int:
    """The number in the next ConnectionAttempt."""
    indication = parse_message(await client.inbox.take())
    value = indication.get(AttributeType.CONNECTION_ID)
    assert indication.method == Method.CONNECTION_ATTEMPT
    assert value is not None
    return parse_uint32(value)


def on(**changes: Any) -> TurnServer:
    return TurnServer(settings(tcp_allocations=True, **changes))


def nothing_is_left(server: TurnServer) -> bool:
    return not len(server._tcp_plane) and not server._tcp_plane._splices


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_bytes_go_both_ways_from_and_to_the_relayed_address(run: Run, host: str) -> None:
    """RFC 6062: the peer sees the relayed address, which listens all the while."""

    async def scenario() -> None:
        async with on() as server:
            peer = await ListeningPeer.start(host)
            client = await allocated(server, peer.address.family)
            wire = await bind(server, await connect(client, peer.address))
            far = await peer.wire()
            assert address_of(far.transport.get_extra_info("peername")) == client.relayed[0]
            wire.transport.write(b"to the peer")
            await far.hears(b"to the peer")
            far.transport.write(b"to the client")
            await wire.hears(b"to the client")
            (counted,) = server.plane.clients.values()
            assert (counted.traffic().bytes_from_client, counted.traffic().bytes_to_client) == (11, 13)

    run(scenario())


def test_everything_arrives_in_order_though_it_does_not_fit_into_any_buffer(run: Run) -> None:
    async def scenario() -> None:
        async with on() as server:
            _, near, far = await joined(server, await ListeningPeer.start())
            near.transport.write(LARGE)
            far.transport.write(LARGE[::-1])
            await far.hears(LARGE)
            await near.hears(LARGE[::-1])

    run(scenario())


@pytest.mark.parametrize("stalled", ["client", "peer"])
def test_a_side_that_does_not_read_makes_the_other_wait_and_loses_nothing(run: Run, stalled: str) -> None:
    """TQ-9: what the server holds for it is bounded."""

    async def scenario() -> None:
        async with on() as server:
            _, near, far = await joined(server, await ListeningPeer.start())
            slow, fast = (near, far) if stalled == "client" else (far, near)
            slow.transport.pause_reading()
            fast.transport.write(LARGE * 8)
            (splice,) = server._tcp_plane._splices
            sink = splice.client if stalled == "client" else splice.peer
            source = splice.peer if stalled == "client" else splice.client
            await eventually(lambda: not source._reading)
            for _ in range(50):
                await asyncio.sleep(0.002)
                assert sink.buffered <= HIGH_WATER + READ_SIZE
            assert fast.transport.get_write_buffer_size() > 0
            slow.transport.resume_reading()
            await slow.hears(LARGE * 8)

    run(scenario())


def test_what_a_peer_sends_before_it_is_bound_arrives_and_no_buffer_of_ours_holds_it(run: Run) -> None:
    """TR-9: it waits in the kernel and at the peer."""

    async def scenario() -> None:
        async with on() as server:
            peer = await ListeningPeer.start()
            client = await allocated(server)
            connection_id = await connect(client, peer.address)
            far = await peer.wire()
            far.transport.write(LARGE * 8)
            await asyncio.sleep(0.05)
            assert far.transport.get_write_buffer_size() > 0
            near = await bind(server, connection_id)
            await near.hears(LARGE * 8)

    run(scenario())


def test_a_peer_that_sends_and_ends_before_it_is_bound_is_heard(run: Run) -> None:
    async def scenario() -> None:
        async with on() as server:
            peer = await ListeningPeer.start()
            connection_id = await connect(await allocated(server), peer.address)
            far = await peer.wire()
            far.transport.write(b"farewell")
            far.transport.close()
            near = await bind(server, connection_id)
            await near.hears(b"farewell")
            near.transport.close()
            await eventually(lambda: nothing_is_left(server))

    run(scenario())


def test_one_side_may_finish_sending_and_still_receive(run: Run) -> None:
    """TL-8: a half-close passes, and the end of both halves is the end."""

    async def scenario() -> None:
        async with on() as server:
            client, near, far = await joined(server, await ListeningPeer.start())
            near.transport.write(b"question")
            near.transport.write_eof()
            await far.hears(b"question")
            await far.ended.wait()
            far.transport.write(b"answer")
            await near.hears(b"answer")
            assert len(server._tcp_plane) == 1
            far.transport.write_eof()
            await near.is_over()
            await far.is_over()
            await eventually(lambda: nothing_is_left(server))
            await client.refresh(600)  # the allocation lives on

    run(scenario())


@pytest.mark.parametrize("who", ["client", "peer"])
def test_a_reset_of_one_side_ends_the_other(run: Run, who: str) -> None:
    """TL-8: nothing is left, and the peer may be connected to again."""

    async def scenario() -> None:
        async with on() as server:
            peer = await ListeningPeer.start()
            client, near, far = await joined(server, peer)
            going, staying = (near, far) if who == "client" else (far, near)
            going.transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"
            )
            going.transport.abort()
            await staying.is_over()
            await eventually(lambda: nothing_is_left(server))
            await bind(server, await connect(client, peer.address))

    run(scenario())


def test_what_is_left_for_peers_that_do_not_read_is_bounded(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """TQ-9: whoever sends to stalled peers and leaves, again and again, does not fill the memory."""
    monkeypatch.setattr(tcp_relay_plane, "MAX_LINGERING", 2)

    async def scenario() -> None:
        async with on() as server:
            client = await allocated(server)
            for _ in range(4):
                peer = await ListeningPeer.start()
                near = await bind(server, await connect(client, peer.address))
                far = await peer.wire()
                far.transport.pause_reading()
                near.transport.write(LARGE * 8)
                (splice,) = server._tcp_plane._splices - set(server._tcp_plane._lingering)
                await eventually(lambda splice=splice: not splice.client._reading)  # type: ignore[misc]  # bound now
                near.transport.abort()
                # A client that is not read from is seen to be gone when the next of it is looked at.
                splice.client.abort()
                await eventually(lambda: not len(server._tcp_plane))
            await eventually(lambda: len(server._tcp_plane._splices) <= 2)
            assert len(server._tcp_plane._splices) == 2

    run(scenario())


def test_a_peer_that_is_not_there_is_447_at_once(run: Run) -> None:
    async def scenario() -> None:
        async with on() as server:
            client = await allocated(server)
            with socket.socket() as nobody:
                nobody.bind(("127.0.0.1", 0))
                with pytest.raises(Refused, match="447"):
                    await connect(client, address_of(nobody.getsockname()))
            assert nothing_is_left(server)

    run(scenario())


def test_a_peer_that_connects_is_let_in_with_a_permission_only(run: Run) -> None:
    """TR-9: closed at once without one; announced, bound and joined with one."""

    async def scenario() -> None:
        async with on() as server:
            client = await allocated(server)
            loop = asyncio.get_running_loop()
            _, stranger = await loop.create_connection(Wire, *client.relayed[0])
            await stranger.is_over()
            assert client.inbox.empty()
            await client.permit(SocketAddress("127.0.0.1", 9))
            _, far = await loop.create_connection(Wire, *client.relayed[0])
            far.transport.write(b"early")
            near = await bind(server, await attempt(client))
            await near.hears(b"early")
            near.transport.write(b"late")
            await far.hears(b"late")

    run(scenario())


def test_another_user_does_not_get_the_connection(run: Run) -> None:
    """TR-9: nor does anybody get it twice."""

    async def scenario() -> None:
        users = {"alice": "correct-horse-battery", "bob": "correct-horse-battery"}
        async with on(users=users) as server:
            peer = await ListeningPeer.start()
            connection_id = await connect(await allocated(server), peer.address)
            with pytest.raises(Refused, match="400"):
                await bind(server, connection_id, "bob")
            near = await bind(server, connection_id)
            with pytest.raises(Refused, match="400"):
                await bind(server, connection_id)
            near.transport.write(b"still mine")
            await (await peer.wire()).hears(b"still mine")

    run(scenario())


def test_connections_that_nobody_binds_are_closed_in_time(run: Run) -> None:
    """TR-9: thirty seconds by the standard, shortened here."""

    def hurry(config: TurnServerConfig) -> TurnServerConfig:
        return replace(config, peer_connection_timeout=0.1)

    async def scenario() -> None:
        async with TurnServer(settings(tcp_allocations=True), tune=hurry) as server:
            peer = await ListeningPeer.start()
            await connect(await allocated(server), peer.address)
            await (await peer.wire()).is_over()
            assert nothing_is_left(server)

    run(scenario())


@pytest.mark.parametrize("end", ["released", "disconnected", "revoked", "closed"])
def test_the_end_of_the_allocation_closes_all_of_its_connections(run: Run, end: str) -> None:
    """TR-9, TR-12: bound or waiting, on both sides, stalled or not."""

    async def scenario() -> None:
        async with on() as server:
            peer = await ListeningPeer.start()
            client, near, far = await joined(server, peer)
            near.transport.pause_reading()
            far.transport.write(LARGE)
            other = await ListeningPeer.start()
            await connect(client, other.address)
            waiting = await other.wire()
            match end:
                case "released":
                    await client.refresh(0)
                case "disconnected":
                    client.close()
                case "revoked":
                    assert server._engine is not None
                    server._engine.revoke(lambda _: True)
                    server.settle(server._engine)
                case "closed":
                    await server.close()
            near.transport.resume_reading()
            for wire in (near, far, waiting):
                await wire.is_over()
            await eventually(lambda: nothing_is_left(server) and server.idle)

    run(scenario())


def test_the_bandwidth_limit_slows_down_and_drops_nothing(run: Run) -> None:
    """TQ-9: reading waits until the bucket has something in it again."""

    async def scenario() -> None:
        rate = 1_000_000
        async with on(quota={"bytes_per_second_per_allocation": rate}) as server:
            _, near, far = await joined(server, await ListeningPeer.start())
            loop = asyncio.get_running_loop()
            begun = loop.time()
            near.transport.write(LARGE[: rate * 2])
            near.transport.write_eof()
            await far.hears(LARGE[: rate * 2])
            await far.ended.wait()
            # A second's worth passes at once, and one read of the loop may go into debt.
            assert loop.time() - begun > (rate - READ_SIZE) / rate * 0.9
            (counted,) = server.plane.clients.values()
            assert (counted.traffic().bytes_from_client, counted.traffic().dropped) == (rate * 2, 0)

    run(scenario())


def test_a_bandwidth_limit_that_is_reloaded_takes_hold_of_open_connections_and_lets_go_again(run: Run) -> None:
    """TQ-9: the connection is the one that was open before."""

    async def scenario() -> None:
        unlimited, limited = (
            settings(tcp_allocations=True, quota=quota) for quota in ({}, {"bytes_per_second_per_allocation": 1})
        )
        async with on() as server:
            _, near, far = await joined(server, await ListeningPeer.start())
            near.transport.write(b"free")
            await far.hears(b"free")
            server.reload(limited)
            near.transport.write(b"debt")  # a bucket may go into debt by one piece
            await far.hears(b"debt")
            near.transport.write(b"held")
            await asyncio.sleep(0.1)
            assert not far.received
            server.reload(unlimited)
            await far.hears(b"held")
            far.transport.write(LARGE)
            await near.hears(LARGE)

    run(scenario())


@pytest.mark.parametrize("turns", range(6))
def test_a_connection_that_ends_while_it_is_joined_leaves_nothing(
    run: Run, monkeypatch: pytest.MonkeyPatch, turns: int
) -> None:
    """TR-9, OP-8: the loop makes the peer's transport in a few turns, and its end may come in any of them."""
    join = tcp_relay_plane.TcpRelayPlane.bind
    endings = []

    async def scenario() -> None:
        async with asyncio.timeout(2 * PATIENCE), on() as server:

            async def end() -> None:
                for _ in range(turns):
                    await asyncio.sleep(0)
                server.end([allocation.client for allocation in server.allocations])

            def bind(plane: TcpRelayPlane, command: BindStreams, connection: StreamConnection) -> None:
                join(plane, command, connection)
                endings.append(asyncio.ensure_future(end()))

            monkeypatch.setattr(tcp_relay_plane.TcpRelayPlane, "bind", bind)
            peer = await ListeningPeer.start()
            client = await allocated(server)
            connection_id = await connect(client, peer.address)
            data = await Client.connect(address_on(server, Transport.TCP), Transport.TCP)
            with suppress(Refused, ConnectionError, TimeoutError):
                await data.request(Method.CONNECTION_BIND, (AttributeType.CONNECTION_ID, encode_uint32(connection_id)))
            await asyncio.gather(*endings)
            plane = server._tcp_plane
            await eventually(lambda: not (plane._splices or plane._tasks or plane._peers_by_id))
            await (await peer.wire()).is_over()
            # The end of the server waits for its splices.

    run(scenario())
    assert endings


def test_a_relay_port_that_listens_is_nobody_elses(run: Run) -> None:
    """Another server on this machine does not get connections of ours, though its sockets are made like ours."""

    async def scenario() -> None:
        async with on() as server:
            client = await allocated(server)
            port = client.relayed[0].port
            async with on(relay_ports=f"{port}-{port}") as other:
                with pytest.raises(Refused, match="508"):
                    await allocated(other)

    run(scenario())
