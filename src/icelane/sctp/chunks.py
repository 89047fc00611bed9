"""The codec of packets and of the chunks that traffic is made of: DATA and SACK (RFC 9260 section 3).

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |      Source Port Number       |    Destination Port Number    |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                       Verification Tag                        |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                           Checksum                            |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |  Chunk Type   |  Chunk Flags  |         Chunk Length          |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                          Chunk Value                          /

A DATA chunk, of which the fields up to the protocol identifier count as header here:

    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |   Type = 0    |  Res  |I|U|B|E|           Length              |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                              TSN                              |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |      Stream Identifier S      |   Stream Sequence Number n    |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                  Payload Protocol Identifier                  |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    \\                 User Data (seq n of Stream S)                 \\

Chunks that are rare are in `control_chunks`.
"""

from __future__ import annotations

import enum
from struct import pack
from typing import Final

from icelane.errors import MalformedError

HEADER_SIZE: Final = 12
CHUNK_HEADER_SIZE: Final = 4
DATA_HEADER_SIZE: Final = 16
SACK_SIZE: Final = 16
# A DTLS record holds 16 KiB, and a chunk at least 4 bytes; a packet of more chunks than this is dropped.
MAX_CHUNKS: Final = 512


class ChunkType(enum.IntEnum):
    """The chunk types that are spoken here; RFC 6525 and RFC 3758 have the last two."""

    DATA = 0
    INIT = 1
    INIT_ACK = 2
    SACK = 3
    HEARTBEAT = 4
    HEARTBEAT_ACK = 5
    ABORT = 6
    SHUTDOWN = 7
    SHUTDOWN_ACK = 8
    ERROR = 9
    COOKIE_ECHO = 10
    COOKIE_ACK = 11
    SHUTDOWN_COMPLETE = 14
    RE_CONFIG = 130
    FORWARD_TSN = 192


class DataFlag(enum.IntFlag):
    """The flags of DATA; RFC 7053 has the first."""

    IMMEDIATE = 0x08
    UNORDERED = 0x04
    BEGIN = 0x02
    END = 0x01


class DataChunk:
    """A parsed DATA chunk."""

    __slots__ = ("flags", "payload", "ppid", "ssn", "stream_id", "tsn")

    def __init__(self, flags: int, tsn: int, stream_id: int, ssn: int, ppid: int, payload: bytes) -> None:
        self.flags = flags
        self.tsn = tsn
        self.stream_id = stream_id
        self.ssn = ssn
        self.ppid = ppid
        self.payload = payload


class SackChunk:
    """A parsed SACK: `gaps` is a flat list of starts and ends, relative to `cumulative_tsn`."""

    __slots__ = ("cumulative_tsn", "duplicates", "gaps", "window")

    def __init__(self, cumulative_tsn: int, window: int, gaps: list[int], duplicates: int) -> None:
        self.cumulative_tsn = cumulative_tsn
        self.window = window
        self.gaps = gaps
        self.duplicates = duplicates


def parse_chunk_spans(data: bytes) -> list[int]:
    """Where the chunks of a packet begin and end: a flat list of offsets of headers and of ends without padding.

    Raises MalformedError when the header is short, there is no chunk, or one of them is shorter than its own header or
    longer than what is left (RFC 9260 section 6.10). The padding of the last one may be missing.
    """
    size = len(data)
    spans: list[int] = []
    position = HEADER_SIZE
    count = 0
    while position < size:
        if position + CHUNK_HEADER_SIZE > size:
            raise MalformedError(f"a chunk header at offset {position} runs past the end")
        length = data[position + 2] << 8 | data[position + 3]
        end = position + length
        if length < CHUNK_HEADER_SIZE or end > size:
            raise MalformedError(f"a chunk of length {length} at offset {position} in a packet of {size} bytes")
        count += 1
        if count > MAX_CHUNKS:
            raise MalformedError(f"more than {MAX_CHUNKS} chunks")
        spans.append(position)
        spans.append(end)
        position = end + (-length & 3)
    if not spans:
        raise MalformedError(f"{size} bytes hold no chunk")
    return spans


