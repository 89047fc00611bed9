"""A file of `[lists]`: entries or MalformedError, and what is in a deny list is refused."""

from __future__ import annotations

from collections.abc import Hashable

from icelane.errors import MalformedError
from icelane.turn.access_list import AccessEntries, AccessLists, parse_access_list
from icelane.turn.address_range import host_of

SEEDS = [
    b"# ours\n203.0.113.0/24   # guests\ncountry:AQ\nidentity:bob\nidentity:team-*\n2001:db8::/32\n10.0.0.1-10.0.0.9",
    b"::ffff:203.0.113.0/120\n",
]
DICTIONARY = [b"country:", b"identity:", b"/24", b"-", b" #", b"\n", b"*", b"::ffff:", b"/0", b"%eth0", b"0.0.0.0"]


def run(data: bytes) -> Hashable:
    """Which kinds of entries it has."""
    try:
        entries = tuple(parse_access_list(data.decode("latin-1")))
    except MalformedError:
        return None
    lists = AccessLists(AccessEntries(allow=entries, deny=entries, country_of={"192.0.2.1": "AQ"}.get))
    for entry in entries:
        if entry.addresses is not None:
            for number in (entry.addresses.first, entry.addresses.last):
                assert lists.refuses_address(host_of(entry.addresses.family, number)) == "denied-address"
        if entry.identity:
            assert lists.refuses_identity(entry.identity) == "denied-identity"
    return frozenset(
        ("addresses" if entry.addresses else "country" if entry.country else "identity") for entry in entries
    )
