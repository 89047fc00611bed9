"""The STUN message codec (RFC 8489 section 5).

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |0 0|     STUN Message Type     |         Message Length        |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                         Magic Cookie                          |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                     Transaction ID (96 bits)                  |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

The type interleaves twelve bits of method with two bits of class: M11-M7 C1 M6-M4 C0 M3-M0.
"""

from __future__ import annotations

import enum
from collections.abc import Collection
from typing import Final

from icelane.crypto.provider import crc32, hmac_sha1, hmac_sha256
from icelane.errors import MalformedError

HEADER_SIZE: Final = 20
TRANSACTION_ID_SIZE: Final = 12
FINGERPRINT_XOR: Final = 0x5354554E
# CreatePermission may list many peers; a message with more attributes than this is an attack on the parser's time.
MAX_ATTRIBUTES: Final = 1024

# No datagram is larger, nor can a 16-bit frame length announce more.
_MAX_SIZE: Final = 0xFFFF
_COOKIE: Final = b"\x21\x12\xa4\x42"
_INTEGRITY: Final = 0x0008
_INTEGRITY_SHA256: Final = 0x001C
_FINGERPRINT: Final = 0x8028
# From here on a receiver need not understand a type.
_OPTIONAL: Final = 0x8000


class MessageClass(enum.IntEnum):
    """The two class bits of a message type."""

    REQUEST = 0
    INDICATION = 1
    SUCCESS = 2
    ERROR = 3


class Method(enum.IntEnum):
    """Methods of STUN (RFC 8489), TURN (RFC 8656) and TURN-TCP (RFC 6062)."""

    BINDING = 0x001
    ALLOCATE = 0x003
    REFRESH = 0x004
    SEND = 0x006
    DATA = 0x007
    CREATE_PERMISSION = 0x008
    CHANNEL_BIND = 0x009
    CONNECT = 0x00A
    CONNECTION_BIND = 0x00B
    CONNECTION_ATTEMPT = 0x00C


class Message:
    """A parsed message. Only attributes that a receiver may believe are in `attributes`.

    RFC 8489 section 14.5 and 14.6: what stands after MESSAGE-INTEGRITY is ignored, except MESSAGE-INTEGRITY-SHA256 and
    FINGERPRINT; after MESSAGE-INTEGRITY-SHA256 only FINGERPRINT counts; nothing counts after FINGERPRINT. An offset is
    that of the attribute's header in `raw`, None when the attribute is absent.
    """

    __slots__ = (
        "attributes",
        "fingerprint_offset",
        "integrity_offset",
        "integrity_sha256_offset",
        "message_class",
        "method",
        "raw",
        "transaction_id",
    )

    def __init__(
        self, method: int, message_class: MessageClass, transaction_id: bytes, attributes: list[tuple[int, bytes]]
    ) -> None:
        self.method = method
        self.message_class = message_class
        self.transaction_id = transaction_id
        self.attributes = attributes
        self.raw = b""
        self.integrity_offset: int | None = None
        self.integrity_sha256_offset: int | None = None
        self.fingerprint_offset: int | None = None

    def __repr__(self) -> str:
        return (
            f"Message({method_name(self.method)} {self.message_class.name.lower()}, {len(self.attributes)} attributes)"
        )

    def get(self, attribute_type: int) -> bytes | None:
        """The value of the first attribute of that type (RFC 8489 section 14: later ones do not count)."""
        for kind, value in self.attributes:
            if kind == attribute_type:
                return value
        return None

    def get_all(self, attribute_type: int) -> list[bytes]:
        """All values of that type, for the few attributes that may repeat, such as XOR-PEER-ADDRESS."""
        return [value for kind, value in self.attributes if kind == attribute_type]

    def has(self, attribute_type: int) -> bool:
        """Whether an attribute of that type is present."""
        return self.get(attribute_type) is not None

    def unknown_required(self, known: Collection[int]) -> list[int]:
        """Comprehension-required types that are not in `known`, in order, without repetitions."""
        unknown: dict[int, None] = {}
        for kind, _value in self.attributes:
            if kind < _OPTIONAL and kind not in known:
                unknown[kind] = None
        return list(unknown)


def method_name(method: int) -> str:
    """The name of a method for people: `create-permission`, or its number when it is not one of ours."""
    try:
        return Method(method).name.lower().replace("_", "-")
    except ValueError:
        return f"method {method:#05x}"


def looks_like_stun(data: bytes | bytearray | memoryview) -> bool:
    """Whether `data` on a shared port is for STUN: long enough, first byte 0 to 3 (RFC 7983 section 7), the cookie."""
    return len(data) >= HEADER_SIZE and data[0] < 4 and data[4:8] == _COOKIE


