"""Packets, DATA and SACK."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.errors import MalformedError
from icelane.sctp.chunks import (
    MAX_CHUNKS,
    encode_chunk,
    encode_data_header,
    encode_header,
    encode_sack,
    parse_chunk_spans,
    parse_data,
    parse_sack,
)

HEADER = encode_header(5000, 5000, 0x01020304)


def test_a_header_is_that_of_rfc_9260() -> None:
    assert HEADER.hex() == "13881388" + "01020304" + "00000000"


def test_the_chunks_of_a_packet_are_found_with_and_without_the_last_padding() -> None:
    packet = HEADER + encode_chunk(4, 0, b"abc") + encode_chunk(9, 0, b"12345")
    assert parse_chunk_spans(packet) == [12, 19, 20, 29]
    assert parse_chunk_spans(packet[:-3]) == [12, 19, 20, 29]


@pytest.mark.parametrize("length", [0, 1, 2, 3, 9, 65_535])
def test_a_chunk_shorter_than_its_header_or_longer_than_the_packet_is_malformed(length: int) -> None:
    """SC-2."""
    with pytest.raises(MalformedError):
        parse_chunk_spans(HEADER + bytes((0, 3)) + length.to_bytes(2, "big") + bytes(4))


@pytest.mark.parametrize("packet", [b"", HEADER[:11], HEADER, HEADER + b"\x04", HEADER + b"\x04\0\0"])
def test_a_packet_without_a_whole_chunk_is_malformed(packet: bytes) -> None:
    """SC-2."""
    with pytest.raises(MalformedError):
        parse_chunk_spans(packet)


def test_a_packet_of_too_many_chunks_is_malformed() -> None:
    """SC-4: header-only chunks do not buy time."""
    chunk = encode_chunk(4, 0)
    assert len(parse_chunk_spans(HEADER + chunk * MAX_CHUNKS)) == 2 * MAX_CHUNKS
    with pytest.raises(MalformedError):
        parse_chunk_spans(HEADER + chunk * (MAX_CHUNKS + 1))


@given(
    st.integers(0, 15), st.integers(0, 2**32 - 1), st.integers(0, 65535), st.integers(0, 65535),
    st.integers(0, 2**32 - 1), st.binary(max_size=30),
)  # fmt: skip
def test_data_comes_back_as_it_was(flags: int, tsn: int, stream_id: int, ssn: int, ppid: int, payload: bytes) -> None:
    packet = HEADER + encode_data_header(flags, len(payload), tsn, stream_id, ssn, ppid) + payload
    chunk = parse_data(packet, *parse_chunk_spans(packet))
    assert (chunk.flags, chunk.tsn, chunk.stream_id, chunk.ssn, chunk.ppid) == (flags, tsn, stream_id, ssn, ppid)
    assert chunk.payload == payload


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.lists(st.integers(1, 65535), max_size=8).map(sorted))
def test_a_sack_comes_back_as_it_was(cumulative: int, window: int, offsets: list[int]) -> None:
    offsets = offsets[: len(offsets) // 2 * 2]
    chunk = encode_sack(cumulative, window, [cumulative + offset for offset in offsets], [cumulative, 7])
    sack = parse_sack(chunk, 0, len(chunk))
    assert (sack.cumulative_tsn, sack.window, sack.gaps, sack.duplicates) == (cumulative, window, offsets, 2)


@pytest.mark.parametrize("size", [0, 4, 15])
def test_a_short_data_or_sack_chunk_is_malformed(size: int) -> None:
    """SC-2."""
    for parse in (parse_data, parse_sack):
        with pytest.raises(MalformedError):
            parse(bytes(40), 4, 4 + size)
        with pytest.raises(MalformedError):
            parse(bytes(size), 0, 40)


@pytest.mark.parametrize("counts", [b"\0\1\0\0", b"\0\0\0\1", b"\xff\xff\xff\xff"])
def test_a_sack_whose_counts_are_not_its_length_is_malformed(counts: bytes) -> None:
    """SC-3."""
    with pytest.raises(MalformedError):
        parse_sack(bytes((3, 0, 0, 16)) + bytes(8) + counts, 0, 16)