def parse_data(data: bytes, start: int, end: int) -> DataChunk:
    """The DATA chunk at `start` to `end` of a packet.

    Raises MalformedError when it is shorter than its header. Its payload may be empty, which RFC 9260 section 6.2
    answers with an ABORT: that is for the caller.
    """
    if end - start < DATA_HEADER_SIZE or end > len(data) or start < 0:
        raise MalformedError(f"{end - start} bytes are too short for a DATA chunk")
    return DataChunk(
        data[start + 1],
        uint32(data, start + 4),
        data[start + 8] << 8 | data[start + 9],
        data[start + 10] << 8 | data[start + 11],
        uint32(data, start + 12),
        data[start + DATA_HEADER_SIZE : end],
    )


def parse_sack(data: bytes, start: int, end: int) -> SackChunk:
    """The SACK chunk at `start` to `end` of a packet. Raises MalformedError when its counts are not its length."""
    if end - start < SACK_SIZE or end > len(data) or start < 0:
        raise MalformedError(f"{end - start} bytes are too short for a SACK chunk")
    gap_count = data[start + 12] << 8 | data[start + 13]
    duplicate_count = data[start + 14] << 8 | data[start + 15]
    if SACK_SIZE + 4 * (gap_count + duplicate_count) != end - start:
        raise MalformedError(f"{gap_count} blocks and {duplicate_count} duplicates in {end - start} bytes")
    gaps: list[int] = []
    for position in range(start + SACK_SIZE, start + SACK_SIZE + 4 * gap_count, 2):
        gap = data[position] << 8 | data[position + 1]
        gaps.append(gap)
    return SackChunk(uint32(data, start + 4), uint32(data, start + 8), gaps, duplicate_count)


def uint32(data: bytes, position: int) -> int:
    """Four bytes, big-endian; the caller has looked at the length."""
    high = data[position]  # wide enough in the compiled form to be moved by 24 bits
    return high << 24 | data[position + 1] << 16 | data[position + 2] << 8 | data[position + 3]


def encode_data_header(flags: int, size: int, tsn: int, stream_id: int, ssn: int, ppid: int) -> bytes:
    """The header of a DATA chunk with `size` bytes of payload, which the caller appends and pads."""
    return pack(">BBHIHHI", 0, flags, DATA_HEADER_SIZE + size, tsn & 0xFFFFFFFF, stream_id, ssn & 0xFFFF, ppid)


def encode_sack(cumulative_tsn: int, window: int, gaps: list[int], duplicates: list[int]) -> bytes:
    """A SACK: `gaps` is a flat list of absolute TSNs, firsts and lasts, at most 65,535 ahead of `cumulative_tsn`."""
    if not gaps and not duplicates:
        return pack(">BBHIIHH", 3, 0, SACK_SIZE, cumulative_tsn & 0xFFFFFFFF, window, 0, 0)
    size = SACK_SIZE + 2 * len(gaps) + 4 * len(duplicates)
    head = pack(">BBHIIHH", 3, 0, size, cumulative_tsn & 0xFFFFFFFF, window, len(gaps) // 2, len(duplicates))
    blocks = pack(f">{len(gaps)}H", *[tsn - cumulative_tsn for tsn in gaps])
    return head + blocks + pack(f">{len(duplicates)}I", *[tsn & 0xFFFFFFFF for tsn in duplicates])


def encode_chunk(kind: int, flags: int, body: bytes = b"") -> bytes:
    """Any chunk, padded."""
    return pack(">BBH", kind, flags, CHUNK_HEADER_SIZE + len(body)) + body + bytes(-len(body) & 3)


def encode_header(source_port: int, destination_port: int, verification_tag: int) -> bytes:
    """The common header, with a checksum of zero."""
    return pack(">HHII", source_port, destination_port, verification_tag, 0)
