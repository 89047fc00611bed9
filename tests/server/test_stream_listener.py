"""TCP and TLS clients that are slow, too many, cut in pieces, behind a proxy, or not clients at all."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
import ssl
import struct
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from icelane.core.net import SocketAddress, Transport
from icelane.server.config import Config, parse_config
from icelane.server.connection_limit import ConnectionLimit
from icelane.server.descriptors import allow_many_descriptors
from icelane.server.stream_listener import StreamDeadlines
from icelane.server.turn_server import TurnServer
from icelane.stun.attributes import AttributeType, parse_xor_address
from icelane.stun.message import MessageBuilder, MessageClass, Method, parse_message
from icelane.turn.channel_data import encode_channel_data_for_stream
from icelane.turn.quota import LocalTally
from tests import certificates
from tests.certificates import NAME, trusting
from tests.loops import Run, close_later
from tests.scale import scaled
from tests.server.clients import PASSWORD, REALM, USER, Client, Peer, address_on, eventually

CHANNEL = 0x4000
SHORT = StreamDeadlines(proxy_header=0.3, handshake=0.3, first_message=0.3, allocate=0.6)
SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"

BOTH = pytest.mark.parametrize("transport", [Transport.TCP, Transport.TLS], ids=["TCP", "TLS"])


@pytest.fixture
def make_config(tmp_path: Path) -> Callable[..., Config]:
    """Configurations with a listener for each transport; arguments replace keys of `[turn]`."""
    pair = certificates.good(tmp_path)

    def make(**turn: Any) -> Config:
        defaults = {
            "realm": REALM,
            "listen": ["udp://127.0.0.1:0", "tcp://127.0.0.1:0", "tls://127.0.0.1:0"],
            "relay_addresses": ["127.0.0.1"],
            "dangerously_allow_loopback_peers": True,
            "users": {USER: PASSWORD},
        }
        return parse_config({"turn": defaults | turn, "tls": pair.section()})

    return make


def binding_request() -> bytes:
    return MessageBuilder(Method.BINDING, MessageClass.REQUEST, secrets.token_bytes(12)).build()


class Wire:
    """Bytes to and from a listener, over TLS once `secure` was called."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        close_later(writer)

    @classmethod
    async def connect(
        cls,
        server: TurnServer,
        transport: Transport,
        *,
        source: str = "127.0.0.1",
        secure: bool = True,
        header: bytes = b"",
    ) -> Wire:
        """Connect and, over TLS unless not `secure`, shake hands; `header` goes first, with the ClientHello."""
        address = address_on(server, transport)
        if transport is Transport.TCP or not secure:
            wire = cls(*await asyncio.open_connection(*address, local_addr=(source, 0)))
            wire.writer.write(header)
            return wire
        if not header:
            streams = await asyncio.open_connection(
                *address, local_addr=(source, 0), ssl=trusting(), server_hostname=NAME
            )
            return cls(*streams)
        return await _TlsBehindHeader.open(
            cls(*await asyncio.open_connection(*address, local_addr=(source, 0))), header
        )

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def read(self, size: int) -> bytes:
        async with asyncio.timeout(10):
            return await self.reader.readexactly(size)

    async def ask(self) -> SocketAddress:
        """Where the server sees us."""
        request = binding_request()
        self.send(request)
        header = await self.read(20)
        message = parse_message(header + await self.read(int.from_bytes(header[2:4], "big")))
        value = message.get(AttributeType.XOR_MAPPED_ADDRESS)
        assert message.transaction_id == request[8:20]
        assert value is not None
        return parse_xor_address(value, message.transaction_id)

    async def end(self) -> None:
        """Wait until the server closes; fails the test when it does not."""
        async with asyncio.timeout(10):
            with suppress(ConnectionError, ssl.SSLError):
                while await self.reader.read(4096):
                    pass


