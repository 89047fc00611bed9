"""Seeded mutation: of plain bytes, and of STUN messages attribute by attribute."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Final

# Longer inputs find nothing that shorter ones do not, but the limits of a datagram and of the length field.
MAX_INPUT: Final = 4096
_MAX_STEPS: Final = 5
_HEADER_SIZE: Final = 20

# Lengths at which parsers go wrong (ST-6 and its relatives).
INTERESTING_LENGTHS: Final = (
    0, 1, 2, 3, 4, 5, 7, 8, 12, 16, 19, 20, 21, 24, 28, 32, 36, 127, 128, 255, 256, 508, 509, 763, 764,
    0x0FFF, 0x3FFF, 0x4000, 0x4FFF, 0x5000, 0x7FFF, 0x8000, 65507, 65508, 65520, 65524, 65528, 65532, 65535,
)  # fmt: skip

STUN_TOKENS: Final = (
    b"\x21\x12\xa4\x42",  # the cookie
    *(bytes((method >> 8, method & 0xFF)) for method in (0x0001, 0x0011, 0x0101, 0x0111, 0x0003, 0x0103, 0x0113,
      0x0004, 0x0104, 0x0114, 0x0008, 0x0108, 0x0118, 0x0009, 0x0109, 0x0119, 0x0016, 0x0017, 0x000A, 0x3FFF)),
    *(bytes((kind >> 8, kind & 0xFF)) for kind in (0x0001, 0x0006, 0x0008, 0x0009, 0x000A, 0x000C, 0x000D, 0x0012,
      0x0013, 0x0014, 0x0015, 0x0016, 0x0017, 0x0018, 0x0019, 0x001A, 0x001C, 0x001D, 0x001E, 0x0020, 0x0022, 0x0024,
      0x0025, 0x7FFF, 0x8000, 0x8001, 0x8002, 0x8003, 0x8004, 0x8022, 0x8023, 0x8028, 0x8029, 0x802A)),
    b"\x00\x08\x00\x14", b"\x00\x1c\x00\x20", b"\x80\x28\x00\x04",  # heads of the integrity attributes
    b"\x11\x00\x00\x00", b"\x06\x00\x00\x00",  # REQUESTED-TRANSPORT: UDP, TCP
    b"\x01\x00\x00\x00", b"\x02\x00\x00\x00", b"\x80",  # families, EVEN-PORT with the R bit
    b"\x40\x00", b"\x4f\xff", b"\x50\x00", b"\x7f\xff",  # channel numbers
    b"\x00\x02\x00\x00", b"\x00\x01\x00\x00",  # password algorithms
    b"obMatJos2", b"gAAA", b"QAAA", b"wAAA", b"AAAC", b"====",
    b"\x00\x01\x00\x50\x7f\x00\x00\x01", b"\x00\x02\x00\x50" + bytes(15) + b"\x01",  # loopback in both families
    b"\xff\xfe", b"\xc0\x80", b"\xed\xa0\x80", b"\x00", b"\xff\xff\xff\xff",
)  # fmt: skip


class Mutator:
    """Makes new inputs out of old ones; the same ones for the same generator."""

    def __init__(self, generator: random.Random, dictionary: Sequence[bytes] = STUN_TOKENS) -> None:
        self._random = generator
        self._dictionary = dictionary
        self._steps: tuple[Callable[[bytearray], None], ...] = (
            self._flip_bit,
            self._set_byte,
            self._set_length,
            self._insert_bytes,
            self._delete,
            self._repeat,
            self._swap,
            self._overwrite_token,
            self._insert_token,
            self._truncate,
            self._change_attributes,
            self._change_attributes,
            self._fix_header_length,
        )

    def mutate(self, data: bytes, other: bytes) -> bytes:
        """A variation of `data`; `other` is another input of the pool, to splice with."""
        result = bytearray(data)
        if other and self._random.random() < 0.1:
            cut, graft = self._place(result), self._random.randrange(len(other))
            result[cut:] = other[graft:]
        for _ in range(self._random.randint(1, _MAX_STEPS)):
            self._random.choice(self._steps)(result)
        if self._random.random() < 0.5:
            self._fix_header_length(result)
        return bytes(result[:MAX_INPUT])

    # Bytes

    def _place(self, data: bytearray) -> int:
        return self._random.randint(0, len(data))

    def _flip_bit(self, data: bytearray) -> None:
        if data:
            data[self._random.randrange(len(data))] ^= 1 << self._random.randrange(8)

    def _set_byte(self, data: bytearray) -> None:
        if data:
            data[self._random.randrange(len(data))] = self._random.choice((0, 1, 0x7F, 0x80, 0xFF, self._byte()))

    def _byte(self) -> int:
        return self._random.randrange(256)

    def _set_length(self, data: bytearray) -> None:
        if len(data) >= 2:
            at = self._random.randrange(len(data) - 1)
            at -= at % self._random.choice((1, 2))
            data[at : at + 2] = self._random.choice(INTERESTING_LENGTHS).to_bytes(2, "big")

    def _insert_bytes(self, data: bytearray) -> None:
        at = self._place(data)
        data[at:at] = self._random.randbytes(self._random.choice((1, 2, 3, 4, 8, 20)))

    def _delete(self, data: bytearray) -> None:
        at = self._place(data)
        del data[at : at + self._random.choice((1, 2, 3, 4, 8, 20))]

    def _repeat(self, data: bytearray) -> None:
        at, size = self._place(data), self._random.choice((1, 4, 8, 24, 64))
        data[at:at] = data[at : at + size] * self._random.choice((1, 1, 2, 16))

    def _swap(self, data: bytearray) -> None:
        if len(data) >= 8:
            a, b = (4 * self._random.randrange(len(data) // 4) for _ in range(2))
            data[a : a + 4], data[b : b + 4] = data[b : b + 4], data[a : a + 4]

    def _overwrite_token(self, data: bytearray) -> None:
        token, at = self._random.choice(self._dictionary), self._place(data)
        data[at : at + len(token)] = token

    def _insert_token(self, data: bytearray) -> None:
        at = self._place(data)
        data[at:at] = self._random.choice(self._dictionary)

    def _truncate(self, data: bytearray) -> None:
        if self._random.random() < 0.3:
            del data[self._place(data) :]

    # STUN

    def _fix_header_length(self, data: bytearray) -> None:
        if len(data) >= _HEADER_SIZE:
            del data[len(data) - len(data) % 4 :]
            data[2:4] = (len(data) - _HEADER_SIZE & 0xFFFF).to_bytes(2, "big")

    def _change_attributes(self, data: bytearray) -> None:
        """Read the body as far as it can be, change an attribute, write it back with right lengths."""
        attributes = _attributes(data)
        if not attributes:
            return
        at = self._random.randrange(len(attributes))
        kind, value = attributes[at]
        match self._random.randrange(6):
            case 0:
                del attributes[at]
            case 1:
                attributes.insert(self._random.randrange(len(attributes) + 1), (kind, value))
            case 2:
                attributes[at], attributes[0] = attributes[0], attributes[at]
            case 3:
                attributes[at] = (int.from_bytes(self._random.choice(STUN_TOKENS[1:55])[:2], "big"), value)
            case 4:
                size = self._random.choice(INTERESTING_LENGTHS[:26])
                attributes[at] = (kind, (value + bytes(size))[:size])
            case _:
                attributes[at] = (kind, self._random.choice(self._dictionary))
        data[_HEADER_SIZE:] = b"".join(_encode(kind, value) for kind, value in attributes)
        self._fix_header_length(data)


def _attributes(data: bytearray) -> list[tuple[int, bytes]]:
    found = []
    at = _HEADER_SIZE
    while at + 4 <= len(data):
        kind, size = int.from_bytes(data[at : at + 2], "big"), int.from_bytes(data[at + 2 : at + 4], "big")
        found.append((kind, bytes(data[at + 4 : at + 4 + size])))
        at += 4 + size + (-size % 4)
    return found


def _encode(kind: int, value: bytes) -> bytes:
    return kind.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value + bytes(-len(value) % 4)
