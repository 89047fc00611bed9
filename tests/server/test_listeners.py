"""Where clients come in: streams cut anywhere, clients that do not read, connections that end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket

import pytest

from icelane.aio.stream import MAX_CONTROL_BUFFER, MAX_RELAY_BUFFER
from icelane.aio.tcp import bind_tcp
from icelane.aio.udp import bind_udp
from icelane.core.net import AddressFamily, Path, SocketAddress, Transport
from icelane.crypto.provider import SystemEntropy
from icelane.server.config.model import PlaneName
from icelane.server.listeners import UdpListener
from icelane.server.planes import make_plane
from icelane.server.stream_listener import StreamListener
from icelane.server.turn_server import TurnServer
from icelane.stun.message import MessageBuilder, MessageClass, Method, parse_message
from icelane.turn.channel_data import encode_channel_data_for_stream
from icelane.turn.translation import build_send_indication
from tests.loops import Run, close_later
from tests.server.clients import Client, Peer, address_on, eventually, settings

CHANNEL = 0x4000


def binding_request() -> bytes:
    return MessageBuilder(Method.BINDING, MessageClass.REQUEST, secrets.token_bytes(12)).build()


def tcp_listener(server: TurnServer) -> StreamListener:
    """The first one, whose counters the tests read."""
    return next(listener for listener in server._listeners if isinstance(listener, StreamListener))


class Stream:
    """A plain TCP connection, without any idea of frames."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        close_later(writer)

    @classmethod
    async def connect(cls, address: SocketAddress, *, receive_buffer: int = 0) -> Stream:
        connecting = socket.socket(socket.AF_INET6 if address.family is AddressFamily.IPV6 else socket.AF_INET)
        connecting.setblocking(False)
        if receive_buffer:
            connecting.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        await asyncio.get_running_loop().sock_connect(connecting, tuple(address))
        return cls(*await asyncio.open_connection(sock=connecting))

    async def read_message(self) -> bytes:
        async with asyncio.timeout(10):
            header = await self.reader.readexactly(20)
            return header + await self.reader.readexactly(int.from_bytes(header[2:4], "big"))

    async def read_end(self) -> bytes:
        """Everything until the server closes."""
        async with asyncio.timeout(10):
            try:
                return await self.reader.read()
            except ConnectionResetError:
                return b""


def test_a_stream_may_be_cut_anywhere(run: Run) -> None:
    """TL-3: byte by byte, and several messages in one segment."""

    async def scenario() -> None:
        async with TurnServer(settings()) as server:
            stream = await Stream.connect(address_on(server, Transport.TCP))
            request = binding_request()
            for byte in request:
                stream.writer.write(bytes((byte,)))
                await asyncio.sleep(0)
            assert (await stream.read_message())[8:20] == request[8:20]
            several = [binding_request() for _ in range(20)]
            stream.writer.write(b"".join(several))
            assert [(await stream.read_message())[8:20] for _ in several] == [one[8:20] for one in several]

    run(scenario())


def test_channel_data_may_be_cut_anywhere_and_its_padding_holds_anything(run: Run) -> None:
    """TL-3: padding is skipped whatever it holds, and is never relayed."""

    async def scenario() -> None:
        async with TurnServer(settings()) as server:
            client = await Client.allocated(address_on(server, Transport.TCP), Transport.TCP)
            peer = Peer()
            await client.bind(CHANNEL, peer.address)
            bytes_ = b"".join(
                encode_channel_data_for_stream(CHANNEL, b"x" * size)[: 4 + size] + b"\xff\x00\x40"[: -size % 4]
                for size in range(9)
            )
            bytes_ += build_send_indication(peer.address, b"send", secrets.token_bytes(12))
            for start in range(0, len(bytes_), 3):
                client.send(bytes_[start : start + 3])
                await asyncio.sleep(0)
            for size in range(9):
                assert (await peer.inbox.take())[0] == b"x" * size
            assert (await peer.inbox.take())[0] == b"send"

    run(scenario())


