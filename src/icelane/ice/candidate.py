"""Candidates: where a peer may be reached (RFC 8445 section 5.1), and the line that says so (RFC 8839 section 5.1).

candidate:<foundation> <component> <transport> <priority> <host> <port> typ <type>
          [raddr <host>] [rport <port>] {<extension name> <extension value>}
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, replace
from typing import Final

from icelane.core.net import SocketAddress, Transport, canonical_host
from icelane.errors import MalformedError

# A line of a browser has about 150 characters. RFC 8839 has no limit.
MAX_LINE: Final = 1024
# Name-value pairs that are kept; a browser writes four (generation, ufrag, network-id, network-cost).
MAX_EXTENSIONS: Final = 16
# The component of a transport that carries everything: rtcp-mux and BUNDLE leave no other.
COMPONENT: Final = 1

_MAX_PRIORITY: Final = 0xFFFF_FFFF
# RFC 8839 allows letters, digits, "+" and "/"; some servers write dashes and dots, and nothing depends on it.
_FOUNDATION: Final = re.compile(r"[!-~]{1,32}")
_TOKEN: Final = re.compile(r"[A-Za-z0-9.!%*_+`'~-]{1,64}")
_HOST_NAME: Final = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?")
_DIGITS: Final = re.compile(r"[0-9]{1,10}")
_PRINTABLE: Final = re.compile(r"[!-~]*")
_FIELDS: Final = frozenset({"raddr", "rport", "tcptype"})
_MDNS_NAME: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\.local", re.IGNORECASE)


class CandidateType(enum.Enum):
    """How an address was learned."""

    HOST = "host"
    SERVER_REFLEXIVE = "srflx"
    PEER_REFLEXIVE = "prflx"
    RELAYED = "relay"


# RFC 8445 section 5.1.2.2.
_TYPE_PREFERENCES: Final = {
    CandidateType.HOST: 126,
    CandidateType.PEER_REFLEXIVE: 110,
    CandidateType.SERVER_REFLEXIVE: 100,
    CandidateType.RELAYED: 0,
}
# RFC 6544 section 4.2 wants UDP before TCP where the type is the same, and leaves the numbers open. These are those of
# browsers: a direct path over TCP is worth less than any direct one over UDP, and more than a relay.
_TCP_TYPE_PREFERENCES: Final = {
    CandidateType.HOST: 90,
    CandidateType.PEER_REFLEXIVE: 80,
    CandidateType.SERVER_REFLEXIVE: 70,
    CandidateType.RELAYED: 0,
}
HIGHEST_LOCAL_PREFERENCE: Final = 0xFFFF
# RFC 6544 section 4.2: the upper three bits of the local preference of a candidate of TCP tell its direction.
_DIRECTION_PREFERENCES: Final = {"active": 6, "passive": 4}
_REFLEXIVE_DIRECTION_PREFERENCES: Final = {"active": 4, "passive": 2}
_DIRECTION_SHIFT: Final = 13
# RFC 6544 section 4.5: the port of an active candidate, which says nothing ("discard").
ACTIVE_PORT: Final = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One candidate. `str` gives the candidate-attribute of RFC 8839, with `candidate:` before it.

    `host` is an IP address in canonical form, or a name that somebody has to resolve. `related` is the base of a
    reflexive and the mapped address of a relayed candidate. `transport` is in lower case; `tcp_type` is `active`,
    `passive` or `so` (RFC 6544). What else stood in the line is in `extensions`, in its order.
    """

    type: CandidateType
    host: str
    port: int
    priority: int
    foundation: str
    component: int = COMPONENT
    transport: str = "udp"
    related: SocketAddress | None = None
    tcp_type: str | None = None
    extensions: tuple[tuple[str, str], ...] = ()

    @property
    def address(self) -> SocketAddress:
        """Host and port."""
        return SocketAddress(self.host, self.port)

    @property
    def carrier(self) -> Transport:
        """What carries a path to it; for candidates of UDP and TCP."""
        return Transport(self.transport)

    @property
    def host_name(self) -> str | None:
        """The name in place of an address, None when there is an address."""
        return None if is_address(self.host) else self.host

    @property
    def ufrag(self) -> str | None:
        """The username fragment that a trickled candidate names (RFC 8838 section 15)."""
        return next((value for name, value in self.extensions if name == "ufrag"), None)

    @property
    def attribute_value(self) -> str:
        """What stands behind `a=candidate:` in SDP."""
        parts = [
            self.foundation, str(self.component), self.transport, str(self.priority), self.host, str(self.port),
            "typ", self.type.value,
        ]  # fmt: skip
        if self.related is not None:
            parts += ["raddr", self.related.host, "rport", str(self.related.port)]
        if self.tcp_type is not None:
            parts += ["tcptype", self.tcp_type]
        for name, value in self.extensions:
            parts += [name, value]
        return " ".join(parts)

    def __str__(self) -> str:
        return f"candidate:{self.attribute_value}"

    def resolved_to(self, host: str) -> Candidate:
        """The same candidate at an address, for one that had a name. Raises MalformedError when `host` is none."""
        return replace(self, host=canonical_host(host))


def is_mdns_name(host: str) -> bool:
    """Whether `host` is `<uuid>.local`, the one kind of name that may be resolved (IC-7)."""
    return _MDNS_NAME.fullmatch(host) is not None


def is_address(host: str) -> bool:
    """Whether `host` is an IP address."""
    try:
        canonical_host(host)
    except MalformedError:
        return False
    return True


