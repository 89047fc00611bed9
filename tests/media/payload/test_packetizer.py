"""What all payload formats have in common."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.errors import InvalidAccessError, MalformedError, MessageTooLargeError
from icelane.media.payload import packetizer
from icelane.media.payload.packetizer import (
    LAST_SHORTER,
    MAX_FRAGMENTS,
    MAX_FRAME_SIZE,
    MAX_PAYLOAD_SIZE,
    MIN_PAYLOAD_SIZE,
    Fragment,
    WholeFrameDepacketizer,
    WholeFramePacketizer,
    check_frame,
    even_spans,
    join,
    whole_units,
)

pytestmark = pytest.mark.twin


def units(*fragments: Fragment) -> list[bytes]:
    return whole_units(fragments)


def part(*pieces: bytes, continues: bool = False, is_continued: bool = False) -> Fragment:
    return Fragment(pieces, begins_frame=False, continues=continues, is_continued=is_continued)


@given(st.integers(0, 100), st.integers(0, 10_000), st.integers(1, 1500))
def test_spans_are_few_even_and_without_a_gap(start: int, size: int, room: int) -> None:
    spans = list(even_spans(start, start + size, room))
    assert len(spans) == -(-size // room)
    lengths = [last - first for first, last in spans]
    assert sum(lengths) == size
    assert all(0 < length <= room for length in lengths)
    assert len(set(lengths[:-1])) <= 1
    assert all(0 <= lengths[0] - last < len(lengths) + LAST_SHORTER for last in lengths)
    assert [first for first, _ in spans[1:]] == [last for _, last in spans[:-1]]


def test_units_in_one_packet_are_kept_apart_and_parts_joined() -> None:
    assert units(
        part(b"a", b"b", b"c1", is_continued=True),
        part(b"c2", continues=True, is_continued=True),
        part(b"c3", b"d", b"e1", continues=True, is_continued=True),
        part(b"e2", continues=True),
        part(b"f"),
    ) == [b"a", b"b", b"c1c2c3", b"d", b"e1e2", b"f"]


def test_a_unit_without_its_beginning_or_its_end_is_left_out() -> None:
    assert units(part(b"a2", b"b", continues=True), part(b"c")) == [b"b", b"c"]
    assert units(part(b"a2", continues=True, is_continued=True), part(b"a3", continues=True), part(b"b")) == [b"b"]
    assert units(part(b"a"), part(b"b1", is_continued=True)) == [b"a"]
    assert units(part(b"a1", is_continued=True), part(b"b")) == [b"b"]
    assert units(part(b"a1", is_continued=True), part(b"b1", is_continued=True), part(b"b2", continues=True)) == [
        b"b1b2"
    ]
    assert units(part(b"a2", b"b1", continues=True, is_continued=True), part(b"b2", continues=True)) == [b"b1b2"]


@pytest.mark.parametrize("fragments", [[], [part(b"a1", is_continued=True)], [part(b"a2", continues=True)]])
def test_packets_without_a_whole_unit_are_malformed(fragments: list[Fragment]) -> None:
    with pytest.raises(MalformedError):
        whole_units(fragments)


def test_packets_without_anything_are_malformed() -> None:
    with pytest.raises(MalformedError):
        join([])


def test_a_frame_of_too_many_packets_is_malformed() -> None:
    fragment = part(b"x")
    assert len(join([fragment] * MAX_FRAGMENTS)) == MAX_FRAGMENTS
    for assemble in (join, whole_units):
        with pytest.raises(MalformedError, match="packets"):
            assemble([fragment] * (MAX_FRAGMENTS + 1))


def test_a_frame_of_too_many_bytes_is_malformed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packetizer, "MAX_FRAME_SIZE", 10)
    assert join([part(b"12345"), part(b"67890")]) == b"1234567890"
    for assemble in (join, whole_units):
        with pytest.raises(MalformedError, match="bytes"):
            assemble([part(b"12345"), part(b"67890", b"x")])


def test_sizes_that_no_header_fits_in_are_refused() -> None:
    check_frame(b"", MIN_PAYLOAD_SIZE)
    check_frame(b"", MAX_PAYLOAD_SIZE)
    for size in (MIN_PAYLOAD_SIZE - 1, 0, -1, MAX_PAYLOAD_SIZE + 1):
        with pytest.raises(InvalidAccessError):
            check_frame(b"", size)


def test_a_frame_that_nobody_would_take_is_refused() -> None:
    check_frame(bytes(MAX_FRAME_SIZE), 1200)
    with pytest.raises(MessageTooLargeError):
        check_frame(bytes(MAX_FRAME_SIZE + 1), 1200)


@given(st.binary(max_size=1300))
def test_sound_is_one_packet_or_none(data: bytes) -> None:
    sender, receiver = WholeFramePacketizer(), WholeFrameDepacketizer()
    if len(data) > 1200:
        with pytest.raises(MessageTooLargeError):
            sender.packetize(data, 1200)
        return
    payloads = sender.packetize(data, 1200)
    assert payloads == ([data] if data else [])
    for payload in payloads:
        fragment = receiver.parse(payload)
        assert (fragment.begins_frame, fragment.ends_frame, fragment.is_key) == (True, True, True)
        assert receiver.assemble([fragment]) == data


def test_a_packet_without_sound_is_malformed() -> None:
    with pytest.raises(MalformedError):
        WholeFrameDepacketizer().parse(b"")
