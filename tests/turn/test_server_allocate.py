"""Allocate (RFC 8656 section 7.2) through the engine."""

from __future__ import annotations

import pytest

from icelane.core.net import AddressFamily, SocketAddress, Transport
from icelane.stun.attributes import AttributeType, parse_unknown_attributes, parse_xor_address
from icelane.stun.message import Method
from icelane.turn.allocation import AllocationCreated, EndReason
from icelane.turn.attributes import (
    encode_address_family,
    encode_even_port,
    encode_requested_transport,
    parse_address_error_code,
)
from icelane.turn.relay_acquisition import MAX_BIND_ATTEMPTS
from icelane.turn.relay_ports import MAX_RESERVATIONS
from icelane.turn.routes import AssignRelayPort, BindRelayPort, ReleaseRelayPort
from tests.turn.server_driver import (
    RELAY,
    RELAY_V6,
    UDP_RELAY,
    Attribute,
    ServerDriver,
    lifetime,
    path_from,
    settings,
)

pytestmark = pytest.mark.twin

IPV4 = (AttributeType.REQUESTED_ADDRESS_FAMILY, encode_address_family(AddressFamily.IPV4))
IPV6 = (AttributeType.REQUESTED_ADDRESS_FAMILY, encode_address_family(AddressFamily.IPV6))
BOTH = (AttributeType.ADDITIONAL_ADDRESS_FAMILY, encode_address_family(AddressFamily.IPV6))
BOTH_BY_DRAFT = (AttributeType.DRAFT_ADDITIONAL_ADDRESS_FAMILY, encode_address_family(AddressFamily.IPV6))
EVEN = (AttributeType.EVEN_PORT, encode_even_port(False))
EVEN_AND_NEXT = (AttributeType.EVEN_PORT, encode_even_port(True))
DONT_FRAGMENT = (AttributeType.DONT_FRAGMENT, b"")


def token(value: bytes = b"whatever") -> Attribute:
    return AttributeType.RESERVATION_TOKEN, value


@pytest.mark.parametrize("transport", list(Transport))
@pytest.mark.parametrize("host", ["192.0.2.7", "2001:db8::7"])
def test_a_client_gets_a_relayed_address_and_hears_how_it_is_seen(host: str, transport: Transport) -> None:
    driver = ServerDriver()
    alice = driver.caller(path=path_from(host, 40001, transport))
    reply = alice.allocate(fingerprint=True)
    (relayed,) = reply.relayed
    assert relayed.host == RELAY
    assert relayed.port in range(50000, 60000)
    assert reply.lifetime == 600
    mapped = parse_xor_address(reply[AttributeType.XOR_MAPPED_ADDRESS], reply.message.transaction_id)
    assert mapped == alice.path.remote
    assert driver.plane.owners == {relayed: alice.path}
    (created,) = [event for event in driver.events if isinstance(event, AllocationCreated)]
    assert (created.client, created.username, created.relays) == (alice.path, "alice", (relayed,))
    driver.close()


def test_the_outside_is_told_the_external_address_and_the_plane_the_local_one() -> None:
    driver = ServerDriver(relay_addresses=("10.0.0.5",), external_addresses={"10.0.0.5": "9.9.9.9"})
    (relayed,) = driver.caller().allocate().relayed
    assert relayed.host == "9.9.9.9"
    assert driver.plane.bound == {SocketAddress("10.0.0.5", relayed.port)}
    driver.close()


@pytest.mark.parametrize(
    ("asked", "granted"),
    [(None, 600), (0, 600), (1, 600), (600, 600), (601, 601), (3600, 3600), (3601, 3600), (0xFFFFFFFF, 3600)],
)
def test_a_lifetime_is_at_least_the_default_and_at_most_an_hour(asked: int | None, granted: int) -> None:
    """TQ-8: LIFETIME 0xFFFFFFFF is clamped to 3600."""
    driver = ServerDriver()
    alice = driver.caller()
    assert alice.allocate(*([] if asked is None else [lifetime(asked)])).lifetime == granted
    driver.advance(granted - 0.001)
    assert driver.allocation(alice) is not None
    driver.advance(0.001)
    assert driver.allocation(alice) is None
    assert [event.reason for event in driver.ended] == [EndReason.EXPIRED]
    driver.assert_nothing_is_left()