def compute_priority(
    candidate_type: CandidateType,
    local_preference: int = HIGHEST_LOCAL_PREFERENCE,
    component: int = COMPONENT,
    tcp_type: str | None = None,
) -> int:
    """The priority of RFC 8445 section 5.1.2.1; `local_preference` is 0 to 65535 and tells interfaces apart.

    With a `tcp_type`, `active` or `passive`, that of RFC 6544 section 4.2, where of the preference 13 bits are left.
    """
    if tcp_type is None:
        return _TYPE_PREFERENCES[candidate_type] << 24 | local_preference << 8 | 256 - component
    is_host = candidate_type is CandidateType.HOST
    directions = _DIRECTION_PREFERENCES if is_host else _REFLEXIVE_DIRECTION_PREFERENCES
    direction = directions[tcp_type] << _DIRECTION_SHIFT
    # The best interfaces stay in their order.
    other = max(local_preference - HIGHEST_LOCAL_PREFERENCE + (1 << _DIRECTION_SHIFT) - 1, 0)
    return _TCP_TYPE_PREFERENCES[candidate_type] << 24 | (direction | other) << 8 | 256 - component


def peer_reflexive_priority(candidate: Candidate) -> int:
    """What a check from `candidate` announces in PRIORITY (RFC 8445 section 7.1.1)."""
    preferences = _TYPE_PREFERENCES if candidate.tcp_type is None else _TCP_TYPE_PREFERENCES
    return preferences[CandidateType.PEER_REFLEXIVE] << 24 | candidate.priority & 0x00FF_FFFF


class Foundations:
    """Numbers foundations (RFC 8445 section 5.1.1.3): the same for the same type, base, server and transport.

    Numbers rather than hashes, because a hash of a private address is as good as the address.
    """

    def __init__(self) -> None:
        self._numbers_by_origin: dict[tuple[CandidateType, str, str, str], int] = {}

    def of(self, candidate_type: CandidateType, base_host: str, server_host: str = "", transport: str = "udp") -> str:
        """The foundation of a candidate; `server_host` is that of the STUN or TURN server, if one was asked."""
        origin = (candidate_type, base_host, server_host, transport)
        return str(self._numbers_by_origin.setdefault(origin, len(self._numbers_by_origin) + 1))


def parse_candidate(text: str) -> Candidate:
    """Parse a candidate line, with or without `candidate:` or `a=candidate:` before it; raises MalformedError.

    The type must be one of the four. Empty text, which announces the end of candidates in W3C, is not one.
    """
    if len(text) > MAX_LINE:
        raise MalformedError(f"a candidate of {len(text)} characters")
    words = text.removeprefix("a=").removeprefix("candidate:").rstrip("\r\n").split(" ")
    if len(words) < 8:
        raise MalformedError(f"a candidate of {len(words)} words")
    foundation, component, transport, priority, host, port, typ, type_name = words[:8]
    if typ != "typ":
        raise MalformedError("a candidate without typ")
    attributes = _pairs(words[8:])
    related = _take_related(attributes)
    return Candidate(
        foundation=_matching(_FOUNDATION, foundation, "foundation"),
        component=_number(component, 1, 256, "component"),
        transport=_matching(_TOKEN, transport, "transport").lower(),
        priority=_number(priority, 0, _MAX_PRIORITY, "priority"),
        host=_parse_host(host),
        port=_number(port, 0, 0xFFFF, "port"),
        type=_parse_type(type_name),
        related=related,
        tcp_type=_take(attributes, "tcptype"),
        # Of a name that has a field the first counts, and no second one is passed on.
        extensions=tuple(pair for pair in attributes if pair[0] not in _FIELDS),
    )


def _pairs(words: list[str]) -> list[tuple[str, str]]:
    if len(words) % 2:
        raise MalformedError("an extension without a value")
    if len(words) > 2 * MAX_EXTENSIONS:
        raise MalformedError(f"more than {MAX_EXTENSIONS} extensions")
    return [
        (_matching(_TOKEN, name, "extension"), _matching(_PRINTABLE, value, "extension value"))
        for name, value in zip(words[::2], words[1::2], strict=True)
    ]


def _take(attributes: list[tuple[str, str]], wanted: str) -> str | None:
    """Take the first attribute of that name out of the list."""
    for index, (name, value) in enumerate(attributes):
        if name == wanted:
            del attributes[index]
            return value
    return None


def _take_related(attributes: list[tuple[str, str]]) -> SocketAddress | None:
    host, port = _take(attributes, "raddr"), _take(attributes, "rport")
    if host is None:
        return None
    return SocketAddress(_parse_host(host), _number(port or "0", 0, 0xFFFF, "rport"))


def _parse_type(name: str) -> CandidateType:
    try:
        return CandidateType(name)
    except ValueError:
        raise MalformedError("an unknown type of candidate") from None


def _parse_host(host: str) -> str:
    if is_address(host):
        return canonical_host(host)
    return _matching(_HOST_NAME, host, "host").lower()


def _number(text: str, lowest: int, highest: int, what: str) -> int:
    number = int(_matching(_DIGITS, text, what))
    if not lowest <= number <= highest:
        raise MalformedError(f"{what} {number}")
    return number


def _matching(pattern: re.Pattern[str], text: str, what: str) -> str:
    if pattern.fullmatch(text) is None:
        raise MalformedError(f"a candidate's {what} does not parse")
    return text
