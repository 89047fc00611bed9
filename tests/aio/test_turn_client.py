"""`connect_turn` and `TurnRelay` on loopback, against our server and against servers that misbehave."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest

from icelane.aio.resolver import ServiceRecord
from icelane.aio.turn_client import connect_turn
from icelane.aio.turn_relay import MAX_QUEUED, TurnRelay
from icelane.aio.udp import RawAddress, UdpSocket
from icelane.core.net import AddressFamily, SocketAddress, Transport
from icelane.errors import (
    LocalProtocolError,
    MalformedError,
    ResolutionError,
    TransactionTimeoutError,
    TransportClosedError,
    TurnError,
)
from icelane.server.config import parse_config
from icelane.server.turn_server import TurnServer
from icelane.stun.attributes import AttributeType, encode_address, encode_error_code
from icelane.stun.message import MessageBuilder, MessageClass, parse_message
from icelane.turn.channel_data import encode_channel_data
from icelane.turn.client_request import AllocateOptions

USER = "alice"
PASSWORD = "correct-horse-battery"
DUAL = AllocateOptions(dual=True)
ENDS = [
    (Transport.UDP, "127.0.0.1"),
    (Transport.TCP, "127.0.0.1"),
    (Transport.UDP, "::1"),
    (Transport.TCP, "::1"),
]


def config(**turn: object) -> dict[str, object]:
    return {
        "turn": {
            "realm": "example.org",
            "listen": [f"{t.value}://{f'[{h}]' if ':' in h else h}:0" for t, h in ENDS],
            "relay_addresses": ["127.0.0.1", "::1"],
            "dangerously_allow_loopback_peers": True,
            "users": {USER: PASSWORD},
            **turn,
        }
    }


def with_server(scenario: Callable[[TurnServer], Awaitable[None]], **turn: object) -> None:
    """Run `scenario` with our server; nothing may be left of it but what it left on purpose."""

    async def run() -> None:
        async with TurnServer(parse_config(config(**turn))) as server:
            await scenario(server)

    asyncio.run(run())


def address_of(server: TurnServer, transport: Transport, host: str) -> SocketAddress:
    (address,) = [found.address for found in server.listening if (found.transport, found.host) == (transport, host)]
    return address


async def connect(
    server: TurnServer,
    transport: Transport = Transport.UDP,
    host: str = "127.0.0.1",
    *,
    options: AllocateOptions | None = None,
) -> TurnRelay:
    return await connect_turn(
        address_of(server, transport, host), transport=transport, username=USER, password=PASSWORD, options=options
    )


async def receive(relay: TurnRelay) -> tuple[bytes, SocketAddress]:
    return await asyncio.wait_for(relay.receive(), 5)


@pytest.mark.parametrize(("transport", "host"), ENDS)
def test_datagrams_pass_both_ways_by_indication_and_by_channel(transport: Transport, host: str) -> None:
    async def scenario(server: TurnServer) -> None:
        async with await connect(server, transport, host) as a, await connect(server, transport, host) as b:
            assert a.path.transport is transport
            assert a.mapped_address == a.path.local
            await a.permit(b.relayed_address)
            await b.permit(a.relayed_address.host)
            assert a.send(b"one", b.relayed_address)
            assert await receive(b) == (b"one", a.relayed_address)
            await b.bind_channel(a.relayed_address)
            await b.bind_channel(a.relayed_address)
            assert b.send(bytearray(b"two"), (a.relayed_address.host, a.relayed_address.port))
            assert b.send(memoryview(b""), a.relayed_address)
            assert await receive(a) == (b"two", b.relayed_address)
            assert await receive(a) == (b"", b.relayed_address)
        assert server.idle

    with_server(scenario)


def test_a_dual_allocation_relays_in_both_families() -> None:
    async def scenario(server: TurnServer) -> None:
        async with await connect(server, options=DUAL) as a, await connect(server, options=DUAL) as b:
            assert [address.family for address in a.relayed_addresses] == [AddressFamily.IPV4, AddressFamily.IPV6]
            assert a.additional_error is None
            await a.permit("127.0.0.1", "::1")
            await b.permit(*a.relayed_addresses)
            for source, sink in zip(a.relayed_addresses, b.relayed_addresses, strict=True):
                assert a.send(b"x", sink)
                assert await receive(b) == (b"x", source)

    with_server(scenario)


def test_a_reserved_port_is_claimed_by_its_token() -> None:
    async def scenario(server: TurnServer) -> None:
        async with await connect(server, options=AllocateOptions(reserve_next=True)) as even:
            assert even.relayed_address.port % 2 == 0
            options = AllocateOptions(reservation_token=even.reservation_token)
            async with await connect(server, options=options) as odd:
                assert odd.relayed_address.port == even.relayed_address.port + 1
                assert odd.lifetime == 600

    with_server(scenario)


def test_a_uri_names_the_server_and_its_transport() -> None:
    async def scenario(server: TurnServer) -> None:
        port = address_of(server, Transport.TCP, "::1").port
        async with await connect_turn(f"turn:[::1]:{port}?transport=tcp", username=USER, password=PASSWORD) as relay:
            assert relay.path.transport is Transport.TCP
        with pytest.raises(LocalProtocolError, match="STUN server"):
            await connect_turn("stun:[::1]")
        with pytest.raises(MalformedError):
            await connect_turn("turn://example.org")

    with_server(scenario)


class TwoPlaces:
    """A name service that knows a place where nobody listens, and one where somebody does."""

    def __init__(self, dead: int, alive: int) -> None:
        self._ports = (dead, alive)

    async def service_records(self, name: str) -> list[ServiceRecord]:
        if not name.startswith("_turn._udp."):
            return []
        return [ServiceRecord(i, 0, port, "relay.test") for i, port in enumerate(self._ports)]

    async def addresses(self, host: str) -> list[str]:
        return ["127.0.0.1"]


def unused_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_next_place_is_tried_when_nobody_listens_at_the_first() -> None:
    async def scenario(server: TurnServer) -> None:
        alive = address_of(server, Transport.UDP, "127.0.0.1").port
        lookup = TwoPlaces(unused_port(), alive)
        async with await connect_turn("turn:relay.test", username=USER, password=PASSWORD, lookup=lookup) as relay:
            assert relay.path.remote.port == alive

    with_server(scenario)


def test_nobody_listening_is_told_at_once_over_udp_and_tcp() -> None:
    async def scenario() -> None:
        nobody = SocketAddress("127.0.0.1", unused_port())
        for transport in (Transport.UDP, Transport.TCP):
            with pytest.raises(TransportClosedError):
                await connect_turn(nobody, transport=transport)
        with pytest.raises(ResolutionError):
            await connect_turn("turn:relay.invalid", lookup=Nowhere())

    asyncio.run(scenario())


class Nowhere:
    """A name service that knows nothing."""

    async def service_records(self, name: str) -> list[ServiceRecord]:
        return []

    async def addresses(self, host: str) -> list[str]:
        raise ResolutionError(f"{host}: unknown")


def test_a_silent_server_is_given_up_after_the_timeout() -> None:
    async def scenario() -> None:
        silent = UdpSocket.bind(SocketAddress("127.0.0.1", 0), lambda *_: None)
        with pytest.raises(TransactionTimeoutError):
            await connect_turn(silent.local, timeout=0.05)
        silent.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP])
def test_a_wrong_password_is_told_as_401_with_the_server(transport: Transport) -> None:
    async def scenario(server: TurnServer) -> None:
        address = address_of(server, transport, "127.0.0.1")
        with pytest.raises(TurnError) as refused:
            await connect_turn(address, transport=transport, username=USER, password="wrong")
        assert refused.value.code == 401
        assert refused.value.server == str(address)
        with pytest.raises(TurnError):
            await connect_turn(address, transport=transport)
        assert server.idle

    with_server(scenario)


def test_a_forbidden_peer_is_told_as_403_and_the_relay_goes_on() -> None:
    async def scenario(server: TurnServer) -> None:
        async with await connect(server) as relay:
            with pytest.raises(TurnError) as refused:
                await relay.permit("127.0.0.1", "169.254.169.254")
            assert refused.value.code == 403
            with pytest.raises(LocalProtocolError, match="no permission"):
                relay.send(b"x", SocketAddress("127.0.0.1", 9))
            with pytest.raises(TurnError):
                await relay.bind_channel(("169.254.169.254", 80))
            await relay.permit("127.0.0.1")
            await relay.permit("127.0.0.1")
            assert relay.send(b"x", ("127.0.0.1", relay.relayed_address.port))

    with_server(scenario)


def test_many_permissions_are_asked_for_in_batches() -> None:
    async def scenario(server: TurnServer) -> None:
        async with await connect(server) as relay:
            await relay.permit(*(f"127.0.1.{i}" for i in range(40)))

    with_server(scenario)


def test_an_allocation_ends_with_its_relay_and_waiting_calls_are_told() -> None:
    async def scenario(server: TurnServer) -> None:
        relay = await connect(server)
        receiving = asyncio.create_task(relay.receive())
        await asyncio.sleep(0)
        await relay.close()
        await relay.close()
        assert relay.closed
        assert server.idle
        with pytest.raises(TransportClosedError):
            await receiving
        with pytest.raises(TransportClosedError):
            relay.send(b"x", SocketAddress("127.0.0.1", 9))
        with pytest.raises(TransportClosedError):
            await relay.permit("127.0.0.1")
        with pytest.raises(TransportClosedError):
            await relay.bind_channel(("127.0.0.1", 9))
        assert isinstance(await relay.wait_closed(), TransportClosedError)

    with_server(scenario)


def test_a_server_that_goes_away_ends_a_stream_relay() -> None:
    async def scenario() -> None:
        server = TurnServer(parse_config(config()))
        await server.start()
        relay = await connect(server, Transport.TCP)
        await server.close()
        assert isinstance(await asyncio.wait_for(relay.wait_closed(), 5), TransportClosedError)
        with pytest.raises(TransportClosedError):
            await relay.receive()
        await relay.close()

    asyncio.run(scenario())


def test_closing_does_not_wait_for_a_server_that_says_nothing() -> None:
    async def scenario() -> None:
        server = TurnServer(parse_config(config()))
        await server.start()
        relay = await connect(server)
        await server.close()
        await asyncio.wait_for(relay.close(timeout=0.01), 5)
        assert relay.closed

    asyncio.run(scenario())


def test_callbacks_take_the_place_of_receive_and_may_fail() -> None:
    async def scenario(server: TurnServer) -> None:
        reported: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context["exception"]))
        arrived: asyncio.Future[tuple[bytes, SocketAddress]] = asyncio.get_running_loop().create_future()

        def take(payload: bytes, peer: SocketAddress) -> None:
            if payload == b"bad":
                raise ValueError("refused")
            arrived.set_result((payload, peer))

        async with (
            await connect(server, Transport.TCP) as a,
            await connect_turn(
                address_of(server, Transport.TCP, "127.0.0.1"),
                transport=Transport.TCP,
                username=USER,
                password=PASSWORD,
                on_data=take,
            ) as b,
        ):
            await a.permit(b.relayed_address)
            await b.permit(a.relayed_address)
            a.send(b"bad", b.relayed_address)
            a.send(b"good", b.relayed_address)
            assert await asyncio.wait_for(arrived, 5) == (b"good", a.relayed_address)
            assert not b.closed
        assert [type(error) for error in reported] == [ValueError]

    with_server(scenario)


def test_datagrams_that_nobody_receives_are_dropped_at_a_bound() -> None:
    async def scenario(server: TurnServer) -> None:
        async with await connect(server) as relay:
            await relay.bind_channel(("127.0.0.1", 9))
            for i in range(MAX_QUEUED + 5):
                relay.handle_data(encode_channel_data(0x4000, i.to_bytes(2, "big")))
            assert relay.dropped == 5
            for i in range(MAX_QUEUED):
                assert await receive(relay) == (i.to_bytes(2, "big"), ("127.0.0.1", 9))

    with_server(scenario)


def test_a_cancelled_receive_leaves_nothing_behind() -> None:
    async def scenario(server: TurnServer) -> None:
        async with await connect(server) as a, await connect(server) as b:
            await a.permit(b.relayed_address)
            await b.permit(a.relayed_address)
            for _ in range(3):
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(b.receive(), 0.001)
            assert len(b._receivers) == 0
            waiting = asyncio.create_task(b.receive())
            a.send(b"x", b.relayed_address)
            assert (await asyncio.wait_for(waiting, 5))[0] == b"x"

    with_server(scenario)


def test_a_cancelled_connect_leaves_no_socket_behind() -> None:
    async def scenario() -> None:
        silent = UdpSocket.bind(SocketAddress("127.0.0.1", 0), lambda *_: None)
        task = asyncio.create_task(connect_turn(silent.local))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        silent.close()

    asyncio.run(scenario())


class Scripted:
    """A UDP server that answers every request with one error."""

    def __init__(self, code: int, *attributes: tuple[int, bytes]) -> None:
        self.requests = 0
        self._code = code
        self._attributes = attributes
        self.udp = UdpSocket.bind(SocketAddress("127.0.0.1", 0), self._answer)

    def _answer(self, data: bytes, source: RawAddress) -> None:
        self.requests += 1
        response = MessageBuilder.response_to(parse_message(data), MessageClass.ERROR)
        response.add(AttributeType.ERROR_CODE, encode_error_code(self._code, "No"))
        for kind, value in self._attributes:
            response.add(kind, value)
        self.udp.send(response.build(), source)


def test_a_redirection_is_followed() -> None:
    async def scenario(server: TurnServer) -> None:
        target = address_of(server, Transport.UDP, "127.0.0.1")
        scripted = Scripted(300, (AttributeType.ALTERNATE_SERVER, encode_address(target)))
        async with await connect_turn(scripted.udp.local, username=USER, password=PASSWORD) as relay:
            assert relay.path.remote == target
        scripted.udp.close()

    with_server(scenario)


def test_a_port_with_an_allocation_of_somebody_before_is_changed_once() -> None:
    async def scenario() -> None:
        scripted = Scripted(437)
        with pytest.raises(TurnError) as refused:
            await connect_turn(scripted.udp.local, username=USER, password=PASSWORD)
        assert refused.value.code == 437
        assert scripted.requests == 2
        scripted.udp.close()

    asyncio.run(scenario())


def test_it_works_on_uvloop() -> None:
    uvloop = pytest.importorskip("uvloop")

    async def scenario() -> None:
        async with TurnServer(parse_config(config())) as server:
            for transport, host in ENDS:
                async with await connect(server, transport, host) as a, await connect(server, transport, host) as b:
                    await a.permit(b.relayed_address)
                    await b.bind_channel(a.relayed_address)
                    a.send(b"x", b.relayed_address)
                    assert (await receive(b))[0] == b"x"

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scenario())
