"""What every RTCP packet has in common: the header, and the packet of a kind that is not known.

 0                   1                   2                   3
 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|V=2|P|  count  |  packet type  |     length in words, less 1   |
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from icelane.errors import InvalidAccessError

HEADER_SIZE: Final = 4
# The count of blocks, chunks or sources has five bits.
MAX_COUNT: Final = 31
MAX_BODY_SIZE: Final = 4 * 0xFFFF


class PacketType(enum.IntEnum):
    """The packet types that are read here (RFC 3550 section 12.1, RFC 4585 section 6.1, RFC 3611)."""

    SENDER_REPORT = 200
    RECEIVER_REPORT = 201
    SOURCE_DESCRIPTION = 202
    BYE = 203
    TRANSPORT_FEEDBACK = 205
    PAYLOAD_FEEDBACK = 206
    EXTENDED_REPORT = 207


@dataclass(frozen=True, slots=True)
class UnknownRtcp:
    """A packet of a type or a feedback format that is not read here: `body` is what follows the header."""

    packet_type: int
    count: int
    body: bytes


def encode_packet(packet_type: int, count: int, body: bytes) -> bytes:
    """One packet. Raises InvalidAccessError when `body` is not a whole number of words, or something does not fit."""
    if len(body) & 3 or len(body) > MAX_BODY_SIZE or not 0 <= count <= MAX_COUNT or not 0 <= packet_type <= 255:
        raise InvalidAccessError(f"no RTCP packet: type {packet_type}, count {count}, {len(body)} bytes")
    return bytes((0x80 | count, packet_type)) + (len(body) >> 2).to_bytes(2, "big") + body


def encode_uint32s(*numbers: int) -> bytes:
    """SSRCs and other numbers of 32 bits. Raises InvalidAccessError when one does not fit."""
    try:
        return b"".join([number.to_bytes(4, "big") for number in numbers])
    except OverflowError as error:
        raise InvalidAccessError("a number does not fit into 32 bits") from error
