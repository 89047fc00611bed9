"""The headers of a request, by name in any case, and the two that need taking apart: Cookie and the sub-protocol list.

Cookie: a=1; b="2"                                          RFC 6265 section 4.2.1
Sec-WebSocket-Protocol: icelane.signal.v1, bearer.eyJ...    RFC 6455 section 11.3.4
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from icelane.errors import MalformedError

# What a browser sends is far below; uvicorn itself reads 64 KiB of headers. Above that the header counts as malformed.
MAX_HEADER_BYTES: Final = 16 * 1024
# Browsers keep 180 for a site at most, and a page that lists more sub-protocols wants something else than to enter.
MAX_COOKIES: Final = 200
MAX_SUBPROTOCOLS: Final = 16

# RFC 9110 section 5.6.2, for the names of cookies and for sub-protocols alike.
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# RFC 6265 section 4.1.1 without the quotes: printable ASCII but for space, quote, comma, semicolon and backslash.
_COOKIE_VALUE: Final = re.compile(r"[!#-+\--:<-\[\]-~]*")


class Headers(Mapping[str, str]):
    """Values by lower-case name; a name in any case finds them. Several lines of one name are joined by `, `."""

    __slots__ = ("_lines_by_name",)

    def __init__(self, lines: Iterable[tuple[str, str]] = ()) -> None:
        self._lines_by_name: dict[str, tuple[str, ...]] = {}
        for name, value in lines:
            key = name.lower()
            self._lines_by_name[key] = (*self._lines_by_name.get(key, ()), value)

    @classmethod
    def of_asgi(cls, raw: Iterable[tuple[bytes, bytes]]) -> Headers:
        """The headers of an ASGI scope, whose bytes are ISO-8859-1 (RFC 9110 section 5.5)."""
        return cls((name.decode("latin-1"), value.decode("latin-1")) for name, value in raw)

    def __getitem__(self, name: str) -> str:
        # RFC 9113 section 8.2.3: cookies may come in several lines, and theirs is the one other separator.
        return ("; " if name.lower() == "cookie" else ", ").join(self._lines_by_name[name.lower()])

    def __iter__(self) -> Iterator[str]:
        return iter(self._lines_by_name)

    def __len__(self) -> int:
        return len(self._lines_by_name)

    def __repr__(self) -> str:
        return f"Headers({sorted(self._lines_by_name)})"  # values hold tokens and cookies

    def lines(self, name: str) -> tuple[str, ...]:
        """Every line of a header, in order; empty without one."""
        return self._lines_by_name.get(name.lower(), ())

    def without(self, *names: str) -> Headers:
        """The same, but for some headers."""
        left_out = {name.lower() for name in names}
        return Headers(
            (name, line) for name, lines in self._lines_by_name.items() if name not in left_out for line in lines
        )


def parse_cookies(text: str) -> dict[str, str]:
    """The cookies of a Cookie header. Of two with one name the first counts, which has the more specific path.

    Raises MalformedError for what RFC 6265 section 4.2.1 does not allow, as a whole: half a header would be a guess.
    """
    if len(text) > MAX_HEADER_BYTES:
        raise MalformedError("a Cookie header is too long")
    found: dict[str, str] = {}
    pairs = text.split(";")
    if len(pairs) > MAX_COOKIES:
        raise MalformedError("a Cookie header has too many cookies")
    for pair in pairs:
        if not pair.strip(" \t"):
            continue
        name, equals, value = pair.strip(" \t").partition("=")
        if len(value) >= 2 and value[0] == value[-1] == '"':
            value = value[1:-1]
        if not equals or not _TOKEN.fullmatch(name) or not _COOKIE_VALUE.fullmatch(value):
            raise MalformedError("a Cookie header has something that is no cookie")
        found.setdefault(name, value)
    return found


def parse_subprotocols(text: str) -> tuple[str, ...]:
    """The sub-protocols that a WebSocket client offers, in its order. Raises MalformedError."""
    if len(text) > MAX_HEADER_BYTES:
        raise MalformedError("a list of sub-protocols is too long")
    if not text.strip():
        return ()
    found = tuple(part.strip(" \t") for part in text.split(","))
    if len(found) > MAX_SUBPROTOCOLS:
        raise MalformedError("too many sub-protocols")
    if not all(_TOKEN.fullmatch(part) for part in found):
        raise MalformedError("a sub-protocol is not a token")
    return found
