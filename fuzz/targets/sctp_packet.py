"""An SCTP packet: every parser takes any bytes and raises MalformedError or nothing, and agrees with its encoder."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from icelane.errors import MalformedError
from icelane.sctp.checksum import crc32c, is_sealed, seal
from icelane.sctp.chunks import (
    HEADER_SIZE,
    ChunkType,
    encode_chunk,
    encode_data_header,
    encode_header,
    encode_sack,
    parse_chunk_spans,
    parse_data,
    parse_sack,
)
from icelane.sctp.control_chunks import (
    InitChunk,
    OutgoingResetRequest,
    describe_causes,
    encode_forward_tsn,
    encode_parameter,
    encode_reset_request,
    encode_reset_response,
    parse_forward_tsn,
    parse_init,
    parse_parameters,
    parse_reconfiguration,
)

_HEADER = encode_header(5000, 5000, 0x01020304)
_INIT = InitChunk(
    1, 1 << 20, 65_535, 65_535, 7, ((7, b"cookie"), (0xC000, b""), (0x8001, b"\0\0\0\1"), (0x8008, b"\x82\xc0"))
)

SEEDS = [
    _HEADER + encode_data_header(3, 5, 1, 2, 3, 51) + b"hello\0\0\0",
    _HEADER + encode_sack(10, 1 << 20, [12, 14, 20, 20], [9, 9]) + encode_chunk(10, 0, b"cookie"),
    _HEADER + encode_chunk(ChunkType.INIT, 0, _INIT.encode()),
    _HEADER + encode_chunk(ChunkType.FORWARD_TSN, 0, encode_forward_tsn(9, {1: 2, 3: 4})),
    _HEADER
    + encode_chunk(
        ChunkType.RE_CONFIG,
        0,
        encode_reset_request(OutgoingResetRequest(1, 2, 3, (4, 5))) + encode_reset_response(1, 6),
    ),
    _HEADER + encode_chunk(ChunkType.ABORT, 1, encode_parameter(12, b"bye") + encode_parameter(13, b"")),
    _HEADER + encode_chunk(ChunkType.SHUTDOWN, 0, bytes(4)) + encode_chunk(0xFF, 0, b"x"),
]

PARSERS: tuple[Callable[[bytes], object], ...] = (
    parse_init,
    parse_parameters,
    parse_forward_tsn,
    parse_reconfiguration,
)


def outcome(parse: Callable[[bytes], object], body: bytes) -> bool:
    """Whether it parses."""
    try:
        parse(body)
    except MalformedError:
        return False
    return True


def chunk_outcome(data: bytes, start: int, end: int) -> Hashable:
    """How the chunk's own parser liked it."""
    try:
        if data[start] == ChunkType.DATA:
            chunk = parse_data(data, start, end)
            head = encode_data_header(
                chunk.flags, len(chunk.payload), chunk.tsn, chunk.stream_id, chunk.ssn, chunk.ppid
            )
            assert head + chunk.payload == data[start:end]
        elif data[start] == ChunkType.SACK:
            sack = parse_sack(data, start, end)
            assert len(sack.gaps) % 2 == 0
            if sack.duplicates == 0 and data[start + 1] == 0:
                gaps = [sack.cumulative_tsn + gap for gap in sack.gaps]
                assert encode_sack(sack.cumulative_tsn, sack.window, gaps, []) == data[start:end]
    except MalformedError:
        return data[start], False
    return data[start], tuple(outcome(parse, data[start + 4 : end]) for parse in PARSERS)


def run(data: bytes) -> Hashable:
    """The kinds of its chunks, and which parsers took them."""
    for parse in PARSERS:
        outcome(parse, data)
    describe_causes(data)
    crc32c(data)
    try:
        spans = parse_chunk_spans(data)
    except MalformedError as error:
        return str(error)[:8]
    position = HEADER_SIZE
    for start, end in zip(spans[::2], spans[1::2], strict=True):
        assert start == position
        assert start + 4 <= end <= len(data)
        position = end + (-(end - start) & 3)
    assert position >= len(data)
    assert is_sealed(seal(data[:8] + bytes(4) + data[12:]))
    return tuple(chunk_outcome(data, start, end) for start, end in zip(spans[:6:2], spans[1:6:2], strict=True))
