"""The kinds of networks that the matrix pairs, each once for the one who offers and once for the one who answers."""

from __future__ import annotations

import enum

from icelane.testing.lab import Firewall, Host, Nat, Network
from icelane.testing.lab.description import Member


class Kind(enum.Enum):
    """A network as people have it, by what the tables call it."""

    OPEN = "open"
    PORT_PRESERVING = "port-preserving NAT"
    SYMMETRIC = "symmetric NAT"
    UDP_BLOCKED = "UDP blocked"
    ONLY_TLS = "only 443/TLS"
    ONLY_PROXY = "only HTTP proxy"
    IPV6 = "IPv6 only"
    CGNAT = "CGNAT behind NAT"

    @property
    def slug(self) -> str:
        """For names of hosts and tests."""
        return self.name.lower().replace("_", "-")


class Side(enum.Enum):
    """Who is there. Nobody shares a gateway with the other side."""

    OFFERER = "offerer"
    ANSWERER = "answerer"

    def host(self, kind: Kind) -> str:
        """The name of the side's host in a network of that kind."""
        return f"{self.value}-{kind.slug}"


Cell = tuple[Kind, Kind]
"""Who offers, who answers."""

ALL_CELLS: list[Cell] = [(offerer, answerer) for offerer in Kind for answerer in Kind]


def network(kind: Kind, side: Side) -> Member:
    """The network, with one host. Those with a firewall are companies': they have private addresses, too."""
    name, host = f"{side.value}-net-{kind.slug}", Host(side.host(kind))
    match kind:
        case Kind.OPEN:
            return host
        case Kind.PORT_PRESERVING:
            return Network(name, host, nat=Nat.PORT_PRESERVING)
        case Kind.SYMMETRIC:
            return Network(name, host, nat=Nat.SYMMETRIC)
        case Kind.UDP_BLOCKED:
            return Network(name, host, nat=Nat.PORT_PRESERVING, firewall=Firewall.UDP_BLOCKED)
        case Kind.ONLY_TLS:
            return Network(name, host, nat=Nat.PORT_PRESERVING, firewall=Firewall.ONLY_TLS)
        case Kind.ONLY_PROXY:
            return Network(name, host, nat=Nat.PORT_PRESERVING, firewall=Firewall.ONLY_PROXY)
        case Kind.IPV6:
            return Network(name, host, ipv4=False)
        case Kind.CGNAT:
            flat = Network(f"{name}-flat", host, nat=Nat.PORT_PRESERVING)
            return Network(name, flat, nat=Nat.PORT_PRESERVING)
