"""The records of a datagram, and which of them OpenSSL gets to see (RFC 6347 section 4.1).

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +---------------+-------------------------------+---------------+
    | content type  |            version            |   epoch ...   |
    +---------------+-------------------------------+---------------+
    |    ... epoch  |      sequence number (48 bits)                |
    +---------------+-----------------------------------------------+
    |               sequence number                 |  length ...   |
    +---------------+-----------------------------------------------+
    |   ... length  |  fragment ...

Until the handshake is done nobody has proved anything, so whoever can send to the port could end it with one packet:
application data or an early alert in plaintext is fatal to OpenSSL. What no honest peer sends is dropped before.
"""

from __future__ import annotations

import enum
from typing import Final, NamedTuple

from icelane.dtls.options import DtlsRole
from icelane.errors import MalformedError

RECORD_HEADER_SIZE: Final = 13
HANDSHAKE_HEADER_SIZE: Final = 12
DTLS_1_0: Final = 0xFEFF
DTLS_1_2: Final = 0xFEFD

# RFC 6347 section 4.1: 2^14 bytes of plaintext, and up to 2048 that a cipher adds.
MAX_RECORD: Final = 2**14 + 2048
# Records in one datagram; a datagram with more is dropped. A flight in fragments of one byte has 46 in 1200 bytes.
MAX_RECORDS: Final = 128
# What every cipher adds to what it protects, at the least: a shorter record was not protected.
MIN_EXPANSION: Final = 16
# What a handshake message may claim to be long; a fragment of a longer one is dropped. A chain of eight certificates
# with RSA-8192 keys has 20 kB.
MAX_HANDSHAKE_MESSAGE: Final = 65_535
# Incomplete fragments that a handshake may have, repetitions included; further ones are dropped, and the handshake
# comes to an end if the peer sends whole messages, or by its timeout.
MAX_FRAGMENTS: Final = 4096
# Protected records that may come before a ChangeCipherSpec. OpenSSL keeps each in a buffer of 17 kB, a hundred at most;
# further ones are dropped, and the peer repeats what matters, behind a ChangeCipherSpec.
MAX_EARLY_RECORDS: Final = 32


class ContentType(enum.IntEnum):
    """What a record holds (RFC 5246 section 6.2.1)."""

    CHANGE_CIPHER_SPEC = 20
    ALERT = 21
    HANDSHAKE = 22
    APPLICATION_DATA = 23


class HandshakeType(enum.IntEnum):
    """The messages of a handshake (RFC 6347 section 4.3.2)."""

    HELLO_REQUEST = 0
    CLIENT_HELLO = 1
    SERVER_HELLO = 2
    HELLO_VERIFY_REQUEST = 3
    NEW_SESSION_TICKET = 4
    CERTIFICATE = 11
    SERVER_KEY_EXCHANGE = 12
    CERTIFICATE_REQUEST = 13
    SERVER_HELLO_DONE = 14
    CERTIFICATE_VERIFY = 15
    CLIENT_KEY_EXCHANGE = 16
    FINISHED = 20


# What a peer says in plaintext to somebody in this role. Finished is protected, tickets are not asked for, and a
# HelloRequest asks for what is refused.
_EXPECTED: Final = {
    DtlsRole.SERVER: frozenset(
        {
            HandshakeType.CLIENT_HELLO,
            HandshakeType.CERTIFICATE,
            HandshakeType.CLIENT_KEY_EXCHANGE,
            HandshakeType.CERTIFICATE_VERIFY,
        }
    ),
    DtlsRole.CLIENT: frozenset(
        {
            HandshakeType.SERVER_HELLO,
            HandshakeType.HELLO_VERIFY_REQUEST,
            HandshakeType.CERTIFICATE,
            HandshakeType.SERVER_KEY_EXCHANGE,
            HandshakeType.CERTIFICATE_REQUEST,
            HandshakeType.SERVER_HELLO_DONE,
        }
    ),
}
_PROTECTED: Final = frozenset({ContentType.ALERT, ContentType.HANDSHAKE, ContentType.APPLICATION_DATA})
_FATAL: Final = 2


class Record(NamedTuple):
    """One record, by where it stands in its datagram: header from `start`, content from `body` to `end`."""

    content_type: int
    version: int
    epoch: int
    sequence_number: int
    start: int
    body: int
    end: int


class Fragment(NamedTuple):
    """The header of a piece of a handshake message (RFC 6347 section 4.2.2), and where its content ends."""

    message_type: int
    length: int
    message_sequence: int
    offset: int
    size: int
    end: int


def is_encrypted_data(datagram: bytes) -> bool:
    """Whether a datagram begins with application data of an epoch in which it is protected."""
    return (
        len(datagram) > RECORD_HEADER_SIZE and datagram[0] == ContentType.APPLICATION_DATA and datagram[3:5] != b"\0\0"
    )


