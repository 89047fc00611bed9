"""Who is at the other end when proxies stand between: the right-most hop that nobody vouches for.

Each proxy appends the address that it was reached from. So the list is read from its end, where our own proxies wrote,
and the first entry that is not one of them is the client; what stands left of it the client may have made up. When the
socket's own peer is no trusted proxy, no header counts at all. One header counts: `Forwarded` (RFC 7239) where it is
there, else `X-Forwarded-For`. `X-Real-IP` never does: it does not say who wrote it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from icelane.core.net import AddressFamily, canonical_host, family_of, unmapped_host
from icelane.errors import ConfigurationError, MalformedError
from icelane.signaling.admission.headers import MAX_HEADER_BYTES, Headers
from icelane.turn.address_range import RangeTable, number_of, parse_address_range, trusts_too_many

# From the right. A chain of trusted proxies is a handful; what lies further left is never looked at.
MAX_HOPS: Final = 32

_TRUSTED: Final = "trusted"
_FORWARDED_PAIR: Final = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+)=(?:\"((?:[^\"\\]|\\.)*)\"|([^\s\",;=]*))")
_PORT: Final = re.compile(r"[0-9]{1,5}")


def canonical_address(host: str) -> str:
    """An address in the one spelling that lists and limits see: without zone, IPv4 never as an IPv4-mapped one.

    Raises MalformedError when it is not an IP address.
    """
    return unmapped_host(canonical_host(host))


class TrustedProxies:
    """The proxies that may say whom they speak for. Raises ConfigurationError for one that would trust everybody."""

    def __init__(self, ranges: Iterable[str] = ()) -> None:
        parsed = []
        for text in ranges:
            try:
                one = parse_address_range(text)
            except MalformedError as error:
                raise ConfigurationError(str(error), key="server.trusted_proxies") from None
            parsed.append((one, _TRUSTED))
        if trusts_too_many(one for one, _ in parsed):
            text = "that trusts everybody, who could then be anybody; name your proxies"
            raise ConfigurationError(text, key="server.trusted_proxies")
        self._tables = {family: RangeTable(family, parsed) for family in AddressFamily}

    def __contains__(self, host: object) -> bool:
        return isinstance(host, str) and self._tables[family_of(host)].label(number_of(host)) is not None

    def client_of(self, peer: str, headers: Headers) -> str:
        """The canonical address of the client behind the socket's `peer`.

        A hop that is no address, such as `unknown`, ends the search at the last proxy that is known: whoever hides
        behind it shares that one's limits. Raises MalformedError when `peer` is no address.
        """
        found = canonical_address(peer)
        if found not in self:
            return found
        try:
            hops = forwarded_hops(headers)
        except MalformedError:
            return found
        for hop in reversed(hops[-MAX_HOPS:]):
            if hop is None:
                return found
            found = hop
            if found not in self:
                return found
        return found


def forwarded_hops(headers: Headers) -> list[str | None]:
    """The hops that the headers name, the nearest last; None for one that is no address. Raises MalformedError."""
    if headers.lines("forwarded"):
        return parse_forwarded(", ".join(headers.lines("forwarded")))
    return parse_forwarded_for(", ".join(headers.lines("x-forwarded-for")))


def parse_forwarded_for(text: str) -> list[str | None]:
    """The addresses of X-Forwarded-For, with or without a port; None for one that is none. Raises MalformedError."""
    if len(text) > MAX_HEADER_BYTES:
        # The nearest hop is at the end, and a header that is cut has a hop that is cut.
        text = text[-MAX_HEADER_BYTES:].partition(",")[2]
    return [_address(part.strip(" \t")) for part in text.split(",")] if text.strip() else []


def parse_forwarded(text: str) -> list[str | None]:
    """The `for` of each element of Forwarded (RFC 7239 section 4); None where it has none. Raises MalformedError."""
    if len(text) > MAX_HEADER_BYTES:
        raise MalformedError("a Forwarded header is too long")
    found: list[str | None] = []
    for element in _split_outside_quotes(text, ","):
        names: dict[str, str] = {}
        for pair in _split_outside_quotes(element, ";"):
            match = _FORWARDED_PAIR.fullmatch(pair.strip(" \t"))
            if match is None or match[1].lower() in names:
                raise MalformedError("a Forwarded header does not parse")
            quoted = match[2]
            names[match[1].lower()] = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else match[3]
        found.append(_address(names.get("for", "")))
    return found


def _split_outside_quotes(text: str, separator: str) -> list[str]:
    parts, start, quoted, position = [], 0, False, 0
    while position < len(text):
        letter = text[position]
        if quoted and letter == "\\":
            position += 1
        elif letter == '"':
            quoted = not quoted
        elif letter == separator and not quoted:
            parts.append(text[start:position])
            start = position + 1
        position += 1
    if quoted:
        raise MalformedError("a quoted string has no end")
    return [*parts, text[start:]]


def _address(text: str) -> str | None:
    """`192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:80`; None for anything else."""
    host, port = text, ""
    if text.startswith("["):
        host, closed, rest = text[1:].partition("]")
        if not closed or ":" not in host or (rest and not rest.startswith(":")):
            return None
        port = rest[1:] if rest else ""
        if rest == ":":
            return None
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
        if not port:
            return None
    if "%" in host or (port and not _PORT.fullmatch(port)):
        return None
    try:
        return canonical_address(host)
    except MalformedError:
        return None
