"""Streams of NAL units."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.errors import InvalidAccessError, MalformedError
from icelane.media.payload.nal_unit import (
    START_CODE,
    aggregate,
    any_key,
    assemble_stream,
    group_units,
    parse_aggregate,
    unescape,
    unit_spans,
)
from icelane.media.payload.packetizer import MAX_UNITS, Fragment

# No start code within, and no zero at the end, as encoders see to.
unit = st.binary(min_size=1, max_size=50).map(lambda data: data.replace(b"\0", b"\2"))


def units_of(data: bytes) -> list[bytes]:
    return [data[start:end] for start, end in unit_spans(data)]


@given(st.lists(st.tuples(st.sampled_from([b"\0\0\1", START_CODE, b"\0\0\0\0\0\1"]), unit), min_size=1, max_size=9))
def test_units_are_found_behind_start_codes_of_every_length(parts: list[tuple[bytes, bytes]]) -> None:
    data = b"".join(code + content for code, content in parts)
    assert units_of(data) == [content for _, content in parts]
    assert assemble_stream([Fragment((content,), True) for _, content in parts]) == b"".join(
        START_CODE + content for _, content in parts
    )


def test_zeros_around_units_do_not_belong_to_them() -> None:
    """H.264 section B.1: leading_zero_8bits and trailing_zero_8bits."""
    assert units_of(b"\0\0\0\0\0\1A\0\0\0\0\0\1B\0\0\0") == [b"A", b"B"]


def test_empty_units_are_passed_over() -> None:
    assert units_of(b"\0\0\1\0\0\1A\0\0\1") == [b"A"]


@pytest.mark.parametrize("data", [b"", b"\x65abc", b"x\0\0\1\x65", b"\0\0", b"\0\0\0\5\x65abcd"])
def test_what_does_not_begin_with_a_start_code_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidAccessError, match="Annex B"):
        unit_spans(data)


@given(st.lists(st.integers(1, 300), max_size=40), st.integers(32, 400))
def test_groups_keep_the_order_and_fit(sizes: list[int], max_size: int) -> None:
    spans: list[tuple[int, int]] = []
    position = 0
    for size in sizes:
        spans.append((position, position + size))
        position += size
    groups = list(group_units(spans, max_size, 2))
    assert [span for group in groups for span in group] == spans
    for group in groups:
        assert len(group) == 1 or 2 + sum(2 + end - start for start, end in group) <= max_size


def test_a_packet_gets_no_more_units_than_a_receiver_takes() -> None:
    spans = [(index, index + 1) for index in range(MAX_UNITS + 1)]
    assert [len(group) for group in group_units(spans, 65_535, 1)] == [MAX_UNITS, 1]


@given(st.lists(st.binary(min_size=2, max_size=50), min_size=1, max_size=20))
def test_what_was_aggregated_comes_apart(units: list[bytes]) -> None:
    data = b"".join(units)
    spans: list[tuple[int, int]] = []
    for content in units:
        start = spans[-1][1] if spans else 0
        spans.append((start, start + len(content)))
    assert parse_aggregate(aggregate(b"\x18", data, spans), 1, 2) == units


@pytest.mark.parametrize("rest", ["", "00", "0003 6141", "0000", "0001 61", "0002 6141 00", "0002 6141 0000"])
def test_lengths_that_lead_astray_are_malformed(rest: str) -> None:
    with pytest.raises(MalformedError):
        parse_aggregate(b"\x18" + bytes.fromhex(rest), 1, 2)


def test_more_units_than_the_bound_are_malformed() -> None:
    whole = b"\0\2ab" * MAX_UNITS
    assert len(parse_aggregate(whole, 0, 2)) == MAX_UNITS
    with pytest.raises(MalformedError, match="units"):
        parse_aggregate(whole + b"\0\2ab", 0, 2)


def test_one_key_unit_is_enough() -> None:
    opinions = {b"I": True, b"P": False, b"S": None}
    assert any_key([b"S", b"P", b"I"], opinions.__getitem__) is True
    assert any_key([b"S", b"P"], opinions.__getitem__) is False
    assert any_key([b"S"], opinions.__getitem__) is None


def test_escapes_are_taken_out() -> None:
    assert unescape(bytes.fromhex("67 000003 00 000003 01 03")) == bytes.fromhex("67 0000 00 0000 01 03")
