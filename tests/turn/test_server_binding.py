"""Binding, what is dropped in silence, and what holds for every response (RFC 8489)."""

from __future__ import annotations

import random

import pytest

from icelane.core.net import Transport
from icelane.stun.attributes import (
    MAX_UNKNOWN_ATTRIBUTES,
    AttributeType,
    parse_error_code,
    parse_unknown_attributes,
    parse_xor_address,
)
from icelane.stun.message import HEADER_SIZE, MessageBuilder, MessageClass, Method
from tests.turn.server_driver import (
    OTHER_PEER,
    PEER,
    UDP_RELAY,
    USERS,
    Attribute,
    Reply,
    ServerDriver,
    checked,
    lifetime,
    path_from,
    settings,
)

pytestmark = pytest.mark.twin

ID = b"transaction!"
KNOWN_METHODS = set(Method)


def message(kind: MessageClass, method: int, *attributes: tuple[int, bytes], fingerprint: bool = False) -> bytes:
    builder = MessageBuilder(method, kind, ID)
    for attribute in attributes:
        builder.add(*attribute)
    return (builder.add_fingerprint() if fingerprint else builder).build()


def binding(*attributes: tuple[int, bytes], fingerprint: bool = False) -> bytes:
    return message(MessageClass.REQUEST, Method.BINDING, *attributes, fingerprint=fingerprint)


@pytest.mark.parametrize("host", ["192.0.2.7", "2001:db8::7"])
@pytest.mark.parametrize("transport", list(Transport))
@pytest.mark.parametrize("fingerprint", [False, True])
def test_a_binding_is_told_its_address_and_forgotten(host: str, transport: Transport, fingerprint: bool) -> None:
    driver = ServerDriver()
    path = path_from(host, 40001, transport)
    raw = driver.send(binding((AttributeType.SOFTWARE, b"client"), fingerprint=fingerprint), path)
    assert raw is not None
    reply = checked(raw)
    assert parse_xor_address(reply[AttributeType.XOR_MAPPED_ADDRESS], ID) == path.remote
    assert [kind for kind, _ in reply.message.attributes] == [
        AttributeType.XOR_MAPPED_ADDRESS,
        *([AttributeType.FINGERPRINT] if fingerprint else []),
    ]
    driver.assert_nothing_is_left()


def test_bindings_leave_nothing_however_many_come() -> None:
    """TQ-1 without sockets."""
    driver = ServerDriver()
    for port in range(1, 3001):
        assert driver.send(binding(), path_from(port=port)) is not None
    driver.assert_nothing_is_left()
    assert not driver.events