def test_a_retransmission_gets_the_same_bytes_and_counts_once() -> None:
    """TQ-5: same 5-tuple and transaction."""
    driver = ServerDriver(config=settings(allocations_per_user=1))
    alice = driver.caller()
    data = alice.build(Method.ALLOCATE, UDP_RELAY, fingerprint=True)
    first = driver.send(data, alice.path)
    for _ in range(3):
        driver.advance(0.5)
        assert driver.send(data, alice.path) == first
    assert first is not None
    assert len(driver.engine.allocations) == len(driver.plane.bound) == 1


def test_another_allocate_on_the_same_path_is_437() -> None:
    """TQ-5: other transaction, same 5-tuple."""
    driver = ServerDriver()
    alice = driver.caller()
    alice.allocate()
    assert alice.allocate().code == 437
    assert len(driver.plane.bound) == 1
    assert alice.permit(SocketAddress("8.8.8.8", 1)).code is None


def test_while_the_port_is_being_bound_allocates_are_not_answered_and_others_are_437() -> None:
    driver = ServerDriver()
    driver.plane.answer = lambda _: None
    alice = driver.caller()
    data = alice.build(Method.ALLOCATE, UDP_RELAY)
    assert alice.send(data) is None
    assert alice.send(data) is None
    assert alice.send(alice.build(Method.ALLOCATE, UDP_RELAY)) is None
    assert alice.refresh().code == 437
    assert len(driver.plane.held) == 1
    driver.answer_held(True)
    assert alice.send(data) is not None
    assert len(driver.engine.allocations) == 1
    driver.close()


@pytest.mark.parametrize("bound", [True, False])
def test_a_client_that_goes_while_its_port_is_being_bound_leaves_nothing(bound: bool) -> None:
    """TQ-5: a failed Allocate releases its slot; the plane's late answer finds nobody."""
    driver = ServerDriver(config=settings(allocations_per_user=1))
    driver.plane.answer = lambda _: None
    alice = driver.caller(path=path_from(transport=Transport.TCP))
    alice.send(alice.build(Method.ALLOCATE, UDP_RELAY, EVEN_AND_NEXT))
    driver.disconnect(alice.path)
    assert driver.engine.idle
    driver.engine.handle_relay_bound(driver.plane.held[0].bind_id, driver.clock.now)
    driver.engine.handle_relay_failed(driver.plane.held[0].bind_id, driver.clock.now)
    driver.plane.held.clear()
    driver.drain()
    driver.plane.answer = lambda _: bound
    assert driver.caller().allocate().code == (None if bound else 508)
    driver.close()


def test_a_port_that_is_taken_is_replaced_by_another() -> None:
    driver = ServerDriver()
    answers = iter((False, False, False, True))
    driver.plane.answer = lambda _: next(answers)
    (relayed,) = driver.caller().allocate().relayed
    tried = [command.relay for command in driver.plane.commands if isinstance(command, BindRelayPort)]
    assert tried[-1] == relayed
    assert len(set(tried)) == 4
    assert len(driver.plane.bound) == 1
    driver.close()


def test_a_plane_that_binds_nothing_is_asked_so_often_and_then_it_is_508() -> None:
    """TQ-5: a failed Allocate releases its slot."""
    driver = ServerDriver(config=settings(allocations_per_user=1))
    driver.plane.answer = lambda _: False
    alice = driver.caller()
    for _ in range(3):
        assert alice.allocate().code == 508
    assert len(driver.plane.commands) == 3 * MAX_BIND_ATTEMPTS
    driver.assert_nothing_is_left()