@pytest.mark.parametrize(
    "garbage",
    [b"\x80\x00\x00\x00", b"\x16\x03\x01\x02\x00\x01", b"\x00\x01\x00\x02\x21\x12\xa4\x42"],
    ids=["RTP", "TLS", "STUN of a length that is no multiple of four"],
)
def test_a_stream_that_holds_something_else_is_closed_without_an_answer(run: Run, garbage: bytes) -> None:
    """ST-6: where the next message begins cannot be known any more."""

    async def scenario() -> None:
        async with TurnServer(settings()) as server:
            stream = await Stream.connect(address_on(server, Transport.TCP))
            stream.writer.write(garbage + binding_request())
            assert await stream.read_end() == b""
            await eventually(lambda: tcp_listener(server).connections == 0)

    run(scenario())


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_the_end_of_a_connection_ends_its_allocation(run: Run, reset: bool) -> None:
    """RFC 8656 section 3.1: and its relay port is free at once."""

    async def scenario() -> None:
        async with TurnServer(settings()) as server:
            client = await Client.allocated(address_on(server, Transport.TCP), Transport.TCP)
            other = await Client.allocated(address_on(server, Transport.UDP))
            peer = Peer()
            await client.bind(CHANNEL, peer.address)
            if reset:
                client.abort()
            else:
                client.close()
            await eventually(lambda: len(server.allocations) == 1)
            assert tcp_listener(server).connections == 0
            Peer(client.relayed[0].host, client.relayed[0].port)
            await other.refresh(0)
            assert server.idle

    run(scenario())


def test_a_connection_can_hold_one_allocation_after_the_other(run: Run) -> None:
    async def scenario() -> None:
        async with TurnServer(settings()) as server:
            client = await Client.connect(address_on(server, Transport.TCP), Transport.TCP)
            peer = Peer()
            for _ in range(3):
                await client.allocate()
                await client.bind(CHANNEL, peer.address)
                client.send_on(CHANNEL, b"hello")
                assert (await peer.inbox.take())[0] == b"hello"
                await client.refresh(0)
                assert server.idle
                client.send_on(CHANNEL, b"nobody relays this")
            assert peer.inbox.empty()

    run(scenario())


def test_a_udp_client_can_hold_one_allocation_after_the_other(run: Run) -> None:
    async def scenario() -> None:
        async with TurnServer(settings()) as server:
            client = await Client.connect(address_on(server, Transport.UDP))
            peer = Peer()
            for _ in range(3):
                await client.allocate()
                await client.permit(peer.address)
                client.send_to(peer.address, b"hello")
                assert (await peer.inbox.take())[0] == b"hello"
                await client.refresh(0)
                assert server.idle
                client.send_to(peer.address, b"nobody relays this")
            assert peer.inbox.empty()

    run(scenario())


def test_a_client_that_does_not_read_costs_a_bounded_buffer_and_loses_packets(run: Run) -> None:
    """TQ-9: a peer floods a stalled TCP client; the buffer is bounded, the rest is dropped, others are served."""

    async def scenario() -> None:
        async with TurnServer(settings()) as server:
            client = await Client.allocated(address_on(server, Transport.TCP), Transport.TCP)
            other = await Client.allocated(address_on(server, Transport.UDP))
            peer = Peer()
            await client.bind(CHANNEL, peer.address)
            await other.permit(peer.address)
            client.pause()
            (connection,) = tcp_listener(server)._connections_by_path.values()
            largest = 0
            for _ in range(600):
                for _ in range(10):
                    peer.send(bytes(8000), client.relayed[0])
                await asyncio.sleep(0)
                largest = max(largest, connection.buffered)
                if connection.dropped > 500:
                    break
            assert connection.dropped > 500
            assert MAX_RELAY_BUFFER / 2 < largest <= MAX_RELAY_BUFFER
            peer.send(b"meanwhile", other.relayed[0])
            assert (await other.receive()).payload == b"meanwhile"

            client.resume()
            await eventually(lambda: connection.buffered == 0)
            client.inbox.take_all()
            await client.refresh(600)  # the stream is still in step
            peer.send(b"after", client.relayed[0])
            while (frame := await client.inbox.take())[4:9] != b"after":
                assert len(frame) == 4 + 8000

    run(scenario())


def test_a_client_that_asks_and_never_reads_the_answers_is_disconnected(run: Run) -> None:
    """TL-8: answers may not be dropped, so the connection is."""

    async def scenario() -> None:
        async with TurnServer(settings()) as server:
            stream = await Stream.connect(address_on(server, Transport.TCP), receive_buffer=4096)
            # The reader stops at its own limit, then the kernel's buffers fill, then the server's.
            requests = binding_request() * 1000
            await eventually(lambda: tcp_listener(server).connections == 1)
            (connection,) = tcp_listener(server)._connections_by_path.values()
            largest = 0
            for _ in range(2000):
                stream.writer.write(requests)
                await asyncio.sleep(0)
                largest = max(largest, connection.buffered)
                if tcp_listener(server).connections == 0:
                    break
            await eventually(lambda: tcp_listener(server).connections == 0)
            assert largest <= MAX_CONTROL_BUFFER
            assert server.idle

    run(scenario())


