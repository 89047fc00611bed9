"""What a client, a user and a stranger can take from the server: ports, quotas, replies, bytes."""

from __future__ import annotations

import random
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from icelane.core.net import Path, SocketAddress, Transport
from icelane.crypto.provider import SystemEntropy
from icelane.stun.attributes import AttributeType
from icelane.stun.message import Message, MessageBuilder, MessageClass, Method, parse_message
from icelane.stun.nonce import NONCE_SIZE
from icelane.testing.entropy import SeededEntropy
from icelane.turn.attributes import encode_even_port, encode_requested_transport
from icelane.turn.credentials import Secret
from icelane.turn.limiter import REPORT_WINDOW
from icelane.turn.routes import BindRelayPort
from tests.scale import scaled
from tests.turn.server_driver import (
    PEER,
    UDP_RELAY,
    Attribute,
    Caller,
    Reply,
    ServerDriver,
    checked,
    lifetime,
    path_from,
    settings,
)

pytestmark = pytest.mark.twin

EVEN = (AttributeType.EVEN_PORT, encode_even_port(False))
EVEN_AND_NEXT = (AttributeType.EVEN_PORT, encode_even_port(True))
BARE = MessageBuilder(Method.ALLOCATE, MessageClass.REQUEST, b"t" * 12).add(*UDP_RELAY).build()


def codes(replies: Iterator[Reply]) -> Counter[int | None]:
    return Counter(reply.code for reply in replies)


# TQ-2: strangers


def test_a_flood_of_strangers_leaves_nothing_and_keeps_nobody_out() -> None:
    """TQ-2: unauthenticated Allocates from distinct ports, half of them with garbage for integrity."""
    driver = ServerDriver()
    garbage = MessageBuilder(Method.ALLOCATE, MessageClass.REQUEST, b"t" * 12).add(*UDP_RELAY)
    for kind, value in ((AttributeType.USERNAME, b"alice"), (AttributeType.REALM, b"example.org")):
        garbage.add(kind, value)
    rubbish = garbage.add(AttributeType.NONCE, b"x" * NONCE_SIZE).add_integrity_sha1(b"guess").build()
    engine, now = driver.engine, driver.clock.now

    def flood(count: int) -> None:
        for number in range(count):
            path = path_from(f"192.0.2.{number % 250}", 1024 + number % 60000)
            engine.handle_datagram(BARE if number % 2 else rubbish, path, now)
            while engine.poll_transmit() or engine.poll_event():
                pass

    flood(1000)
    tracemalloc.start()
    flood(scaled(50_000))
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held < 512 * 1024
    driver.assert_nothing_is_left()
    assert driver.caller(path=path_from("203.0.113.1", 1)).allocate().code is None


# TQ-3: replies to one source


def challenges(driver: ServerDriver, host: str, count: int, transport: Transport = Transport.UDP) -> int:
    """How many of `count` unauthenticated requests, each from its own port, were answered."""
    paths = (path_from(host, 1024 + number, transport) for number in range(count))
    return sum(driver.send(BARE, path) is not None for path in paths)


def test_one_source_is_challenged_a_thousand_times_and_then_two_hundred_times_a_second() -> None:
    """TQ-3: rotating ports gains nothing; above the limit there is silence."""
    driver = ServerDriver()
    assert challenges(driver, "192.0.2.1", 3000) == 1000
    driver.advance(1)
    assert challenges(driver, "192.0.2.1", 3000) == 200
    assert challenges(driver, "192.0.2.2", 500) == 500


def test_an_ipv6_source_is_its_64_bits() -> None:
    """TQ-3."""
    driver = ServerDriver()
    answered = sum(driver.send(BARE, path_from(f"2001:db8::{number:x}", 1)) is not None for number in range(2000))
    assert answered == 1000
    assert driver.send(BARE, path_from("2001:db8:0:1::1", 1)) is not None


