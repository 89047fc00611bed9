"""Refresh (RFC 8656 section 8.2), and how allocations end."""

from __future__ import annotations

import pytest

from icelane.core.net import AddressFamily, SocketAddress, Transport
from icelane.stun.attributes import AttributeType
from icelane.stun.message import Method
from icelane.turn.allocation import EndReason
from icelane.turn.attributes import encode_address_family
from tests.turn.server_driver import (
    PEER,
    PEER_V6,
    RELAY_V6,
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


def test_refresh_with_zero_lifetime_frees_the_relay_port() -> None:
    """TQ-8: at once; and its retransmission is told that there is nothing any more."""
    driver = ServerDriver()
    alice = driver.caller()
    alice.allocate()
    alice.permit(PEER)
    alice.bind(0x4000, PEER)
    data = alice.build(Method.REFRESH, lifetime(0))
    reply = alice.send(data)
    assert reply is not None
    assert (reply.code, reply.lifetime) == (None, 0)
    assert [event.reason for event in driver.ended] == [EndReason.REFRESHED_TO_ZERO]
    driver.assert_nothing_is_left()
    again = alice.send(data)
    assert again is not None
    assert again.code == 437
    assert alice.allocate().code is None
    driver.close()


@pytest.mark.parametrize(
    ("asked", "granted"), [(None, 600), (1, 600), (900, 900), (3600, 3600), (3601, 3600), (0xFFFFFFFF, 3600)]
)
def test_a_refresh_counts_from_now(asked: int | None, granted: int) -> None:
    """TQ-8."""
    driver = ServerDriver()
    alice = driver.caller()
    alice.allocate()
    driver.advance(599)
    assert alice.refresh(*([] if asked is None else [lifetime(asked)])).lifetime == granted
    driver.advance(granted - 0.001)
    assert driver.allocation(alice) is not None
    driver.advance(0.001)
    driver.assert_nothing_is_left()


def test_an_allocation_that_nobody_refreshes_is_gone_at_its_lifetime() -> None:
    """TQ-8, TR-8: without client traffic."""
    driver = ServerDriver()
    alice = driver.caller()
    alice.allocate()
    alice.bind(0x4000, PEER)
    driver.advance(599)
    alice.permit(PEER)
    driver.advance(1)
    assert [event.reason for event in driver.ended] == [EndReason.EXPIRED]
    driver.assert_nothing_is_left()


@pytest.mark.parametrize("attributes", [[], [lifetime(0)], [lifetime(600)], [IPV4]])
def test_without_an_allocation_a_refresh_is_437(attributes: list[Attribute]) -> None:
    driver = ServerDriver()
    driver.caller().allocate()
    assert driver.caller().refresh(*attributes).code == 437


def test_each_client_path_has_its_own_allocation() -> None:
    """The 5-tuple: the same address over TCP, or at another address of the server, is another client."""
    driver = ServerDriver()
    udp = driver.caller(path=path_from())
    udp.allocate()
    tcp = driver.caller(path=path_from(transport=Transport.TCP))
    elsewhere = driver.caller(path=path_from()._replace(local=SocketAddress(RELAY_V6, 3479)))
    for other in (tcp, elsewhere):
        assert other.refresh(lifetime(0)).code == 437
        assert other.allocate().code is None
    assert len(driver.engine.allocations) == 3
    driver.disconnect(tcp.path)
    assert len(driver.engine.allocations) == 2
    driver.close()


@pytest.mark.parametrize(
    ("attributes", "code"),
    [
        ([(AttributeType.LIFETIME, b"")], 400),
        ([(AttributeType.LIFETIME, b"\0\0\0\0\0")], 400),
        ([(AttributeType.REQUESTED_ADDRESS_FAMILY, b"\1")], 400),
        ([(AttributeType.REQUESTED_ADDRESS_FAMILY, b"\3\0\0\0"), lifetime(0)], 443),
        ([IPV6, lifetime(0)], 443),
        ([(AttributeType.EVEN_PORT, b"\0"), lifetime(0)], 420),
    ],
)
def test_a_refresh_that_is_wrong_changes_nothing(attributes: list[Attribute], code: int) -> None:
    driver = ServerDriver()
    alice = driver.caller()
    alice.allocate()
    driver.advance(100)
    assert alice.refresh(*attributes).code == code
    driver.advance(499.999)
    assert driver.allocation(alice) is not None
    driver.advance(0.001)
    driver.assert_nothing_is_left()


def test_one_family_can_be_given_up_and_the_other_kept() -> None:
    """RFC 8656 section 8.2: with what belongs to it, and no more."""
    driver = ServerDriver(config=settings(allocations_per_user=1))
    alice = driver.caller()
    alice.allocate(BOTH)
    alice.permit(PEER, PEER_V6)
    alice.bind(0x4000, PEER)
    alice.bind(0x4001, PEER_V6)
    assert alice.refresh(IPV4, lifetime(0)).code is None
    assert {relay.family for relay in driver.plane.bound} == {AddressFamily.IPV6}
    assert {host for _, _, host in driver.plane.permissions} == {PEER_V6.host}
    assert {number for _, number in driver.plane.channels} == {0x4001}
    assert alice.refresh(IPV4).code == 443
    assert alice.permit(PEER).code == 443
    assert alice.permit(PEER_V6).code is None
    assert not driver.ended
    assert driver.caller().allocate().code == 486
    assert alice.refresh(IPV6, lifetime(0)).code is None
    driver.assert_nothing_is_left()


def test_families_expire_each_for_itself() -> None:
    driver = ServerDriver()
    alice = driver.caller()
    alice.allocate(BOTH)
    assert alice.refresh(IPV6, lifetime(1200)).lifetime == 1200
    driver.advance(600)
    assert {relay.family for relay in driver.plane.bound} == {AddressFamily.IPV6}
    assert not driver.ended
    driver.advance(600)
    assert [event.reason for event in driver.ended] == [EndReason.EXPIRED]
    driver.assert_nothing_is_left()


def test_a_refresh_without_a_family_is_for_both() -> None:
    driver = ServerDriver()
    alice = driver.caller()
    alice.allocate(BOTH)
    driver.advance(599)
    alice.refresh()
    driver.advance(599)
    assert len(driver.plane.bound) == 2
    alice.refresh(lifetime(0))
    driver.assert_nothing_is_left()


@pytest.mark.parametrize("step", [3600.0, -3600.0])
def test_a_step_of_the_calendar_moves_no_lifetime(step: float) -> None:
    """OP-7: allocations, permissions, channels and reservations count on the monotonic clock."""
    driver = ServerDriver()
    alice = driver.caller()
    alice.allocate((AttributeType.EVEN_PORT, b"\x80"))
    alice.permit(PEER)
    alice.bind(0x4000, PEER)
    before = driver.engine.next_timeout()
    driver.clock.step_wall(step)
    driver.engine.handle_timeout(driver.clock.now)
    driver.drain()
    assert driver.engine.next_timeout() == before
    driver.advance(29.999)
    assert len(driver.plane.bound) == 2
    driver.advance(0.001)
    assert len(driver.plane.bound) == 1
    # A nonce does depend on the calendar: one more round trip, and all goes on.
    assert alice.refresh().code == 438
    alice.challenge()
    assert alice.refresh().code is None
    driver.advance(269.999)
    assert len(driver.plane.permissions) == 1
    driver.advance(0.001)
    assert not driver.plane.permissions
    driver.clock.step_wall(-step)
    driver.advance(299.999)
    assert len(driver.plane.channels) == 1
    driver.advance(0.001)
    assert not driver.plane.channels
    assert driver.allocation(alice) is not None
    driver.advance(30)
    driver.assert_nothing_is_left()


def test_waking_early_or_late_does_no_harm() -> None:
    driver = ServerDriver()
    driver.engine.handle_timeout(driver.clock.now)
    alice = driver.caller()
    alice.allocate()
    alice.permit(PEER)
    driver.engine.handle_timeout(driver.clock.now)
    driver.drain()
    assert len(driver.plane.permissions) == 1
    driver.clock.advance(10_000)
    driver.engine.handle_timeout(driver.clock.now)
    driver.drain()
    driver.assert_nothing_is_left()


def test_closing_twice_is_closing() -> None:
    driver = ServerDriver()
    driver.caller().allocate()
    driver.close()
    driver.close()
    assert [event.reason for event in driver.ended] == [EndReason.SERVER_CLOSED]


def test_a_path_that_was_never_heard_of_can_be_closed() -> None:
    driver = ServerDriver()
    driver.disconnect(path_from(transport=Transport.TCP))
    driver.assert_nothing_is_left()