def test_connections_beyond_the_bound_are_closed_at_once(run: Run) -> None:
    """TL-2: the bound is small here; what matters is that those who came before are served on."""

    async def scenario() -> None:
        async with TurnServer(settings({"connections_total": 3})) as server:
            address = address_on(server, Transport.TCP)
            served = [await Client.connect(address, Transport.TCP) for _ in range(3)]
            await served[0].allocate()
            refused = await Client.connect(address, Transport.TCP)
            await refused.closed.wait()
            assert (tcp_listener(server).connections, tcp_listener(server).refused) == (3, 1)
            await served[1].allocate()
            served[2].close()
            await eventually(lambda: tcp_listener(server).connections == 2)
            await (await Client.connect(address, Transport.TCP)).allocate()

    run(scenario())


def test_a_listener_closes_though_a_client_does_not_read(run: Run) -> None:
    """What waits for a client that has stopped reading is thrown away; waiting for it would keep the server up."""

    async def scenario() -> None:
        server = TurnServer(settings())
        await server.start()
        client = await Client.allocated(address_on(server, Transport.TCP), Transport.TCP)
        peer = Peer()
        await client.bind(CHANNEL, peer.address)
        client.pause()
        listener = tcp_listener(server)
        (connection,) = listener._connections_by_path.values()
        while not connection.dropped:
            peer.send(bytes(8000), client.relayed[0])
            await asyncio.sleep(0)
        await server.close()
        await eventually(lambda: listener.connections == 0)
        assert connection.buffered == 0

    run(scenario())


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_udp_listener_says_where_a_datagram_came_from(run: Run, host: str) -> None:
    async def scenario() -> None:
        received: asyncio.Queue[tuple[bytes, Path]] = asyncio.Queue()
        listener = UdpListener(bind_udp(SocketAddress(host, 0)), lambda data, path: received.put_nowait((data, path)))
        close_later(listener)
        peer = Peer(host)
        peer.send(b"hello", listener.local)
        path = Path(listener.local, peer.address, Transport.UDP)
        async with asyncio.timeout(5):
            assert await received.get() == (b"hello", path)
        listener.send(b"you too", path)
        assert await peer.inbox.take() == (b"you too", listener.local)

    run(scenario())


@pytest.mark.parametrize("wanted", ["pure", "auto"])
def test_what_one_wake_brings_is_answered_behind_the_last_datagram(run: Run, wanted: PlaneName) -> None:
    async def scenario() -> None:
        happened: list[str] = []

        def receive(data: bytes, path: Path) -> None:
            listener.send(b"answer to " + data, path)
            with contextlib.suppress(BlockingIOError):
                happened.append(client.recv(100).decode())
            happened.append(data.decode())

        plane = make_plane(wanted, SystemEntropy(), coalesce=0.0)
        plane.start()
        listener = UdpListener(
            bind_udp(SocketAddress("127.0.0.1", 0)), receive, plane.listener_reader, lambda: happened.append("drained")
        )
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.setblocking(False)
            for data in (b"one", b"two"):
                client.sendto(data, listener.local)
            await eventually(lambda: "drained" in happened)
            assert happened == ["one", "two", "drained"]
            assert [client.recv(100), client.recv(100)] == [b"answer to one", b"answer to two"]
        listener.close()
        plane.close()

    run(scenario())


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM], ids=["UDP", "TCP"])
def test_an_ipv6_listener_takes_no_ipv4(run: Run, kind: socket.SocketKind) -> None:
    """TR-2: otherwise clients would be known by IPv4-mapped addresses."""

    async def scenario() -> None:
        if kind is socket.SOCK_DGRAM:
            listener = UdpListener(bind_udp(SocketAddress("::", 0)), lambda *_: None)
            close_later(listener)
            bound = listener._udp._socket
        else:
            bound = bind_tcp(SocketAddress("::", 0))
            close_later(bound)
        assert bound.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1

    run(scenario())


def test_a_tcp_port_that_is_taken_leaves_no_socket_behind(run: Run) -> None:
    async def scenario() -> None:
        taken = bind_tcp(SocketAddress("127.0.0.1", 0))
        close_later(taken)
        taken.listen()
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(OSError):
            bind_tcp(SocketAddress("127.0.0.1", taken.getsockname()[1]))
        assert len(os.listdir("/proc/self/fd")) == before

    run(scenario())


def test_a_send_to_a_connection_that_is_gone_is_nothing(run: Run) -> None:
    async def scenario() -> None:
        async with TurnServer(settings()) as server:
            listener = tcp_listener(server)
            nobody = Path(listener.local, SocketAddress("127.0.0.1", 9), Transport.TCP)
            listener.send(b"hello", nobody)
            stream = await Stream.connect(listener.local)
            request = binding_request()
            stream.writer.write(request)
            assert parse_message(await stream.read_message()).method == Method.BINDING

    run(scenario())
