"""Lists of who may come."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.errors import ConfigurationError, MalformedError
from icelane.turn import access_list
from icelane.turn.access_list import (
    AccessEntries,
    AccessEntry,
    AccessLists,
    Client,
    parse_access_entry,
    parse_access_list,
)

COUNTRIES = {"203.0.113.1": "NO", "203.0.113.2": "SE", "2001:db8::1": "SE"}


def lists(allow: tuple[str, ...] = (), deny: tuple[str, ...] = ()) -> AccessLists:
    return AccessLists(entries(allow, deny))


def entries(allow: tuple[str, ...] = (), deny: tuple[str, ...] = ()) -> AccessEntries:
    return AccessEntries(
        allow=tuple(parse_access_entry(text) for text in allow),
        deny=tuple(parse_access_entry(text) for text in deny),
        country_of=COUNTRIES.get,
    )


def test_without_lists_everybody_may_come() -> None:
    assert AccessLists().refuses_address("203.0.113.1") is None
    assert AccessLists().refuses_identity("alice") is None


def test_deny_wins_over_allow() -> None:
    """SG-4: an address, a country, an identity that stands in both."""
    both = lists(allow=("203.0.113.0/24", "identity:*"), deny=("203.0.113.7", "identity:mallory"))
    assert both.refuses_address("203.0.113.6") is None
    assert both.refuses_address("203.0.113.7") == "denied-address"
    assert both.refuses_identity("alice") is None
    assert both.refuses_identity("mallory") == "denied-identity"
    countries = lists(allow=("country:SE",), deny=("203.0.113.2",))
    assert countries.refuses_address("203.0.113.2") == "denied-address"
    assert lists(allow=("203.0.113.1",), deny=("country:NO",)).refuses_address("203.0.113.1") == "denied-country"


def test_allow_names_places_or_identities() -> None:
    places = lists(allow=("198.51.100.0/24", "country:SE"))
    assert places.refuses_address("198.51.100.9") is None
    assert places.refuses_address("2001:db8::1") is None
    assert places.refuses_address("203.0.113.1") == "not-allowed-address"
    assert places.refuses_address("192.0.2.1") == "not-allowed-address"
    assert places.refuses_identity("anybody") is None
    people = lists(allow=("identity:alice", "identity:team-*"))
    assert people.refuses_address("192.0.2.1") is None
    assert people.refuses_identity("alice") is None
    assert people.refuses_identity("team-7") is None
    assert people.refuses_identity("alice2") == "not-allowed-identity"


def test_a_mapped_entry_is_the_ipv4_one() -> None:
    """SG-4: an IPv4 client is known by one spelling, in the list and in the request."""
    assert lists(deny=("::ffff:203.0.113.0/120",)).refuses_address("203.0.113.9") == "denied-address"


def test_a_range_is_exact_at_its_ends() -> None:
    found = lists(deny=("203.0.113.10-203.0.113.20", "2001:db8:5::/48"))
    assert found.refuses_address("203.0.113.9") is None
    assert found.refuses_address("203.0.113.10") is not None
    assert found.refuses_address("203.0.113.20") is not None
    assert found.refuses_address("203.0.113.21") is None
    assert found.refuses_address("2001:db8:5:ffff::1") is not None
    assert found.refuses_address("2001:db8:6::") is None


@pytest.mark.parametrize(
    "text",
    ["", "*", "203.0.113.0/33", "203.0.113.1/24", "country:", "country:SWE", "country:1A", "identity:", "host.example"],
)
def test_what_is_no_entry_is_refused(text: str) -> None:
    with pytest.raises(MalformedError):
        parse_access_entry(text)


def test_a_file_has_one_entry_a_line() -> None:
    text = "# ours\n203.0.113.0/24   # a guest network\n\n identity:bob#7 \ncountry:aq\n"
    assert parse_access_list(text) == [
        parse_access_entry("203.0.113.0/24"),
        AccessEntry(identity="bob#7"),
        AccessEntry(country="AQ"),
    ]
    with pytest.raises(MalformedError, match="line 2"):
        parse_access_list("203.0.113.1\nnonsense\n")


def test_lists_are_replaced_in_one_step_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """SG-4, OP-12: a list that cannot be used leaves the one that could."""
    found = lists(deny=("203.0.113.1",))
    with pytest.raises(ConfigurationError, match=r"lists\.countries"):
        found.replace(AccessEntries(deny=(AccessEntry(country="NO"),)))
    monkeypatch.setattr(access_list, "MAX_ENTRIES", 1)
    with pytest.raises(ConfigurationError, match="more than"):
        found.replace(entries(deny=("203.0.113.1", "203.0.113.2")))
    assert found.refuses_address("203.0.113.1") is not None
    found.replace(entries(deny=("203.0.113.2",)))
    assert found.refuses_address("203.0.113.1") is None
    assert found.refuses_address("203.0.113.2") is not None


def test_whoever_is_connected_is_held_against_the_lists() -> None:
    """SG-4, CR-8: those who may not be there any more, with the reason; who has no identity yet by his address."""
    clients = [
        Client("a", "203.0.113.1", "alice"),
        Client("b", "203.0.113.2", "bob"),
        Client("c", "2001:db8::1", None),
        Client("d", "198.51.100.1", "mallory"),
    ]
    found = lists()
    assert list(found.refused_now(clients)) == []
    found.replace(entries(deny=("203.0.113.2", "identity:mallory")))
    assert list(found.refused_now(clients)) == [("b", "denied-address"), ("d", "denied-identity")]
    found.replace(entries(deny=("country:SE",)))
    assert list(found.refused_now(clients)) == [("b", "denied-country"), ("c", "denied-country")]


@given(st.lists(st.ip_addresses(v=4), min_size=1, max_size=8), st.ip_addresses(v=4))
def test_a_denied_address_is_refused_whatever_is_allowed(denied: list[object], other: object) -> None:
    """SG-4: deny beats allow, for every address."""
    texts = tuple(str(one) for one in denied)
    found = lists(allow=("0.0.0.0-255.255.255.255", str(other), *texts), deny=texts)
    assert all(found.refuses_address(text) == "denied-address" for text in texts)
    assert (found.refuses_address(str(other)) is None) == (str(other) not in texts)
