"""Framed TCP connections on loopback."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from icelane.aio.stream import MAX_CONTROL_BUFFER, MAX_RELAY_BUFFER, StreamConnection, open_stream
from icelane.core.net import SocketAddress, Transport
from icelane.errors import IcelaneError, MalformedError, TransportClosedError
from icelane.stun.message import MessageBuilder, MessageClass, Method
from icelane.turn.channel_data import encode_channel_data_for_stream, measure_turn

BINDING = MessageBuilder(Method.BINDING, MessageClass.REQUEST, bytes(12)).build()
CHANNEL_DATA = encode_channel_data_for_stream(0x4000, b"12345")


class Side:
    """What one end of a connection saw."""

    def __init__(self) -> None:
        self.frames: asyncio.Queue[bytes] = asyncio.Queue()
        self.ended: asyncio.Future[IcelaneError | None] = asyncio.get_running_loop().create_future()

    def watch(self, connection: StreamConnection) -> None:
        connection.on_frame = self.frames.put_nowait
        connection.on_closed = self.ended.set_result

    async def next_frame(self) -> bytes:
        return await asyncio.wait_for(self.frames.get(), 5)

    async def end(self) -> IcelaneError | None:
        return await asyncio.wait_for(self.ended, 5)


class Listener:
    """Accepts connections and watches them."""

    def __init__(self) -> None:
        self.accepted: asyncio.Queue[tuple[StreamConnection, Side]] = asyncio.Queue()
        self.address = SocketAddress("127.0.0.1", 0)
        self.connections: list[StreamConnection] = []

    def welcome(self, connection: StreamConnection) -> None:
        side = Side()
        side.watch(connection)
        self.connections.append(connection)
        self.accepted.put_nowait((connection, side))

    async def connect(self, side: Side | None = None) -> StreamConnection:
        client = await open_stream(self.address, measure_turn)
        (side or Side()).watch(client)
        self.connections.append(client)
        return client

    async def next(self) -> tuple[StreamConnection, Side]:
        return await asyncio.wait_for(self.accepted.get(), 5)


@asynccontextmanager
async def listening(host: str = "127.0.0.1") -> AsyncIterator[Listener]:
    listener = Listener()
    server = await asyncio.get_running_loop().create_server(
        lambda: StreamConnection(measure_turn, on_opened=listener.welcome), host, 0
    )
    listener.address = SocketAddress(*server.sockets[0].getsockname()[:2])
    try:
        yield listener
    finally:
        server.close()
        for connection in listener.connections:
            connection.abort()
        await server.wait_closed()
        await asyncio.sleep(0)
        await asyncio.sleep(0)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_frames_pass_both_ways_and_a_close_is_seen(host: str) -> None:
    async def scenario() -> None:
        async with listening(host) as listener:
            ours = Side()
            client = await listener.connect(ours)
            server, theirs = await listener.next()
            assert client.path.remote == listener.address
            assert client.path.transport is Transport.TCP
            assert server.path.remote == client.path.local
            assert client.send(BINDING)
            assert client.send_control(CHANNEL_DATA)
            assert await theirs.next_frame() == BINDING
            assert await theirs.next_frame() == CHANNEL_DATA
            assert server.send(CHANNEL_DATA)
            assert await ours.next_frame() == CHANNEL_DATA
            client.close()
            client.close()
            assert isinstance(await theirs.end(), TransportClosedError)
            assert await ours.end() is None
            assert client.closed
            assert not client.send(BINDING)
            assert not client.send_control(BINDING)

    asyncio.run(scenario())


def test_messages_split_at_every_byte_boundary_arrive_whole() -> None:
    """TL-3: every split and a hundred messages in one segment give the same frames."""

    async def scenario() -> None:
        async with listening() as listener:
            client = await listener.connect()
            _, theirs = await listener.next()
            both = BINDING + CHANNEL_DATA
            for cut in range(1, len(both)):
                client.send(both[:cut])
                await asyncio.sleep(0)
                client.send(both[cut:])
                assert await theirs.next_frame() == BINDING
                assert await theirs.next_frame() == CHANNEL_DATA
            client.send(both * 100)
            for _ in range(100):
                assert await theirs.next_frame() == BINDING
                assert await theirs.next_frame() == CHANNEL_DATA
            client.close()
            await theirs.end()

    asyncio.run(scenario())


def test_a_stream_of_something_else_is_closed_at_once() -> None:
    """TL-3: what is no frame ends the connection, with the reason."""

    async def scenario() -> None:
        async with listening() as listener:
            ours = Side()
            client = await listener.connect(ours)
            _, theirs = await listener.next()
            client.send(BINDING + b"\x80\x01 is RTP")
            assert await theirs.next_frame() == BINDING
            assert isinstance(await theirs.end(), MalformedError)
            assert isinstance(await ours.end(), TransportClosedError)

    asyncio.run(scenario())


def test_relayed_data_is_dropped_and_control_ends_the_connection_when_the_peer_does_not_read() -> None:
    """TQ-9: a stalled stream peer costs a bounded buffer."""

    async def scenario() -> None:
        async with listening() as listener:
            stalled = socket.create_connection(listener.address)
            server, theirs = await listener.next()
            payload = encode_channel_data_for_stream(0x4000, bytes(60_000))
            # The kernel takes a few megabytes before it says that it is full.
            assert not all(server.send(payload) for _ in range(300))
            assert server.dropped == 1
            assert server.buffered <= MAX_RELAY_BUFFER
            assert not all(server.send_control(payload) for _ in range(300))
            assert server.buffered <= MAX_CONTROL_BUFFER
            assert isinstance(await theirs.end(), TransportClosedError)
            assert server.closed
            assert server.buffered == 0
            stalled.close()

    asyncio.run(scenario())


def test_a_half_close_and_a_reset_end_the_connection() -> None:
    """TL-8: nothing is kept half open."""

    async def scenario() -> None:
        async with listening() as listener:
            half = socket.create_connection(listener.address)
            _, theirs = await listener.next()
            half.shutdown(socket.SHUT_WR)
            assert isinstance(await theirs.end(), TransportClosedError)
            half.close()

            reset = socket.create_connection(listener.address)
            _, theirs = await listener.next()
            reset.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            reset.close()
            assert isinstance(await theirs.end(), TransportClosedError)

    asyncio.run(scenario())


def test_a_connection_closed_by_its_own_callback_hands_over_nothing_more() -> None:
    async def scenario() -> None:
        async with listening() as listener:
            client = await listener.connect()
            server, theirs = await listener.next()
            frames: list[bytes] = []

            def close(frame: bytes) -> None:
                frames.append(frame)
                server.close()

            server.on_frame = close
            client.send(BINDING * 3)
            assert await theirs.end() is None
            assert frames == [BINDING]

    asyncio.run(scenario())


def test_a_closed_port_is_told_as_a_closed_transport() -> None:
    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0)) as unused:
            address = SocketAddress(*unused.getsockname())
        with pytest.raises(TransportClosedError, match="cannot connect"):
            await open_stream(address, measure_turn)

    asyncio.run(scenario())