@pytest.mark.parametrize(
    ("attributes", "code"),
    [
        ([], 400),
        ([(AttributeType.REQUESTED_TRANSPORT, b"\x11")], 400),
        ([(AttributeType.REQUESTED_TRANSPORT, encode_requested_transport(6))], 442),
        ([(AttributeType.REQUESTED_TRANSPORT, encode_requested_transport(0))], 442),
        ([UDP_RELAY, token(), EVEN], 400),
        ([UDP_RELAY, token(), EVEN_AND_NEXT], 400),
        ([UDP_RELAY, token(), IPV4], 400),
        ([UDP_RELAY, token(), BOTH], 400),
        ([UDP_RELAY, token(b"short")], 400),
        ([UDP_RELAY, token()], 508),
        ([UDP_RELAY, IPV4, BOTH], 400),
        ([UDP_RELAY, IPV6, BOTH], 400),
        ([UDP_RELAY, BOTH, EVEN_AND_NEXT], 400),
        ([UDP_RELAY, BOTH_BY_DRAFT, EVEN_AND_NEXT], 400),
        ([UDP_RELAY, (AttributeType.ADDITIONAL_ADDRESS_FAMILY, encode_address_family(AddressFamily.IPV4))], 400),
        ([UDP_RELAY, (AttributeType.REQUESTED_ADDRESS_FAMILY, b"\x03\0\0\0")], 440),
        ([UDP_RELAY, (AttributeType.REQUESTED_ADDRESS_FAMILY, b"\x01")], 400),
        ([UDP_RELAY, (AttributeType.EVEN_PORT, b"")], 400),
        ([UDP_RELAY, (AttributeType.LIFETIME, b"\0")], 400),
        ([UDP_RELAY, (AttributeType.DONT_FRAGMENT, b"\1")], 400),
        ([UDP_RELAY, (AttributeType.CHANNEL_NUMBER, bytes(4))], 420),
    ],
)
def test_what_cannot_be_granted_has_its_code_and_leaves_nothing(attributes: list[Attribute], code: int) -> None:
    """TR-9: REQUESTED-TRANSPORT TCP is 442."""
    driver = ServerDriver(config=settings(allocations_per_user=1))
    alice = driver.caller()
    for _ in range(2):
        reply = alice.request(Method.ALLOCATE, *attributes)
        assert reply.code == code
        assert reply.message.integrity_offset is not None
    driver.assert_nothing_is_left()


def test_the_first_of_two_attributes_counts() -> None:
    """ST-9."""
    alice = ServerDriver().caller()
    tcp = (AttributeType.REQUESTED_TRANSPORT, encode_requested_transport(6))
    assert alice.request(Method.ALLOCATE, tcp, UDP_RELAY).code == 442
    assert alice.request(Method.ALLOCATE, UDP_RELAY, tcp, lifetime(700), lifetime(800)).lifetime == 700


def test_dont_fragment_is_unknown_where_the_plane_cannot_set_the_bit() -> None:
    """RFC 8656 section 7.2 step 4."""
    assert ServerDriver().caller().allocate(DONT_FRAGMENT).code is None
    reply = ServerDriver(config=settings(dont_fragment=False)).caller().allocate(DONT_FRAGMENT)
    assert reply.code == 420
    assert parse_unknown_attributes(reply[AttributeType.UNKNOWN_ATTRIBUTES]) == (AttributeType.DONT_FRAGMENT,)


# Address families


def test_each_family_can_be_asked_for() -> None:
    driver = ServerDriver()
    assert [relayed.host for relayed in driver.caller().allocate(IPV4).relayed] == [RELAY]
    assert [relayed.host for relayed in driver.caller().allocate(IPV6).relayed] == [RELAY_V6]
    driver.close()


def test_a_family_that_is_not_relayed_is_440() -> None:
    assert ServerDriver(relay_addresses=(RELAY,)).caller().allocate(IPV6).code == 440
    driver = ServerDriver(relay_addresses=(RELAY_V6,))
    assert driver.caller().allocate().code == 440
    assert driver.caller().allocate(IPV4).code == 440
    driver.assert_nothing_is_left()


