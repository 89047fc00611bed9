"""The addresses of this machine that a peer connection may be reached at (RFC 8445 section 5.1.1.1).

Left out: addresses of interfaces that are down or have no link; link-local addresses, which need a zone that candidates
do not have; addresses of the special forms that nobody is reached at; loopback, unless it is asked for or there is
nothing else.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Final

import ifaddr

from icelane.aio.device import Device
from icelane.aio.link_state import has_link, leads_out
from icelane.core.net import canonical_host

# A container host has many; each costs a socket, a probe of every server and a share of the pairs.
MAX_HOSTS: Final = 16


@dataclass(frozen=True, slots=True)
class Interface:
    """One address of one network interface, by the interface's name."""

    name: str
    host: str

    @property
    def device(self) -> str:
        """See `device_of`."""
        return device_of(self.name)


def usable_interfaces(
    *,
    names: Collection[str] | None = None,
    include_loopback: bool = False,
    accepts: Callable[[str], bool] = lambda _: True,
) -> list[Interface]:
    """At most MAX_HOSTS addresses, best first, without those of other interfaces than `names` and those not accepted.

    An interface is named with all of its addresses, those with a label (eth0:1) among them, or a label with its own.
    IPv6 and IPv4 take turns, so that a bound somewhere does not cut off one family (RFC 8421 section 4).
    """
    found = [
        Interface(adapter.name, host)
        for adapter in ifaddr.get_adapters()
        if has_link(adapter.name)
        if names is None or not {adapter.name, device_of(adapter.name), adapter.nice_name}.isdisjoint(names)
        for ip in adapter.ips
        if (host := _usable(_host_of(ip))) is not None and accepts(host)
    ]
    outside = [interface for interface in found if not is_loopback(interface.host)]
    chosen = found if include_loopback or not outside else outside
    return _alternate(list(dict.fromkeys(chosen)))[:MAX_HOSTS]


def device_of(name: str) -> str:
    """The kernel's name of an interface: eth0:1 is an address of eth0 with a label."""
    return name.partition(":")[0]


def devices_of(interfaces: Iterable[Interface]) -> dict[str, Device]:
    """By address, the device that packets are to leave by: just one of `interfaces` carries it, and leads out."""
    once = dict.fromkeys((one.host, one.device) for one in interfaces)
    carriers = Counter(host for host, _ in once)
    found = {}
    for host, name in once:
        if carriers[host] == 1 and not is_loopback(host) and leads_out(name):
            try:
                found[host] = Device(name, socket.if_nametoindex(name))
            except OSError:  # gone meanwhile, or the name is not the kernel's
                continue
    return found


def is_loopback(host: str) -> bool:
    """Whether the address leads nowhere but to this machine."""
    return ipaddress.ip_address(host).is_loopback


def gone_addresses(hosts: Collection[str]) -> set[str]:
    """Those of `hosts` that this machine has no more, or only on an interface without a link, where it is one's.

    Linux leaves addresses in place when the cable is out, and sockets can be bound there all the same. All adapters are
    looked at once, if there is anything to look for.
    """
    if not hosts:
        return set()
    names: dict[str, list[str]] = {host: [] for host in hosts}
    for adapter in ifaddr.get_adapters():
        for ip in adapter.ips:
            if (host := _host_of(ip)) in names:
                names[host].append(adapter.name)
    return {host for host, found in names.items() if not (any(map(has_link, found)) if found else _can_bind(host))}


def _can_bind(host: str) -> bool:
    """No adapter has the address, such as one of 127.0.0.0/8: whether the kernel knows it all the same."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((host, 0))
    except OSError as error:
        return error.errno != errno.EADDRNOTAVAIL
    return True


def _host_of(ip: ifaddr.IP) -> str:
    return canonical_host(ip.ip[0] if isinstance(ip.ip, tuple) else ip.ip)


def _usable(host: str) -> str | None:
    address = ipaddress.ip_address(host.partition("%")[0])
    if address.is_link_local or address.is_multicast or address.is_unspecified:
        return None
    if isinstance(address, ipaddress.IPv6Address) and (address.is_site_local or address.ipv4_mapped is not None):
        return None
    return canonical_host(host)


def _alternate(interfaces: list[Interface]) -> list[Interface]:
    sixes = [interface for interface in interfaces if ":" in interface.host]
    fours = [interface for interface in interfaces if ":" not in interface.host]
    ordered = []
    for position in range(max(len(sixes), len(fours))):
        ordered += sixes[position : position + 1] + fours[position : position + 1]
    return ordered