def parse_message(data: bytes) -> Message:
    """Parse a whole datagram or a whole framed message.

    Raises MalformedError when the header is wrong, the length is not exactly that of `data`, or an attribute runs past
    the end. Values are not looked at: that is for the `parse_*` functions of each attribute.
    """
    size = len(data)
    if size < HEADER_SIZE:
        raise MalformedError(f"{size} bytes are too short for a STUN header")
    kind = data[0] << 8 | data[1]
    if kind & 0xC000:
        raise MalformedError("the first two bits are not zero")
    if data[4:8] != _COOKIE:
        raise MalformedError("wrong magic cookie")
    length = data[2] << 8 | data[3]
    if length & 3 or length + HEADER_SIZE != size:
        raise MalformedError(f"length field {length} in a message of {size} bytes")
    message = Message(
        (kind & 0x3E00) >> 2 | (kind & 0x00E0) >> 1 | (kind & 0x000F),
        _CLASSES[(kind & 0x0100) >> 7 | (kind & 0x0010) >> 4],
        bytes(data[8:HEADER_SIZE]),
        [],
    )
    message.raw = bytes(data)
    _parse_attributes(message, message.raw, size)
    return message


_CLASSES: Final = tuple(MessageClass)


def _parse_attributes(message: Message, data: bytes, size: int) -> None:
    """Fill `message.attributes` with what may be believed; walk the rest, so that a wrong length is always seen."""
    attributes = message.attributes
    position = HEADER_SIZE
    count = 0
    while position < size:
        if position + 4 > size:
            raise MalformedError(f"an attribute header at offset {position} runs past the end")
        kind = data[position] << 8 | data[position + 1]
        length = data[position + 2] << 8 | data[position + 3]
        start = position + 4
        end = start + length
        if end > size:
            raise MalformedError(f"attribute {kind:#06x} of {length} bytes runs past the end")
        count += 1
        if count > MAX_ATTRIBUTES:
            raise MalformedError(f"more than {MAX_ATTRIBUTES} attributes")
        if message.fingerprint_offset is None:
            if kind == _FINGERPRINT:
                message.fingerprint_offset = position
                attributes.append((kind, data[start:end]))
            elif message.integrity_sha256_offset is None:
                if kind == _INTEGRITY_SHA256:
                    message.integrity_sha256_offset = position
                    attributes.append((kind, data[start:end]))
                elif message.integrity_offset is None:
                    if kind == _INTEGRITY:
                        message.integrity_offset = position
                    attributes.append((kind, data[start:end]))
        position = end + (-length & 3)
    if position != size:
        raise MalformedError("the padding of the last attribute is missing")


class MessageBuilder:
    """Builds one message; attributes appear in the order in which they are added. Padding is always zero."""

    __slots__ = ("_data",)

    def __init__(self, method: int, message_class: int, transaction_id: bytes) -> None:
        if len(transaction_id) != TRANSACTION_ID_SIZE:
            raise ValueError(f"a transaction id has {TRANSACTION_ID_SIZE} bytes, not {len(transaction_id)}")
        kind = (
            (method & 0xF80) << 2
            | (method & 0x070) << 1
            | (method & 0x00F)
            | (message_class & 2) << 7
            | (message_class & 1) << 4
        )
        self._data = bytearray((kind >> 8, kind & 0xFF, 0, 0))
        self._data += _COOKIE
        self._data += transaction_id

    @classmethod
    def response_to(cls, request: Message, message_class: int = MessageClass.SUCCESS) -> MessageBuilder:
        """A response with the method and transaction id of `request`."""
        return cls(request.method, message_class, request.transaction_id)

    def __len__(self) -> int:
        return len(self._data)

    def add(self, attribute_type: int, value: bytes = b"") -> MessageBuilder:
        """Append an attribute; raises ValueError when the message would exceed 65 535 bytes."""
        size = len(value)
        data = self._data
        if len(data) + 4 + size + (-size & 3) > _MAX_SIZE:
            raise ValueError(f"the message would exceed {_MAX_SIZE} bytes")
        data += bytes((attribute_type >> 8, attribute_type & 0xFF, size >> 8, size & 0xFF))
        data += value
        if size & 3:
            data += bytes(-size & 3)
        return self

    def add_integrity_sha1(self, key: bytes) -> MessageBuilder:
        """Append MESSAGE-INTEGRITY over all that was added so far."""
        self._set_length(24)
        return self.add(_INTEGRITY, hmac_sha1(key, self._data))

    def add_integrity_sha256(self, key: bytes) -> MessageBuilder:
        """Append an untruncated MESSAGE-INTEGRITY-SHA256 over all that was added so far."""
        self._set_length(36)
        return self.add(_INTEGRITY_SHA256, hmac_sha256(key, self._data))

    def add_fingerprint(self) -> MessageBuilder:
        """Append FINGERPRINT; nothing may follow it."""
        self._set_length(8)
        return self.add(_FINGERPRINT, (crc32(self._data) ^ FINGERPRINT_XOR).to_bytes(4, "big"))

    def build(self) -> bytes:
        """The finished message."""
        self._set_length(0)
        return bytes(self._data)

    def _set_length(self, still_to_come: int) -> None:
        # Integrity and fingerprint cover a header whose length already counts the attribute they stand in.
        length = len(self._data) - HEADER_SIZE + still_to_come
        if length + HEADER_SIZE > _MAX_SIZE:
            raise ValueError(f"the message would exceed {_MAX_SIZE} bytes")
        self._data[2] = length >> 8
        self._data[3] = length & 0xFF
