from __future__ import annotations

from icelane.core.engine import Transmit
from icelane.core.net import Path, SocketAddress, Transport
from icelane.errors import StunError, TransactionTimeoutError
from icelane.peer.ice_server import MAX_SERVERS
from icelane.peer.reflexive import (
    KEEPALIVE_INTERVAL,
    MAX_BASES,
    PROBE_TIMEOUT,
    MappedAddressFound,
    ProbeFailed,
    ReflexiveProbes,
)
from icelane.stun.attributes import AttributeType, encode_error_code, encode_xor_address
from icelane.stun.message import Message, MessageBuilder, MessageClass, parse_message
from icelane.testing.clock import VirtualClock
from icelane.testing.entropy import SeededEntropy

BASE = SocketAddress("192.0.2.7", 40_000)
OTHER_BASE = SocketAddress("192.0.2.8", 40_000)
BASE6 = SocketAddress("2001:db8::7", 40_000)
SERVER = SocketAddress("198.51.100.1", 3478)
MAPPED = SocketAddress("203.0.113.7", 61_000)
URL = "stun:stun.example.org"


class Fixture:
    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.probes = ReflexiveProbes(entropy=SeededEntropy())

    def sent(self) -> list[Transmit]:
        found = []
        while (transmit := self.probes.poll_transmit()) is not None:
            found.append(transmit)
        return found

    def events(self) -> list[object]:
        found: list[object] = []
        while (event := self.probes.poll_event()) is not None:
            found.append(event)
        return found

    def pass_time(self, seconds: float) -> list[Transmit]:
        """Let time pass; what was sent meanwhile."""
        end, sent = self.clock.now + seconds, []
        while (at := self.probes.next_timeout()) is not None and at <= end:
            self.clock.advance(at - self.clock.now)
            self.probes.handle_timeout(self.clock.now)
            sent += self.sent()
        self.clock.advance(end - self.clock.now)
        return sent

    def answer(self, transmit: Transmit, *, source: SocketAddress | None = None) -> bool:
        request = parse_message(transmit.data)
        builder = MessageBuilder.response_to(request)
        builder.add(AttributeType.XOR_MAPPED_ADDRESS, encode_xor_address(MAPPED, request.transaction_id))
        return self.receive(builder.build(), transmit.path, source)

    def receive(self, data: bytes, path: Path, source: SocketAddress | None = None) -> bool:
        message: Message = parse_message(data)
        if source is not None:
            path = path._replace(remote=source)
        return self.probes.handle_message(message, path, self.clock.now)


def test_every_base_asks_every_server_of_its_family_whichever_comes_first() -> None:
    fixture = Fixture()
    fixture.probes.add_base(BASE, fixture.clock.now)
    fixture.probes.add_server(SERVER, URL, fixture.clock.now)
    fixture.probes.add_base(OTHER_BASE, fixture.clock.now)
    fixture.probes.add_base(BASE6, fixture.clock.now)
    assert [transmit.path for transmit in fixture.sent()] == [
        Path(BASE, SERVER, Transport.UDP),
        Path(OTHER_BASE, SERVER, Transport.UDP),
    ]
    assert fixture.probes.pending


def test_an_answer_is_told_with_the_base_and_the_server_that_it_belongs_to() -> None:
    fixture = Fixture()
    fixture.probes.add_base(BASE, fixture.clock.now)
    fixture.probes.add_server(SERVER, URL, fixture.clock.now)
    (request,) = fixture.sent()
    assert fixture.answer(request)
    assert fixture.events() == [MappedAddressFound(BASE, MAPPED, SERVER, URL)]
    assert not fixture.probes.pending
    assert not fixture.answer(request), "a second answer is nobody's"


def test_an_answer_from_elsewhere_is_nobody_s() -> None:
    fixture = Fixture()
    fixture.probes.add_base(BASE, fixture.clock.now)
    fixture.probes.add_server(SERVER, URL, fixture.clock.now)
    (request,) = fixture.sent()
    assert not fixture.answer(request, source=SocketAddress("198.51.100.66", 3478))
    assert fixture.probes.pending


