"""Engines that serve on the same addresses: what one has given out, and another is shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.core.net import AddressFamily, SocketAddress
from icelane.testing.entropy import SeededEntropy
from icelane.turn.relay_ports import RelayPorts
from icelane.turn.siblings import ALONE, Siblings

pytestmark = pytest.mark.twin

HOST = "192.0.2.1"


def ports_of(own: int, total: int = 2) -> RelayPorts:
    """A hundred ports of the engine `own`, next to those of its siblings."""
    first = 50_000 + 100 * own
    return RelayPorts([HOST], range(first, first + 100), {}, entropy=SeededEntropy(own), siblings=Siblings(own, total))


@given(st.integers(1, 64), st.data())
def test_a_number_says_whose_it_is_and_stays_below_its_limit(total: int, data: st.DataObject) -> None:
    limit = data.draw(st.integers(2 * total, 1 << 64))
    siblings = Siblings(data.draw(st.integers(0, total - 1)), total)
    number = data.draw(st.integers(0, limit - 1))
    marked = siblings.mark(number, limit)
    assert 0 <= marked < limit
    assert siblings.is_ours(marked)
    assert siblings.owner_of(marked) == siblings.own
    assert abs(marked - number) < total


@given(st.integers(0, (1 << 32) - 1))
def test_who_is_alone_has_every_number(number: int) -> None:
    assert ALONE.mark(number, 1 << 32) == number
    assert ALONE.is_ours(number)


@pytest.mark.parametrize("own", [0, 1])
def test_tokens_lead_to_the_engine_that_has_given_them_out(own: int) -> None:
    ours, other = ports_of(own), ports_of(1 - own)
    for _ in range(50):
        relay = ours.take(AddressFamily.IPV4, even=True, and_next=True)
        assert relay is not None
        token = ours.reserve(SocketAddress(HOST, relay.port + 1)).token
        assert ours.owner_of(token) is None
        assert other.owner_of(token) == own


def test_a_lent_port_is_free_again_when_it_is_returned_and_not_before() -> None:
    """TQ-6: whatever is lent comes back once, by the borrower's word or by its end."""
    ports = ports_of(0)
    relay = ports.take(AddressFamily.IPV4, even=False, and_next=False)
    assert relay is not None
    ports.lend(relay, 1)
    assert ports.in_use == 1
    for _ in range(3):
        ports.take_back(relay)
    assert ports.in_use == 0


def test_what_a_sibling_had_borrowed_comes_back_when_it_is_gone() -> None:
    """TQ-6: and what others have borrowed does not."""
    ports = ports_of(0, 3)
    relays = [ports.take(AddressFamily.IPV4, even=False, and_next=False) for _ in range(4)]
    for number, relay in enumerate(relays):
        assert relay is not None
        ports.lend(relay, 1 + number % 2)
    ports.take_back_from(1)
    assert ports.in_use == 2
    ports.take_back_from(1)
    ports.take_back_from(2)
    assert ports.in_use == 0


def test_a_borrowed_port_is_given_back_to_its_owner() -> None:
    ports = ports_of(0)
    foreign = SocketAddress(HOST, 50_150)
    ports.borrow(foreign, 1)
    assert ports.in_use == 1
    assert ports.give_back(foreign) == 1
    assert ports.in_use == 0
    own = ports.take(AddressFamily.IPV4, even=False, and_next=False)
    assert own is not None
    assert ports.give_back(own) is None
