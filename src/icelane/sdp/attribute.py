"""An attribute as it is written, `a=name` or `a=name:value`, and the words that values are made of (RFC 8866)."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import ClassVar, Final, NamedTuple

from icelane.errors import MalformedError
from icelane.sdp.lines import Line, shown

# RFC 8866 section 9: token-char.
_TOKEN: Final = re.compile(r"[!#-'*+\-.0-9A-Z^-~]+")
_TOKENS: Final = re.compile(r"[ !#-'*+\-.0-9A-Z^-~]*")
# The decimal digits of 2**64 - 1. Nothing in a description is greater, and int() of endless digits is slow.
_MAX_DIGITS: Final = 20
# Keys, and where somebody is: not for logs.
_SECRET: Final = {"ice-pwd", "crypto", "key-mgmt", "candidate", "remote-candidates"}


class Attribute(NamedTuple):
    """One `a=` line, kept as it came. `value` is None where there is no colon, which is not the same as nothing."""

    name: str
    value: str | None = None

    def __str__(self) -> str:
        return self.name if self.value is None else f"{self.name}:{self.value}"

    def __repr__(self) -> str:
        return f"Attribute({self.name!r}, {'...' if self.name in _SECRET else self.value!r})"

    @property
    def line(self) -> Line:
        return Line("a", str(self))


class TypedAttribute:
    """The value of an attribute in its parts; `str()` is what stands behind the colon."""

    __slots__ = ()
    NAME: ClassVar[str]

    def to_attribute(self) -> Attribute:
        """The line that says so."""
        return Attribute(self.NAME, str(self))


def parse_attribute(text: str) -> Attribute:
    """The attribute that stands behind `a=`. Raises MalformedError when its name is not a token."""
    name, colon, value = text.partition(":")
    if not _TOKEN.fullmatch(name):
        raise MalformedError(f"{shown(name)} is no name of an attribute")
    return Attribute(name, value if colon else None)


def parse_token(text: str, what: str) -> str:
    """`text`, when it is one token of RFC 8866. `what` names it in the MalformedError."""
    if not _TOKEN.fullmatch(text):
        raise MalformedError(f"{shown(text)} is no {what}")
    return text


def parse_number(text: str, what: str, limit: int, least: int = 0) -> int:
    """The number in decimal digits, from `least` to `limit`. `what` names it in the MalformedError."""
    if text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS:
        number = int(text)
        if least <= number <= limit:
            return number
    raise MalformedError(f"{shown(text)} is no {what}, a number from {least} to {limit}")


def parse_words(text: str, what: str, counts: Collection[int]) -> list[str]:
    """The parts of `text` between its spaces. `counts` is how many there may be, `what` names it in the MalformedError.

    Several spaces count as one, and those at the ends as none: some who write descriptions are careless.
    """
    words = [word for word in text.split(" ") if word]
    if len(words) not in counts:
        raise MalformedError(f"{shown(text)} is no {what}: it has {len(words)} parts")
    return words


def parse_tokens(text: str, what: str, counts: Collection[int]) -> list[str]:
    """As `parse_words`, when each is a token."""
    if not _TOKENS.fullmatch(text):
        raise MalformedError(f"{shown(text)} is no {what}")
    return parse_words(text, what, counts)
