"""A TURN stream, cut anywhere: the frames do not depend on the cuts, and a broken stream stays broken."""

from __future__ import annotations

from collections.abc import Hashable

from icelane.core.demux import PacketKind, classify
from icelane.errors import MalformedError
from icelane.stun.framing import MAX_FRAME_SIZE, StreamFramer
from icelane.stun.message import parse_message
from icelane.turn.channel_data import encode_channel_data_for_stream, measure_turn, parse_channel_data
from tests.vectors import stun as vectors

# The first two bytes of an input seed the sizes of its chunks.
SEEDS = [
    b"\x00\x01" + encode_channel_data_for_stream(0x4000, b"hello") + vectors.SAMPLE_REQUEST,
    b"\x01\x03" + encode_channel_data_for_stream(0x4FFF, b""),
    b"\x05\x00" + vectors.SAMPLE_REQUEST + encode_channel_data_for_stream(0x4001, bytes(100)) * 3,
    b"\x40\x07" + vectors.SAMPLE_IPV4_RESPONSE + vectors.SAMPLE_IPV6_RESPONSE,
]


def frames_of(chunks: list[bytes]) -> tuple[list[bytes], str | None]:
    """The frames of a stream that arrives in `chunks`, and why it broke."""
    framer = StreamFramer(measure_turn)
    frames: list[bytes] = []
    broken: str | None = None
    for chunk in chunks:
        framer.handle_bytes(chunk)
        try:
            while (frame := framer.poll_frame()) is not None:
                assert frame
                frames.append(frame)
        except MalformedError as error:
            reason = str(error)
            broken = broken or reason
            assert broken == reason, "a stream that broke once breaks in the same way for ever"
        assert framer.buffered <= MAX_FRAME_SIZE
        if broken:
            assert framer.buffered == 0
    return frames, broken


def run(data: bytes) -> Hashable:
    """How many frames of which kind, and the end."""
    sizes, stream = data[:2] or b"\1", data[2:]
    chunks: list[bytes] = []
    position = turn = 0
    while position < len(stream):
        # One byte at a time for a while, and then in larger steps: a long input must not mean thousands of chunks.
        size = 1 + sizes[turn % len(sizes)] + (64 if turn > 200 else 0)
        chunks.append(stream[position : position + size])
        position += size
        turn += 1
    frames, broken = frames_of([stream] if stream else [])
    assert frames_of(chunks) == (frames, broken), "frames depend on how the bytes were cut"
    joined = b"".join(frames)
    assert stream.startswith(joined)
    kinds = []
    for frame in frames:
        kind = classify(frame[0])
        kinds.append(kind)
        try:
            if kind is PacketKind.STUN:
                parse_message(frame)
            else:
                parse_channel_data(frame)
        except MalformedError:
            kinds[-1] = PacketKind.UNKNOWN
    return tuple(kinds[:4]), len(frames) > 4, bool(broken), len(joined) == len(stream)