@pytest.mark.parametrize("additional", [BOTH, BOTH_BY_DRAFT])
def test_both_families_are_one_allocation(additional: Attribute) -> None:
    driver = ServerDriver(config=settings(allocations_per_user=1))
    reply = driver.caller().allocate(additional, EVEN)
    assert [relayed.host for relayed in reply.relayed] == [RELAY, RELAY_V6]
    assert [relayed.port % 2 for relayed in reply.relayed] == [0, 0]
    assert not reply.has(AttributeType.ADDRESS_ERROR_CODE)
    driver.close()


@pytest.mark.parametrize(
    ("additional", "error"),
    [
        (BOTH, AttributeType.ADDRESS_ERROR_CODE),
        (BOTH_BY_DRAFT, AttributeType.DRAFT_ADDRESS_ERROR_CODE),
    ],
)
@pytest.mark.parametrize(("there", "missing"), [(RELAY, AddressFamily.IPV6), (RELAY_V6, AddressFamily.IPV4)])
def test_when_one_of_two_families_is_not_relayed_the_other_is_granted(
    additional: Attribute, error: int, there: str, missing: AddressFamily
) -> None:
    driver = ServerDriver(relay_addresses=(there,))
    reply = driver.caller().allocate(additional)
    assert [relayed.host for relayed in reply.relayed] == [there]
    family, failure = parse_address_error_code(reply[error])
    assert (family, failure.code) == (missing, 440)
    driver.close()


@pytest.mark.parametrize("missing", list(AddressFamily))
def test_when_one_of_two_families_has_no_port_left_the_other_is_granted(missing: AddressFamily) -> None:
    driver = ServerDriver()
    driver.plane.answer = lambda command: command.relay.family is not missing
    reply = driver.caller().allocate(BOTH)
    assert len(reply.relayed) == 1
    family, failure = parse_address_error_code(reply[AttributeType.ADDRESS_ERROR_CODE])
    assert (family, failure.code) == (missing, 508)
    driver.close()


def test_when_neither_family_has_a_port_left_it_is_508() -> None:
    driver = ServerDriver()
    driver.plane.answer = lambda _: False
    assert driver.caller().allocate(BOTH).code == 508
    driver.assert_nothing_is_left()


# EVEN-PORT and RESERVATION-TOKEN


def test_an_even_port_is_even() -> None:
    driver = ServerDriver(relay_ports=range(50001, 50011), config=settings(allocations_per_user=0))
    ports = [driver.caller().allocate(EVEN).relayed[0].port for _ in range(5)]
    assert sorted(ports) == [50002, 50004, 50006, 50008, 50010]
    assert driver.caller().allocate(EVEN).code == 508
    driver.close()


def test_the_next_port_is_for_whoever_shows_the_token_once() -> None:
    driver = ServerDriver()
    alice = driver.caller()
    reply = alice.allocate(EVEN_AND_NEXT)
    (first,) = reply.relayed
    assert first.port % 2 == 0
    alice.release()
    claim = token(reply[AttributeType.RESERVATION_TOKEN])
    (second,) = driver.caller().allocate(claim).relayed
    assert second == first._replace(port=first.port + 1)
    assert driver.caller().allocate(claim).code == 508
    assert [command.relay for command in driver.plane.commands if isinstance(command, AssignRelayPort)] == [
        first,
        second,
    ]
    driver.close()


def test_a_reservation_waits_thirty_seconds() -> None:
    """TQ-6: unclaimed tokens."""
    driver = ServerDriver()
    alice = driver.caller()
    claim = token(alice.allocate(EVEN_AND_NEXT)[AttributeType.RESERVATION_TOKEN])
    alice.release()
    driver.advance(29.999)
    assert len(driver.plane.bound) == 1
    assert not driver.engine.idle
    driver.advance(0.001)
    driver.assert_nothing_is_left()
    assert driver.caller().allocate(claim).code == 508


