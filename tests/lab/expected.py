"""What theory says of each pair of networks: direct wherever a direct path exists, through the relay always.

A direct path exists where one side can be reached at an address and port that the other side can be told, or where both
open a way at once ("punch"), in a family and over a transport that both have:

- A symmetric NAT takes another port for each destination, so its own side cannot tell which. A NAT on the other side
  lets in only what comes from an address and port that was sent to, so those two do not meet.
- Who has no UDP reaches passive TCP candidates (RFC 6544) of those who let connections in: of the open ones with IPv4.
  To open TCP from both sides at once (simultaneous open) is left out.
- Who has only TLS on port 443 or a proxy reaches the relay alone.
- IPv4 and IPv6 have no direct path. The relay has both: its address is of the one family on this side, of the other on
  that.

All networks but the open one and the one with only IPv6 have IPv4 alone. Private addresses are never reachable.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from tests.lab.networks import Cell, Kind


class Leg(enum.Enum):
    """What packets leave a side in: UDP and TCP to the peer or to the relay, TLS to the relay."""

    UDP = "UDP"
    TCP = "TCP"
    TLS = "TLS"


@dataclass(frozen=True)
class Route:
    """How the two sides are connected, the offerer's leg first."""

    is_relayed: bool
    offerer: Leg
    answerer: Leg

    def __str__(self) -> str:
        """`direct UDP`, `relay UDP-TLS`."""
        if self.is_relayed:
            return f"relay {self.offerer.value}-{self.answerer.value}"
        return f"direct {self.offerer.value}"

    @property
    def mirrored(self) -> Route:
        """As seen by the other side."""
        return Route(self.is_relayed, self.answerer, self.offerer)


# The first that gets out of a network: UDP is faster than TCP, and TCP has less to carry than TLS.
_LEGS = {
    Kind.OPEN: Leg.UDP,
    Kind.PORT_PRESERVING: Leg.UDP,
    Kind.SYMMETRIC: Leg.UDP,
    Kind.UDP_BLOCKED: Leg.TCP,
    Kind.ONLY_TLS: Leg.TLS,
    Kind.ONLY_PROXY: Leg.TLS,
    Kind.IPV6: Leg.UDP,
    Kind.CGNAT: Leg.UDP,
}

_UDP, _TCP = Leg.UDP, Leg.TCP

# One row for each pair without order: the transport of the direct path, None where there is none, and why.
_TABLE: list[tuple[Kind, Kind, Leg | None, str]] = [
    (Kind.OPEN, Kind.OPEN, _UDP, "Both can be reached."),
    (Kind.OPEN, Kind.PORT_PRESERVING, _UDP, "The open one answers to where the NAT sends from."),
    (Kind.OPEN, Kind.SYMMETRIC, _UDP, "The same, whatever port the NAT has taken for it."),
    (Kind.OPEN, Kind.UDP_BLOCKED, _TCP, "A passive TCP candidate of the open one takes the connection."),
    (Kind.OPEN, Kind.ONLY_TLS, None, "Nothing gets out but TLS to port 443."),
    (Kind.OPEN, Kind.ONLY_PROXY, None, "Nothing gets out but CONNECT to port 443."),
    (Kind.OPEN, Kind.IPV6, _UDP, "Both can be reached by IPv6."),
    (Kind.OPEN, Kind.CGNAT, _UDP, "The open one answers to where the outer NAT sends from."),
    (Kind.PORT_PRESERVING, Kind.PORT_PRESERVING, _UDP, "Both tell the port that they send from: punched."),
    (Kind.PORT_PRESERVING, Kind.SYMMETRIC, None, "The port of the symmetric one is not let in by the other NAT."),
    (Kind.PORT_PRESERVING, Kind.UDP_BLOCKED, None, "The NAT lets no connection in."),
    (Kind.PORT_PRESERVING, Kind.ONLY_TLS, None, "Nothing gets out but TLS to port 443."),
    (Kind.PORT_PRESERVING, Kind.ONLY_PROXY, None, "Nothing gets out but CONNECT to port 443."),
    (Kind.PORT_PRESERVING, Kind.IPV6, None, "No family in common."),
    (Kind.PORT_PRESERVING, Kind.CGNAT, _UDP, "Both NATs of the one preserve ports: punched, as with one."),
    (Kind.SYMMETRIC, Kind.SYMMETRIC, None, "Neither can tell its port."),
    (Kind.SYMMETRIC, Kind.UDP_BLOCKED, None, "The NAT lets no connection in."),
    (Kind.SYMMETRIC, Kind.ONLY_TLS, None, "Nothing gets out but TLS to port 443."),
    (Kind.SYMMETRIC, Kind.ONLY_PROXY, None, "Nothing gets out but CONNECT to port 443."),
    (Kind.SYMMETRIC, Kind.IPV6, None, "No family in common."),
    (Kind.SYMMETRIC, Kind.CGNAT, None, "The port of the symmetric one is not let in by the other NAT."),
    (Kind.UDP_BLOCKED, Kind.UDP_BLOCKED, None, "Neither lets a connection in."),
    (Kind.UDP_BLOCKED, Kind.ONLY_TLS, None, "Nothing gets out but TLS to port 443."),
    (Kind.UDP_BLOCKED, Kind.ONLY_PROXY, None, "Nothing gets out but CONNECT to port 443."),
    (Kind.UDP_BLOCKED, Kind.IPV6, None, "No family in common."),
    (Kind.UDP_BLOCKED, Kind.CGNAT, None, "The NATs let no connection in."),
    (Kind.ONLY_TLS, Kind.ONLY_TLS, None, "Nothing gets out but TLS to port 443."),
    (Kind.ONLY_TLS, Kind.ONLY_PROXY, None, "Nothing gets out but TLS, or CONNECT, to port 443."),
    (Kind.ONLY_TLS, Kind.IPV6, None, "No family in common, and nothing gets out but TLS to port 443."),
    (Kind.ONLY_TLS, Kind.CGNAT, None, "Nothing gets out but TLS to port 443."),
    (Kind.ONLY_PROXY, Kind.ONLY_PROXY, None, "Nothing gets out but CONNECT to port 443."),
    (Kind.ONLY_PROXY, Kind.IPV6, None, "No family in common, and nothing gets out but CONNECT to port 443."),
    (Kind.ONLY_PROXY, Kind.CGNAT, None, "Nothing gets out but CONNECT to port 443."),
    (Kind.IPV6, Kind.IPV6, _UDP, "Both can be reached."),
    (Kind.IPV6, Kind.CGNAT, None, "No family in common."),
    (Kind.CGNAT, Kind.CGNAT, _UDP, "All four NATs preserve ports: punched."),
]


def _route(one: Kind, other: Kind, direct: Leg | None) -> Route:
    return Route(True, _LEGS[one], _LEGS[other]) if direct is None else Route(False, direct, direct)


EXPECTED: dict[Cell, Route] = {
    pair: route
    for one, other, direct, _ in _TABLE
    for pair, route in (
        ((one, other), _route(one, other, direct)),
        ((other, one), _route(one, other, direct).mirrored),
    )
}
"""By offerer and answerer."""

REASONS: dict[Cell, str] = {(one, other): reason for one, other, _, reason in _TABLE}
"""By pair, each in one order."""
