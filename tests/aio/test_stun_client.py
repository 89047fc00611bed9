"""Binding over real sockets on loopback, against servers of the test's own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TypeVar, cast

import pytest

from icelane.aio.resolver import ServiceRecord
from icelane.aio.stun_client import BindingResult, binding, more_telling
from icelane.aio.udp import RawAddress, UdpSocket, address_of
from icelane.core.net import SocketAddress, Transport
from icelane.errors import (
    MalformedError,
    ResolutionError,
    StunError,
    TransactionTimeoutError,
    TransportClosedError,
)
from icelane.stun.attributes import AttributeType as A
from icelane.stun.attributes import encode_error_code, encode_xor_address
from icelane.stun.message import MessageBuilder, MessageClass, parse_message

T = TypeVar("T")
Answer = Callable[[bytes, SocketAddress], list[bytes]]
ANY_PORT = SocketAddress("127.0.0.1", 0)
# Long enough for a busy machine; only a failure waits for it.
PATIENCE = 10.0


def mapped(request: bytes, source: SocketAddress) -> list[bytes]:
    message = parse_message(request)
    hidden = encode_xor_address(source, message.transaction_id)
    return [MessageBuilder.response_to(message).add(A.XOR_MAPPED_ADDRESS, hidden).add_fingerprint().build()]


def refused(request: bytes, source: SocketAddress) -> list[bytes]:
    builder = MessageBuilder.response_to(parse_message(request), MessageClass.ERROR)
    return [builder.add(A.ERROR_CODE, encode_error_code(400, "Bad Request")).build()]


def silent(request: bytes, source: SocketAddress) -> list[bytes]:
    return []


def noisy(request: bytes, source: SocketAddress) -> list[bytes]:
    """Everything that is not the response, then the response."""
    right = mapped(request, source)[0]
    other_id = right[:8] + bytes(12) + right[20:]
    wrong_fingerprint = right[:-1] + bytes((right[-1] ^ 1,))
    return [b"", b"\x80not stun", right[:-4], request, other_id, wrong_fingerprint, right]


def udp_server(answer: Answer, address: SocketAddress = ANY_PORT) -> UdpSocket:
    def receive(data: bytes, source: RawAddress) -> None:
        for response in answer(data, address_of(source)):
            server.send(response, source)

    server = UdpSocket.bind(address, receive)
    return server


async def ask_udp(answer: Answer, address: SocketAddress = ANY_PORT, timeout: float = PATIENCE) -> BindingResult:
    server = udp_server(answer, address)
    try:
        return await binding(server.local, timeout=timeout)
    finally:
        server.close()


class TcpServer(asyncio.Protocol):
    """Answers the first bytes of a connection; closes it when there is no answer."""

    def __init__(self, answer: Answer, done: asyncio.Event) -> None:
        self._answer = answer
        self._done = done

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        responses = self._answer(data, address_of(self._transport.get_extra_info("peername")))
        for response in responses:
            self._transport.write(response)
        if not responses:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._done.set()


async def ask_tcp(answer: Answer, transport: Transport = Transport.TCP) -> BindingResult:
    done = asyncio.Event()
    server = await asyncio.get_running_loop().create_server(lambda: TcpServer(answer, done), "127.0.0.1", 0)
    address = address_of(server.sockets[0].getsockname())
    try:
        return await binding(address, transport=transport, timeout=PATIENCE)
    finally:
        server.close()
        # TL-8: the client leaves no connection behind, whatever came of it.
        async with asyncio.timeout(PATIENCE):
            await done.wait()


def run(coroutine: Coroutine[object, object, T]) -> T:
    return asyncio.run(coroutine, debug=True)


def test_over_udp_the_answer_is_our_address_as_the_server_sees_it() -> None:
    result = run(ask_udp(mapped))
    assert result.mapped == result.local
    assert result.mapped.host == "127.0.0.1"
    assert result.transport is Transport.UDP
    assert result.requests == 1
    assert 0 < result.rtt < PATIENCE


def test_over_ipv6_too() -> None:
    result = run(ask_udp(mapped, SocketAddress("::1", 0)))
    assert result.mapped == result.local
    assert result.mapped.host == "::1"


def test_over_tcp_too() -> None:
    result = run(ask_tcp(mapped))
    assert result.mapped == result.local
    assert result.transport is Transport.TCP


def test_everything_that_is_not_the_response_is_ignored() -> None:
    """IC-2, ST-8: foreign ids, requests, garbage and a wrong FINGERPRINT change nothing."""
    result = run(ask_udp(noisy))
    assert result.mapped == result.local


def test_an_error_response_is_raised_with_its_code() -> None:
    with pytest.raises(StunError) as caught:
        run(ask_udp(refused))
    assert caught.value.code == 400
    assert caught.value.server.startswith("127.0.0.1:")


def test_a_server_that_does_not_answer_is_given_up_in_time() -> None:
    with pytest.raises(TransactionTimeoutError, match=r"127\.0\.0\.1:\d+"):
        run(ask_udp(silent, timeout=0.05))


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP])
def test_a_port_where_nobody_listens_is_noticed_at_once(transport: Transport) -> None:
    async def ask() -> BindingResult:
        server = udp_server(silent)
        server.close()
        return await binding(server.local, transport=transport, timeout=PATIENCE)

    with pytest.raises(TransportClosedError):
        run(ask())


def test_a_stream_that_holds_something_else_fails_at_once() -> None:
    """ST-6, TL-6: HTTP where STUN is expected."""

    def http(request: bytes, source: SocketAddress) -> list[bytes]:
        return [b"HTTP/1.1 400 Bad Request\r\n\r\n"]

    with pytest.raises(MalformedError):
        run(ask_tcp(http))


def test_a_stream_that_ends_before_the_answer_fails_at_once() -> None:
    with pytest.raises(TransportClosedError):
        run(ask_tcp(silent))


class FakeLookup:
    """Service records that lead to loopback."""

    def __init__(self, *ports: int) -> None:
        self._ports = ports

    async def service_records(self, name: str) -> list[ServiceRecord]:
        assert name == "_stun._udp.example.org"
        return [ServiceRecord(order, 0, port, "stun.example.org") for order, port in enumerate(self._ports)]

    async def addresses(self, host: str) -> list[str]:
        return ["127.0.0.1"]


async def ask_by_name(*answers: Answer | None, timeout: float = PATIENCE) -> tuple[BindingResult, list[int]]:
    """Ask the servers of a name in their order; None is a port where nobody listens."""
    servers = [udp_server(answer or silent) for answer in answers]
    ports = [server.local.port for server in servers]
    for server, answer in zip(servers, answers, strict=True):
        if answer is None:
            server.close()
    try:
        return await binding("stun:example.org", lookup=FakeLookup(*ports), timeout=timeout), ports
    finally:
        for server in servers:
            server.close()


def test_the_places_of_a_name_are_tried_in_order() -> None:
    result, ports = run(ask_by_name(None, None, mapped))
    assert result.server.port == ports[2]


def test_a_silent_place_leaves_time_for_the_next_one() -> None:
    result, ports = run(ask_by_name(silent, mapped, timeout=2.0))
    assert result.server.port == ports[1]


def test_a_server_that_answers_with_an_error_has_answered() -> None:
    with pytest.raises(StunError):
        run(ask_by_name(refused, mapped))


def test_when_nobody_answers_the_last_error_is_raised() -> None:
    with pytest.raises(TransportClosedError):
        run(ask_by_name(None, None))


@pytest.mark.parametrize(
    ("server", "error"),
    [("example.org", MalformedError), ("turns:192.0.2.1?transport=udp", ResolutionError)],
)
def test_a_server_that_cannot_be_asked_is_refused_before_anything_is_sent(server: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        run(binding(server))


def test_of_several_errors_the_one_that_says_most_is_raised() -> None:
    """A host without IPv6 refuses the IPv6 address at once; that the IPv4 one is silent is what matters."""
    silent, refused = TransactionTimeoutError("no answer"), TransportClosedError("Network is unreachable")
    assert more_telling(None, refused) is refused
    assert more_telling(silent, refused) is silent
    assert more_telling(refused, silent) is silent
    assert more_telling(refused, TransportClosedError("another")) is not refused
