"""Addresses and paths: where a datagram came from and where it goes."""

from __future__ import annotations

import enum
import ipaddress
from functools import lru_cache
from typing import Final, NamedTuple

from icelane.errors import MalformedError

# How many translations between text and packed addresses are remembered. Traffic repeats few addresses; a flood of
# distinct ones only evicts.
_ADDRESS_CACHE = 4096


_MAPPED: Final = "::ffff:"
_MAPPED_PREFIX: Final = bytes(10) + b"\xff\xff"


class AddressFamily(enum.IntEnum):
    """The address family codes of STUN (RFC 8489 section 14.1) and TURN (RFC 8656 section 18.6)."""

    IPV4 = 0x01
    IPV6 = 0x02


# A member of an enumeration costs a call where it is looked up, and a name of ours does not.
_IPV4: Final = AddressFamily.IPV4
_IPV6: Final = AddressFamily.IPV6


class Transport(enum.Enum):
    """What carries a path's bytes."""

    UDP = "udp"
    TCP = "tcp"
    TLS = "tls"

    # Enum hashes the name, in Python. A path is looked up for every packet, and members are equal by identity anyway.
    __hash__ = object.__hash__

    @property
    def reliable(self) -> bool:
        """Whether bytes arrive in order or not at all, so that nothing is retransmitted by us."""
        return self is not _UDP


_UDP: Final = Transport.UDP


class SocketAddress(NamedTuple):
    """An IP address in canonical text, without zone, and a port. Equal to the plain `(host, port)` tuple."""

    host: str
    port: int

    def __str__(self) -> str:
        return _host_and_port(self.host, self.port)

    @property
    def family(self) -> AddressFamily:
        return family_of(self.host)


class NamedPlace(NamedTuple):
    """A host, by a name that somebody else is to look up, and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return _host_and_port(self.host, self.port)

    @property
    def family(self) -> None:
        """Nobody here knows it."""
        return


class Path(NamedTuple):
    """Both ends of where a datagram came or goes, seen from this host: a TURN 5-tuple, an ICE base and its remote."""

    local: SocketAddress
    remote: SocketAddress
    transport: Transport

    def __str__(self) -> str:
        return f"{self.transport.value} {self.local} <-> {self.remote}"


def socket_address(host: str, port: int) -> SocketAddress:
    """What `SocketAddress(host, port)` is, without the Python around it."""
    return tuple.__new__(SocketAddress, (host, port))


def family_of(host: str) -> AddressFamily:
    """The family of an address in text."""
    return _IPV6 if ":" in host else _IPV4


@lru_cache(maxsize=_ADDRESS_CACHE)
def pack_host(host: str) -> bytes:
    """The 4 or 16 bytes of an address in text; a zone (`%eth0`) is dropped.

    Raises MalformedError when `host` is not an IP address.
    """
    try:
        return ipaddress.ip_address(host.partition("%")[0]).packed
    except ValueError as error:
        raise MalformedError(f"{host!r} is not an IP address") from error


@lru_cache(maxsize=_ADDRESS_CACHE)
def unpack_host(packed: bytes) -> str:
    """The canonical text of 4 or 16 bytes. An IPv4-mapped IPv6 address stays IPv6, in hexadecimal groups.

    Raises MalformedError for any other length.
    """
    if len(packed) == 4:
        return f"{packed[0]}.{packed[1]}.{packed[2]}.{packed[3]}"
    if len(packed) != 16:
        raise MalformedError(f"an address has 4 or 16 bytes, not {len(packed)}")
    return _compress(packed)


def canonical_host(host: str) -> str:
    """`host` in the one spelling that is used as a key: compressed, lower case, without zone.

    Raises MalformedError when it is not an IP address.
    """
    return unpack_host(pack_host(host))


def unmapped_host(host: str) -> str:
    """A canonical address, or the IPv4 address that an IPv4-mapped one stands for."""
    if not host.startswith(_MAPPED):
        return host
    packed = pack_host(host)
    return unpack_host(packed[12:]) if packed.startswith(_MAPPED_PREFIX) else host


def _host_and_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _compress(packed: bytes) -> str:
    # ipaddress prints ::ffff:1.2.3.4 in mixed notation from Python 3.13 on; a key must not depend on the version.
    groups = [int.from_bytes(packed[i : i + 2], "big") for i in range(0, 16, 2)]
    start, length = 0, 0
    i = 0
    while i < 8:
        j = i
        while j < 8 and groups[j] == 0:
            j += 1
        if j - i > length:
            start, length = i, j - i
        i = max(j, i + 1)
    if length < 2:  # RFC 5952 section 4.2.2: one group of zeros is not shortened
        return ":".join(f"{group:x}" for group in groups)
    head = ":".join(f"{group:x}" for group in groups[:start])
    tail = ":".join(f"{group:x}" for group in groups[start + length :])
    return f"{head}::{tail}"