def test_a_reservation_that_is_claimed_in_the_last_moment_stays() -> None:
    driver = ServerDriver()
    claim = token(driver.caller().allocate(EVEN_AND_NEXT)[AttributeType.RESERVATION_TOKEN])
    driver.advance(29.999)
    assert driver.caller().allocate(claim).code is None
    driver.advance(60)
    assert len(driver.plane.bound) == 2
    driver.close()


def test_a_token_that_is_refused_for_another_reason_stays_good() -> None:
    driver = ServerDriver(config=settings(allocations_per_user=1))
    claim = token(driver.caller().allocate(EVEN_AND_NEXT)[AttributeType.RESERVATION_TOKEN])
    assert driver.caller().allocate(claim).code == 486
    assert driver.caller("bob").allocate(claim, EVEN).code == 400
    assert driver.caller("bob").allocate(claim).code is None
    driver.close()


def test_reservations_cannot_empty_the_range() -> None:
    """TQ-6: so many wait at most, and others still allocate."""
    driver = ServerDriver(config=settings(allocations_per_user=0))
    for _ in range(MAX_RESERVATIONS):
        alice = driver.caller()
        assert alice.allocate(EVEN_AND_NEXT).code is None
        alice.release()
    assert len(driver.plane.bound) == MAX_RESERVATIONS
    assert driver.caller().allocate(EVEN_AND_NEXT).code == 508
    assert driver.caller().allocate().code is None
    driver.advance(30)
    assert driver.caller().allocate(EVEN_AND_NEXT).code is None
    driver.close()


def test_what_waits_for_its_token_is_released_when_the_server_closes() -> None:
    driver = ServerDriver()
    driver.caller().allocate(EVEN_AND_NEXT)
    driver.close()
    assert sum(isinstance(command, ReleaseRelayPort) for command in driver.plane.commands) == 2


def test_no_two_clients_get_the_same_token_or_port() -> None:
    driver = ServerDriver(config=settings(allocations_per_user=0))
    replies = [driver.caller().allocate(EVEN_AND_NEXT) for _ in range(100)]
    assert len({reply[AttributeType.RESERVATION_TOKEN] for reply in replies}) == 100
    assert len({reply.relayed[0].port for reply in replies}) == 100
    driver.close()


# What is on its way when everything ends


@pytest.mark.parametrize("attributes", [[], [EVEN_AND_NEXT], [BOTH]], ids=["one", "pair", "both"])
def test_closing_the_server_gives_back_what_is_being_bound(attributes: list[Attribute]) -> None:
    driver = ServerDriver()
    driver.plane.answer = lambda _: None
    alice = driver.caller()
    assert alice.send(alice.build(Method.ALLOCATE, UDP_RELAY, *attributes)) is None
    driver.close()


@pytest.mark.parametrize("leave", ["disconnect", "close"])
def test_the_first_of_two_families_is_given_back_when_the_client_goes_before_the_second(leave: str) -> None:
    driver = ServerDriver(config=settings(allocations_per_user=1))
    driver.plane.answer = lambda command: True if command.relay.family is AddressFamily.IPV4 else None
    alice = driver.caller(path=path_from(transport=Transport.TCP))
    assert alice.send(alice.build(Method.ALLOCATE, UDP_RELAY, BOTH)) is None
    assert len(driver.plane.bound) == len(driver.plane.held) == 1
    assert not driver.engine.idle
    if leave == "disconnect":
        driver.disconnect(alice.path)
    else:
        driver.engine.close()
        driver.drain()
    driver.assert_nothing_is_left()


def test_a_pair_that_cannot_be_bound_loses_neither_port() -> None:
    """TQ-6."""
    driver = ServerDriver(relay_ports=range(50000, 50010), config=settings(allocations_per_user=0))
    driver.plane.answer = lambda _: False
    assert driver.caller().allocate(EVEN_AND_NEXT).code == 508
    driver.assert_nothing_is_left()
    driver.plane.answer = lambda _: True
    assert [driver.caller().allocate(EVEN_AND_NEXT).code for _ in range(6)] == [None] * 5 + [508]
    driver.close()
