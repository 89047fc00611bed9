"""The lines `o=` and `c=`: who wrote the description, and where media would go without ICE (RFC 8866 section 5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from icelane.errors import MalformedError
from icelane.sdp.attribute import parse_number, parse_token, parse_words
from icelane.sdp.lines import shown

_MAX_SESSION_NUMBER: Final = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Origin:
    """The line `o=`. Ours name no user and no machine (RFC 9429 section 5.2.1).

    `session_id` stays the same for the life of a connection; `session_version` grows by one with each change.
    """

    session_id: int
    session_version: int
    username: str = "-"
    network: str = "IN"
    family: str = "IP4"
    address: str = "127.0.0.1"

    def __str__(self) -> str:
        numbers = f"{self.session_id} {self.session_version}"
        return f"{self.username} {numbers} {self.network} {self.family} {self.address}"


@dataclass(frozen=True, slots=True)
class Connection:
    """The line `c=`. With ICE it says nothing, so ours names no machine (RFC 9429 section 5.2.1)."""

    network: str = "IN"
    family: str = "IP4"
    address: str = "0.0.0.0"

    def __str__(self) -> str:
        return f"{self.network} {self.family} {self.address}"


NEUTRAL_CONNECTION: Final = Connection()


def parse_origin(text: str) -> Origin:
    """The value of `o=`. Raises MalformedError unless it has its six parts."""
    username, session_id, version, network, family, address = parse_words(text, "origin", (6,))
    return Origin(
        parse_number(session_id, "session id", _MAX_SESSION_NUMBER),
        parse_number(version, "session version", _MAX_SESSION_NUMBER),
        username,
        parse_token(network, "network type"),
        parse_token(family, "address type"),
        address,
    )


def parse_connection(text: str) -> Connection:
    """The value of `c=`. The address is not looked at: it may be a name, and with ICE nobody uses it."""
    network, family, address = parse_words(text, "connection", (3,))
    return Connection(parse_token(network, "network type"), parse_token(family, "address type"), address)


def parse_timing(text: str) -> str:
    """The value of `t=`, which is `0 0` in every description of WebRTC. Raises MalformedError unless two numbers."""
    start, stop = parse_words(text, "timing", (2,))
    for number in (start, stop):
        parse_number(number, "time", _MAX_SESSION_NUMBER)
    if text != f"{start} {stop}":
        raise MalformedError(f"{shown(text)}: one space stands between the two times")
    return text