@pytest.mark.parametrize("transport", [Transport.TCP, Transport.TLS])
def test_streams_are_not_limited(transport: Transport) -> None:
    """TQ-3: whoever has a connection is where he says."""
    assert challenges(ServerDriver(), "192.0.2.1", 1500, transport) == 1500


def test_a_rate_of_zero_is_no_limit() -> None:
    """TQ-3."""
    driver = ServerDriver(config=settings(unauthenticated_replies_per_second=0))
    assert challenges(driver, "192.0.2.1", 1500) == 1500


def test_a_stale_or_foreign_nonce_counts_as_none() -> None:
    """TQ-3: 438 as well as 401."""
    driver = ServerDriver()
    foreign = driver.caller().build(Method.ALLOCATE, UDP_RELAY)
    answered = sum(driver.send(foreign, path_from(port=1024 + number)) is not None for number in range(3000))
    assert answered == 999  # and the challenge before


def test_a_request_with_a_nonce_of_ours_is_never_counted() -> None:
    """TQ-3: who proved his address is answered, even while somebody floods in its name."""
    driver = ServerDriver()
    alice = driver.caller(path=path_from(port=1000))
    stranger = driver.caller(path=path_from(port=1001))
    stranger.realm = "example.com"
    alice.challenge()
    stranger.challenge()
    assert challenges(driver, "192.0.2.1", 3000) == 998
    assert codes(stranger.allocate() for _ in range(500)) == {401: 500}
    assert alice.allocate().code is None
    assert driver.send(BARE, path_from(port=1002)) is None


def test_what_is_withheld_is_reported_once_per_window() -> None:
    """TQ-3: one log line, with the number."""
    driver = ServerDriver()
    challenges(driver, "192.0.2.1", 1500)
    (silent,) = [refusal for refusal in driver.refusals if refusal.silent]
    assert silent.unreported == 0
    driver.advance(REPORT_WINDOW)
    challenges(driver, "192.0.2.1", 1001)
    _, later = [refusal for refusal in driver.refusals if refusal.silent]
    assert later.unreported == 499


# TQ-4: the amplification ledger


class Shape(NamedTuple):
    """A request that proves nothing, and what came back."""

    name: str
    request: bytes
    response: bytes

    @property
    def factor(self) -> float:
        return len(self.response) / len(self.request)