class _TlsBehindHeader(Wire):
    """TLS by hand, so that the header and the ClientHello leave in one segment."""

    @classmethod
    async def open(cls, wire: Wire, header: bytes) -> _TlsBehindHeader:
        self = cls(wire.reader, wire.writer)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = trusting().wrap_bio(self.incoming, self.outgoing, server_hostname=NAME)
        self.first = header
        await self._do(self.tls.do_handshake)
        return self

    incoming: ssl.MemoryBIO
    outgoing: ssl.MemoryBIO
    tls: ssl.SSLObject
    first: bytes

    def send(self, data: bytes) -> None:
        self.tls.write(data)
        self._flush()

    async def read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            data += await self._do(partial(self.tls.read, size - len(data)))
        return data

    async def _do(self, action: Callable[[], Any]) -> Any:
        async with asyncio.timeout(10):
            while True:
                try:
                    result = action()
                except ssl.SSLWantReadError:
                    self._flush()
                    data = await self.reader.read(65536)
                    if not data:
                        raise ConnectionResetError from None
                    self.incoming.write(data)
                    continue
                self._flush()
                return result

    def _flush(self) -> None:
        self.writer.write(self.first + self.outgoing.read())
        self.first = b""


def reasons(caplog: pytest.LogCaptureFixture, event: str) -> list[str]:
    """Why, in each record of the event."""
    return [getattr(record, "reason", "") for record in caplog.records if record.message == event]


def is_empty(server: TurnServer) -> bool:
    """Whether no stream of anybody is left."""
    return len(server._entrance.limit) == 0


# Slow clients


@BOTH
def test_a_client_that_sends_nothing_is_closed_and_others_are_served(
    run: Run, make_config: Callable[..., Config], caplog: pytest.LogCaptureFixture, transport: Transport
) -> None:
    """TL-1: silence before TLS, and after the handshake."""

    async def scenario() -> None:
        async with TurnServer(make_config(), deadlines=SHORT) as server:
            silent = await Wire.connect(server, transport, secure=False)
            shaken = await Wire.connect(server, transport)
            served = await Client.allocated(address_on(server, transport), transport)
            await silent.end()
            await shaken.end()
            await served.refresh(600)
            await eventually(lambda: len(server._entrance.limit) == 1)

    run(scenario())
    assert "no-message" in reasons(caplog, "turn.connection_closed")
    if transport is Transport.TLS:
        assert reasons(caplog, "tls.handshake_failed") == ["too-slow"]


@BOTH
def test_a_message_that_never_ends_is_no_message(
    run: Run, make_config: Callable[..., Config], caplog: pytest.LogCaptureFixture, transport: Transport
) -> None:
    """TL-1: a byte now and then buys no time."""

    async def scenario() -> None:
        async with TurnServer(make_config(), deadlines=SHORT) as server:
            wire = await Wire.connect(server, transport)
            ended = asyncio.create_task(wire.end())
            for byte in binding_request()[:-1] * 10:
                if ended.done() or wire.writer.is_closing():
                    break
                wire.send(bytes((byte,)))
                await asyncio.sleep(0.05)
            await ended
            await eventually(lambda: is_empty(server))

    run(scenario())
    assert reasons(caplog, "turn.connection_closed") == ["no-message"]


def test_a_handshake_that_trickles_in_is_given_up(
    run: Run, make_config: Callable[..., Config], caplog: pytest.LogCaptureFixture
) -> None:
    """TL-1: one byte of a ClientHello after the other."""

    async def scenario() -> None:
        async with TurnServer(make_config(), deadlines=SHORT) as server:
            wire = await Wire.connect(server, Transport.TLS, secure=False)
            ended = asyncio.create_task(wire.end())
            hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500)
            for byte in hello:
                if ended.done() or wire.writer.is_closing():
                    break
                wire.send(bytes((byte,)))
                await asyncio.sleep(0.03)
            await ended
            await eventually(lambda: is_empty(server))

    run(scenario())
    assert reasons(caplog, "tls.handshake_failed") == ["too-slow"]


