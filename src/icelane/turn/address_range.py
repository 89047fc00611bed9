"""Ranges of IP addresses, and a table that finds the range an address lies in."""

from __future__ import annotations

import heapq
import ipaddress
from bisect import bisect_right
from collections.abc import Iterable
from typing import NamedTuple

from icelane.core.net import AddressFamily, family_of, pack_host, unpack_host
from icelane.errors import MalformedError

# RFC 6052 section 2.2: the lengths a NAT64 prefix can have.
_NAT64_LENGTHS = frozenset((32, 40, 48, 56, 64, 96))

_BITS = {AddressFamily.IPV4: 32, AddressFamily.IPV6: 128}


class AddressRange(NamedTuple):
    """All addresses from `first` to `last`, both included, as integers of one family."""

    family: AddressFamily
    first: int
    last: int

    def __str__(self) -> str:
        return f"{host_of(self.family, self.first)}-{host_of(self.family, self.last)}"

    def contains(self, other: AddressRange) -> bool:
        """Whether every address of `other` lies in this one."""
        return self.family is other.family and self.first <= other.first and other.last <= self.last


def number_of(host: str) -> int:
    """An address in text as an integer. Raises MalformedError when it is not an address."""
    return int.from_bytes(pack_host(host), "big")


def host_of(family: AddressFamily, number: int) -> str:
    """The canonical text of an address given as an integer."""
    return unpack_host(number.to_bytes(_BITS[family] // 8, "big"))


def parse_address_range(text: str) -> AddressRange:
    """`10.0.0.0/8`, `2001:db8::/32`, one address, or `first-last` with both ends included.

    Raises MalformedError for anything else: host bits below the prefix, a zone, mixed families, a reversed range.
    """
    if "%" in text:
        raise MalformedError(f"{text!r}: a zone has no meaning in a range")
    head, dash, tail = text.partition("-")
    if not dash:
        return _parse_prefix(text)
    first, last = head.strip(), tail.strip()
    family = family_of(first)
    found = AddressRange(family, number_of(first), number_of(last))
    if family_of(last) is not family:
        raise MalformedError(f"{text!r} mixes IPv4 and IPv6")
    if found.first > found.last:
        raise MalformedError(f"{text!r} ends before it begins")
    return found


def parse_nat64_prefix(text: str) -> AddressRange:
    """An IPv6 prefix with one of the lengths that NAT64 knows. Raises MalformedError for anything else."""
    found = parse_address_range(text)
    length = 128 - (found.last - found.first).bit_length()
    if found.family is not AddressFamily.IPV6 or "-" in text or length not in _NAT64_LENGTHS:
        raise MalformedError(f"{text!r} is not an IPv6 prefix of length 32, 40, 48, 56, 64 or 96")
    return found


def _parse_prefix(text: str) -> AddressRange:
    # ipaddress also takes netmasks (10.0.0.0/255.0.0.0) and, as hostmasks, silently the opposite: only lengths here.
    host, slash, length = text.partition("/")
    if slash and not (length.isascii() and length.isdigit()):
        raise MalformedError(f"{text!r}: the prefix length is not a number")
    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        raise MalformedError(str(error)) from error
    return AddressRange(family_of(host), int(network.network_address), int(network.broadcast_address))


def trusts_too_many(ranges: Iterable[AddressRange]) -> bool:
    """Whether `ranges` of proxies, of one family together, hold an eighth of it: so much is all of today's IPv6."""
    sizes = dict.fromkeys(AddressFamily, 0)
    for one in ranges:
        sizes[one.family] += one.last - one.first + 1
    return any(size << 3 >= 1 << _BITS[family] for family, size in sizes.items())


class RangeTable:
    """What is said about an address by the first of a list of ranges that holds it; one family, O(log n)."""

    __slots__ = ("_labels", "_starts")

    def __init__(self, family: AddressFamily, ranges: Iterable[tuple[AddressRange, str]]) -> None:
        """Flatten `ranges` into intervals that do not overlap; ranges of the other family are left out."""
        mine = ((found, label) for found, label in ranges if found.family is family)
        rows = sorted((found.first, order, found.last, label) for order, (found, label) in enumerate(mine))
        self._starts: list[int] = []
        self._labels: list[str | None] = []
        edges = sorted({row[0] for row in rows} | {row[2] + 1 for row in rows})
        covering: list[tuple[int, int, str]] = []
        at = 0
        for edge in edges:
            while at < len(rows) and rows[at][0] == edge:
                _, order, last, label = rows[at]
                heapq.heappush(covering, (order, last, label))
                at += 1
            while covering and covering[0][1] < edge:
                heapq.heappop(covering)
            self._starts.append(edge)
            self._labels.append(covering[0][2] if covering else None)

    def label(self, number: int) -> str | None:
        """The label of the first range that holds the address, or None."""
        index = bisect_right(self._starts, number) - 1
        return self._labels[index] if index >= 0 else None