def parse_records(data: bytes) -> list[Record]:
    """The records of a datagram that is made of whole ones and nothing else.

    Raises MalformedError otherwise, and when there are none or more than MAX_RECORDS. What is protected is not read.
    """
    records: list[Record] = []
    position, size = 0, len(data)
    while position < size:
        if len(records) == MAX_RECORDS:
            raise MalformedError(f"more than {MAX_RECORDS} records in a datagram")
        body = position + RECORD_HEADER_SIZE
        if body > size:
            raise MalformedError("a record header is cut off")
        content_type, version = data[position], data[position + 1] << 8 | data[position + 2]
        length = data[body - 2] << 8 | data[body - 1]
        if version not in (DTLS_1_0, DTLS_1_2):
            raise MalformedError(f"version 0x{version:04x} is no DTLS")
        if length > MAX_RECORD or body + length > size:
            raise MalformedError(f"a record of {length} bytes does not fit")
        numbers = int.from_bytes(data[position + 3 : position + 11], "big")
        records.append(
            Record(content_type, version, numbers >> 48, numbers & 0xFFFF_FFFF_FFFF, position, body, body + length)
        )
        position = body + length
    if not records:
        raise MalformedError("an empty datagram")
    return records


def parse_fragments(data: bytes, start: int, end: int) -> list[Fragment]:
    """The pieces of handshake messages in the content of a plaintext record.

    Raises MalformedError when there are none, or one is cut off, is empty without need, or claims more than
    MAX_HANDSHAKE_MESSAGE or a place outside its message.
    """
    fragments: list[Fragment] = []
    position = start
    while position < end:
        content = position + HANDSHAKE_HEADER_SIZE
        if content > end:
            raise MalformedError("a handshake header is cut off")
        length, sequence, offset, size = (
            int.from_bytes(data[position + first : position + last], "big")
            for first, last in ((1, 4), (4, 6), (6, 9), (9, 12))
        )
        if content + size > end or offset + size > length or length > MAX_HANDSHAKE_MESSAGE:
            raise MalformedError(f"a fragment of {size} bytes at {offset} of {length} does not fit")
        if size == 0 and length > 0:
            raise MalformedError("an empty fragment")
        fragments.append(Fragment(data[position], length, sequence, offset, size, content + size))
        position = content + size
    if not fragments:
        raise MalformedError("an empty handshake record")
    return fragments


def is_application_record(data: bytes) -> bool:
    """Whether a datagram is a single record of protected application data: nearly all that comes once connected."""
    return (
        len(data) > RECORD_HEADER_SIZE
        and data[0] == ContentType.APPLICATION_DATA
        and data[1:5] == b"\xfe\xfd\x00\x01"
        and RECORD_HEADER_SIZE + (data[11] << 8 | data[12]) == len(data)
    )


def pack_records(data: bytes, mtu: int) -> list[bytes]:
    """Our own records, written end to end, in datagrams of at most `mtu` bytes. A longer record travels alone."""
    datagrams: list[bytes] = []
    start = position = 0
    while position < len(data):
        end = position + RECORD_HEADER_SIZE + int.from_bytes(data[position + 11 : position + 13], "big")
        if end - start > mtu and position > start:
            datagrams.append(data[start:position])
            start = position
        position = end
    if position > start:
        datagrams.append(data[start:position])
    return datagrams


class RecordFilter:
    """Takes out of datagrams what the peer of somebody in `role` would not send now.

    `connected` is set by the owner once the handshake is done: from then on only protected records pass.
    """

    __slots__ = ("_early", "_expected", "_fragments", "connected", "discarded")

    def __init__(self, role: DtlsRole) -> None:
        self.connected = False
        self.discarded = 0
        self._expected = _EXPECTED[role]
        self._fragments = 0
        self._early = 0

    def admit(self, data: bytes) -> bytes:
        """What is left of a datagram, perhaps nothing. Each record that is dropped counts; so does what is no DTLS."""
        try:
            records = parse_records(data)
        except MalformedError:
            self.discarded += 1
            return b""
        kept = [data[record.start : record.end] for record in records if self._passes(data, record)]
        self.discarded += len(records) - len(kept)
        return b"".join(kept)

    def _passes(self, data: bytes, record: Record) -> bool:
        if record.epoch == 1:
            return self._passes_protected(record)
        # There is one epoch of protected records, because nothing is negotiated a second time.
        if record.epoch != 0 or self.connected:
            return False
        match record.content_type:
            case ContentType.HANDSHAKE:
                return self._passes_handshake(data, record)
            case ContentType.CHANGE_CIPHER_SPEC:
                self._early = 0  # what is protected behind it can be read, and is not kept
                return data[record.body : record.end] == b"\x01"
            case ContentType.ALERT:
                # A warning in plaintext changes nothing that we would act on, and OpenSSL gives up after five.
                return record.end - record.body == 2 and data[record.body] == _FATAL
            case _:
                return False

    def _passes_protected(self, record: Record) -> bool:
        if record.content_type not in _PROTECTED or record.version != DTLS_1_2:
            return False
        if record.end - record.body <= MIN_EXPANSION:
            return False
        if self.connected:
            return True
        self._early += 1
        return self._early <= MAX_EARLY_RECORDS

    def _passes_handshake(self, data: bytes, record: Record) -> bool:
        try:
            fragments = parse_fragments(data, record.body, record.end)
        except MalformedError:
            return False
        if any(fragment.message_type not in self._expected for fragment in fragments):
            return False
        incomplete = sum(fragment.size < fragment.length for fragment in fragments)
        self._fragments += incomplete
        return not incomplete or self._fragments <= MAX_FRAGMENTS