def silent_messages() -> dict[str, bytes]:
    good = binding(fingerprint=True)
    alien = (0x7FFF, b"what is this")
    found = {
        "empty": b"",
        "one byte": b"\0",
        "short header": good[: HEADER_SIZE - 1],
        "first bit": bytes((good[0] | 0x80,)) + good[1:],
        "second bit": bytes((good[0] | 0x40,)) + good[1:],
        "no cookie, as in RFC 3489": good[:4] + bytes(4) + good[8:],
        "wrong fingerprint": good[:-1] + bytes((good[-1] ^ 1,)),
        "length too large": good[:2] + b"\0\x0c" + good[4:],
        "length too small": good[:2] + b"\0\x04" + good[4:],
        "something behind": good + bytes(4),
        "DTLS": b"\x16\xfe\xfd" + bytes(40),
        "RTP": b"\x80\x60" + bytes(40),
        "ChannelData to no channel": b"\x40\x00\x00\x04data",
        "binding indication": message(MessageClass.INDICATION, Method.BINDING),
        "indication with an unknown attribute": message(MessageClass.INDICATION, Method.BINDING, alien),
        "send without allocation": message(MessageClass.INDICATION, Method.SEND, (AttributeType.DATA, b"data")),
        "data indication": message(MessageClass.INDICATION, Method.DATA, (AttributeType.DATA, b"data")),
        "allocate indication": message(MessageClass.INDICATION, Method.ALLOCATE, UDP_RELAY),
        "success response": message(MessageClass.SUCCESS, Method.ALLOCATE),
        "error response": message(MessageClass.ERROR, Method.REFRESH),
        "send request": message(MessageClass.REQUEST, Method.SEND),
        "data request": message(MessageClass.REQUEST, Method.DATA),
        "connection attempt request": message(MessageClass.REQUEST, Method.CONNECTION_ATTEMPT),
    }
    for bit in range(32):
        flipped = bytearray(good)
        flipped[4 + bit // 8] ^= 1 << bit % 8
        found[f"bit {bit} of the cookie"] = bytes(flipped)
    return found


@pytest.mark.parametrize("data", silent_messages().values(), ids=silent_messages().keys())
def test_what_asks_nothing_is_answered_nothing(data: bytes) -> None:
    """ST-8: dropped in silence, before and beside an allocation."""
    driver = ServerDriver()
    alice = driver.caller()
    assert driver.send(data, alice.path) is None
    alice.allocate()
    before = list(driver.plane.commands)
    assert driver.send(data, alice.path) is None
    assert driver.plane.commands == before
    assert not [refusal for refusal in driver.refusals if refusal.username]


def test_an_unknown_method_is_dropped_with_or_without_credentials() -> None:
    """ST-8: every method number there is."""
    driver = ServerDriver()
    alice = driver.caller()
    for method in set(range(0x1000)) - KNOWN_METHODS:
        assert driver.send(message(MessageClass.REQUEST, method), alice.path) is None
    for method in (0x002, 0x005, 0x00D, 0x0FF, 0xFFF):
        assert alice.send(alice.build(method)) is None
    driver.assert_nothing_is_left()


def test_what_must_be_understood_and_is_not_is_listed_once_each() -> None:
    """ST-8: 420 with a bounded list, whether anybody knows the sender or not."""
    driver = ServerDriver()
    alice = driver.caller()
    alice.allocate()
    alien: list[Attribute] = [(0x7FFF, b"x"), (0x7FFE, b""), (0x7FFF, b"again"), (0xFFFF, b"optional")]
    for method in (Method.ALLOCATE, Method.REFRESH, Method.CREATE_PERMISSION, Method.CHANNEL_BIND, Method.CONNECT):
        reply = alice.request(method, UDP_RELAY, *alien) if method is Method.ALLOCATE else alice.request(method, *alien)
        assert reply.code == 420
        assert parse_unknown_attributes(reply[AttributeType.UNKNOWN_ATTRIBUTES]) == (0x7FFF, 0x7FFE)
        assert reply.message.integrity_offset is not None
    raw = driver.send(binding((0x7FFF, b"x"), (0x7FFE, b""), (0x7FFF, b""), (0xFFFF, b"")), alice.path)
    assert raw is not None
    assert checked(raw).code == 420
    assert parse_unknown_attributes(checked(raw)[AttributeType.UNKNOWN_ATTRIBUTES]) == (0x7FFF, 0x7FFE)
    many = [(0x4000 + number, b"") for number in range(1000)]
    raw = driver.send(binding(*many), alice.path)
    assert raw is not None
    value = checked(raw)[AttributeType.UNKNOWN_ATTRIBUTES]
    assert len(value) == 2 * MAX_UNKNOWN_ATTRIBUTES


@pytest.mark.parametrize("method", [Method.CONNECT, Method.CONNECTION_BIND])
def test_tcp_to_peers_is_refused(method: Method) -> None:
    """TR-9: RFC 6062 is off; a stranger is asked who he is first. (REQUESTED-TRANSPORT TCP: see the Allocate tests.)"""
    driver = ServerDriver()
    alice = driver.caller(path=path_from(transport=Transport.TCP))
    raw = driver.send(message(MessageClass.REQUEST, method), alice.path)
    assert raw is not None
    assert checked(raw).code == 401
    connection: tuple[int, bytes] = (0x002A, b"\0\0\0\1")
    named: Attribute = PEER if method is Method.CONNECT else connection
    assert alice.request(method, named).code == 400
    alice.allocate()
    before = list(driver.plane.commands)
    assert alice.request(method, named).code == 400
    assert driver.plane.commands == before


def varied_request(driver: ServerDriver, rng: random.Random, marker: bytes) -> Reply | None:
    """One of many kinds of request, with bytes of varied length that no answer may repeat."""
    caller = driver.caller(rng.choice(list(USERS)), path=path_from(port=rng.randrange(1, 2000)))
    secret: tuple[int, bytes] = (AttributeType.SOFTWARE, marker * rng.randrange(1, 9) + bytes(rng.randrange(4)))
    extra: list[Attribute] = [secret, *([lifetime(rng.randrange(4000))] if rng.random() < 0.3 else [])]
    fingerprint = rng.random() < 0.5
    match rng.randrange(6):
        case 0:
            raw = driver.send(binding(secret, fingerprint=fingerprint), caller.path)
        case 1:
            unknown = [(rng.randrange(0x4000, 0x8000), marker[: rng.randrange(9)]) for _ in range(rng.randrange(1, 9))]
            raw = driver.send(binding(secret, *unknown, fingerprint=fingerprint), caller.path)
        case 2:
            kind = rng.choice([Method.ALLOCATE, Method.REFRESH, Method.CONNECT])
            raw = driver.send(message(MessageClass.REQUEST, kind, secret, fingerprint=fingerprint), caller.path)
        case 3:
            caller.password = rng.choice(["wrong", caller.password])
            return caller.send(caller.build(Method.ALLOCATE, UDP_RELAY, *extra, fingerprint=fingerprint))
        case 4:
            return caller.request(Method.CREATE_PERMISSION, PEER, OTHER_PEER, secret, fingerprint=fingerprint)
        case _:
            return caller.send(caller.build(Method.REFRESH, *extra, fingerprint=fingerprint))
    return checked(raw) if raw is not None else None


def test_no_answer_holds_what_it_was_not_meant_to() -> None:
    """ST-10: 10,000 varied responses. `checked` looks at the padding of each; the length of ERROR-CODE is that of the
    phrase; no byte of any request, one's own or another's, comes back.
    """
    driver = ServerDriver(config=settings(unauthenticated_replies_per_second=0, allocations_per_user=0))
    rng = random.Random(1)
    answered = 0
    while answered < 10_000:
        marker = b"SECRET" + rng.randbytes(6)
        reply = varied_request(driver, rng, marker)
        if reply is None:
            continue
        answered += 1
        assert b"SECRET" not in reply.message.raw
        if reply.code is not None:
            # Nothing but the phrase counts: no padding inside the value (it would be NUL, which is malformed).
            value = reply[AttributeType.ERROR_CODE]
            assert len(value) == 4 + len(parse_error_code(value).reason.encode())
        driver.advance(rng.random())
    driver.close()
