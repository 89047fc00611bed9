"""The attribute values that TURN adds to STUN (RFC 8656 section 18).

As in `icelane.stun.attributes`: values without header and padding, and MalformedError for what does not parse.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from icelane.core.net import AddressFamily
from icelane.errors import MalformedError
from icelane.stun.attributes import ErrorCode, encode_error_code, exactly, parse_error_code

PROTOCOL_TCP: Final = 6
PROTOCOL_UDP: Final = 17
RESERVATION_TOKEN_SIZE: Final = 8


class IcmpError(NamedTuple):
    """An ICMP or ICMPv6 error that came back for a relayed packet (section 18.13)."""

    icmp_type: int
    code: int
    data: int


def parse_channel_number(value: bytes) -> int:
    """CHANNEL-NUMBER; whether it lies in the range of channels is for the caller to say."""
    exactly(value, 4)
    return value[0] << 8 | value[1]


def encode_channel_number(number: int) -> bytes:
    """CHANNEL-NUMBER."""
    return number.to_bytes(2, "big") + b"\0\0"


def parse_requested_transport(value: bytes) -> int:
    """REQUESTED-TRANSPORT: an IP protocol number."""
    return exactly(value, 4)[0]


def encode_requested_transport(protocol: int) -> bytes:
    """REQUESTED-TRANSPORT."""
    return bytes((protocol, 0, 0, 0))


def parse_address_family(value: bytes) -> int:
    """REQUESTED-ADDRESS-FAMILY or ADDITIONAL-ADDRESS-FAMILY: 1, 2 or something we do not know."""
    return exactly(value, 4)[0]


def encode_address_family(family: AddressFamily) -> bytes:
    """REQUESTED-ADDRESS-FAMILY or ADDITIONAL-ADDRESS-FAMILY."""
    return bytes((family, 0, 0, 0))


def parse_even_port(value: bytes) -> bool:
    """EVEN-PORT: whether the next higher port is to be reserved too (the R bit)."""
    return bool(exactly(value, 1)[0] & 0x80)


def encode_even_port(reserve_next: bool) -> bytes:
    """EVEN-PORT."""
    return b"\x80" if reserve_next else b"\x00"


def parse_reservation_token(value: bytes) -> bytes:
    """RESERVATION-TOKEN: 8 bytes."""
    return exactly(value, RESERVATION_TOKEN_SIZE)


def parse_address_error_code(value: bytes) -> tuple[int, ErrorCode]:
    """ADDRESS-ERROR-CODE (section 18.12): the address family that failed, and why."""
    if len(value) < 4:
        raise MalformedError(f"ADDRESS-ERROR-CODE of {len(value)} bytes")
    return value[0], parse_error_code(value)


def encode_address_error_code(family: AddressFamily, code: int, reason: str) -> bytes:
    """ADDRESS-ERROR-CODE."""
    return bytes((family,)) + encode_error_code(code, reason)[1:]


# ICMP (section 18.13): type has 7 bits, code 9; the error data is the next-hop MTU where there is one.
#
#     0                   1                   2                   3
#     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
#    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
#    |  Reserved                     |  ICMP Type  |  ICMP Code      |
#    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
#    |                          Error Data                           |
#    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+


def parse_icmp(value: bytes) -> IcmpError:
    """ICMP."""
    exactly(value, 8)
    kind = value[2] << 8 | value[3]
    return IcmpError(kind >> 9, kind & 0x1FF, int.from_bytes(value[4:], "big"))


def encode_icmp(error: IcmpError) -> bytes:
    """ICMP."""
    kind = (error.icmp_type & 0x7F) << 9 | (error.code & 0x1FF)
    return b"\0\0" + kind.to_bytes(2, "big") + error.data.to_bytes(4, "big")