@BOTH
def test_who_asks_and_never_allocates_is_closed(
    run: Run, make_config: Callable[..., Config], caplog: pytest.LogCaptureFixture, transport: Transport
) -> None:
    """TL-1: a Binding request every few seconds keeps no connection."""

    async def scenario() -> None:
        async with TurnServer(make_config(), deadlines=SHORT) as server:
            wire = await Wire.connect(server, transport)
            began = time.monotonic()
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                while time.monotonic() - began < 5:
                    await wire.ask()
                    await asyncio.sleep(0.1)
            assert SHORT.allocate <= time.monotonic() - began < 5

    run(scenario())
    assert reasons(caplog, "turn.connection_closed") == ["no-allocation"]


@BOTH
def test_an_allocation_lifts_the_deadline_and_its_end_sets_it_again(
    run: Run, make_config: Callable[..., Config], transport: Transport
) -> None:
    """TL-1."""

    async def scenario() -> None:
        async with TurnServer(make_config(), deadlines=SHORT) as server:
            client = await Client.allocated(address_on(server, transport), transport)
            await asyncio.sleep(SHORT.allocate * 2)
            await client.refresh(0)
            assert not client.closed.is_set()
            async with asyncio.timeout(5):
                await client.closed.wait()
            await eventually(lambda: is_empty(server))

    run(scenario())


def test_thousands_of_silent_connections_keep_nobody_out(run: Run, make_config: Callable[..., Config]) -> None:
    """TL-1: 5,000 connections that send nothing, over TCP and TLS; new clients are served meanwhile."""
    allow_many_descriptors()
    count = scaled(5000)

    async def scenario() -> None:
        config = make_config(quota={"connections_per_source": 10_000})
        deadlines = StreamDeadlines(handshake=3.0, first_message=3.0)
        async with TurnServer(config, deadlines=deadlines) as server:
            silent = []
            for number in range(count):
                transport = Transport.TLS if number % 2 else Transport.TCP
                silent.append(await Wire.connect(server, transport, secure=False))
            for transport in (Transport.TCP, Transport.TLS, Transport.UDP):
                client = await Client.allocated(address_on(server, transport), transport)
                await client.refresh(0)
                client.close()
            for wire in silent:
                await wire.end()
                wire.writer.close()
            await eventually(lambda: is_empty(server))

    run(scenario())


# Too many clients


def test_a_source_is_an_ipv4_address_or_an_ipv6_network() -> None:
    """TL-2."""
    tally = LocalTally()
    limit = ConnectionLimit(total=5, per_source=2, tally=tally)
    assert limit.enter("192.0.2.1")
    assert limit.enter("192.0.2.1")
    assert not limit.enter("192.0.2.1")
    assert limit.enter("2001:db8::1")
    assert limit.enter("2001:db8::ffff:1")
    assert not limit.enter("2001:db8::2")
    assert limit.enter("2001:db8:0:1::1")
    assert limit.full
    assert not limit.enter("198.51.100.1")
    limit.leave("2001:db8::2")
    assert limit.enter("2001:db8::3")
    for host in ("192.0.2.1", "192.0.2.1", "2001:db8::1", "2001:db8::3", "2001:db8:0:1::1"):
        limit.leave(host)
    assert (len(limit), len(tally)) == (0, 0)


@BOTH
def test_one_source_cannot_take_every_connection(
    run: Run, make_config: Callable[..., Config], caplog: pytest.LogCaptureFixture, transport: Transport
) -> None:
    """TL-2: those in a handshake count too, and both transports together."""

    async def scenario() -> None:
        async with TurnServer(make_config(quota={"connections_per_source": 3})) as server:
            held = [
                await Wire.connect(server, transport, secure=False),
                await Wire.connect(server, transport, secure=False),
                await Wire.connect(server, Transport.TCP),
            ]
            await eventually(lambda: len(server._entrance.limit) == 3)
            refused = await Wire.connect(server, transport, secure=False)
            await refused.end()
            other = await Wire.connect(server, transport, source="127.0.0.2")
            assert (await other.ask()).host == "127.0.0.2"
            held[0].writer.close()
            await eventually(lambda: len(server._entrance.limit) == 3)
            assert (await (await Wire.connect(server, transport)).ask()).host == "127.0.0.1"

    run(scenario())
    assert reasons(caplog, "turn.connection_refused") == ["too-many-from-source"]


