"""On which addresses a development node listens: loopback, and what no stranger reaches."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from typing import Final

from icelane.core.net import canonical_host
from icelane.errors import ConfigurationError, MalformedError
from icelane.server.machine import Machine

PRIVATE: Final = (
    "10.0.0.0/8",  # RFC 1918
    "172.16.0.0/12",
    "192.168.0.0/16",
    "fc00::/7",  # RFC 4193
    # RFC 5737 and RFC 3849: nobody routes them, and networks to test in have them.
    "192.0.2.0/24",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "2001:db8::/32",
)
"""Not among them: 100.64.0.0/10, where the other customers of a provider are, and link-local addresses."""

LOOPBACK: Final = ("127.0.0.0/8", "::1/128")

# A machine with many container bridges has as many addresses; each costs four sockets.
MAX_HOSTS: Final = 8

KEY: Final = "--listen"

_PRIVATE: Final = tuple(ipaddress.ip_network(text) for text in PRIVATE)


class NotPrivateError(ConfigurationError):
    """The address could be reached by anybody."""


def is_private(host: str) -> bool:
    """Whether only this machine or a network of its owner's leads there."""
    address = ipaddress.ip_address(host)
    return address.is_loopback or any(address.version == one.version and address in one for one in _PRIVATE)


def chosen_hosts(machine: Machine, asked: Sequence[str] = ()) -> tuple[str, ...]:
    """What to listen on, the address that others are told first; `asked` in place of all that is private.

    Raises NotPrivateError for one that is public, ConfigurationError for what is no address of this machine.
    """
    wanted = [_parsed(text) for text in asked] or [host for host in _best_first(machine) if is_private(host)]
    for host in wanted:
        if not is_private(host):
            raise NotPrivateError(f"{host} is not private, and what runs here is for this machine and its LAN", key=KEY)
    return tuple(dict.fromkeys(wanted))[:MAX_HOSTS]


def left_out(machine: Machine) -> tuple[str, ...]:
    """The machine's public addresses."""
    return tuple(host for host in machine.addresses if not (is_private(host) or _is_link_local(host)))


def networks_of(machine: Machine, hosts: Iterable[str]) -> tuple[str, ...]:
    """The networks that `hosts` are in, without loopback: whom the relay may reach."""
    found = []
    for text in machine.networks:
        here = ipaddress.ip_interface(text)
        if canonical_host(str(here.ip)) in hosts and not here.ip.is_loopback:
            found.append(str(here.network))
    return tuple(dict.fromkeys(found))


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine gets there."""
    return ipaddress.ip_address(host).is_loopback


def _best_first(machine: Machine) -> list[str]:
    """What leads out first: others reach us there. Loopback last."""
    ordered = dict.fromkeys((*machine.preferred, *machine.addresses))
    return sorted(ordered, key=is_loopback)


def _parsed(text: str) -> str:
    try:
        host = canonical_host(text.strip("[]"))
    except MalformedError:
        raise ConfigurationError(f"{text} is no IP address; write 192.168.1.20 or fd00::20", key=KEY) from None
    if ipaddress.ip_address(host).is_unspecified:
        text = "every address may be one that is public; leave it out for every private one"
        raise NotPrivateError(text, key=KEY)
    return host


def _is_link_local(host: str) -> bool:
    return ipaddress.ip_address(host).is_link_local
