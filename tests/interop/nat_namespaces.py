"""A host behind a NAT of the kernel's, and a server with two addresses outside, in a lab whose rules change.

    client 192.168.1.2 --- home 198.18.0.3 --- server 198.18.0.2 and .200

The kernel keeps the source port where it can, so `masquerade` maps endpoint-independently, and `fully-random` by
address and port. It lets in what answers; more comes in by a rule of our own, for the one host that there is.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from icelane.testing.lab import Host, Nat, Network, build
from icelane.testing.namespace import inside
from tests.testing.lab.sockets import need_lab

INSIDE: Final = "192.168.1.2"
NAT: Final = "198.18.0.3"
SERVERS: Final = ("198.18.0.2", "198.18.0.200")

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
    """The three namespaces, joined, with a port-preserving NAT. Skips the test where they cannot be made."""
    need_lab()
    with build(Host("server"), Network("home", Host("client"), nat=Nat.PORT_PRESERVING)) as lab:
        assert (lab["client"].ipv4, lab["home"].ipv4, lab["server"].ipv4) == (INSIDE, NAT, SERVERS[0])
        with lab["server"].inside():
            subprocess.run(["ip", "address", "add", f"{SERVERS[1]}/24", "dev", "ethernet"], check=True)
        yield Homes(lab["client"].namespace, lab["home"].namespace, lab["server"].namespace)


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
        _forget_connections()


def _forget_connections() -> None:
    """Rules that go leave the connections that they made: one of those may hold the port that the next one asks for.

    IPCTNL_MSG_CT_DELETE of nfnetlink_conntrack.h without a tuple, which means all of this namespace.
    """
    nfnl_subsys_ctnetlink, ipctnl_msg_ct_delete, netlink_netfilter, request, acknowledge, error = 1, 2, 12, 1, 4, 2
    header = struct.Struct("=IHHII")
    nfgenmsg = struct.pack("=BBH", socket.AF_UNSPEC, 0, 0)
    kind = nfnl_subsys_ctnetlink << 8 | ipctnl_msg_ct_delete
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, netlink_netfilter) as netlink:
        netlink.settimeout(10)
        netlink.send(header.pack(header.size + len(nfgenmsg), kind, request | acknowledge, 1, 0) + nfgenmsg)
        answer = netlink.recv(4096)
    assert header.unpack_from(answer)[1] == error  # which an acknowledgement is too, with a code of 0
    assert struct.unpack_from("=i", answer, header.size)[0] == 0


def block_udp(homes: Homes) -> None:
    """Let no UDP through, as the firewalls of some companies do."""
    rules = "add chain ip lab no_udp { type filter hook forward priority -10; meta l4proto udp drop; }"
    with inside(homes.nat):
        subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)