def test_a_dead_server_is_asked_again_and_given_up_while_the_others_are_done() -> None:
    fixture = Fixture()
    dead = SocketAddress("198.51.100.9", 3478)
    fixture.probes.add_base(BASE, fixture.clock.now)
    fixture.probes.add_server(dead, "stun:dead.example.org", fixture.clock.now)
    fixture.probes.add_server(SERVER, URL, fixture.clock.now)
    _, request = fixture.sent()
    fixture.answer(request)
    assert [type(event) for event in fixture.events()] == [MappedAddressFound]
    fixture.probes.settle()
    resent = fixture.pass_time(PROBE_TIMEOUT)
    assert {transmit.path.remote for transmit in resent} == {dead}
    assert len(resent) == 3
    (failed,) = fixture.events()
    assert isinstance(failed, ProbeFailed)
    assert isinstance(failed.error, TransactionTimeoutError)
    assert fixture.probes.next_timeout() is None
    assert not fixture.probes.pending


def test_an_error_of_the_server_ends_the_probe_with_its_code() -> None:
    fixture = Fixture()
    fixture.probes.add_base(BASE, fixture.clock.now)
    fixture.probes.add_server(SERVER, URL, fixture.clock.now)
    (request,) = fixture.sent()
    refusal = MessageBuilder.response_to(parse_message(request.data), MessageClass.ERROR)
    refusal.add(AttributeType.ERROR_CODE, encode_error_code(400, "Bad Request"))
    fixture.receive(refusal.build(), request.path)
    (failed,) = fixture.events()
    assert isinstance(failed, ProbeFailed)
    assert isinstance(failed.error, StunError)
    assert failed.error.code == 400


def test_an_answer_without_an_address_counts_as_none() -> None:
    fixture = Fixture()
    fixture.probes.add_base(BASE, fixture.clock.now)
    fixture.probes.add_server(SERVER, URL, fixture.clock.now)
    (request,) = fixture.sent()
    fixture.receive(MessageBuilder.response_to(parse_message(request.data)).build(), request.path)
    assert not fixture.events()
    assert fixture.answer(request), "the honest answer still counts"


def test_bindings_are_kept_open_until_ice_has_settled() -> None:
    fixture = Fixture()
    fixture.probes.add_base(BASE, fixture.clock.now)
    fixture.probes.add_server(SERVER, URL, fixture.clock.now)
    fixture.answer(fixture.sent()[0])
    kept = fixture.pass_time(2 * KEEPALIVE_INTERVAL)
    assert [parse_message(transmit.data).message_class for transmit in kept] == [MessageClass.INDICATION] * 2
    fixture.probes.settle()
    assert not fixture.pass_time(10 * KEEPALIVE_INTERVAL)


def test_a_base_that_is_gone_says_nothing_any_more() -> None:
    fixture = Fixture()
    fixture.probes.add_server(SERVER, URL, fixture.clock.now)
    fixture.probes.add_base(BASE, fixture.clock.now)
    (request,) = fixture.sent()
    fixture.probes.remove_base(BASE)
    assert not fixture.answer(request)
    assert not fixture.pass_time(60)
    assert not fixture.events()
    assert fixture.probes.next_timeout() is None


def test_bases_and_servers_beyond_the_bounds_are_left_out() -> None:
    fixture = Fixture()
    for port in range(MAX_SERVERS + 5):
        fixture.probes.add_server(SocketAddress("198.51.100.1", 3478 + port), URL, fixture.clock.now)
    for port in range(MAX_BASES + 5):
        fixture.probes.add_base(SocketAddress("192.0.2.7", 40_000 + port), fixture.clock.now)
    assert len(fixture.sent()) == MAX_SERVERS * MAX_BASES


def test_a_server_that_is_added_again_is_asked_again_unless_it_is_being_asked() -> None:
    fixture = Fixture()
    fixture.probes.add_base(BASE, fixture.clock.now)
    fixture.probes.add_server(SERVER, URL, fixture.clock.now)
    (first,) = fixture.sent()
    fixture.probes.add_server(SERVER, URL, fixture.clock.now)
    assert fixture.sent() == []
    assert fixture.answer(first)
    fixture.probes.settle()
    fixture.probes.resume()
    fixture.probes.add_server(SERVER, URL, fixture.clock.now)
    (second,) = fixture.sent()
    assert fixture.answer(second)
    assert len(fixture.events()) == 2
    assert len(fixture.pass_time(KEEPALIVE_INTERVAL + 0.1)) == 1  # kept open once more
