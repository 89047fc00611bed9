"""A host behind a NAT of the kernel's, and a server outside, in three network namespaces of our own (nftables).

    inside 10.77.0.2 --- 10.77.0.1 nat 203.0.113.1 --- 203.0.113.10 and .11 outside

The kernel keeps the source port where it can, so `masquerade` maps endpoint-independently, and `fully-random` by
address and port. It lets in what answers; more comes in by a rule of our own.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import pytest

from icelane.testing.namespace import inside, new_namespace
from tests.interop.conftest import need_program

INSIDE: Final = "10.77.0.2"
NAT: Final = "203.0.113.1"
SERVERS: Final = ("203.0.113.10", "203.0.113.11")
_ROUTER: Final = "10.77.0.1"

_MASQUERADE: Final = 'oifname "wan" masquerade'
_RANDOM: Final = 'oifname "wan" masquerade random,fully-random'
_LET_IN: Final = f'iifname "wan" meta l4proto udp dnat to {INSIDE}'
# What a port has sent to an address lets that address in, from whatever port.
_LET_IN_FROM_KNOWN: Final = f'iifname "wan" ip saddr . udp dport @known dnat to {INSIDE}'
# Dropped, not refused: what is refused leaves an entry behind, and the next mapping is made around it.
_DROP: Final = 'iifname "wan" ct state new ct status & dnat == 0 drop'


@dataclass(frozen=True)
class Kind:
    """A NAT: its rules for what leaves and what comes, and what RFC 4787 calls them."""

    leaving: str
    coming: str
    mapping: str
    filtering: str


KINDS: Final = {
    "masquerade": Kind(_MASQUERADE, "", "endpoint-independent", "address-and-port-dependent"),
    "masquerade fully-random": Kind(_RANDOM, "", "address-and-port-dependent", "address-and-port-dependent"),
    "masquerade, all let in": Kind(_MASQUERADE, _LET_IN, "endpoint-independent", "endpoint-independent"),
    "masquerade, known addresses let in": Kind(
        _MASQUERADE, _LET_IN_FROM_KNOWN, "endpoint-independent", "address-dependent"
    ),
}


@dataclass(frozen=True)
class Homes:
    """The namespaces, as descriptors."""

    inside: int
    nat: int
    outside: int


@contextlib.contextmanager
def behind_nat() -> Iterator[Homes]:
    """The three namespaces, joined, with nothing translated yet. Skips the test where they cannot be made."""
    need_program("ip", "iproute2")
    need_program("nft", "nftables")
    if os.geteuid() != 0:
        problem = "network namespaces need root"
        if os.environ.get("ICELANE_REQUIRE_INTEROP") == "1":
            pytest.fail(problem)
        pytest.skip(problem)
    with new_namespace() as client, new_namespace() as nat, new_namespace() as server:
        _join(nat, "lan", (f"{_ROUTER}/24",), client, "eth", (f"{INSIDE}/24",))
        _join(nat, "wan", (f"{NAT}/24",), server, "eth", tuple(f"{host}/24" for host in SERVERS))
        with inside(client):
            _ip("route", "add", "default", "via", _ROUTER)
        with inside(nat):
            subprocess.run(["sysctl", "-q", "-w", "net.ipv4.ip_forward=1"], check=True)
        yield Homes(client, nat, server)


def translate(homes: Homes, kind: Kind) -> None:
    """Make the router a NAT of that kind; what it knew of another one is forgotten."""
    rules = f"""
    flush ruleset
    table ip lab {{
        set known {{ type ipv4_addr . inet_service; flags dynamic, timeout; timeout 2m; }}
        chain coming {{ type nat hook prerouting priority dstnat; {kind.coming}; }}
        chain leaving {{ type nat hook postrouting priority srcnat; {kind.leaving}; }}
        chain here {{ type filter hook input priority filter; {_DROP}; }}
        chain through {{
            type filter hook forward priority filter
            iifname "lan" add @known {{ ip daddr . udp sport }}
            {_DROP}
        }}
    }}
    """
    with inside(homes.nat):
        subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)


def block_udp(homes: Homes) -> None:
    """Let no UDP through, as the firewalls of some companies do."""
    rules = "add chain ip lab no_udp { type filter hook forward priority -10; meta l4proto udp drop; }"
    with inside(homes.nat):
        subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)


def _join(
    one: int, one_name: str, one_hosts: tuple[str, ...], other: int, other_name: str, other_hosts: tuple[str, ...]
) -> None:
    with inside(one):
        path = f"/proc/{os.getpid()}/fd/{other}"
        _ip("link", "add", one_name, "type", "veth", "peer", "name", other_name)
        _ip("link", "set", other_name, "netns", path)
    for namespace, name, hosts in ((one, one_name, one_hosts), (other, other_name, other_hosts)):
        with inside(namespace):
            _ip("link", "set", "lo", "up")
            for host in hosts:
                _ip("address", "add", host, "dev", name)
            _ip("link", "set", name, "up")


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)
