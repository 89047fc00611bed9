"""Which addresses the members of a lab get, and which routes lead there.

    the internet            198.18.0.0/24     2001:2::/64        ranges for benchmarks: RFC 2544, RFC 5180
    network n, public       198.18.n.0/24     2001:2:0:n::/64
    network n, private      192.168.n.0/24    2001:2:0:n::/64
    network n, a carrier's  100.64.n.0/24                        shared addresses: RFC 6598

The gateway has .1 and ::1, its members follow in the order of the description.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv6Address, IPv6Network
from typing import Final

from icelane.testing.lab.description import Host, Member, Network

# Everything in a lab that is not private.
PUBLIC_IPV4: Final = "198.18.0.0/15"
PUBLIC_IPV6: Final = "2001:2::/48"


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a network's members live: what their addresses begin with, None for a family that it does not have."""

    ipv4_prefix: str | None
    ipv6_prefix: str | None
    is_public: bool

    def ipv4(self, position: int) -> str | None:
        """The address of the member at a position; 1 is the gateway."""
        return None if self.ipv4_prefix is None else f"{self.ipv4_prefix}{position}"

    def ipv6(self, position: int) -> str | None:
        return None if self.ipv6_prefix is None else str(IPv6Address(f"{self.ipv6_prefix}::{position:x}"))

    def ranges(self) -> list[str]:
        """The range of each family."""
        found = [] if self.ipv4_prefix is None else [f"{self.ipv4_prefix}0/24"]
        return found + ([] if self.ipv6_prefix is None else [str(IPv6Network(f"{self.ipv6_prefix}::/64"))])


@dataclass(frozen=True, kw_only=True)
class Site:
    """A member at its place: `position` is that in the network around it."""

    member: Member
    around: Place
    position: int
    inside: Place | None = None
    """Where its own members live, if it is a network."""
    sites: list[Site] = field(default_factory=list)

    @property
    def ipv4(self) -> str | None:
        return self.around.ipv4(self.position)

    @property
    def ipv6(self) -> str | None:
        return self.around.ipv6(self.position)

    def __iter__(self) -> Iterator[Site]:
        """Every site inside."""
        for site in self.sites:
            yield site
            yield from site

    def ranges_behind(self) -> list[str]:
        """What the network around has to send here, because no NAT hides it."""
        if self.inside is None or not isinstance(self.member, Network):
            return []
        found = self.inside.ranges() + [behind for site in self.sites for behind in site.ranges_behind()]
        return [range_ for range_ in found if ":" in range_ or self.member.nat is None]


def survey(internet: Network) -> Site:
    """Give everybody a place. The internet itself has none around it; the one that its site names is its own."""
    place = Place(ipv4_prefix="198.18.0.", ipv6_prefix="2001:2:0:0", is_public=True)
    root = Site(member=internet, around=place, position=1, inside=place)
    numbers = iter(range(1, 255))
    _settle(root, numbers)
    return root


def _settle(site: Site, numbers: Iterator[int]) -> None:
    assert isinstance(site.member, Network)
    assert site.inside is not None
    for position, member in enumerate(site.member.members, 2):
        inside = None if isinstance(member, Host) else _place(member, site.inside, next(numbers))
        found = Site(member=member, around=site.inside, position=position, inside=inside)
        site.sites.append(found)
        if inside is not None:
            _settle(found, numbers)


def _place(network: Network, around: Place, number: int) -> Place:
    is_public = around.is_public and network.nat is None
    is_carrier = any(isinstance(member, Network) and member.nat is not None for member in network.members)
    if is_public:
        prefix = f"198.18.{number}."
    else:
        prefix = f"100.64.{number}." if is_carrier and network.nat is not None else f"192.168.{number}."
    return Place(
        ipv4_prefix=prefix if network.ipv4 else None,
        ipv6_prefix=f"2001:2:0:{number:x}" if network.ipv6 else None,
        is_public=is_public,
    )
