"""The Data Channel Establishment Protocol's two messages (RFC 8832 section 5).

 0                   1                   2                   3
 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|  Message Type |  Channel Type |            Priority           |
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|                    Reliability Parameter                      |
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|         Label Length          |       Protocol Length         |
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|                             Label                             /
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|                            Protocol                           /
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from struct import Struct
from typing import Final

from icelane.errors import InvalidAccessError, MalformedError

MAX_TEXT: Final = 65_535
"""How many bytes of UTF-8 a label or a protocol has at most."""

_OPEN: Final = 0x03
_ACK: Final = 0x02
_UNORDERED: Final = 0x80
_RETRANSMITS: Final = 0x01
_LIFETIME: Final = 0x02
_HEADER: Final = Struct(">BBHIHH")
# RFC 8832 section 8.2.2 and W3C: what a channel has that nobody asked anything for.
_NORMAL_PRIORITY: Final = 256


class PayloadProtocol(enum.IntEnum):
    """The payload protocol identifiers of data channels (RFC 8831 section 8)."""

    DCEP = 50
    STRING = 51
    BINARY_PARTIAL = 52  # deprecated, and refused here
    BINARY = 53
    STRING_PARTIAL = 54  # deprecated, and refused here
    STRING_EMPTY = 56
    BINARY_EMPTY = 57


@dataclass(frozen=True, slots=True)
class OpenMessage:
    """DATA_CHANNEL_OPEN. At most one of the two limits is set; `max_packet_life_time` is in milliseconds."""

    label: str
    protocol: str = ""
    ordered: bool = True
    max_retransmits: int | None = None
    max_packet_life_time: int | None = None


@dataclass(frozen=True, slots=True)
class AckMessage:
    """DATA_CHANNEL_ACK."""


def parse_dcep(data: bytes) -> OpenMessage | AckMessage:
    """Raises MalformedError for anything but exactly one message of a known type."""
    if not data:
        raise MalformedError("an empty DCEP message")
    if data[0] == _ACK:
        return AckMessage()
    if data[0] != _OPEN:
        raise MalformedError(f"DCEP message type {data[0]}")
    if len(data) < _HEADER.size:
        raise MalformedError(f"{len(data)} bytes are too short for a DATA_CHANNEL_OPEN")
    _, kind, _, reliability, label_size, protocol_size = _HEADER.unpack_from(data)
    if len(data) != _HEADER.size + label_size + protocol_size:
        raise MalformedError(f"label and protocol of {label_size} and {protocol_size} bytes in {len(data)}")
    limit = kind & ~_UNORDERED
    if limit not in (0, _RETRANSMITS, _LIFETIME):
        raise MalformedError(f"channel type {kind:#04x}")
    return OpenMessage(
        _parse_text(data[_HEADER.size : _HEADER.size + label_size]),
        _parse_text(data[_HEADER.size + label_size :]),
        not kind & _UNORDERED,
        reliability if limit == _RETRANSMITS else None,
        reliability if limit == _LIFETIME else None,
    )


def encode_open(message: OpenMessage) -> bytes:
    """Raises InvalidAccessError when a text is too long, a limit does not fit, or there are two."""
    label, protocol = _encode_short_text(message.label), _encode_short_text(message.protocol)
    kind = 0 if message.ordered else _UNORDERED
    reliability = 0
    if message.max_retransmits is not None and message.max_packet_life_time is not None:
        raise InvalidAccessError("a channel has one limit: max_retransmits or max_packet_life_time")
    if message.max_retransmits is not None:
        kind, reliability = kind | _RETRANSMITS, message.max_retransmits
    elif message.max_packet_life_time is not None:
        kind, reliability = kind | _LIFETIME, message.max_packet_life_time
    if not 0 <= reliability <= 0xFFFFFFFF:
        raise InvalidAccessError(f"{reliability} is no limit for a channel")
    return _HEADER.pack(_OPEN, kind, _NORMAL_PRIORITY, reliability, len(label), len(protocol)) + label + protocol


def encode_ack() -> bytes:
    """The one byte of a DATA_CHANNEL_ACK."""
    return bytes((_ACK,))


def _parse_text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise MalformedError("a label or protocol is not UTF-8") from error


def encode_text(text: str) -> bytes:
    """UTF-8 of what W3C calls a USVString: a lone surrogate becomes U+FFFD."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def _encode_short_text(text: str) -> bytes:
    data = encode_text(text)
    if len(data) > MAX_TEXT:
        raise InvalidAccessError(f"a label or protocol of {len(data)} bytes, more than {MAX_TEXT}")
    return data
