"""Attribute types and the codecs of their values (RFC 8489 section 14, RFC 8445 section 16.1, RFC 5780 section 7).

Each `parse_*` takes the value without header and padding, and returns a complete value or raises MalformedError. Each
`encode_*` returns the value without header and padding.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Final, NamedTuple

from icelane.core.net import AddressFamily, SocketAddress, pack_host, socket_address, unpack_host
from icelane.core.reader import Reader
from icelane.errors import MalformedError

MAGIC_COOKIE: Final = 0x2112A442
_IPV4: Final = int(AddressFamily.IPV4)
_IPV6: Final = int(AddressFamily.IPV6)
_COOKIE_BYTES: Final = MAGIC_COOKIE.to_bytes(4, "big")

# RFC 8489 section 14.3: "less than 509 bytes"; 14.9, 14.10, 14.14: "fewer than 128 characters, up to 763 bytes".
MAX_USERNAME: Final = 508
MAX_TEXT: Final = 763
MAX_DOMAIN: Final = 255
# An attacker's 64 KiB stream message could name 32 000 types or algorithms; nobody honest names more than this.
MAX_UNKNOWN_ATTRIBUTES: Final = 64
MAX_PASSWORD_ALGORITHMS: Final = 16


class AttributeType(enum.IntEnum):
    """Attribute type codes. Below 0x8000 comprehension is required."""

    MAPPED_ADDRESS = 0x0001
    CHANGE_REQUEST = 0x0003
    USERNAME = 0x0006
    MESSAGE_INTEGRITY = 0x0008
    ERROR_CODE = 0x0009
    UNKNOWN_ATTRIBUTES = 0x000A
    CHANNEL_NUMBER = 0x000C
    LIFETIME = 0x000D
    XOR_PEER_ADDRESS = 0x0012
    DATA = 0x0013
    REALM = 0x0014
    NONCE = 0x0015
    XOR_RELAYED_ADDRESS = 0x0016
    REQUESTED_ADDRESS_FAMILY = 0x0017
    EVEN_PORT = 0x0018
    REQUESTED_TRANSPORT = 0x0019
    DONT_FRAGMENT = 0x001A
    MESSAGE_INTEGRITY_SHA256 = 0x001C
    PASSWORD_ALGORITHM = 0x001D
    USERHASH = 0x001E
    XOR_MAPPED_ADDRESS = 0x0020
    RESERVATION_TOKEN = 0x0022
    PRIORITY = 0x0024
    USE_CANDIDATE = 0x0025
    PADDING = 0x0026
    RESPONSE_PORT = 0x0027
    CONNECTION_ID = 0x002A
    ADDITIONAL_ADDRESS_FAMILY = 0x8000
    ADDRESS_ERROR_CODE = 0x8001
    PASSWORD_ALGORITHMS = 0x8002
    ALTERNATE_DOMAIN = 0x8003
    ICMP = 0x8004
    SOFTWARE = 0x8022
    ALTERNATE_SERVER = 0x8023
    FINGERPRINT = 0x8028
    ICE_CONTROLLED = 0x8029
    ICE_CONTROLLING = 0x802A
    RESPONSE_ORIGIN = 0x802B
    OTHER_ADDRESS = 0x802C
    # coturn's number from before RFC 8656 had one; clients of Debian's coturn still send it.
    DRAFT_ADDITIONAL_ADDRESS_FAMILY = 0x8032
    DRAFT_ADDRESS_ERROR_CODE = 0x8033


class PasswordAlgorithm(enum.IntEnum):
    """How a long-term key is derived (RFC 8489 section 18.5)."""

    MD5 = 0x0001
    SHA256 = 0x0002


class ChangeRequest(NamedTuple):
    """From where a Binding response is to come: another address than the one that was asked, another port, or both."""

    address: bool
    port: bool


class ErrorCode(NamedTuple):
    """An ERROR-CODE value: `code` 300 to 699 and the phrase that came with it."""

    code: int
    reason: str


REASONS: Final = {
    300: "Try Alternate",
    400: "Bad Request",
    401: "Unauthenticated",
    403: "Forbidden",
    420: "Unknown Attribute",
    437: "Allocation Mismatch",
    438: "Stale Nonce",
    440: "Address Family not Supported",
    441: "Wrong Credentials",
    442: "Unsupported Transport Protocol",
    443: "Peer Address Family Mismatch",
    446: "Connection Already Exists",
    447: "Connection Timeout or Failure",
    486: "Allocation Quota Reached",
    487: "Role Conflict",
    500: "Server Error",
    508: "Insufficient Capacity",
}
"""Reason phrases of RFC 8489, 8656, 6062, 8445 by code."""


# MAPPED-ADDRESS (section 14.1), and with the address XORed XOR-MAPPED-ADDRESS (14.2):
#
#     0                   1                   2                   3
#     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
#    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
#    |0 0 0 0 0 0 0 0|    Family     |           Port                |
#    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
#    |                 Address (32 bits or 128 bits)                 |


def parse_address(value: bytes) -> SocketAddress:
    """MAPPED-ADDRESS, ALTERNATE-SERVER, RESPONSE-ORIGIN or OTHER-ADDRESS."""
    size = _address_size(value)
    return SocketAddress(unpack_host(value[4 : 4 + size]), value[2] << 8 | value[3])


def encode_address(address: SocketAddress) -> bytes:
    """MAPPED-ADDRESS, ALTERNATE-SERVER, RESPONSE-ORIGIN or OTHER-ADDRESS."""
    packed = pack_host(address.host)
    family = _IPV4 if len(packed) == 4 else _IPV6
    return bytes((0, family, address.port >> 8, address.port & 0xFF)) + packed


def parse_xor_address(value: bytes, transaction_id: bytes) -> SocketAddress:
    """XOR-MAPPED-ADDRESS, XOR-PEER-ADDRESS or XOR-RELAYED-ADDRESS of the message with that transaction id."""
    size = _address_size(value)
    mask = _COOKIE_BYTES + transaction_id
    packed = (int.from_bytes(value[4:], "big") ^ int.from_bytes(mask[:size], "big")).to_bytes(size, "big")
    return socket_address(unpack_host(packed), (value[2] << 8 | value[3]) ^ (MAGIC_COOKIE >> 16))


def encode_xor_address(address: SocketAddress, transaction_id: bytes) -> bytes:
    """XOR-MAPPED-ADDRESS, XOR-PEER-ADDRESS or XOR-RELAYED-ADDRESS."""
    packed = pack_host(address.host)
    size = len(packed)
    mask = _COOKIE_BYTES + transaction_id
    port = address.port ^ (MAGIC_COOKIE >> 16)
    family = _IPV4 if size == 4 else _IPV6
    hidden = (int.from_bytes(packed, "big") ^ int.from_bytes(mask[:size], "big")).to_bytes(size, "big")
    return bytes((0, family, port >> 8, port & 0xFF)) + hidden


def _address_size(value: bytes) -> int:
    if len(value) < 4:
        raise MalformedError(f"an address attribute of {len(value)} bytes")
    if value[1] == _IPV4:
        size = 4
    elif value[1] == _IPV6:
        size = 16
    else:
        raise MalformedError(f"address family {value[1]}")
    if len(value) != 4 + size:
        raise MalformedError(f"an address attribute of family {value[1]} with {len(value)} bytes")
    return size


def parse_text(value: bytes, limit: int = MAX_TEXT) -> str:
    """USERNAME, REALM, NONCE, SOFTWARE, ALTERNATE-DOMAIN: UTF-8 of at most `limit` bytes, without NUL."""
    if len(value) > limit:
        raise MalformedError(f"text of {len(value)} bytes, at most {limit} allowed")
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        raise MalformedError("text is not UTF-8") from None
    if "\0" in text:
        raise MalformedError("text contains NUL")
    return text


def encode_text(text: str, limit: int = MAX_TEXT) -> bytes:
    """The counterpart of `parse_text`; raises ValueError when the text is longer than `limit` bytes."""
    value = text.encode("utf-8")
    if len(value) > limit:
        raise ValueError(f"text of {len(value)} bytes, at most {limit} allowed")
    return value


def parse_error_code(value: bytes) -> ErrorCode:
    """ERROR-CODE (section 14.8)."""
    if len(value) < 4:
        raise MalformedError(f"ERROR-CODE of {len(value)} bytes")
    hundreds, number = value[2] & 0x07, value[3]
    if not 3 <= hundreds <= 6 or number > 99:
        raise MalformedError(f"error code {hundreds} * 100 + {number}")
    return ErrorCode(hundreds * 100 + number, parse_text(value[4:]))


def encode_error_code(code: int, reason: str) -> bytes:
    """ERROR-CODE."""
    return bytes((0, 0, code // 100, code % 100)) + encode_text(reason)


def parse_unknown_attributes(value: bytes) -> tuple[int, ...]:
    """UNKNOWN-ATTRIBUTES (section 14.13): the first MAX_UNKNOWN_ATTRIBUTES types."""
    if len(value) % 2:
        raise MalformedError(f"UNKNOWN-ATTRIBUTES of {len(value)} bytes")
    reader = Reader(value)
    return tuple(reader.uint16() for _ in range(min(len(value) // 2, MAX_UNKNOWN_ATTRIBUTES)))


def encode_unknown_attributes(types: Iterable[int]) -> bytes:
    """UNKNOWN-ATTRIBUTES, without repetitions and with at most MAX_UNKNOWN_ATTRIBUTES types."""
    distinct = list(dict.fromkeys(types))[:MAX_UNKNOWN_ATTRIBUTES]
    return b"".join(attribute_type.to_bytes(2, "big") for attribute_type in distinct)


def parse_uint32(value: bytes) -> int:
    """LIFETIME, PRIORITY and other 32-bit numbers."""
    return int.from_bytes(exactly(value, 4), "big")


def encode_uint32(number: int) -> bytes:
    """LIFETIME, PRIORITY and other 32-bit numbers."""
    return number.to_bytes(4, "big")


def parse_uint64(value: bytes) -> int:
    """ICE-CONTROLLED and ICE-CONTROLLING tie-breakers."""
    return int.from_bytes(exactly(value, 8), "big")


def encode_uint64(number: int) -> bytes:
    """ICE-CONTROLLED and ICE-CONTROLLING tie-breakers."""
    return number.to_bytes(8, "big")


# CHANGE-REQUEST (RFC 5780 section 7.2): A is "change IP", B is "change port", every other bit is ignored.
#
#     0                   1                   2                   3
#     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
#    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
#    |0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 A B 0|
#    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

_CHANGE_ADDRESS: Final = 4
_CHANGE_PORT: Final = 2


def parse_change_request(value: bytes) -> ChangeRequest:
    """CHANGE-REQUEST."""
    flags = exactly(value, 4)[3]
    return ChangeRequest(bool(flags & _CHANGE_ADDRESS), bool(flags & _CHANGE_PORT))


def encode_change_request(change: ChangeRequest) -> bytes:
    """CHANGE-REQUEST."""
    return bytes((0, 0, 0, change.address * _CHANGE_ADDRESS | change.port * _CHANGE_PORT))


def parse_response_port(value: bytes) -> int:
    """RESPONSE-PORT (RFC 5780 section 7.5): a port, and two bytes that mean nothing."""
    return int.from_bytes(exactly(value, 4)[:2], "big")


def encode_response_port(port: int) -> bytes:
    """RESPONSE-PORT."""
    return port.to_bytes(2, "big") + bytes(2)


def parse_userhash(value: bytes) -> bytes:
    """USERHASH (section 14.4): 32 bytes."""
    return exactly(value, 32)


def parse_flag(value: bytes) -> None:
    """An attribute that has no value, such as USE-CANDIDATE or DONT-FRAGMENT."""
    exactly(value, 0)


def parse_password_algorithms(value: bytes) -> tuple[tuple[int, bytes], ...]:
    """PASSWORD-ALGORITHMS (section 14.11): (algorithm, parameters) in the sender's order."""
    reader = Reader(value)
    algorithms: list[tuple[int, bytes]] = []
    while reader.remaining:
        if len(algorithms) == MAX_PASSWORD_ALGORITHMS:
            raise MalformedError(f"more than {MAX_PASSWORD_ALGORITHMS} password algorithms")
        algorithms.append(_parse_algorithm(reader))
    return tuple(algorithms)


