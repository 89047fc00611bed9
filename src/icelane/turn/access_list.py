"""Who may use the server at all: lists of addresses, identities and countries. Signaling and the relay go by the same.

    203.0.113.0/24    an address, a CIDR block or `first-last`
    country:AQ        ISO 3166-1, of the client's address
    identity:bob      a user; ending in `*` it stands for whatever follows

Deny wins. An empty `allow` allows everybody; once it names addresses or countries, the client has to be at one of
them, and once it names identities, he has to be one of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Generic, NamedTuple, TypeVar

from icelane.core.net import AddressFamily, family_of, unmapped_host
from icelane.errors import ConfigurationError, MalformedError
from icelane.turn.address_range import AddressRange, RangeTable, number_of, parse_address_range
from icelane.turn.ephemeral_user import SHOWN, HiddenIdentity, digest_of, identity_of

# Of one list. A list of a whole registry is below; beyond it somebody has named the wrong file.
MAX_ENTRIES: Final = 200_000

DENIED_ADDRESS: Final = "denied-address"
DENIED_COUNTRY: Final = "denied-country"
NOT_ALLOWED_ADDRESS: Final = "not-allowed-address"
DENIED_IDENTITY: Final = "denied-identity"
NOT_ALLOWED_IDENTITY: Final = "not-allowed-identity"
REASONS: Final = (DENIED_ADDRESS, DENIED_COUNTRY, NOT_ALLOWED_ADDRESS, DENIED_IDENTITY, NOT_ALLOWED_IDENTITY)
"""Why somebody is kept out, in the words of docs/reference/logs.md."""

_COUNTRY: Final = "country:"
_IDENTITY: Final = "identity:"
_CODE: Final = re.compile(r"[A-Z]{2}")
_MAX_IDENTITY_BYTES: Final = 1024

CountryOf = Callable[[str], str | None]
"""The ISO 3166-1 code of an address, None where it is not known."""

K = TypeVar("K")


class AccessEntry(NamedTuple):
    """One line of a list; exactly one part is set."""

    addresses: AddressRange | None = None
    country: str = ""
    identity: str = ""


class Client(NamedTuple, Generic[K]):
    """Somebody who is connected: `key` is what whoever asks knows him by, `identity` None before he has one."""

    key: K
    host: str
    identity: str | None = None


def parse_access_entry(text: str) -> AccessEntry:
    """One entry, as above. Raises MalformedError."""
    if text.startswith(_COUNTRY):
        code = text.removeprefix(_COUNTRY).upper()
        if not _CODE.fullmatch(code):
            raise MalformedError("a country is two letters: country:AQ")
        return AccessEntry(country=code)
    if text.startswith(_IDENTITY):
        identity = text.removeprefix(_IDENTITY)
        if not 0 < len(identity.encode("utf-8", "surrogatepass")) <= _MAX_IDENTITY_BYTES:
            raise MalformedError("an identity is not empty: identity:bob")
        return AccessEntry(identity=identity)
    found = parse_address_range(text)
    if found.family is AddressFamily.IPV6 and found.first >> 32 == 0xFFFF and found.last >> 32 == 0xFFFF:
        # An IPv4 client is known by his IPv4 address, however a socket spells it.
        found = AddressRange(AddressFamily.IPV4, found.first & 0xFFFFFFFF, found.last & 0xFFFFFFFF)
    return AccessEntry(addresses=found)


def parse_access_list(text: str) -> list[AccessEntry]:
    """The entries of a file, one a line; what follows `#` is a remark. Raises MalformedError that names the line."""
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        # An identity may have a `#` in it, so a remark needs a space before it.
        entry = re.sub(r"(^|\s)#.*", "", line).strip()
        if not entry:
            continue
        try:
            found.append(parse_access_entry(entry))
        except MalformedError as error:
            raise MalformedError(f"line {number}: {error}") from None
    return found


class _Set:
    """The entries of one list, by kind."""

    def __init__(self, entries: Iterable[AccessEntry], key: str) -> None:
        entries = tuple(entries)
        if len(entries) > MAX_ENTRIES:
            raise ConfigurationError(f"more than {MAX_ENTRIES} entries", key=key)
        ranges = [(one.addresses, str(one.addresses)) for one in entries if one.addresses is not None]
        self._tables = {family: RangeTable(family, ranges) for family in AddressFamily}
        self.has_addresses = bool(ranges)
        self.countries = frozenset(one.country for one in entries if one.country)
        identities = [one.identity for one in entries if one.identity]
        self._identities = frozenset(name for name in identities if not name.endswith("*"))
        self._beginnings = tuple(name[:-1] for name in identities if name.endswith("*"))
        # Those that a user of the relay may be known by. Shorter ones are never hidden there.
        long = (name for name in self._identities if len(name) > SHOWN)
        self._digests = frozenset(digest_of(name) for name in long if name.isprintable())

    def has_address(self, host: str) -> bool:
        return self.has_addresses and self._tables[family_of(host)].label(number_of(host)) is not None

    def has_identity(self, identity: str) -> bool:
        return identity in self._identities or (bool(self._beginnings) and identity.startswith(self._beginnings))

    def has_hidden(self, identity: HiddenIdentity, *, in_doubt: bool) -> bool:
        """The same of somebody of whom less is known. A longer beginning than is shown may be his: then `in_doubt`."""
        if identity.digest in self._digests or identity.beginning.startswith(self._beginnings):
            return True
        return in_doubt and any(beginning.startswith(identity.beginning) for beginning in self._beginnings)

    @property
    def has_places(self) -> bool:
        return self.has_addresses or bool(self.countries)

    @property
    def has_identities(self) -> bool:
        return bool(self._identities or self._beginnings)


@dataclass(frozen=True, kw_only=True)
class AccessEntries:
    """What the configuration and its files say, complete. `country_of` is needed for entries with a country."""

    allow: tuple[AccessEntry, ...] = ()
    deny: tuple[AccessEntry, ...] = ()
    country_of: CountryOf | None = None


class AccessLists:
    """The lists that stand now. `replace` puts others in their place in one step; whoever asks sees one or the other.

    Hosts are canonical, IPv4 never as IPv4-mapped. Raises ConfigurationError, as `replace` does, for a list that is too
    long, and for a country without something to look it up in.
    """

    def __init__(self, entries: AccessEntries | None = None) -> None:
        self._now = _Pair(entries or AccessEntries())

    def replace(self, entries: AccessEntries) -> None:
        """From now on these count. Raises ConfigurationError, and then the old ones do."""
        self._now = _Pair(entries)

    def refuses_address(self, host: str) -> str | None:
        """Why nobody at this address may enter, as a word for logs; None when he may."""
        return self._now.refuses_address(host)

    def refuses_identity(self, identity: str) -> str | None:
        """Why this user may not enter; None when he may."""
        return self._now.refuses_identity(identity)

    def refuses_hidden(self, identity: HiddenIdentity) -> str | None:
        """The same for a user whose name is too long for the relay. A pattern that may be his keeps him out."""
        return self._now.refuses_hidden(identity)

    def refused_now(self, clients: Iterable[Client[K]]) -> Iterator[tuple[K, str]]:
        """Those of `clients` who are connected and may not be any more, with the reason. Ask every few seconds."""
        now = self._now
        if now.empty:
            return
        for client in clients:
            reason = now.refuses_address(client.host)
            if reason is None and client.identity is not None:
                reason = now.refuses_identity(client.identity)
            if reason is not None:
                yield client.key, reason


class _Pair:
    """An allow list and a deny list that were read together."""

    def __init__(self, entries: AccessEntries) -> None:
        self._allow = _Set(entries.allow, "lists.allow")
        self._deny = _Set(entries.deny, "lists.deny")
        self._country_of = entries.country_of
        if self._country_of is None:
            for side, key in ((self._allow, "lists.allow"), (self._deny, "lists.deny")):
                if side.countries:
                    raise ConfigurationError("a country needs lists.countries, the database to look it up in", key=key)
        self.empty = not (entries.allow or entries.deny)

    def refuses_address(self, host: str) -> str | None:
        if self.empty:
            return None
        if self._deny.has_address(host):
            return DENIED_ADDRESS
        # Looked up once, and only where a list speaks of countries.
        asks = self._country_of is not None and bool(self._allow.countries or self._deny.countries)
        country = self._country_of(host) if asks and self._country_of is not None else None
        if country in self._deny.countries:
            return DENIED_COUNTRY
        if self._allow.has_places and not (self._allow.has_address(host) or country in self._allow.countries):
            return NOT_ALLOWED_ADDRESS
        return None

    def refuses_identity(self, identity: str) -> str | None:
        if self._deny.has_identity(identity):
            return DENIED_IDENTITY
        if self._allow.has_identities and not self._allow.has_identity(identity):
            return NOT_ALLOWED_IDENTITY
        return None

    def refuses_hidden(self, identity: HiddenIdentity) -> str | None:
        if self._deny.has_hidden(identity, in_doubt=True):
            return DENIED_IDENTITY
        if self._allow.has_identities and not self._allow.has_hidden(identity, in_doubt=False):
            return NOT_ALLOWED_IDENTITY
        return None


def refused_by(access: AccessLists, host: str, user_key: str) -> str | None:
    """Why the lists keep a user of the relay at an address out, as a word for logs; None when they do not.

    The names of ephemeral users are encoded (`icelane.turn.ephemeral_user`), and lists have them as they are.
    """
    found = access.refuses_address(unmapped_host(host))
    if found is not None:
        return found
    identity = identity_of(user_key)
    return (
        access.refuses_hidden(identity) if isinstance(identity, HiddenIdentity) else access.refuses_identity(identity)
    )