SERVER_WITH_FEW_DESCRIPTORS = """
import asyncio, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
from icelane.server.config import parse_config
from icelane.server.turn_server import TurnServer

async def main():
    turn = {"listen": ["tcp://127.0.0.1:0"], "relay_addresses": ["127.0.0.1"], "users": {"a": "b"}}
    async with TurnServer(parse_config({"turn": turn})) as server:
        print(server.listening[0].port, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

asyncio.run(main())
"""


def test_without_descriptors_accepting_pauses_and_recovers(run: Run) -> None:
    """TL-2: at a limit of 256 descriptors: less than a fifth of a processor, and all is well once they are free."""

    async def scenario() -> None:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", SERVER_WITH_FEW_DESCRIPTORS),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            assert process.stdout is not None
            async with asyncio.timeout(20):
                port = int(await process.stdout.readline())
            held = [socket.create_connection(("127.0.0.1", port)) for _ in range(300)]
            await asyncio.sleep(0.3)
            before = processor_seconds(process.pid)
            await asyncio.sleep(1.5)
            assert processor_seconds(process.pid) - before < 0.2 * 1.5
            for connection in held:
                connection.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            close_later(writer)
            writer.write(binding_request())
            async with asyncio.timeout(5):
                assert len(await reader.readexactly(20)) == 20
        finally:
            _, said = await process.communicate(b"")
        assert said.decode().count("listener.paused") == 1
        assert "Traceback" not in said.decode()

    run(scenario())


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# Pieces


def test_a_tls_stream_may_be_cut_anywhere(run: Run, make_config: Callable[..., Config]) -> None:
    """TL-3: a record for each byte, a hundred messages in one, and ChannelData with any padding."""

    async def scenario() -> None:
        async with TurnServer(make_config()) as server:
            wire = await Wire.connect(server, Transport.TLS)
            request = binding_request()
            for byte in request:
                wire.send(bytes((byte,)))
                await asyncio.sleep(0)
            assert (await wire.read(32))[8:20] == request[8:20]
            several = [binding_request() for _ in range(100)]
            wire.send(b"".join(several))
            assert [(await wire.read(32))[8:20] for _ in several] == [one[8:20] for one in several]

            client = await Client.allocated(address_on(server, Transport.TLS), Transport.TLS)
            peer = Peer()
            await client.bind(CHANNEL, peer.address)
            stream = b"".join(
                encode_channel_data_for_stream(CHANNEL, b"x" * size)[: 4 + size] + b"\xff\x00\x40"[: -size % 4]
                for size in range(9)
            )
            for start in range(0, len(stream), 3):
                client.send(stream[start : start + 3])
                await asyncio.sleep(0)
            assert [(await peer.inbox.take())[0] for _ in range(9)] == [b"x" * size for size in range(9)]
            peer.send(b"12345", client.relayed[0])
            assert await client.inbox.take() == encode_channel_data_for_stream(CHANNEL, b"12345")

    run(scenario())


# Strangers


GARBAGE = {
    "GET": b"GET / HTTP/1.1\r\nHost: turn.example.org\r\n\r\n",
    "POST": b"POST / HTTP/1.1\r\nHost: turn.example.org\r\nContent-Length: 3\r\n\r\nabc",
    "OPTIONS": b"OPTIONS * HTTP/1.1\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "ChannelData": encode_channel_data_for_stream(CHANNEL, b"x"),
    "a ClientHello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(505),
    "a record of 16 KB": b"\x16\x03\x01\x40\x00" + bytes(range(256)) * 64,
    "zeros": bytes(4096),
    "SSH": b"SSH-2.0-OpenSSH_9.2\r\n",
}