def unproved_requests(nonce: bytes) -> Iterator[tuple[str, bytes]]:
    """What a stranger can send and might get an answer to, from 20 to 1,400 bytes, with and without FINGERPRINT."""
    filler = (AttributeType.SOFTWARE, b"")
    user, realm = (AttributeType.USERNAME, b"a"), (AttributeType.REALM, b"r")
    bad = (AttributeType.MESSAGE_INTEGRITY, bytes(20))
    bad_256 = (AttributeType.MESSAGE_INTEGRITY_SHA256, bytes(32))
    empty = [(AttributeType.USERNAME, b""), (AttributeType.REALM, b""), (AttributeType.NONCE, b"")]
    shapes: dict[str, list[tuple[int, bytes]]] = {
        "nothing": [],
        "unknown": [(0x7FFF, b"")],
        "unknowns": [(0x4000 + number, b"") for number in range(100)],
        "no credentials": [UDP_RELAY],
        "empty MI": [(AttributeType.MESSAGE_INTEGRITY, b"")],
        "empty MI-SHA256": [(AttributeType.MESSAGE_INTEGRITY_SHA256, b"")],
        "short MI": [(AttributeType.MESSAGE_INTEGRITY, b"1234")],
        "MI alone": [bad],
        "MI-SHA256 alone": [bad_256],
        "empty credentials": [*empty, bad],
        "no nonce": [user, realm, bad],
        "short nonce": [user, realm, (AttributeType.NONCE, b"n" * 12), bad],
        "foreign nonce": [user, realm, (AttributeType.NONCE, b"n" * NONCE_SIZE), bad],
        "good nonce, wrong realm": [user, realm, (AttributeType.NONCE, nonce), bad],
        "good nonce, nobody": [user, (AttributeType.REALM, b"sixteen.bytes.xx"), (AttributeType.NONCE, nonce), bad],
        "TCP relay": [(AttributeType.REQUESTED_TRANSPORT, encode_requested_transport(6))],
    }
    for method in (Method.BINDING, Method.ALLOCATE, Method.REFRESH, Method.CREATE_PERMISSION, Method.CONNECT, 0x0FF):
        for name, attributes in shapes.items():
            for size in (0, 1, 100, 1400):
                for fingerprint in (False, True):
                    builder = MessageBuilder(method, MessageClass.REQUEST, b"t" * 12)
                    room = size - sum(4 + len(value) for _, value in attributes)
                    for attribute in [filler, *attributes] if size == 1 else attributes:
                        builder.add(*attribute)
                    if size > 1 and room > 0:
                        builder.add(0x8022, b"x" * room)
                    if fingerprint:
                        builder.add_fingerprint()
                    mark = " +FINGERPRINT" if fingerprint else ""
                    yield f"{method:#05x} {name}{mark}", builder.build()


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1"])
@pytest.mark.parametrize("realm", ["example.org", "sixteen.bytes.xx"])
def test_no_stranger_gets_much_more_than_he_sends(host: str, realm: str, capsys: pytest.CaptureFixture[str]) -> None:
    """TQ-4: Binding at most 2.5 times the request, 401 at most 5 times, everything else no more than came in.

    For a realm of at most 16 bytes. The table is printed (`pytest -s`).
    """
    driver = ServerDriver(realm=realm, config=settings(unauthenticated_replies_per_second=0))
    caller = driver.caller(path=path_from(host))
    caller.challenge()
    assert caller.nonce is not None
    worst: dict[str, Shape] = {}
    for name, request in unproved_requests(caller.nonce):
        raw = driver.send(request, caller.path)
        if raw is None:
            continue
        shape = Shape(name, request, raw)
        reply = checked(raw)
        assert not reply.has(AttributeType.SOFTWARE)
        assert (reply.message.fingerprint_offset is None) == ("FINGERPRINT" not in name)
        kind = ledger_line(parse_message(request), reply)
        if kind not in worst or worst[kind].factor < shape.factor:
            worst[kind] = shape
    with capsys.disabled():
        print(f"\nAmplification, client {host}, realm of {len(realm)} bytes")
        for kind, shape in sorted(worst.items()):
            print(f"  {kind:20} {len(shape.request):5} -> {len(shape.response):4}  {shape.factor:.2f}  {shape.name}")
    limits = {"binding": 2.5, "401": 5.0, "438": 1.0, "400": 1.0}
    assert worst.keys() <= limits.keys()
    assert {kind: shape.factor for kind, shape in worst.items() if shape.factor > limits[kind]} == {}
    driver.assert_nothing_is_left()


def ledger_line(request: Message, reply: Reply) -> str:
    """Which limit of TQ-4 is that of an answer."""
    return "binding" if request.method == Method.BINDING else str(reply.code)


# TQ-5: quotas


def test_the_thirteenth_allocation_of_a_user_is_486() -> None:
    """TQ-5: and a slot is free as soon as one ends, however it ends."""
    driver = ServerDriver()
    callers = [driver.caller(path=path_from(port=number + 1, transport=Transport.TCP)) for number in range(13)]
    assert codes(caller.allocate() for caller in callers) == {None: 12, 486: 1}
    assert driver.caller("bob").allocate().code is None

    def revoke(caller: Caller) -> None:
        driver.engine.revoke(lambda allocation: allocation.client == caller.path)
        driver.drain()

    def disconnect(caller: Caller) -> None:
        driver.disconnect(caller.path)

    for end, caller in zip((Caller.release, disconnect, revoke), callers, strict=False):
        assert driver.caller().allocate().code == 486
        end(caller)
        assert driver.caller().allocate().code is None
    assert driver.caller().allocate().code == 486
    driver.advance(600)
    driver.assert_nothing_is_left()


