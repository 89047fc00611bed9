"""What identities are called at the relay."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.turn.access_list import AccessEntries, AccessLists, parse_access_entry, refused_by
from icelane.turn.credentials import MAX_USERNAME_BYTES
from icelane.turn.ephemeral_user import HiddenIdentity, ephemeral_user, identity_of

IDEOGRAPHS = "\u6f22" * 60
HOST = "203.0.113.7"

IDENTITIES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=256)


def lists(allow: tuple[str, ...] = (), deny: tuple[str, ...] = ()) -> AccessLists:
    entries = (tuple(parse_access_entry(f"identity:{one}") for one in side) for side in (allow, deny))
    return AccessLists(AccessEntries(allow=next(entries), deny=next(entries)))


@given(IDENTITIES, IDENTITIES)
def test_a_name_fits_is_its_own_and_leads_back(one: str, other: str) -> None:
    """CR-5: whatever the script and the length."""
    name = ephemeral_user(one)
    assert name.isascii()
    assert ":" not in name
    assert len(f"999999999999:{'k' * 64}:{name}") <= MAX_USERNAME_BYTES
    assert (name == ephemeral_user(other)) is (one == other)
    found = identity_of(name)
    assert found == one or (isinstance(found, HiddenIdentity) and one.startswith(found.beginning))


def test_short_names_are_as_they_always_were() -> None:
    assert ephemeral_user("alice@example.org+1") == "alice@example.org+1"
    assert ephemeral_user("a/b:c \xfc!") == "a%2Fb%3Ac%20%C3%BC%21"


@given(IDENTITIES)
def test_whoever_is_on_a_list_is_known_at_the_relay(identity: str) -> None:
    """SG-4, TR-12: by his identity, however long it is."""
    user = ephemeral_user(identity)
    if not identity.endswith("*") and identity.isprintable():
        assert refused_by(lists(deny=(identity,)), HOST, user) == "denied-identity"
        assert refused_by(lists(allow=(identity,)), HOST, user) is None
        assert refused_by(lists(allow=(identity + "x",)), HOST, user) == "not-allowed-identity"
        assert refused_by(lists(deny=(identity + "x",)), HOST, user) is None


@pytest.mark.parametrize("length", [1, 24, 25, 59])
def test_a_pattern_that_may_be_about_somebody_keeps_him_out_and_lets_nobody_in(length: int) -> None:
    """SG-4: of a long name only the beginning is known at the relay."""
    user, pattern = ephemeral_user(IDEOGRAPHS), IDEOGRAPHS[:length] + "*"
    assert refused_by(lists(deny=(pattern,)), HOST, user) == "denied-identity"
    assert refused_by(lists(deny=("x" + pattern,)), HOST, user) is None
    assert refused_by(lists(allow=(pattern,)), HOST, user) == (None if length <= 24 else "not-allowed-identity")
