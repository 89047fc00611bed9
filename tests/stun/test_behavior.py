"""The discovery by itself, against answers that a script gives; tests/scenarios has it behind every kind of NAT."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from icelane.core.clock import Instant
from icelane.core.engine import Transmit
from icelane.core.net import Path, SocketAddress, Transport
from icelane.errors import LocalProtocolError, MalformedError, StunError, TransactionTimeoutError
from icelane.stun.attributes import (
    AttributeType,
    encode_address,
    encode_error_code,
    encode_xor_address,
    parse_change_request,
)
from icelane.stun.behavior import Behavior, BehaviorDiscovered, BehaviorDiscovery, DiscoveryFailed
from icelane.stun.message import Message, MessageBuilder, MessageClass, parse_message
from icelane.testing.clock import VirtualClock
from icelane.testing.entropy import SeededEntropy

A1P1 = SocketAddress("198.51.100.1", 3478)
A1P2 = SocketAddress("198.51.100.1", 3479)
A2P1 = SocketAddress("198.51.100.2", 3478)
A2P2 = SocketAddress("198.51.100.2", 3479)
MAPPING = SocketAddress("10.0.0.2", 5000)
FILTERING = SocketAddress("10.0.0.2", 5001)
OUTSIDE = "203.0.113.7"
TIMEOUT = 10.0


def outside(local: SocketAddress) -> SocketAddress:
    return SocketAddress(OUTSIDE, local.port + 1000)


class Script:
    """An engine, a clock, and a server that answers by the functions a test replaces."""

    def __init__(self, server: SocketAddress = A1P1, other: SocketAddress | None = A2P2) -> None:
        self.clock = VirtualClock()
        self.engine = BehaviorDiscovery(
            server, mapping=MAPPING, filtering=FILTERING, entropy=SeededEntropy(1), timeout=TIMEOUT
        )
        self.other = other
        self.mapped: Callable[[Path], SocketAddress] = lambda path: outside(path.local)
        self.answers: Callable[[Transmit], bool] = lambda _: True
        self.on_request: Callable[[Transmit], None] = self.answer
        self.response: Callable[[Message, Path], bytes] = self.success
        self.hairpins: Callable[[Transmit], SocketAddress | None] = lambda _: None
        self.sent: list[Transmit] = []
        self.outcomes: list[BehaviorDiscovered | DiscoveryFailed] = []

    def run(self) -> BehaviorDiscovered | DiscoveryFailed:
        """Let it come to its end, which it tells once and within its time."""
        begun = self.clock.now
        self.engine.start(self.clock.now)
        self.drain()
        while (at := self.engine.next_timeout()) is not None:
            self.clock.advance(max(0.0, at - self.clock.now))
            self.engine.handle_timeout(self.clock.now)
            self.drain()
        assert self.clock.now - begun <= TIMEOUT + 1e-6
        assert len(self.outcomes) == 1
        return self.outcomes[0]

    def found(self) -> BehaviorDiscovered:
        outcome = self.run()
        assert isinstance(outcome, BehaviorDiscovered)
        return outcome

    def drain(self) -> None:
        while (transmit := self.engine.poll_transmit()) is not None:
            self.sent.append(transmit)
            if (inside := self.hairpins(transmit)) is not None:
                self.receive(transmit.data, inside, outside(transmit.path.local))
            if transmit.path.remote.host != OUTSIDE and self.answers(transmit):
                self.on_request(transmit)
        while (event := self.engine.poll_event()) is not None:
            self.outcomes.append(event)

    def answer(self, transmit: Transmit) -> None:
        """What a server with two addresses answers."""
        request = parse_message(transmit.data)
        wanted = request.get(AttributeType.CHANGE_REQUEST)
        source = transmit.path.remote
        if wanted is not None and self.other is not None:
            change = parse_change_request(wanted)
            source = self.other if change.address else SocketAddress(source.host, self.other.port)
        self.receive(self.response(request, transmit.path), transmit.path.local, source)

    def success(self, request: Message, path: Path) -> bytes:
        builder = MessageBuilder.response_to(request)
        builder.add(AttributeType.XOR_MAPPED_ADDRESS, encode_xor_address(self.mapped(path), request.transaction_id))
        if self.other is not None:
            builder.add(AttributeType.OTHER_ADDRESS, encode_address(self.other))
        return builder.build()

    def receive(self, data: bytes, local: SocketAddress, source: SocketAddress) -> None:
        self.engine.handle_datagram(data, Path(local, source, Transport.UDP), self.clock.now)


def changes(transmit: Transmit) -> bool:
    return parse_message(transmit.data).has(AttributeType.CHANGE_REQUEST)


def refusal(request: Message, code: int) -> bytes:
    builder = MessageBuilder.response_to(request, MessageClass.ERROR)
    return builder.add(AttributeType.ERROR_CODE, encode_error_code(code, "")).build()


def test_a_nat_that_lets_everything_in_is_known_after_two_round_trips() -> None:
    script = Script()
    found = script.found()
    assert found.mapping is found.filtering is Behavior.ENDPOINT_INDEPENDENT
    assert (found.server, found.other, found.local, found.mapped) == (A1P1, A2P2, MAPPING, outside(MAPPING))
    assert found.translated
    assert found.silent == ()
    assert not found.change_refused


def test_each_port_keeps_to_its_own_tests() -> None:
    """RFC 5780 section 4.5: nothing may have left to where a filtering test is answered from."""
    script = Script()
    script.found()
    from_filtering = {transmit.path.remote for transmit in script.sent if transmit.path.local == FILTERING}
    assert from_filtering == {A1P1, outside(MAPPING)}
    from_mapping = {transmit.path.remote for transmit in script.sent if transmit.path.local == MAPPING}
    assert from_mapping == {A1P1, A1P2, A2P1, A2P2, outside(FILTERING)}


def test_the_server_gets_no_more_requests_than_the_rfc_wants() -> None:
    """RFC 5780 section 5: ten new transactions in a second at most, which are not sent again together."""
    script = Script()
    script.answers = lambda transmit: not changes(transmit)
    script.found()
    ids = {parse_message(transmit.data).transaction_id for transmit in script.sent}
    assert len(ids) <= 10


def test_requests_that_began_together_are_not_repeated_together() -> None:
    script = Script()
    script.answers = lambda transmit: transmit.path.remote == A1P1 and not changes(transmit)
    sendings: list[tuple[Instant, bytes]] = []
    script.engine.start(script.clock.now)
    script.drain()
    while (at := script.engine.next_timeout()) is not None:
        script.clock.advance(at - script.clock.now)
        before = len(script.sent)
        script.engine.handle_timeout(script.clock.now)
        script.drain()
        sendings += [(script.clock.now, transmit.data) for transmit in script.sent[before:]]
    assert len({at for at, _ in sendings}) == len(sendings) > 20


@pytest.mark.parametrize(
    ("ports", "mapping"),
    [
        ({}, Behavior.ENDPOINT_INDEPENDENT),
        ({A2P1: 1, A2P2: 1}, Behavior.ADDRESS_DEPENDENT),
        ({A2P1: 1, A2P2: 2, A1P2: 3}, Behavior.ADDRESS_AND_PORT_DEPENDENT),
        ({A1P2: 1}, Behavior.ADDRESS_AND_PORT_DEPENDENT),
        ({A2P2: 1, A1P2: 1}, Behavior.ADDRESS_AND_PORT_DEPENDENT),
    ],
)
def test_the_mapping_is_told_by_what_four_addresses_see(ports: dict[SocketAddress, int], mapping: Behavior) -> None:
    script = Script()

    def mapped(path: Path) -> SocketAddress:
        one = outside(path.local)
        return SocketAddress(one.host, one.port + ports.get(path.remote, 0))

    script.mapped = mapped
    assert script.found().mapping is mapping


def test_without_translation_there_is_no_mapping_to_depend_on_anything() -> None:
    script = Script()
    script.mapped = lambda path: path.local
    script.answers = lambda transmit: transmit.path.remote == A1P1 and not changes(transmit)
    found = script.found()
    assert not found.translated
    assert found.mapping is Behavior.ENDPOINT_INDEPENDENT
    assert found.hairpinning is None
    assert not [transmit for transmit in script.sent if transmit.path.remote in (MAPPING, FILTERING)]


@pytest.mark.parametrize(("first", "second"), [(True, Behavior.ADDRESS_DEPENDENT),
                                               (False, Behavior.ADDRESS_AND_PORT_DEPENDENT)])  # fmt: skip
def test_silence_from_elsewhere_is_a_filter(first: bool, second: Behavior) -> None:
    script = Script()

    def answers(transmit: Transmit) -> bool:
        wanted = parse_message(transmit.data).get(AttributeType.CHANGE_REQUEST)
        return wanted is None or (first and not parse_change_request(wanted).address)

    script.answers = answers
    assert script.found().filtering is second


@pytest.mark.parametrize("silent", [A1P2, A2P2])
def test_silence_means_nothing_where_nobody_answers_at_all(silent: SocketAddress) -> None:
    """A server whose firewall does not let its second address out looks like a filter from here."""
    script = Script()
    script.answers = lambda transmit: not changes(transmit) and transmit.path.remote != silent
    found = script.found()
    assert found.filtering is None
    assert found.silent == (silent,)


def test_the_mapping_is_not_guessed_when_the_second_address_is_silent() -> None:
    script = Script()
    script.answers = lambda transmit: transmit.path.remote.host == A1P1.host
    found = script.found()
    assert found.mapping is None
    assert found.silent == (A2P1, A2P2)


@pytest.mark.parametrize("local", [MAPPING, FILTERING])
def test_our_own_request_at_the_other_port_was_hairpinned(local: SocketAddress) -> None:
    script = Script()
    script.hairpins = lambda transmit: local if transmit.path.remote == outside(local) else None
    assert script.found().hairpinning is True


def test_nothing_that_comes_back_to_the_port_that_sent_it_was_hairpinned() -> None:
    script = Script()
    script.hairpins = lambda transmit: transmit.path.local
    assert script.found().hairpinning is False


def test_a_response_is_no_request_of_ours() -> None:
    """Somebody else may live at the address that a server calls ours."""
    script = Script()

    def answer(transmit: Transmit) -> None:
        script.answer(transmit)
        for sent in script.sent:
            if sent.path.remote.host == OUTSIDE:
                data = script.success(parse_message(sent.data), sent.path)
                for local in (MAPPING, FILTERING):
                    script.receive(data, local, sent.path.remote)

    script.on_request = answer
    assert script.found().hairpinning is False


def test_a_server_without_a_second_address_is_told_from_one_that_filters() -> None:
    script = Script(other=None)
    found = script.found()
    assert found == BehaviorDiscovered(server=A1P1, other=None, local=MAPPING, mapped=outside(MAPPING))
    assert len(script.sent) == 2


@pytest.mark.parametrize(
    ("server", "other"),
    [
        (A1P1, A1P1),
        (A1P1, A1P2),
        (A1P1, A2P1),
        (A1P1, SocketAddress("198.51.100.2", 0)),
        (A1P1, SocketAddress("2001:db8::2", 3479)),
        (A1P1, SocketAddress("0.0.0.0", 3479)),
        (A1P1, SocketAddress("255.255.255.255", 3479)),
        (A1P1, SocketAddress("239.1.1.1", 3479)),
        (A1P1, SocketAddress("127.0.0.1", 3479)),
        (SocketAddress("8.8.8.8", 3478), SocketAddress("192.168.1.1", 53)),
        (SocketAddress("8.8.8.8", 3478), SocketAddress("169.254.169.254", 80)),
    ],
)
def test_we_are_not_sent_to_places_where_no_second_address_can_be(server: SocketAddress, other: SocketAddress) -> None:
    script = Script(server, other)
    assert script.found().other is None
    assert {transmit.path.remote for transmit in script.sent} == {server}


def test_no_request_of_ours_goes_to_an_address_inside_that_a_server_outside_calls_ours() -> None:
    script = Script(SocketAddress("8.8.8.8", 3478), SocketAddress("8.8.4.4", 3479))
    script.mapped = lambda _: SocketAddress("192.168.1.1", 53)
    assert script.found().hairpinning is None
    assert all(transmit.path.remote.host in ("8.8.8.8", "8.8.4.4") for transmit in script.sent)


def test_udp_that_is_blocked_is_a_timeout() -> None:
    script = Script()
    script.answers = lambda _: False
    outcome = script.run()
    assert isinstance(outcome, DiscoveryFailed)
    assert isinstance(outcome.error, TransactionTimeoutError)


def test_an_error_of_the_server_is_told() -> None:
    script = Script()
    script.response = lambda request, _: refusal(request, 401)
    outcome = script.run()
    assert isinstance(outcome, DiscoveryFailed)
    assert isinstance(outcome.error, StunError)
    assert outcome.error.code == 401


def test_answers_that_cannot_be_read_are_told_when_no_better_ones_come() -> None:
    script = Script()
    script.response = lambda request, _: MessageBuilder.response_to(request).build()
    outcome = script.run()
    assert isinstance(outcome, DiscoveryFailed)
    assert isinstance(outcome.error, MalformedError)


@pytest.mark.parametrize("how", ["420", "from where it was asked"])
def test_a_server_that_answers_from_nowhere_else_says_nothing_of_the_filter(how: str) -> None:
    script = Script()

    def stubborn(transmit: Transmit) -> None:
        if not changes(transmit):
            script.answer(transmit)
            return
        request = parse_message(transmit.data)
        data = refusal(request, 420) if how == "420" else script.response(request, transmit.path)
        script.receive(data, transmit.path.local, transmit.path.remote)

    script.on_request = stubborn
    found = script.found()
    assert found.filtering is None
    assert found.change_refused
    assert found.mapping is Behavior.ENDPOINT_INDEPENDENT


def test_answers_from_anybody_else_count_for_nothing() -> None:
    script = Script()

    def misled(transmit: Transmit) -> None:
        request = parse_message(transmit.data)
        for source in (SocketAddress("192.0.2.66", 3478), A1P2, A2P1):
            if source != transmit.path.remote and not changes(transmit):
                data = MessageBuilder.response_to(request)
                forged = encode_xor_address(SocketAddress("192.0.2.66", 66), request.transaction_id)
                script.receive(data.add(AttributeType.XOR_MAPPED_ADDRESS, forged).build(), transmit.path.local, source)
        data = MessageBuilder.response_to(request, MessageClass.INDICATION)
        script.receive(data.build(), transmit.path.local, transmit.path.remote)
        script.receive(b"\0\1", transmit.path.local, transmit.path.remote)
        script.answer(transmit)

    script.on_request = misled
    found = script.found()
    assert found.mapped == outside(MAPPING)
    assert found.mapping is found.filtering is Behavior.ENDPOINT_INDEPENDENT


def test_a_discovery_is_made_once() -> None:
    script = Script()
    script.engine.handle_timeout(script.clock.now)
    assert script.engine.next_timeout() is None
    script.found()
    with pytest.raises(LocalProtocolError):
        script.engine.start(script.clock.now)