@BOTH
@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
def test_what_is_no_stun_is_closed_at_once_and_no_exception_is_logged(
    run: Run,
    make_config: Callable[..., Config],
    caplog: pytest.LogCaptureFixture,
    transport: Transport,
    garbage: bytes,
) -> None:
    """TL-6: inside TLS or in plain text; "GE" looks like a channel number, and nobody has a channel yet."""

    async def scenario() -> None:
        async with TurnServer(make_config()) as server:
            wire = await Wire.connect(server, transport)
            wire.send(garbage)
            began = time.monotonic()
            await wire.end()
            assert time.monotonic() - began < 5  # and not by a deadline
            await eventually(lambda: is_empty(server))

    run(scenario())
    assert reasons(caplog, "turn.connection_closed") == ["not-stun"]
    assert all(record.levelno < logging.ERROR and not record.exc_info for record in caplog.records)


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
def test_what_is_no_tls_is_closed_and_no_exception_is_logged(
    run: Run, make_config: Callable[..., Config], caplog: pytest.LogCaptureFixture, garbage: bytes
) -> None:
    """TL-6: on a TLS port; a request in plain text among it."""

    async def scenario() -> None:
        async with TurnServer(make_config(), deadlines=SHORT) as server:
            wire = await Wire.connect(server, Transport.TLS, secure=False)
            wire.send(garbage)
            await wire.end()
            await eventually(lambda: is_empty(server))

    run(scenario())
    assert len(reasons(caplog, "tls.handshake_failed")) == 1
    assert all(record.levelno < logging.ERROR and not record.exc_info for record in caplog.records)


# Ends


@BOTH
@pytest.mark.parametrize("how", ["half-close", "reset", "cut off"])
def test_however_a_client_goes_its_allocation_and_descriptors_are_free(
    run: Run, make_config: Callable[..., Config], transport: Transport, how: str
) -> None:
    """TL-8: half-closes, resets in the middle of a write, and TCP ends without TLS's close_notify."""

    async def scenario() -> None:
        async with TurnServer(make_config()) as server:
            first = await Client.allocated(address_on(server, transport), transport)  # the loop has what it needs
            first.close()
            await eventually(lambda: is_empty(server))
            before = len(os.listdir("/proc/self/fd"))
            client = await Client.allocated(address_on(server, transport), transport)
            peer = Peer()
            await client.bind(CHANNEL, peer.address)
            client.pause()
            for _ in range(50):
                peer.send(bytes(8000), client.relayed[0])
            link: Any = client._link
            with socket.socket(fileno=os.dup(link.transport.get_extra_info("socket").fileno())) as raw:
                if how == "half-close":
                    raw.shutdown(socket.SHUT_WR)
                elif how == "reset":
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            if how != "half-close":
                link.transport.abort()
            await eventually(lambda: is_empty(server) and not len(server.allocations))
            link.transport.abort()
            peer.close()
            await eventually(lambda: len(os.listdir("/proc/self/fd")) <= before)

    run(scenario())


def test_a_server_closes_though_handshakes_hang(run: Run, make_config: Callable[..., Config]) -> None:
    """OP-9: nothing is left of connections that never came to be open."""

    async def scenario() -> None:
        server = TurnServer(make_config(proxy_protocol_from=["127.0.0.9"]))
        await server.start()
        hanging = [await Wire.connect(server, Transport.TLS, secure=False) for _ in range(3)]
        hanging += [await Wire.connect(server, Transport.TCP, source="127.0.0.9") for _ in range(3)]
        hanging += [await Wire.connect(server, Transport.TLS) for _ in range(3)]
        await eventually(lambda: len(server._entrance.limit) == 6)
        await server.close()
        for wire in hanging:
            await wire.end()
        assert is_empty(server)

    run(scenario())


# Proxies


def version_1(host: str, port: int = 50000) -> bytes:
    family = b"TCP6" if ":" in host else b"TCP4"
    own = b"2001:db8::1" if ":" in host else b"198.51.100.1"
    return b"PROXY %s %s %s %d 443\r\n" % (family, host.encode(), own, port)


