"""What addresses this machine has, and which of them reach the rest of the world."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import ifaddr

from icelane.aio.sockets import source_towards
from icelane.core.net import AddressFamily, SocketAddress, canonical_host, family_of

# Documentation addresses (RFC 5737, RFC 3849).
_ELSEWHERE = (SocketAddress("192.0.2.1", 9), SocketAddress("2001:db8::1", 9))

# Linux's routing tables; each row has its gateway in hexadecimal.
_ROUTES_IPV4 = Path("/proc/net/route")
_ROUTES_IPV6 = Path("/proc/net/ipv6_route")


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What this machine is on its networks.

    `addresses` are all that a socket can be bound to without a zone; `preferred` has at most one of each family;
    `networks` are the addresses again, with their prefix length as `10.0.0.5/24`; `gateways` are the routers that it
    sends through, which in a container is the host.
    """

    addresses: tuple[str, ...]
    preferred: tuple[str, ...]
    networks: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()

    @classmethod
    def here(cls) -> Machine:
        """The machine that we run on, now."""
        networks = _bound_networks()
        addresses = tuple(dict.fromkeys(network.partition("/")[0] for network in networks))
        routed = [host for host in map(_routed_host, _ELSEWHERE) if host in addresses]
        preferred = _one_of_each_family([*routed, *addresses])
        return cls(addresses=addresses, preferred=preferred, networks=networks, gateways=_gateways())

    def of_family(self, family: AddressFamily) -> tuple[str, ...]:
        """All addresses of one family."""
        return tuple(host for host in self.addresses if family_of(host) is family)


def _bound_networks() -> tuple[str, ...]:
    found = [
        (canonical_host(ip.ip if isinstance(ip.ip, str) else ip.ip[0]), ip.network_prefix)
        for card in ifaddr.get_adapters()
        for ip in card.ips
    ]
    # A link-local IPv6 address means nothing without its interface.
    usable = [f"{host}/{length}" for host, length in found if not (":" in host and _is_link_local(host))]
    return tuple(dict.fromkeys(usable))


def _is_link_local(host: str) -> bool:
    return ipaddress.ip_address(host).is_link_local


def _gateways() -> tuple[str, ...]:
    """The routers of the kernel's tables; none where it does not show them (anything but Linux)."""
    found = [*_rows(_ROUTES_IPV4, 2, _little_endian), *_rows(_ROUTES_IPV6, 4, bytes.fromhex)]
    hosts = [canonical_host(str(ipaddress.ip_address(packed))) for packed in found if any(packed)]
    return tuple(dict.fromkeys(hosts))


def _rows(table: Path, column: int, unpack: Callable[[str], bytes]) -> list[bytes]:
    try:
        lines = table.read_text().splitlines()
    except OSError:
        return []
    cells = [line.split()[column] for line in lines if len(line.split()) > column]
    return [unpack(cell) for cell in cells if all(c in "0123456789abcdefABCDEF" for c in cell)]


def _little_endian(cell: str) -> bytes:
    return bytes.fromhex(cell)[::-1]


def _routed_host(remote: SocketAddress) -> str | None:
    try:
        return source_towards(remote)
    except OSError:
        return None


def _one_of_each_family(hosts: list[str]) -> tuple[str, ...]:
    chosen: dict[AddressFamily, str] = {}
    for host in hosts:
        if not ipaddress.ip_address(host).is_loopback:
            chosen.setdefault(family_of(host), host)
    return tuple(chosen.values())
