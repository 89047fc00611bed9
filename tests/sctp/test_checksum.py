"""CRC32c."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.sctp.checksum import crc32c, is_sealed, seal

# RFC 3720 section B.4, which has the same polynomial, and the check value that every catalogue of CRCs gives.
VECTORS = [
    (bytes(32), 0x8A9136AA),
    (b"\xff" * 32, 0x62A8AB43),
    (bytes(range(32)), 0x46DD794E),
    (bytes(reversed(range(32))), 0x113FDB5C),
    (b"123456789", 0xE3069283),
    (b"", 0),
]


@pytest.mark.parametrize(("data", "expected"), VECTORS)
def test_published_values_come_out(data: bytes, expected: int) -> None:
    assert crc32c(data) == expected


def test_a_sealed_packet_holds_its_checksum_with_the_least_byte_first() -> None:
    packet = bytes(12) + b"1234"
    assert seal(packet)[8:12] == crc32c(packet).to_bytes(4, "little")


@given(st.binary(min_size=12, max_size=80), st.data())
def test_no_bit_of_a_sealed_packet_can_be_flipped(data: bytes, draw: st.DataObject) -> None:
    """SC-2."""
    packet = bytearray(seal(data[:8] + bytes(4) + data[12:]))
    assert is_sealed(bytes(packet))
    bit = draw.draw(st.integers(0, 8 * len(packet) - 1))
    packet[bit // 8] ^= 1 << bit % 8
    assert not is_sealed(bytes(packet))
