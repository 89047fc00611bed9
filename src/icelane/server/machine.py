"""What addresses this machine has, and which of them reach the rest of the world."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass

import ifaddr

from icelane.core.net import AddressFamily, canonical_host, family_of

# Documentation addresses (RFC 5737, RFC 3849). Connecting a UDP socket asks the routing table and sends nothing.
_ELSEWHERE = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}


@dataclass(frozen=True, kw_only=True)
class Machine:
    """`addresses` are all that a socket can be bound to without a zone; `preferred` has at most one of each family."""

    addresses: tuple[str, ...]
    preferred: tuple[str, ...]

    @classmethod
    def here(cls) -> Machine:
        """The machine that we run on, now."""
        addresses = _bound_addresses()
        routed = [host for host in map(_source_towards, _ELSEWHERE) if host in addresses]
        return cls(addresses=addresses, preferred=_one_of_each_family([*routed, *addresses]))

    def of_family(self, family: AddressFamily) -> tuple[str, ...]:
        """All addresses of one family."""
        return tuple(host for host in self.addresses if family_of(host) is family)


def _bound_addresses() -> tuple[str, ...]:
    hosts = [
        canonical_host(ip.ip if isinstance(ip.ip, str) else ip.ip[0])
        for card in ifaddr.get_adapters()
        for ip in card.ips
    ]
    # A link-local IPv6 address means nothing without its interface.
    usable = [host for host in hosts if not (":" in host and ipaddress.ip_address(host).is_link_local)]
    return tuple(dict.fromkeys(usable))


def _source_towards(family: socket.AddressFamily) -> str | None:
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((_ELSEWHERE[family], 9))
            return canonical_host(str(probe.getsockname()[0]))
    except OSError:
        return None


def _one_of_each_family(hosts: list[str]) -> tuple[str, ...]:
    chosen: dict[AddressFamily, str] = {}
    for host in hosts:
        if not ipaddress.ip_address(host).is_loopback:
            chosen.setdefault(family_of(host), host)
    return tuple(chosen.values())
