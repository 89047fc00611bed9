"""From where a server with two addresses and two ports answers: table 1 of RFC 5780."""

from __future__ import annotations

import itertools

import pytest

from icelane.core.net import SocketAddress
from icelane.stun.attributes import ChangeRequest
from icelane.turn.behavior import BOTH, NO_CHANGE, BehaviorOrigins

ORIGINS = BehaviorOrigins(
    pairs=(("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::2")),
    ports=(3478, 3479),
    external={"192.0.2.1": "203.0.113.1", "192.0.2.2": "203.0.113.2"},
)
ALL_FOUR = [
    (SocketAddress(pair[here], (3478, 3479)[port]), SocketAddress(pair[1 - here], (3478, 3479)[1 - port]))
    for pair in ORIGINS.pairs
    for here, port in itertools.product((0, 1), repeat=2)
]


@pytest.mark.parametrize(("asked", "other"), ALL_FOUR)
def test_each_of_the_four_is_answered_from_as_the_table_says(asked: SocketAddress, other: SocketAddress) -> None:
    assert ORIGINS.origin(asked, NO_CHANGE) == asked
    assert ORIGINS.origin(asked, ChangeRequest(address=True, port=False)) == (other.host, asked.port)
    assert ORIGINS.origin(asked, ChangeRequest(address=False, port=True)) == (asked.host, other.port)
    assert ORIGINS.origin(asked, BOTH) == other
    assert ORIGINS.covers(asked)


def test_other_addresses_and_other_ports_are_not_covered() -> None:
    assert not ORIGINS.covers(SocketAddress("192.0.2.3", 3478))
    assert not ORIGINS.covers(SocketAddress("192.0.2.1", 3480))


def test_clients_are_told_what_the_outside_calls_an_address() -> None:
    assert ORIGINS.told(SocketAddress("192.0.2.2", 3479)) == ("203.0.113.2", 3479)
    assert ORIGINS.told(SocketAddress("2001:db8::2", 3479)) == ("2001:db8::2", 3479)