def parse_password_algorithm(value: bytes) -> tuple[int, bytes]:
    """PASSWORD-ALGORITHM (section 14.12): one (algorithm, parameters)."""
    reader = Reader(value)
    algorithm = _parse_algorithm(reader)
    if reader.remaining:
        raise MalformedError(f"{reader.remaining} bytes after PASSWORD-ALGORITHM")
    return algorithm


def encode_password_algorithms(algorithms: Iterable[tuple[int, bytes]]) -> bytes:
    """PASSWORD-ALGORITHMS, and with one entry PASSWORD-ALGORITHM."""
    value = bytearray()
    for algorithm, parameters in algorithms:
        value += algorithm.to_bytes(2, "big") + len(parameters).to_bytes(2, "big") + parameters
        value += bytes(-len(value) % 4)
    return bytes(value)


def _parse_algorithm(reader: Reader) -> tuple[int, bytes]:
    algorithm = reader.uint16()
    size = reader.uint16()
    parameters = reader.take(size)
    # The last entry's padding may be the attribute's own padding, which is not part of the value.
    reader.skip(min(-size % 4, reader.remaining))
    return algorithm, parameters


def exactly(value: bytes, size: int) -> bytes:
    """`value`, or MalformedError when it does not have `size` bytes."""
    if len(value) != size:
        raise MalformedError(f"an attribute of {len(value)} bytes where {size} are expected")
    return value
