from __future__ import annotations

import pytest

from icelane.core.clock import UnixSeconds
from icelane.errors import LocalProtocolError
from icelane.turn.credentials import MAX_TTL, password_credential
from icelane.turn.revocation import MAX_REVOKED, UNTIL_RESTART, Revocation, Revocations, end_of

NOW = UnixSeconds(1.8e9)
ALICE = password_credential("alice", "example.org", "secret")


def test_an_entry_ends_with_what_it_covers() -> None:
    revocations = Revocations()
    revocations.add(Revocation("alice"), UnixSeconds(NOW + 10), NOW)
    assert revocations.covers(ALICE, "", UnixSeconds(NOW + 9))
    assert not revocations.covers(ALICE, "", UnixSeconds(NOW + 10))


def test_a_second_revocation_never_shortens_the_first() -> None:
    revocations = Revocations()
    revocations.add(Revocation("alice"), UnixSeconds(NOW + 100), NOW)
    revocations.add(Revocation("alice"), UnixSeconds(NOW + 10), NOW)
    assert revocations.covers(ALICE, "", UnixSeconds(NOW + 50))


def test_the_list_and_the_entries_count_side_by_side() -> None:
    revocations = Revocations(frozenset({Revocation("alice")}))
    revocations.add(Revocation(kid="k1"), UNTIL_RESTART, NOW)
    bob = password_credential("bob", "example.org", "secret")
    assert revocations.covers(ALICE, "", NOW)
    assert revocations.covers(bob, "k1", NOW)
    assert not revocations.covers(bob, "k2", NOW)
    assert not revocations.covers(bob, "", NOW)
    revocations.set_listed(frozenset())
    assert not revocations.covers(ALICE, "", NOW)


def test_a_user_who_is_called_like_a_secret_is_not_that_secret() -> None:
    revocations = Revocations(frozenset({Revocation(kid="alice")}))
    assert not revocations.covers(ALICE, "", NOW)


def test_memory_is_bounded_and_nothing_that_counts_is_forgotten() -> None:
    """TR-12: what has expired makes room; beyond that the next one is an error, not a hole."""
    revocations = Revocations()
    for number in range(MAX_REVOKED):
        revocations.add(Revocation(f"user{number}"), UnixSeconds(NOW + 10 + number % 2), NOW)
    with pytest.raises(LocalProtocolError):
        revocations.add(Revocation("alice"), UNTIL_RESTART, NOW)
    assert len(revocations) == MAX_REVOKED
    revocations.add(Revocation("alice"), UNTIL_RESTART, UnixSeconds(NOW + 10))
    assert len(revocations) == MAX_REVOKED // 2 + 1


def test_an_end_is_that_of_the_credential_or_a_day() -> None:
    assert end_of(Revocation(kid="k1"), [], NOW) == UNTIL_RESTART
    assert end_of(Revocation("carol"), [], NOW) == NOW + MAX_TTL
    assert end_of(Revocation("alice"), [ALICE], NOW) == UNTIL_RESTART