def test_a_user_of_several_ephemeral_names_is_one_user() -> None:
    """TQ-5: reconnecting with a fresh credential does not make room."""
    secret = Secret("k1", "long enough to be a secret")
    driver = ServerDriver(secrets=[secret], config=settings(allocations_per_user=2))
    names = ["1800000600:carol", "1800000601:k1:carol", "1800000602:carol", "1800000603:k1:carol"]
    assert codes(driver.caller(name, secret.password(name)).allocate() for name in names) == {None: 2, 486: 2}
    driver.close()


def test_two_hundred_at_once_never_pass_the_limit() -> None:
    """TQ-5: those whose port is still being bound count."""
    driver = ServerDriver()
    driver.plane.answer = lambda _: None
    callers = [driver.caller() for _ in range(200)]
    replies = [caller.send(caller.build(Method.ALLOCATE, UDP_RELAY)) for caller in callers]
    assert codes(reply for reply in replies if reply is not None) == {486: 188}
    assert len(driver.plane.held) == 12
    driver.answer_held(True)
    assert len(driver.engine.allocations) == 12
    assert callers[-1].allocate().code == 486
    driver.close()


def test_a_refused_request_takes_no_slot() -> None:
    """TQ-5: whatever it is refused for."""
    driver = ServerDriver(config=settings(allocations_per_user=1))
    for attribute in (EVEN_AND_NEXT, (AttributeType.RESERVATION_TOKEN, bytes(8)), (AttributeType.LIFETIME, b"")):
        driver.plane.answer = lambda _: False
        assert driver.caller().allocate(attribute).code in (400, 508)
    driver.plane.answer = lambda _: True
    assert driver.caller().allocate().code is None


def test_the_server_as_a_whole_has_a_limit() -> None:
    """TQ-8: total quota."""
    driver = ServerDriver(config=settings(allocations_per_user=0, allocations_total=5))
    assert codes(driver.caller().allocate() for _ in range(8)) == {None: 5, 508: 3}
    assert driver.caller("bob").allocate().code == 508
    driver.close()


# TQ-6: relay ports


def pool(size: int = 100, relay_addresses: tuple[str, ...] = ("9.9.9.9",)) -> ServerDriver:
    return ServerDriver(
        relay_addresses=relay_addresses,
        relay_ports=range(50000, 50000 + size),
        config=settings(allocations_per_user=0, unauthenticated_replies_per_second=0),
    )


def test_a_pool_that_is_exhausted_is_508_and_comes_back_whole() -> None:
    """TQ-6: three times all 100."""
    driver = pool()
    for _ in range(3):
        callers = [driver.caller() for _ in range(101)]
        replies = [caller.allocate() for caller in callers]
        assert [reply.code for reply in replies] == [None] * 100 + [508]
        assert {reply.relayed[0].port for reply in replies[:-1]} == set(range(50000, 50100))
        assert driver.refusals[-1].reason == "no-relay-port"
        for caller in callers[:-1]:
            caller.release()
        driver.assert_nothing_is_left()


def test_the_addresses_of_a_family_share_the_load() -> None:
    driver = pool(10, ("9.9.9.9", "9.9.9.10"))
    hosts = Counter(driver.caller().allocate().relayed[0].host for _ in range(20))
    assert hosts == {"9.9.9.9": 10, "9.9.9.10": 10}
    assert driver.caller().allocate().code == 508
    driver.close()


