"""Writes MMDB files (MaxMind DB file format 2.0) for tests: IPv4 networks, and records of texts and tables."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

Value: TypeAlias = "str | int | list[Value] | Mapping[str, Value]"

_MARKER = b"\xab\xcd\xefMaxMind.com"


def write_mmdb(file: Path, records_by_network: Mapping[str, Value]) -> None:
    """A database of `records_by_network`."""
    data = b""
    offsets: dict[str, int] = {}
    for network, record in records_by_network.items():
        offsets[network] = len(data)
        data += _encoded(record)
    nodes: list[list[int | None]] = [[None, None]]
    leaves: dict[tuple[int, int], int] = {}
    for network, offset in offsets.items():
        parsed = ipaddress.IPv4Network(network)
        at = 0
        for depth in range(parsed.prefixlen):
            bit = int(parsed.network_address) >> (31 - depth) & 1
            if depth == parsed.prefixlen - 1:
                leaves[at, bit] = offset
                break
            below = nodes[at][bit]
            if below is None:
                nodes.append([None, None])
                below = nodes[at][bit] = len(nodes) - 1
            at = below
    count = len(nodes)
    tree = b""
    for index, node in enumerate(nodes):
        for bit in (0, 1):
            below = node[bit]
            leaf = leaves.get((index, bit))
            value = count + 16 + leaf if leaf is not None else count if below is None else below
            tree += value.to_bytes(3, "big")
    metadata: Mapping[str, Value] = {
        "binary_format_major_version": 2,
        "binary_format_minor_version": 0,
        "build_epoch": 1,
        "database_type": "Test",
        "description": {"en": "for tests"},
        "ip_version": 4,
        "languages": ["en"],
        "node_count": count,
        "record_size": 24,
    }
    file.write_bytes(tree + bytes(16) + data + _MARKER + _encoded(metadata))


def _encoded(value: Value) -> bytes:
    if isinstance(value, str):
        text = value.encode()
        return _control(2, len(text)) + text
    if isinstance(value, int):
        number = value.to_bytes((value.bit_length() + 7) // 8, "big")
        return _control(6, len(number)) + number
    if isinstance(value, list):
        return bytes((len(value), 11 - 7)) + b"".join(_encoded(one) for one in value)
    return _control(7, len(value)) + b"".join(_encoded(name) + _encoded(below) for name, below in value.items())


def _control(kind: int, size: int) -> bytes:
    return bytes((kind << 5 | size,)) if size < 29 else bytes((kind << 5 | 29, size - 29))
