from __future__ import annotations

import pytest

from icelane.core.clock import UnixSeconds
from icelane.errors import LocalProtocolError
from icelane.turn.credentials import (
    MAX_LEEWAY,
    Credential,
    CredentialStore,
    RestCredentials,
    Secret,
    password_credential,
)
from icelane.turn.revocation import MAX_REVOKED, UNTIL_RESTART, Revocation, Revocations, end_of

NOW = UnixSeconds(1.8e9)
ALICE = password_credential("alice", "example.org", "secret")


def test_an_entry_ends_with_what_it_covers() -> None:
    revocations = Revocations()
    revocations.add(Revocation("alice"), UnixSeconds(NOW + 10), NOW)
    assert revocations.covers(ALICE, "", UnixSeconds(NOW + 10))  # when the credential is still good
    assert not revocations.covers(ALICE, "", UnixSeconds(NOW + 10.1))


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
    with pytest.raises(LocalProtocolError):
        revocations.add(Revocation("alice"), UNTIL_RESTART, UnixSeconds(NOW + 10))
    revocations.add(Revocation("alice"), UNTIL_RESTART, UnixSeconds(NOW + 10.5))
    assert len(revocations) == MAX_REVOKED // 2 + 1


def test_only_a_single_credential_that_is_known_has_an_end() -> None:
    """TR-12: a user, a secret and whoever has not been seen may have credentials of any length."""
    secret = Secret("k1", "a secret that is long enough")
    found = CredentialStore(rest=RestCredentials([secret], leeway=120)).find("1800000600:carol", "example.org", NOW)
    assert isinstance(found, Credential)
    # Whatever leeway a reload sets before then.
    assert end_of(Revocation("1800000600:carol"), [found]) == NOW + 600 + 120 + MAX_LEEWAY
    assert end_of(Revocation("carol"), [found]) == UNTIL_RESTART
    assert end_of(Revocation("carol"), []) == UNTIL_RESTART
    assert end_of(Revocation(kid="k1"), [found]) == UNTIL_RESTART
    assert end_of(Revocation("alice"), [ALICE]) == UNTIL_RESTART