@pytest.mark.parametrize("attributes", [[], [EVEN], [EVEN_AND_NEXT]], ids=["any", "even", "even and next"])
def test_ten_rounds_of_the_pool_lose_no_port(attributes: list[Attribute]) -> None:
    """TQ-6: 1,000 cycles; tokens that nobody claims give their port back after 30 s."""
    driver = pool()
    for cycle in range(1000):
        caller = driver.caller()
        assert caller.allocate(*attributes).code is None, cycle
        caller.release()
        driver.advance(1)
    driver.advance(30)
    driver.assert_nothing_is_left()
    assert codes(driver.caller().allocate() for _ in range(101)) == {None: 100, 508: 1}
    driver.close()


def test_ports_come_back_from_every_end_and_every_failure() -> None:
    """TQ-6: random kinds of requests, binds that fail or never end, claims, disconnections."""
    driver = pool()
    rng = random.Random(6)

    def answer(command: BindRelayPort) -> bool | None:
        return rng.choice((True, True, True, False, None))

    driver.plane.answer = answer
    callers: list[Caller] = []
    tokens: list[bytes] = []
    for _ in range(1500):
        caller = driver.caller(path=path_from(port=rng.randrange(1, 500), transport=Transport.TCP))
        kind: list[Attribute] = rng.choice([[], [EVEN], [EVEN_AND_NEXT]])
        if tokens and rng.random() < 0.3:
            kind = [(AttributeType.RESERVATION_TOKEN, tokens.pop())]
        reply = caller.send(caller.build(Method.ALLOCATE, UDP_RELAY, *kind))
        if reply is not None and reply.has(AttributeType.RESERVATION_TOKEN):
            tokens.append(reply[AttributeType.RESERVATION_TOKEN])
        callers.append(caller)
        if rng.random() < 0.4:
            driver.answer_held(rng.random() < 0.7)
        if rng.random() < 0.5:
            leaving = callers.pop(rng.randrange(len(callers)))
            if rng.random() < 0.5:
                driver.disconnect(leaving.path)
            else:
                leaving.send(leaving.build(Method.REFRESH, lifetime(0)))
        driver.advance(rng.random())
    driver.plane.answer = lambda _: True
    while driver.plane.held:
        driver.answer_held(True)
    driver.advance(700)
    driver.assert_nothing_is_left()
    assert codes(driver.caller().allocate() for _ in range(101)) == {None: 100, 508: 1}


# ST-12


def test_seeding_pythons_generator_makes_nothing_repeat() -> None:
    """ST-12: nonce key, relay ports, reservation tokens come from the operating system."""

    def secrets_after_seed() -> tuple[bytes, list[SocketAddress], bytes]:
        random.seed(0)
        driver = ServerDriver(entropy=SystemEntropy())
        alice = driver.caller()
        alice.challenge()
        reply = alice.allocate(EVEN_AND_NEXT)
        relayed = [driver.caller().allocate().relayed[0] for _ in range(8)]
        assert alice.nonce is not None
        return alice.nonce, relayed, reply[AttributeType.RESERVATION_TOKEN]

    first, second = secrets_after_seed(), secrets_after_seed()
    assert all(one != other for one, other in zip(first, second, strict=True))


def test_everything_random_comes_from_the_entropy_that_was_given() -> None:
    """ST-12: the same seed, the same server; so there is no other source."""

    def run() -> list[tuple[Path, bytes]]:
        driver = ServerDriver(entropy=SeededEntropy(7))
        driver.caller().allocate(EVEN_AND_NEXT)
        driver.caller("bob").allocate()
        return driver.sent

    assert run() == run()


# 1,000 idle allocations, twice


def test_a_thousand_allocations_come_and_go_twice_and_leave_nothing() -> None:
    driver = ServerDriver(config=settings(allocations_per_user=0, unauthenticated_replies_per_second=0))
    for _ in range(2):
        callers = [driver.caller() for _ in range(1000)]
        for caller in callers:
            caller.allocate()
            caller.permit(PEER)
            caller.bind(0x4000, PEER)
        assert driver.engine.allocations.timers == 3000
        for caller in callers:
            caller.release()
        driver.assert_nothing_is_left()
        assert driver.engine.allocations.timers == 0
