"""ChannelBind (RFC 8656 section 12.2) through the engine."""

from __future__ import annotations

import pytest

from icelane.core.net import AddressFamily
from icelane.stun.attributes import AttributeType
from icelane.stun.message import Method
from icelane.turn.allocation import MAX_CHANNELS
from icelane.turn.attributes import encode_address_family, encode_channel_number
from icelane.turn.routes import InstallChannelRoute
from tests.turn.server_driver import (
    OTHER_PEER,
    PEER,
    PEER_V6,
    Attribute,
    Caller,
    ServerDriver,
    lifetime,
    settings,
)

pytestmark = pytest.mark.twin

BOTH = (AttributeType.ADDITIONAL_ADDRESS_FAMILY, encode_address_family(AddressFamily.IPV6))
NUMBER = (AttributeType.CHANNEL_NUMBER, encode_channel_number(0x4000))


def numbers(driver: ServerDriver) -> set[int]:
    return {number for _, number in driver.plane.channels}


def allocated(driver: ServerDriver, *attributes: Attribute) -> Caller:
    alice = driver.caller()
    assert alice.allocate(lifetime(3600), *attributes).code is None
    return alice


def test_a_channel_is_a_route_and_brings_a_permission() -> None:
    driver = ServerDriver()
    alice = allocated(driver, BOTH)
    assert alice.bind(0x4000, PEER).code is None
    assert alice.bind(0x4001, PEER_V6).code is None
    routes = driver.plane.channels
    assert (routes[alice.path, 0x4000].peer, routes[alice.path, 0x4001].peer) == (PEER, PEER_V6)
    assert routes[alice.path, 0x4001].relay.family is AddressFamily.IPV6
    assert {host for _, _, host in driver.plane.permissions} == {PEER.host, PEER_V6.host}
    driver.close()


@pytest.mark.parametrize(
    ("number", "code"),
    [(0, 400), (1, 400), (0x3FFF, 400), (0x4000, None), (0x4FFF, None), (0x5000, None), (0x7FFF, None), (0x8000, 400),
     (0xFFFF, 400)],
)  # fmt: skip
def test_channel_numbers_are_those_of_rfc_5766(number: int, code: int | None) -> None:
    """TR-10, with the wider range of docs/decisions/0001."""
    driver = ServerDriver()
    assert allocated(driver).bind(number, PEER).code == code
    assert numbers(driver) == ({number} if code is None else set())


def test_a_number_has_one_peer_and_a_peer_has_one_number() -> None:
    """TR-10: both ways 400, and what is bound stays as it is. Another port is another peer."""
    driver = ServerDriver()
    alice = allocated(driver)
    alice.bind(0x4000, PEER)
    assert alice.bind(0x4000, OTHER_PEER).code == 400
    assert alice.bind(0x4000, PEER._replace(port=1)).code == 400
    assert alice.bind(0x4001, PEER).code == 400
    assert alice.bind(0x4001, OTHER_PEER).code is None
    assert alice.bind(0x4000, OTHER_PEER).code == 400
    assert alice.bind(0x4002, PEER._replace(port=1)).code is None
    assert driver.plane.channels[alice.path, 0x4000].peer == PEER
    # Two clients have their numbers each for themselves.
    assert allocated(driver).bind(0x4000, OTHER_PEER).code is None
    driver.close()


def test_binding_again_refreshes_channel_and_permission() -> None:
    """TR-10."""
    driver = ServerDriver(config=settings(channel_lifetime=8.0, permission_lifetime=4.0))
    alice = allocated(driver)
    for _ in range(5):
        assert alice.bind(0x4000, PEER).code is None
        driver.advance(3.999)
        assert numbers(driver) == {0x4000}
        assert len(driver.plane.permissions) == 1
    driver.close()


def test_a_channel_expires_after_ten_minutes_without_any_traffic() -> None:
    """TR-8: and then number and peer are free for others."""
    driver = ServerDriver()
    alice = allocated(driver)
    alice.bind(0x4000, PEER)
    driver.advance(599.999)
    assert numbers(driver) == {0x4000}
    assert alice.bind(0x4000, OTHER_PEER).code == 400
    driver.advance(0.001)
    assert not numbers(driver)
    assert alice.bind(0x4000, OTHER_PEER).code is None
    assert alice.bind(0x4001, PEER).code is None
    driver.close()


def test_a_permission_does_not_keep_a_channel() -> None:
    """TR-8."""
    driver = ServerDriver()
    alice = allocated(driver)
    alice.bind(0x4000, PEER)
    for _ in range(3):
        driver.advance(200)
        alice.permit(PEER)
    assert not numbers(driver)
    assert len(driver.plane.permissions) == 1


def test_a_channel_outlives_the_permission_it_brought() -> None:
    """TR-8, docs/decisions/0003: for its one peer; no other port of that host is let through any more."""
    driver = ServerDriver()
    alice = allocated(driver)
    alice.bind(0x4000, PEER)
    driver.advance(300)
    assert not driver.plane.permissions
    assert numbers(driver) == {0x4000}


@pytest.mark.parametrize(
    ("attributes", "code"),
    [
        ([], 400),
        ([NUMBER], 400),
        ([PEER], 400),
        ([NUMBER, (AttributeType.XOR_PEER_ADDRESS, b"\0\1")], 400),
        ([(AttributeType.CHANNEL_NUMBER, b"\x40\x00"), PEER], 400),
        ([NUMBER, PEER, lifetime(1)], 420),
    ],
)
def test_a_bind_that_lacks_something_is_refused(attributes: list[Attribute], code: int) -> None:
    driver = ServerDriver()
    assert allocated(driver).request(Method.CHANNEL_BIND, *attributes).code == code
    assert not any(isinstance(command, InstallChannelRoute) for command in driver.plane.commands)


def test_the_first_number_and_the_first_peer_count() -> None:
    """ST-9."""
    driver = ServerDriver()
    alice = allocated(driver)
    second = (AttributeType.CHANNEL_NUMBER, encode_channel_number(0x4001))
    assert alice.request(Method.CHANNEL_BIND, NUMBER, second, PEER, OTHER_PEER).code is None
    assert {route.channel: route.peer for route in driver.plane.channels.values()} == {0x4000: PEER}
    assert len(driver.plane.permissions) == 1


def test_without_an_allocation_a_bind_is_437() -> None:
    assert ServerDriver().caller().bind(0x4000, PEER).code == 437


def test_a_channel_to_port_zero_is_refused() -> None:
    driver = ServerDriver()
    assert allocated(driver).bind(0x4000, PEER._replace(port=0)).code == 403
    assert not driver.plane.channels


def test_channels_have_a_bound_and_the_rest_goes_on() -> None:
    """TQ-7: 508 beyond 1,024."""
    driver = ServerDriver()
    alice = allocated(driver)
    for number in range(MAX_CHANNELS):
        assert alice.bind(0x4000 + number, PEER._replace(port=1 + number)).code is None
    assert alice.bind(0x4000 + MAX_CHANNELS, OTHER_PEER).code == 508
    assert alice.bind(0x4000, PEER._replace(port=1)).code is None
    assert len(driver.plane.permissions) == 1
    assert driver.engine.allocations.timers == 1 + MAX_CHANNELS + 1
    driver.close()
