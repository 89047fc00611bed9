"""Binding at a server with two addresses and two ports (RFC 5780); test_server_binding.py is about all others."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import pytest

from icelane.core.net import Path, SocketAddress, Transport
from icelane.stun.attributes import (
    AttributeType,
    ChangeRequest,
    encode_change_request,
    encode_response_port,
    parse_address,
    parse_unknown_attributes,
    parse_xor_address,
)
from icelane.stun.message import MessageBuilder, MessageClass, Method
from icelane.turn.behavior import BehaviorOrigins
from icelane.turn.binding import FIRST_RESPONSE_PORT
from icelane.turn.limiter import DEFAULT_BURST
from tests.turn.server_driver import USERS, Reply, ServerDriver, checked, credentials, settings

ID = b"transaction!"
PORTS = (3478, 3479)
IPV4 = ("192.0.2.1", "192.0.2.2")
IPV6 = ("2001:db8::1", "2001:db8::2")
ORIGINS = BehaviorOrigins(pairs=(IPV4, IPV6), ports=PORTS)
CLIENTS = {IPV4: SocketAddress("198.51.100.7", 40_000), IPV6: SocketAddress("2001:db8:1::7", 40_000)}
CHANGES = [ChangeRequest(*flags) for flags in itertools.product((False, True), repeat=2)]


class Answer(NamedTuple):
    """A response, where it came from and where it went."""

    reply: Reply
    path: Path

    def address(self, kind: int) -> SocketAddress:
        return parse_address(self.reply[kind])


def driver(rate: int = 0, origins: BehaviorOrigins | None = ORIGINS) -> ServerDriver:
    return ServerDriver(config=settings(unauthenticated_replies_per_second=rate, behavior=origins))


def change(wanted: ChangeRequest) -> tuple[int, bytes]:
    return AttributeType.CHANGE_REQUEST, encode_change_request(wanted)


def response_port(port: int) -> tuple[int, bytes]:
    return AttributeType.RESPONSE_PORT, encode_response_port(port)


def request(*attributes: tuple[int, bytes], fingerprint: bool = False) -> bytes:
    builder = MessageBuilder(Method.BINDING, MessageClass.REQUEST, ID)
    for attribute in attributes:
        builder.add(*attribute)
    return (builder.add_fingerprint() if fingerprint else builder).build()


def at(host: str, port: int, transport: Transport = Transport.UDP) -> Path:
    """The path of a client that asks there."""
    return Path(SocketAddress(host, port), CLIENTS[IPV6 if ":" in host else IPV4], transport)


HERE = at(IPV4[0], PORTS[0])


def ask(
    server: ServerDriver, *attributes: tuple[int, bytes], path: Path = HERE, fingerprint: bool = False
) -> Answer | None:
    """Send a Binding request on `path`; None when there is no answer."""
    before = len(server.sent)
    server.engine.handle_datagram(request(*attributes, fingerprint=fingerprint), path, server.clock.now)
    server.drain()
    server.assert_nothing_is_left()
    answers = server.sent[before:]
    assert len(answers) <= 1
    return Answer(checked(answers[0][1]), answers[0][0]) if answers else None


def answered(
    server: ServerDriver, *attributes: tuple[int, bytes], path: Path = HERE, fingerprint: bool = False
) -> Answer:
    """The same where an answer is due."""
    answer = ask(server, *attributes, path=path, fingerprint=fingerprint)
    assert answer is not None
    return answer


@pytest.mark.parametrize("wanted", CHANGES)
@pytest.mark.parametrize("pair", [IPV4, IPV6])
def test_an_answer_comes_from_where_it_is_wanted_and_names_the_other_address(
    pair: tuple[str, str], wanted: ChangeRequest
) -> None:
    server = driver()
    for here, port in itertools.product((0, 1), repeat=2):
        answer = answered(server, change(wanted), path=at(pair[here], PORTS[port]), fingerprint=True)
        host = pair[here ^ wanted.address]
        origin = SocketAddress(host, PORTS[port ^ wanted.port])
        assert answer.path == Path(origin, CLIENTS[pair], Transport.UDP)
        assert answer.address(AttributeType.OTHER_ADDRESS) == (pair[1 - here], PORTS[1 - port])
        mapped = parse_xor_address(answer.reply[AttributeType.XOR_MAPPED_ADDRESS], ID)
        assert mapped == CLIENTS[pair]


def test_an_answer_says_where_it_came_from_and_the_address_in_clear_where_there_is_room() -> None:
    answer = answered(driver(), change(ChangeRequest(address=True, port=True)))
    assert answer.address(AttributeType.RESPONSE_ORIGIN) == (IPV4[1], PORTS[1]) == answer.path.local
    assert answer.address(AttributeType.MAPPED_ADDRESS) == CLIENTS[IPV4]


def test_a_request_that_asks_for_nothing_is_told_the_other_address_too() -> None:
    answer = answered(driver())
    assert answer.path.local == (IPV4[0], PORTS[0])
    assert answer.address(AttributeType.OTHER_ADDRESS) == (IPV4[1], PORTS[1])


def test_clients_are_told_public_addresses_and_answered_from_our_own() -> None:
    external = {IPV4[0]: "203.0.113.1", IPV4[1]: "203.0.113.2"}
    server = driver(origins=BehaviorOrigins(pairs=(IPV4,), ports=PORTS, external=external))
    answer = answered(server, change(ChangeRequest(address=True, port=False)))
    assert answer.path.local == (IPV4[1], PORTS[0])
    assert answer.address(AttributeType.RESPONSE_ORIGIN) == ("203.0.113.2", PORTS[0])
    assert answer.address(AttributeType.OTHER_ADDRESS) == ("203.0.113.2", PORTS[1])


def test_a_public_address_that_moves_is_told_from_then_on() -> None:
    server = driver()
    moved = BehaviorOrigins(pairs=(IPV4,), ports=PORTS, external={IPV4[1]: "203.0.113.9"})
    server.engine.set_external_addresses({}, settings().policy, moved)
    assert answered(server).address(AttributeType.OTHER_ADDRESS) == ("203.0.113.9", PORTS[1])


@pytest.mark.parametrize(
    ("path", "origins"),
    [
        (HERE, None),
        (at("192.0.2.3", PORTS[0]), ORIGINS),
        (at(IPV4[0], 5349), ORIGINS),
        (at(IPV4[0], PORTS[0], Transport.TCP), ORIGINS),
        (at(IPV4[0], PORTS[0], Transport.TLS), ORIGINS),
    ],
)
def test_where_there_is_no_second_address_the_wish_for_one_is_not_understood(
    path: Path, origins: BehaviorOrigins | None
) -> None:
    """RFC 5780 section 6: 420, and no OTHER-ADDRESS. Over a stream nothing can come from elsewhere."""
    server = driver(origins=origins)
    both = (change(ChangeRequest(address=True, port=True)), response_port(40_001))
    for wishes in (both[:1], both[1:], both):
        refused = answered(server, *wishes, path=path)
        assert refused.reply.code == 420
        unknown = parse_unknown_attributes(refused.reply[AttributeType.UNKNOWN_ATTRIBUTES])
        assert unknown == tuple(kind for kind, _ in wishes)
        assert refused.path == path
    plain = answered(server, path=path)
    assert [kind for kind, _ in plain.reply.message.attributes] == [AttributeType.XOR_MAPPED_ADDRESS]


def test_an_answer_goes_to_another_port_of_the_same_address() -> None:
    answer = answered(driver(), response_port(40_001))
    assert answer.path.remote == (CLIENTS[IPV4].host, 40_001)
    assert parse_xor_address(answer.reply[AttributeType.XOR_MAPPED_ADDRESS], ID) == CLIENTS[IPV4]


@pytest.mark.parametrize("port", [0, 19, 53, FIRST_RESPONSE_PORT - 1])
def test_no_answer_goes_to_a_port_of_the_system(port: int) -> None:
    refused = answered(driver(), response_port(port))
    assert refused.reply.code == 400
    assert refused.path == HERE


@pytest.mark.parametrize("kind", [AttributeType.CHANGE_REQUEST, AttributeType.RESPONSE_PORT])
@pytest.mark.parametrize("value", [b"", b"\0\0\6", bytes(8)])
def test_a_wish_that_cannot_be_read_is_refused(kind: int, value: bytes) -> None:
    refused = answered(driver(), (kind, value))
    assert refused.reply.code == 400
    assert refused.path.local == (IPV4[0], PORTS[0])


def test_padding_is_not_understood() -> None:
    """TQ-4: RFC 5780 has it answered with as much as the MTU, whatever came in."""
    refused = answered(driver(), (AttributeType.PADDING, b""))
    assert refused.reply.code == 420
    assert parse_unknown_attributes(refused.reply[AttributeType.UNKNOWN_ATTRIBUTES]) == (AttributeType.PADDING,)


@pytest.mark.parametrize("pair", [IPV4, IPV6])
def test_nobody_gets_much_more_than_he_sends_from_two_addresses_either(pair: tuple[str, str]) -> None:
    """TQ-4: 2.5 times the request. A bare IPv6 one gets OTHER-ADDRESS all the same, which is the whole service."""
    server = driver()
    wishes: list[tuple[int, bytes]] = [change(ChangeRequest(address=True, port=True)), response_port(40_001)]
    worst = 0.0
    for size, fingerprint in itertools.product((None, 0, 1, 20, 100, 1400), (False, True)):
        filler = [] if size is None else [(int(AttributeType.SOFTWARE), b"x" * size)]
        for extra in ([], wishes[:1], wishes[1:], wishes, [(AttributeType.CHANGE_REQUEST, b"")], [(0x7FFF, b"")]):
            attributes = [*filler, *extra]
            answer = answered(server, *attributes, path=at(pair[0], PORTS[0]), fingerprint=fingerprint)
            came = len(request(*attributes, fingerprint=fingerprint))
            factor = len(answer.reply.message.raw) / came
            assert factor <= (3.4 if pair == IPV6 and came <= 28 else 2.5), (attributes, factor)
            worst = max(worst, factor)
    assert worst > 2.0, "the shapes have lost the largest"


@pytest.mark.parametrize(
    "attribute",
    [change(ChangeRequest(address=True, port=True)), response_port(40_001)],
    ids=["CHANGE-REQUEST", "RESPONSE-PORT"],
)
def test_a_source_that_may_be_forged_is_heard_only_so_often(attribute: tuple[int, bytes]) -> None:
    """TQ-3: as often as it would be challenged; above that it is told its address, and nothing comes from elsewhere."""
    server = driver(rate=200)
    answers = [ask(server, attribute) for _ in range(int(DEFAULT_BURST) + 500)]
    assert sum(answer is not None for answer in answers) == DEFAULT_BURST
    plain = answered(server)
    assert not plain.reply.has(AttributeType.OTHER_ADDRESS)
    assert plain.path.local == (IPV4[0], PORTS[0])
    server.advance(1.0)
    assert sum(ask(server, attribute) is not None for _ in range(500)) == 200


def test_wishes_for_answers_from_elsewhere_take_away_nobodys_challenges() -> None:
    """TQ-3: a forged source must not lose its way into TURN."""
    server = driver(rate=200)
    for _ in range(int(DEFAULT_BURST) + 1):
        ask(server, change(ChangeRequest(address=True, port=True)))
    challenged = server.send(MessageBuilder(Method.ALLOCATE, MessageClass.REQUEST, ID).build(), HERE)
    assert challenged is not None
    assert checked(challenged).code == 401


def test_another_rate_counts_from_the_reload_on() -> None:
    server = driver(rate=200)
    wish = change(ChangeRequest(address=True, port=True))
    for _ in range(int(DEFAULT_BURST)):
        ask(server, wish)
    assert ask(server, wish) is None
    config = settings(unauthenticated_replies_per_second=0, behavior=ORIGINS)
    server.engine.reconfigure(config, credentials(USERS), frozenset(), server.clock.now)
    assert ask(server, wish) is not None
