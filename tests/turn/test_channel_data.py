"""ChannelData and the framing of TURN over streams."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.errors import MalformedError
from icelane.stun.framing import MAX_FRAME_SIZE, StreamFramer
from icelane.stun.message import MessageBuilder, MessageClass, Method
from icelane.turn.channel_data import (
    MAX_CHANNEL_NUMBER,
    MAX_CHANNEL_PAYLOAD,
    MIN_CHANNEL_NUMBER,
    ChannelData,
    encode_channel_data,
    encode_channel_data_for_stream,
    looks_like_channel_data,
    measure_turn,
    parse_channel_data,
)

pytestmark = pytest.mark.twin

NUMBERS = st.integers(MIN_CHANNEL_NUMBER, MAX_CHANNEL_NUMBER)
PAYLOADS = st.one_of(st.binary(max_size=100), st.just(bytes(MAX_CHANNEL_PAYLOAD)))


def request(number: int = 0) -> bytes:
    return (
        MessageBuilder(Method.REFRESH, MessageClass.REQUEST, number.to_bytes(12, "big")).add(0x9ABC, b"abcde").build()
    )


def frames_of(framer: StreamFramer) -> list[bytes]:
    frames = []
    while (frame := framer.poll_frame()) is not None:
        frames.append(frame)
    return frames


@given(number=NUMBERS, payload=PAYLOADS)
def test_what_was_encoded_is_parsed_back_from_both_forms(number: int, payload: bytes) -> None:
    expected = ChannelData(number, payload)
    assert parse_channel_data(encode_channel_data(number, payload)) == expected
    assert parse_channel_data(encode_channel_data_for_stream(number, payload)) == expected


def test_the_wire_form_is_that_of_the_standard() -> None:
    assert encode_channel_data(0x4001, b"hello") == b"\x40\x01\x00\x05hello"
    assert encode_channel_data_for_stream(0x4001, b"hello") == b"\x40\x01\x00\x05hello\0\0\0"
    assert encode_channel_data_for_stream(0x4001, b"four") == b"\x40\x01\x00\x04four"
    assert encode_channel_data(0x4FFF, b"") == b"\x4f\xff\x00\x00"


@pytest.mark.parametrize("padding", [b"", b"\0", b"\0\0", b"\xff\xff\xff"])
def test_padding_in_a_datagram_is_ignored_whatever_it_holds(padding: bytes) -> None:
    assert parse_channel_data(b"\x40\x00\x00\x01a" + padding) == ChannelData(0x4000, b"a")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x40",
        b"\x40\x00\x00",
        b"\x40\x00\x00\x01",
        b"\x40\x00\xff\xffshort",
        b"\x40\x00\x00\x01a" + bytes(4),
        b"\x3f\xff\x00\x00",
        b"\x80\x00\x00\x00",
        b"\x00\x01\x00\x00" + bytes(16),
    ],
)
def test_everything_else_is_the_parse_error(data: bytes) -> None:
    """TR-10: numbers outside 0x4000-0x7FFF, the range of RFC 5766, are no channels."""
    with pytest.raises(MalformedError):
        parse_channel_data(data)


@given(data=st.binary(max_size=64))
def test_random_bytes_raise_nothing_but_the_parse_error(data: bytes) -> None:
    try:
        parsed = parse_channel_data(data)
    except MalformedError:
        return
    assert looks_like_channel_data(data)
    assert data.startswith(encode_channel_data(parsed.number, parsed.payload))


def test_first_bytes_64_to_127_and_no_others_look_like_channel_data() -> None:
    """ST-11: on a TURN port, where nothing else lives, the range that RFC 5766 gave to channels."""
    assert [first for first in range(256) if looks_like_channel_data(bytes((first, 0, 0, 0)))] == list(range(64, 128))


def test_channel_data_and_stun_split_at_every_byte_give_the_same_frames() -> None:
    """TL-3: every split position, with and without padding."""
    channel_data = [encode_channel_data_for_stream(0x4000 + size, b"x" * size) for size in range(9)]
    frames = [frame for data in channel_data for frame in (data, request())]
    stream = b"".join(frames)
    for split in range(len(stream) + 1):
        framer = StreamFramer(measure_turn)
        framer.handle_bytes(stream[:split])
        found = frames_of(framer)
        framer.handle_bytes(stream[split:])
        assert found + frames_of(framer) == frames


@given(
    data=st.data(),
    frames=st.lists(st.one_of(st.builds(encode_channel_data_for_stream, NUMBERS, PAYLOADS), st.builds(request))),
)
def test_the_split_never_matters(data: st.DataObject, frames: list[bytes]) -> None:
    """TL-3: any sequence of frames, cut at any positions."""
    stream = b"".join(frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=20)))
    framer = StreamFramer(measure_turn)
    found = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        framer.handle_bytes(stream[start:end])
        found += frames_of(framer)
    assert found == frames


@pytest.mark.parametrize("following", [request(), encode_channel_data_for_stream(0x4001, b"next")])
@pytest.mark.parametrize("size", [1, 2, 3, 5, 6, 7])
def test_a_sender_that_forgets_the_padding_is_found_out(size: int, following: bytes) -> None:
    """TL-3: never a wrong frame after the one whose padding is missing."""
    framer = StreamFramer(measure_turn)
    framer.handle_bytes(encode_channel_data(0x4000, b"x" * size) + following * 2)
    first = framer.poll_frame()
    assert first is not None
    assert parse_channel_data(first) == ChannelData(0x4000, b"x" * size)
    with pytest.raises(MalformedError):
        framer.poll_frame()


@pytest.mark.parametrize("first", [*range(0x80, 0x100)])
def test_a_first_byte_that_is_neither_stun_nor_a_channel_ends_the_stream(first: int) -> None:
    framer = StreamFramer(measure_turn)
    framer.handle_bytes(bytes((first,)))
    with pytest.raises(MalformedError):
        framer.poll_frame()


def test_the_largest_channel_data_fits_the_bound_of_the_framer() -> None:
    largest = encode_channel_data_for_stream(0x4000, bytes(MAX_CHANNEL_PAYLOAD))
    assert measure_turn(largest, 0, len(largest)) == len(largest) <= MAX_FRAME_SIZE
