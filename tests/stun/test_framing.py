"""Cutting a stream of STUN messages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.errors import LocalProtocolError, MalformedError
from icelane.stun.framing import MAX_FRAME_SIZE, StreamFramer, measure_stun
from icelane.stun.message import MessageBuilder, MessageClass, Method, parse_message

COOKIE = b"\x21\x12\xa4\x42"


def message(body_size: int, number: int = 0) -> bytes:
    """A Binding request whose body is one attribute that nobody knows, `body_size` bytes in all, or nothing."""
    builder = MessageBuilder(Method.BINDING, MessageClass.REQUEST, number.to_bytes(12, "big"))
    if body_size:
        builder.add(0x9ABC, bytes(body_size - 4))
    return builder.build()


def header(length: int) -> bytes:
    return b"\x00\x01" + length.to_bytes(2, "big") + COOKIE + bytes(12)


def frames_of(framer: StreamFramer) -> list[bytes]:
    frames = []
    while (frame := framer.poll_frame()) is not None:
        frames.append(frame)
    return frames


def test_two_messages_split_at_every_byte_give_the_same_two_messages() -> None:
    """TL-3: every split position."""
    messages = [message(8, 1), message(0, 2)]
    stream = b"".join(messages)
    for split in range(len(stream) + 1):
        framer = StreamFramer(measure_stun)
        framer.handle_bytes(stream[:split])
        frames = frames_of(framer)
        framer.handle_bytes(stream[split:])
        assert frames + frames_of(framer) == messages
        assert framer.buffered == 0


def test_a_hundred_messages_in_one_segment_come_out_one_by_one() -> None:
    """TL-3: coalesced."""
    messages = [message(4 * (number % 7), number) for number in range(100)]
    framer = StreamFramer(measure_stun)
    framer.handle_bytes(b"".join(messages))
    assert frames_of(framer) == messages


@given(data=st.data(), sizes=st.lists(st.integers(0, 50).map(lambda words: 4 * words), max_size=20))
def test_the_split_never_matters(data: st.DataObject, sizes: list[int]) -> None:
    """TL-3: any sequence of messages, cut at any positions."""
    messages = [message(size, number) for number, size in enumerate(sizes)]
    stream = b"".join(messages)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=30)))
    framer = StreamFramer(measure_stun)
    frames = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        framer.handle_bytes(stream[start:end])
        frames += frames_of(framer)
    assert frames == messages
    assert framer.buffered == 0


@pytest.mark.parametrize("length", [65520, 65524, 65528, 65532])
def test_the_longest_messages_are_waited_for_and_the_next_one_is_found(length: int) -> None:
    """ST-6: header plus length does not wrap at 65536; the message after it is not lost."""
    following = message(4)
    framer = StreamFramer(measure_stun)
    framer.handle_bytes(header(length))
    assert frames_of(framer) == []
    framer.handle_bytes(bytes(length - 1))
    assert frames_of(framer) == []
    framer.handle_bytes(b"\0" + following)
    assert [len(frame) for frame in frames_of(framer)] == [20 + length, len(following)]


@pytest.mark.parametrize("length", [1, 2, 3, 5, 1022, 65521, 65533, 65534, 65535])
def test_a_length_that_is_not_a_multiple_of_four_ends_the_stream(length: int) -> None:
    """ST-6: a valid message behind it is not picked up."""
    framer = StreamFramer(measure_stun)
    framer.handle_bytes(header(length) + bytes(length) + message(4))
    with pytest.raises(MalformedError):
        framer.poll_frame()
    framer.handle_bytes(message(4))
    with pytest.raises(MalformedError):
        framer.poll_frame()
    assert framer.buffered == 0


@pytest.mark.parametrize(
    "garbage",
    [b"GET / HTTP/1.1\r\n", b"\x16\x03\x01\x02\x00", b"\x80", b"\xff", header(8)[:4] + b"\x21\x12\xa4\x43", bytes(8)],
)
def test_something_else_than_stun_is_noticed_by_its_first_bytes(garbage: bytes) -> None:
    """ST-8: wrong cookie, first two bits set."""
    framer = StreamFramer(measure_stun)
    framer.handle_bytes(message(8) + garbage)
    assert framer.poll_frame() == message(8)
    with pytest.raises(MalformedError):
        framer.poll_frame()


def test_an_unfinished_message_holds_no_more_than_itself() -> None:
    framer = StreamFramer(measure_stun)
    framer.handle_bytes(message(4000) * 50 + message(4000)[:30])
    assert len(frames_of(framer)) == 50
    assert framer.buffered == 30
    assert len(framer._buffer) == 30


def test_a_caller_that_does_not_poll_is_told_so() -> None:
    framer = StreamFramer(measure_stun)
    framer.handle_bytes(message(0) * (MAX_FRAME_SIZE // 20 + 1))
    with pytest.raises(LocalProtocolError):
        framer.handle_bytes(b"\0")


def test_a_large_message_byte_by_byte_costs_linear_work() -> None:
    """TL-1: a slow sender costs a constant per byte; measured is asked a few times, not once per byte."""
    asked = 0

    def counting(buffer: bytes | bytearray, start: int, available: int) -> int | None:
        nonlocal asked
        asked += 1
        return measure_stun(buffer, start, available)

    whole = message(60_000)
    framer = StreamFramer(counting)
    frames = []
    for position in range(len(whole)):
        framer.handle_bytes(whole[position : position + 1])
        frames += frames_of(framer)
    assert frames == [whole]
    assert asked <= 8


@given(chunks=st.lists(st.binary(max_size=60)))
def test_random_bytes_raise_the_parse_error_or_give_frames_that_start_like_stun(chunks: list[bytes]) -> None:
    framer = StreamFramer(measure_stun)
    for chunk in chunks:
        framer.handle_bytes(chunk)
        try:
            frames = frames_of(framer)
        except MalformedError:
            return
        for frame in frames:
            assert frame[4:8] == COOKIE


def test_a_frame_is_a_message() -> None:
    framer = StreamFramer(measure_stun)
    framer.handle_bytes(message(12, 7))
    frame = framer.poll_frame()
    assert frame is not None
    assert parse_message(frame).transaction_id == (7).to_bytes(12, "big")
