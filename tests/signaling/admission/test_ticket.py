"""One-time tickets."""

from __future__ import annotations

from dataclasses import replace

import pytest

from icelane.core.clock import Instant
from icelane.crypto.provider import SystemEntropy
from icelane.signaling.admission import ticket
from icelane.signaling.admission.request import Allow
from icelane.signaling.admission.ticket import LIFETIME, MAX_TICKETS_PER_IDENTITY, TicketStore

ALLOW = Allow(identity="alice", rooms=("lobby",))
T0 = Instant(100.0)


def issue(store: TicketStore, allow: Allow = ALLOW, now: float = T0) -> str:
    found = store.issue(allow, Instant(now))
    assert found is not None
    return found


def test_a_ticket_admits_once() -> None:
    store = TicketStore(SystemEntropy())
    one, other = issue(store), issue(store)
    assert one != other
    assert store.redeem(one, T0) is ALLOW
    assert store.redeem(one, T0) is None
    assert store.redeem(other, T0) is ALLOW
    assert len(store) == 0
    assert not store._hashes_by_identity


def test_a_ticket_lives_a_minute() -> None:
    store = TicketStore(SystemEntropy())
    one, late = issue(store), issue(store, now=T0 + 1)
    assert store.redeem(one, Instant(T0 + LIFETIME)) is None
    assert store.redeem(late, Instant(T0 + LIFETIME)) is ALLOW
    assert LIFETIME == 60


@pytest.mark.parametrize("text", ["", "x", "\ud800", "A" * 43])
def test_a_ticket_that_nobody_issued_admits_nobody(text: str) -> None:
    store = TicketStore(SystemEntropy())
    issue(store)
    assert store.redeem(text, T0) is None
    assert len(store) == 1


def test_no_number_of_tickets_makes_memory_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    """SG-15: at the bound none is issued until one is used or over; one page cannot take all of them."""
    monkeypatch.setattr(ticket, "MAX_TICKETS", 50)
    store = TicketStore(SystemEntropy())
    mine = [issue(store) for _ in range(200)]
    assert len(store) == MAX_TICKETS_PER_IDENTITY
    assert store.redeem(mine[0], T0) is None
    assert store.redeem(mine[-1], T0) is ALLOW
    others = [store.issue(replace(ALLOW, identity=f"user{number}"), T0) for number in range(50)]
    assert others[0] is not None
    assert others[-1] is None
    assert len(store) == 50
    assert issue(store, now=T0 + LIFETIME)
    assert len(store) == 1


def test_what_is_kept_is_no_ticket() -> None:
    """CR-6: whoever reads the store can use none of it."""
    store = TicketStore(SystemEntropy())
    text = issue(store)
    assert text not in repr(store)
    assert text not in repr(vars(store).values())
