"""CRC32c, the checksum of SCTP packets (RFC 9260 section 6.8 and appendix A), eight bytes at a time."""

from __future__ import annotations

from array import array
from typing import Final

_POLYNOMIAL: Final = 0x82F63B78  # Castagnoli's, with its bits reversed


def _make_table() -> array[int]:
    """Eight tables of 256 words, one behind the other: what a byte does that has k more bytes behind it."""
    table = array("I", bytes(8 * 256 * array("I").itemsize))
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ _POLYNOMIAL if crc & 1 else crc >> 1
        table[byte] = crc
    for byte in range(256):
        crc = table[byte]
        for k in range(1, 8):
            crc = table[crc & 0xFF] ^ crc >> 8
            table[k * 256 + byte] = crc
    return table


_TABLE = _make_table()


def crc32c(data: bytes) -> int:
    """The CRC32c of `data`. It goes into the packet with its least significant byte first."""
    table = _TABLE
    size = len(data)
    crc = 0xFFFFFFFF
    i = 0
    end = size - 7
    while i < end:
        crc ^= data[i] | data[i + 1] << 8 | data[i + 2] << 16 | data[i + 3] << 24
        crc = (
            table[1792 + (crc & 0xFF)]
            ^ table[1536 + (crc >> 8 & 0xFF)]
            ^ table[1280 + (crc >> 16 & 0xFF)]
            ^ table[1024 + (crc >> 24)]
            ^ table[768 + data[i + 4]]
            ^ table[512 + data[i + 5]]
            ^ table[256 + data[i + 6]]
            ^ table[data[i + 7]]
        )
        i += 8
    while i < size:
        crc = table[(crc ^ data[i]) & 0xFF] ^ crc >> 8
        i += 1
    return crc ^ 0xFFFFFFFF


def seal(packet: bytes) -> bytes:
    """`packet`, whose checksum field is zero, with the right checksum in it."""
    return packet[:8] + crc32c(packet).to_bytes(4, "little") + packet[12:]


def is_sealed(packet: bytes) -> bool:
    """Whether the checksum of `packet` (at least 12 bytes) is right."""
    return crc32c(packet[:8] + b"\0\0\0\0" + packet[12:]) == int.from_bytes(packet[8:12], "little")
