"""`connect_turn` against coturn's `turnserver`: everything the client can ask a server for."""

from __future__ import annotations

import asyncio
import time

import pytest

from icelane.aio.turn_client import connect_turn
from icelane.aio.turn_relay import TurnRelay
from icelane.core.net import AddressFamily, SocketAddress, Transport
from icelane.errors import TurnError
from icelane.turn.client_request import AllocateOptions
from icelane.turn.credentials import Secret
from tests.interop.relay_server import PASSWORD, SECRET, USER, RelayServer

pytestmark = pytest.mark.interop

IPV4 = AllocateOptions()
IPV6 = AllocateOptions(family=AddressFamily.IPV6)
DUAL = AllocateOptions(dual=True)


async def connect(
    server: RelayServer, transport: Transport = Transport.UDP, options: AllocateOptions = IPV4
) -> TurnRelay:
    if transport is Transport.TLS:
        url = f"turns:localhost:{server.tls_port}"
        return await connect_turn(url, username=USER, password=PASSWORD, options=options, authority=server.authority)
    address = SocketAddress(server.host, server.port)
    return await connect_turn(address, username=USER, password=PASSWORD, transport=transport, options=options)


async def exchange(a: TurnRelay, b: TurnRelay) -> None:
    """Datagrams both ways, by indications and then by channels."""
    await asyncio.gather(a.permit(b.relayed_address), b.permit(a.relayed_address))
    await carry(a, b)
    await asyncio.gather(a.bind_channel(b.relayed_address), b.bind_channel(a.relayed_address))
    await carry(a, b)


async def carry(a: TurnRelay, b: TurnRelay) -> None:
    for size in (0, 1, 172, 1200):
        for source, sink in ((a, b), (b, a)):
            assert source.send(bytes([size & 0xFF]) * size, sink.relayed_address)
            data, peer = await asyncio.wait_for(sink.receive(), 5)
            assert data == bytes([size & 0xFF]) * size
            assert peer == source.relayed_address


@pytest.mark.parametrize("options", [IPV4, IPV6], ids=["ipv4", "ipv6"])
@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP, Transport.TLS])
def test_datagrams_pass_between_two_relays(
    server_with_users: RelayServer, transport: Transport, options: AllocateOptions
) -> None:
    async def scenario() -> None:
        async with (
            await connect(server_with_users, transport, options) as a,
            await connect(server_with_users, transport, options) as b,
        ):
            assert a.relayed_address.family is (options.family or AddressFamily.IPV4)
            await exchange(a, b)

    asyncio.run(scenario())


@pytest.mark.parametrize("form", ["expiry:user", "expiry:kid:user"])
@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP])
def test_a_rest_credential_is_taken(server_with_secret: RelayServer, transport: Transport, form: str) -> None:
    username = form.replace("expiry", str(int(time.time()) + 600))

    async def scenario() -> None:
        async with await connect_turn(
            SocketAddress(server_with_secret.host, server_with_secret.port),
            username=username,
            password=Secret(kid="k1", secret=SECRET).password(username),
            transport=transport,
        ) as relay:
            await relay.permit("127.0.0.1")

    asyncio.run(scenario())


def test_a_server_that_does_not_know_dual_allocations_still_gives_one(server_with_users: RelayServer) -> None:
    """coturn 4.6 reads ADDITIONAL-ADDRESS-FAMILY under the code point of a draft only, and skips that of RFC 8656."""

    async def scenario() -> None:
        async with await connect(server_with_users, options=DUAL) as relay:
            assert relay.relayed_addresses[0].family is AddressFamily.IPV4
            if len(relay.relayed_addresses) == 2:  # a later coturn
                assert relay.relayed_addresses[1].family is AddressFamily.IPV6
            await relay.permit("127.0.0.1")

    asyncio.run(scenario())


def test_a_reserved_port_is_claimed_by_its_token(server_with_users: RelayServer) -> None:
    async def scenario() -> None:
        async with await connect(server_with_users, options=AllocateOptions(reserve_next=True)) as even:
            assert even.relayed_address.port % 2 == 0
            token = even.reservation_token
            assert token is not None
            async with await connect(server_with_users, options=AllocateOptions(reservation_token=token)) as odd:
                assert odd.relayed_address.port == even.relayed_address.port + 1

    asyncio.run(scenario())


def test_a_lifetime_that_was_asked_for_is_granted(server_with_users: RelayServer) -> None:
    async def scenario() -> None:
        async with await connect(server_with_users, options=AllocateOptions(lifetime=1200)) as relay:
            assert relay.lifetime == 1200

    asyncio.run(scenario())


def test_a_peer_that_the_server_forbids_is_told_as_403(server_with_users: RelayServer) -> None:
    async def scenario() -> None:
        async with await connect(server_with_users) as relay:
            with pytest.raises(TurnError) as refused:
                await relay.permit("0.0.0.0")
            assert refused.value.code == 403
            with pytest.raises(TurnError):
                await relay.bind_channel(("0.0.0.0", 5000))
            await relay.permit("127.0.0.1")

    asyncio.run(scenario())


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP])
def test_a_wrong_password_is_told_as_401(server_with_users: RelayServer, transport: Transport) -> None:
    async def scenario() -> None:
        address = SocketAddress(server_with_users.host, server_with_users.port)
        with pytest.raises(TurnError) as refused:
            await connect_turn(address, username=USER, password="not-the-one", transport=transport)
        assert refused.value.code == 401

    asyncio.run(scenario())