def version_2(host: str, port: int = 50000) -> bytes:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    packed = socket.inet_pton(family, host)
    body = packed + packed + struct.pack("!HH", port, 443) + b"\x04\x00\x03pad"
    return SIGNATURE + bytes((0x21, 0x21 if ":" in host else 0x11)) + struct.pack("!H", len(body)) + body


@BOTH
@pytest.mark.parametrize("host", ["203.0.113.7", "2001:db8::7"])
@pytest.mark.parametrize("header", [version_1, version_2], ids=["version 1", "version 2"])
def test_the_client_is_whom_the_proxy_names(
    run: Run,
    make_config: Callable[..., Config],
    transport: Transport,
    header: Callable[[str], bytes],
    host: str,
) -> None:
    """And the ClientHello may stand in the same segment as the header."""

    async def scenario() -> None:
        async with TurnServer(make_config(proxy_protocol_from=["127.0.0.0/30"])) as server:
            wire = await Wire.connect(server, transport, header=header(host))
            assert await wire.ask() == SocketAddress(host, 50000)

    run(scenario())


@BOTH
def test_a_proxy_may_speak_for_itself(run: Run, make_config: Callable[..., Config], transport: Transport) -> None:
    """A health check: LOCAL, or UNKNOWN."""

    async def scenario() -> None:
        async with TurnServer(make_config(proxy_protocol_from=["127.0.0.1"])) as server:
            for header in (b"PROXY UNKNOWN\r\n", SIGNATURE + b"\x20\x00\x00\x00"):
                wire = await Wire.connect(server, transport, header=header)
                assert await wire.ask() == SocketAddress(*wire.writer.get_extra_info("sockname"))

    run(scenario())


@BOTH
def test_a_proxy_that_sends_no_header_is_refused(
    run: Run, make_config: Callable[..., Config], caplog: pytest.LogCaptureFixture, transport: Transport
) -> None:
    """Otherwise whoever reaches it unseen would have its address; and silence has a limit, too."""

    async def scenario() -> None:
        async with TurnServer(make_config(proxy_protocol_from=["127.0.0.1"]), deadlines=SHORT) as server:
            for bytes_ in (binding_request(), b"\x16\x03\x01\x02\x00\x01" + bytes(100), b"PROXY TCP4 1.2.3.4", b""):
                wire = await Wire.connect(server, transport, secure=False)
                wire.send(bytes_)
                await wire.end()
            await eventually(lambda: is_empty(server))

    run(scenario())
    assert set(reasons(caplog, "turn.connection_refused")) == {"no-proxy-header"}


@BOTH
def test_nobody_else_is_believed(run: Run, make_config: Callable[..., Config], transport: Transport) -> None:
    """TL-6: a header from elsewhere is garbage like any other."""

    async def scenario() -> None:
        async with TurnServer(make_config(proxy_protocol_from=["127.0.0.9"]), deadlines=SHORT) as server:
            for header in (version_1("203.0.113.7"), version_2("203.0.113.7")):
                wire = await Wire.connect(server, transport, secure=False)
                wire.send(header + binding_request())
                await wire.end()
            honest = await Wire.connect(server, transport)
            assert (await honest.ask()).host == "127.0.0.1"

    run(scenario())


def test_connections_through_a_proxy_count_for_their_clients(run: Run, make_config: Callable[..., Config]) -> None:
    """TL-2: the limit of one source would otherwise be that of everybody behind the proxy."""

    async def scenario() -> None:
        config = make_config(proxy_protocol_from=["127.0.0.1"], quota={"connections_per_source": 2})
        async with TurnServer(config) as server:
            wires = []
            for number in range(8):
                wire = await Wire.connect(
                    server, Transport.TCP, header=version_2(f"203.0.113.{number % 4}", 50000 + number)
                )
                assert (await wire.ask()).host == f"203.0.113.{number % 4}"
                wires.append(wire)
            greedy = await Wire.connect(server, Transport.TCP, header=version_1("203.0.113.1", 60000))
            await greedy.end()
            for wire in wires:
                wire.writer.close()
            await eventually(lambda: is_empty(server))

    run(scenario())
