"""From where a TCP connection leaves."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from icelane.aio.device import Device
from icelane.aio.proxy import parse_proxy
from icelane.aio.proxy_tunnel import open_tunnel
from icelane.aio.tcp import LocalHosts, connect_tcp
from icelane.core.net import NamedPlace, SocketAddress
from icelane.errors import ProxyError
from tests.loops import Run


@asynccontextmanager
async def listener() -> AsyncIterator[tuple[SocketAddress, list[str]]]:
    """Where it is, and from which hosts somebody came."""
    seen: list[str] = []

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(writer.get_extra_info("peername")[0])
        writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield SocketAddress(*server.sockets[0].getsockname()), seen


async def leaves_from(remote: SocketAddress, local: SocketAddress | LocalHosts | None) -> str:
    with await connect_tcp(remote, local) as connected:
        return str(connected.getsockname()[0])


def test_a_connection_leaves_from_an_address_that_may_be_used_and_from_no_other(run: Run) -> None:
    async def scenario() -> None:
        async with listener() as (remote, _):
            assert await leaves_from(remote, None) == "127.0.0.1"
            assert await leaves_from(remote, LocalHosts(("::1", "127.0.0.2"))) == "127.0.0.2"
            assert await leaves_from(remote, SocketAddress("127.0.0.3", 0)) == "127.0.0.3"

    run(scenario())


def test_the_address_comes_first_that_the_routes_lead_from(run: Run) -> None:
    async def scenario() -> None:
        async with listener() as (remote, _):
            assert await leaves_from(remote, LocalHosts(("127.0.0.2", "127.0.0.1"))) == "127.0.0.1"

    run(scenario())


def test_where_one_address_does_not_lead_there_the_next_is_tried(run: Run) -> None:
    async def scenario() -> None:
        async with listener() as (remote, _):
            assert await leaves_from(remote, LocalHosts(("192.0.2.1", "127.0.0.2"))) == "127.0.0.2"

    run(scenario())


def test_a_program_on_this_machine_is_reached_whatever_device_is_chosen(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    """Such as a proxy of this machine: to bind the socket to a device would lead out of it."""

    async def scenario() -> None:
        missing = Device("missing0", 999)  # which nothing can be bound to, and that is told
        async with listener() as (remote, _):
            for hosts in (("127.0.0.1",), ("127.0.0.2", "127.0.0.1")):
                await leaves_from(remote, LocalHosts(hosts, dict.fromkeys(hosts, missing)))
            (await connect_tcp(remote, SocketAddress("127.0.0.2", 0), device=missing)).close()
        assert caplog.text == ""

    run(scenario())


@pytest.mark.parametrize("hosts", [(), ("::1",)], ids=["none", "of another family"])
def test_without_an_address_of_the_family_nothing_is_connected(run: Run, hosts: tuple[str, ...]) -> None:
    async def scenario() -> None:
        async with listener() as (remote, seen):
            with pytest.raises(OSError, match="of the addresses that may be used here none is one of IPv4"):
                await connect_tcp(remote, LocalHosts(hosts))
            assert not seen

    run(scenario())


def test_a_proxy_is_reached_from_such_an_address_too(run: Run) -> None:
    async def scenario() -> None:
        async with listener() as (remote, seen):
            proxy, place = parse_proxy(f"http://{remote}"), NamedPlace("turn.example.org", 443)
            with pytest.raises(ProxyError, match="closed the connection"):
                await open_tunnel(proxy, place, local=LocalHosts(("127.0.0.2",)))
            assert seen == ["127.0.0.2"]
            with pytest.raises(ProxyError, match="none is one of IPv4"):
                await open_tunnel(proxy, place, local=LocalHosts(("::1",)))
            assert seen == ["127.0.0.2"]

    run(scenario())


def test_a_refusal_names_its_reason(run: Run) -> None:
    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0)) as unused:
            remote = SocketAddress(*unused.getsockname())
        with pytest.raises(ConnectionRefusedError):
            await connect_tcp(remote, LocalHosts(("127.0.0.1", "127.0.0.2")))

    run(scenario())
