"""FZ-2: the peer-address policy beside one that is written another way, and every encoding of an IPv4 address.

The reference knows networks by `ipaddress` and walks lists, so it shares neither tables nor arithmetic with the policy.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Hashable, Iterator

from icelane.core.net import SocketAddress, canonical_host, family_of, unpack_host
from icelane.errors import MalformedError
from icelane.testing.peers import ALLOWED, ALLOWED_NEIGHBOURS, REFUSED_ALWAYS, REFUSED_BY_DEFAULT
from icelane.turn.peer_policy import PeerPolicy

POLICY = PeerPolicy()
EVERYTHING_ALLOWED = PeerPolicy(allow=("0.0.0.0/0", "::/0"))

SEEDS = [
    ipaddress.ip_address(host).packed for host in (*REFUSED_ALWAYS, *REFUSED_BY_DEFAULT, *ALLOWED, *ALLOWED_NEIGHBOURS)
]
DICTIONARY = [
    b"\x7f\x00\x00\x01", b"\xa9\xfe\xa9\xfe", b"\x0a\x00\x00\x01", bytes(10) + b"\xff\xff", bytes(8),
    b"\x00\x64\xff\x9b",
    b"\x20\x02", b"\x20\x01\x00\x00", b"\xfe\x80", b"\xfc", b"\xff\x02", b"\x00\x00\x5e\xfe", b"\x02\x00\x5e\xfe",
    b"\x20\x01\x0d\xb8", b"\x26\x06\x47\x00", b"\x08\x08\x08\x08", b"\xff\xff\xff\xff",
]  # fmt: skip

HARD_IPV4 = [
    ipaddress.IPv4Network(text)
    for text in ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "192.88.99.0/24", "224.0.0.0/3")
]
DEFAULT_IPV4 = [
    ipaddress.IPv4Network(text)
    for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "168.63.129.16/32",
                 "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "198.18.0.0/15")
]  # fmt: skip
HARD_IPV6 = [
    ipaddress.IPv6Network(text)
    for text in ("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16",
                 "2001::/32", "fe80::/10", "fec0::/10", "ff00::/8", "fd00:ec2::/32", "fd20:ce::254/128")
]  # fmt: skip
DEFAULT_IPV6 = [
    ipaddress.IPv6Network(text) for text in ("2001:db8::/32", "3fff::/20", "2001::/23", "fc00::/7", "5f00::/16")
]
GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")


def reference(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    """ "hard", "default" or "allow"."""
    if isinstance(address, ipaddress.IPv4Address):
        if any(address in network for network in HARD_IPV4):
            return "hard"
        return "default" if any(address in network for network in DEFAULT_IPV4) else "allow"
    if any(address in network for network in HARD_IPV6) or address.packed[8:12] in (b"\0\0\x5e\xfe", b"\2\0\x5e\xfe"):
        return "hard"
    if any(address in network for network in DEFAULT_IPV6) or address not in GLOBAL_UNICAST:
        return "default"
    return "allow"


def encodings(packed: bytes) -> Iterator[bytes]:
    """Every IPv6 address that a translator or tunnel on the way may take for the IPv4 address `packed`."""
    yield bytes(12) + packed  # IPv4-compatible
    yield bytes(10) + b"\xff\xff" + packed  # mapped
    yield bytes(8) + b"\xff\xff\0\0" + packed  # SIIT
    yield b"\x00\x64\xff\x9b" + bytes(8) + packed  # NAT64
    yield b"\x00\x64\xff\x9b\x00\x01" + bytes(6) + packed
    yield b"\x20\x02" + packed + bytes(10)  # 6to4
    yield b"\x20\x01\0\0" + packed + bytes(8)  # Teredo server
    yield b"\x20\x01\0\0" + bytes(8) + bytes(byte ^ 0xFF for byte in packed)  # Teredo client
    yield b"\x26\x06\x47\0" + bytes(4) + b"\0\0\x5e\xfe" + packed  # ISATAP
    yield b"\xfe\x80" + bytes(6) + b"\2\0\x5e\xfe" + packed


def decide(policy: PeerPolicy, packed: bytes) -> tuple[bool, str]:
    """The decision, and that all methods share it."""
    peer = SocketAddress(unpack_host(packed), 3478)
    verdict = policy.check(peer, family_of(peer.host))
    assert policy.check_permission(peer, family_of(peer.host)).allowed == verdict.allowed
    assert policy.check_host(peer.host, family_of(peer.host)).allowed == verdict.allowed
    spelled = str(ipaddress.ip_address(packed))
    assert policy.check(SocketAddress(canonical_host(spelled), 3478), family_of(peer.host)) == verdict
    return verdict.allowed, verdict.reason


def run(data: bytes) -> Hashable:
    """The reason, by what was configured."""
    if len(data) not in (4, 16):
        data = data[:16] if len(data) > 16 else data[:4]
    if len(data) not in (4, 16):
        raise MalformedError("too short for an address")
    expected = reference(ipaddress.ip_address(data))
    allowed, reason = decide(POLICY, data)
    assert allowed == (expected == "allow"), f"{ipaddress.ip_address(data)}: {reason}, reference says {expected}"
    opened, why = decide(EVERYTHING_ALLOWED, data)
    assert opened == (expected != "hard"), f"{ipaddress.ip_address(data)}: {why} with everything allowed"
    if len(data) == 4:
        for encoded in encodings(data):
            assert not decide(EVERYTHING_ALLOWED, encoded)[0], f"{unpack_host(encoded)} hides {unpack_host(data)}"
    return len(data), reason, why
