"""Connections with peers through a TCP allocation, our client against our server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from icelane.aio.resolver import ServiceRecord
from icelane.aio.turn_client import connect_turn
from icelane.aio.turn_relay import TurnRelay
from icelane.aio.udp import address_of
from icelane.core.net import SocketAddress, Transport
from icelane.errors import LocalProtocolError, TransportClosedError, TurnError
from icelane.server.turn_server import TurnServer
from icelane.turn.client_request import AllocateOptions
from tests import certificates
from tests.loops import Run, close_later, run
from tests.server.clients import PASSWORD, PATIENCE, USER, address_on, settings

__all__ = ["run"]


class OnLoopback:
    """Every name is this machine."""

    async def service_records(self, name: str) -> list[ServiceRecord]:
        return []

    async def addresses(self, host: str) -> list[str]:
        return ["127.0.0.1"]


TCP = AllocateOptions(tcp=True)


@asynccontextmanager
async def relay_on(server: TurnServer, options: AllocateOptions = TCP) -> AsyncIterator[TurnRelay]:
    address = address_on(server, Transport.TCP)
    async with (
        asyncio.timeout(PATIENCE),
        await connect_turn(
            address, transport=Transport.TCP, username=USER, password=PASSWORD, options=options
        ) as relay,
    ):
        yield relay


async def listening(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> SocketAddress:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    close_later(server)
    return address_of(server.sockets[0].getsockname())


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


def on() -> TurnServer:
    return TurnServer(settings(tcp_allocations=True))


def test_a_client_connects_to_a_peer_and_gets_a_stream(run: Run) -> None:
    async def scenario() -> None:
        async with on() as server, relay_on(server) as relay:
            reader, writer = await relay.connect(await listening(echo))
            payload = bytes(range(256)) * 8192
            writer.write(payload)
            writer.write_eof()
            assert await reader.read(-1) == payload
            writer.close()
            await writer.wait_closed()

    run(scenario())


def test_streams_go_over_tls_where_the_allocation_does(run: Run, tmp_path: Path) -> None:
    """The data connection is to the same server by the same name, and as secret."""

    async def scenario() -> None:
        pair = certificates.good(tmp_path, certificates.NAME)
        listen = ["tls://127.0.0.1:0"]
        async with TurnServer(settings(tcp_allocations=True, listen=listen, tls=pair.section())) as server:
            url = f"turns:{certificates.NAME}:{server.listening[0].port}"
            authority = certificates.authority_file(tmp_path)
            async with (
                asyncio.timeout(PATIENCE),
                await connect_turn(
                    url, username=USER, password=PASSWORD, options=TCP, authority=authority, lookup=OnLoopback()
                ) as relay,
            ):
                reader, writer = await relay.connect(await listening(echo))
                payload = bytes(range(256)) * 8192
                writer.write(payload)
                assert await reader.readexactly(len(payload)) == payload
                assert all(path.transport is Transport.TLS for path in server.stream_listeners[0]._connections_by_path)
                assert server.stream_listeners[0].connections == 2
                writer.close()

    run(scenario())


def test_what_the_peer_says_first_is_not_lost(run: Run) -> None:
    """It may come in the segment that brings the answer to ConnectionBind."""

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 ready\r\n")
        writer.close()

    async def scenario() -> None:
        async with on() as server, relay_on(server) as relay:
            peer = await listening(greet)
            for _ in range(3):
                reader, writer = await relay.connect(peer)
                assert await reader.read(-1) == b"220 ready\r\n"
                writer.close()
                await writer.wait_closed()

    run(scenario())


def test_two_clients_reach_each_other_through_their_relayed_addresses(run: Run) -> None:
    async def scenario() -> None:
        async with on() as server, relay_on(server) as alice, relay_on(server) as bob:
            await bob.permit(alice.relayed_address)
            there, here = await asyncio.gather(bob.accept(), alice.connect(bob.relayed_address))
            assert there[2] == alice.relayed_address
            here[1].write(b"ping")
            assert await there[0].readexactly(4) == b"ping"
            there[1].write(b"pong")
            assert await here[0].readexactly(4) == b"pong"
            for writer in (here[1], there[1]):
                writer.close()

    run(scenario())


def test_a_peer_that_cannot_be_reached_is_said_to_be(run: Run) -> None:
    async def scenario() -> None:
        async with on() as server, relay_on(server) as relay:
            with pytest.raises(TurnError) as caught:
                await relay.connect(("127.0.0.1", 1))
            assert caught.value.code == 447
            with pytest.raises(TurnError) as caught:
                await relay.connect(("10.0.0.1", 80))
            assert caught.value.code == 403

    run(scenario())


def test_streams_and_whoever_waits_for_one_end_with_the_allocation(run: Run) -> None:
    async def scenario() -> None:
        async with on() as server, relay_on(server) as relay:
            reader, writer = await relay.connect(await listening(echo))
            waiting = asyncio.create_task(relay.accept())
            await asyncio.sleep(0)
            await relay.close()
            assert await reader.read(-1) == b""
            with pytest.raises(TransportClosedError):
                await waiting
            with pytest.raises(TransportClosedError):
                await relay.connect(("127.0.0.1", 1))
            writer.close()

    run(scenario())


def test_datagrams_and_streams_are_not_mixed(run: Run) -> None:
    async def scenario() -> None:
        async with on() as server:
            async with relay_on(server) as relay:
                with pytest.raises(LocalProtocolError):
                    relay.send(b"x", ("127.0.0.1", 9))
                with pytest.raises(LocalProtocolError):
                    await relay.bind_channel(("127.0.0.1", 9))
            async with relay_on(server, AllocateOptions()) as relay:
                with pytest.raises(LocalProtocolError):
                    await relay.connect(("127.0.0.1", 9))
            with pytest.raises(LocalProtocolError):
                await connect_turn(address_on(server, Transport.UDP), username=USER, password=PASSWORD, options=TCP)
        with pytest.raises(LocalProtocolError):
            AllocateOptions(tcp=True, even_port=True)

    run(scenario())


def test_a_server_that_has_none_says_so(run: Run) -> None:
    """TR-9: off by default."""

    async def scenario() -> None:
        async with TurnServer(settings()) as server:
            with pytest.raises(TurnError) as caught:
                async with relay_on(server):
                    pass
            assert caught.value.code == 442

    run(scenario())
