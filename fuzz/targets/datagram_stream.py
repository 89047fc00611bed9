"""A stream of RFC 4571 frames, cut anywhere: the datagrams do not depend on the cuts, and a broken one stays broken."""

from __future__ import annotations

from collections.abc import Hashable

from icelane.errors import MalformedError
from icelane.ice.framing import LENGTH_SIZE, DatagramFramer, encode_frame
from tests.vectors import stun as vectors

# The first two bytes of an input seed the sizes of its chunks, the third the limit.
SEEDS = [
    b"\x00\x01\xff" + encode_frame(b"hello") + encode_frame(vectors.SAMPLE_REQUEST),
    b"\x01\x03\xff" + encode_frame(b"") * 2 + encode_frame(b"x"),
    b"\x05\x00\x04" + encode_frame(bytes(64)) + encode_frame(bytes(65)),
    b"\x40\x07\xff" + encode_frame(vectors.SAMPLE_IPV4_RESPONSE) + b"\xff",
]


def datagrams_of(chunks: list[bytes], limit: int) -> tuple[list[bytes], bool]:
    """The datagrams of a stream that arrives in `chunks`, and whether it broke."""
    framer = DatagramFramer(limit)
    datagrams: list[bytes] = []
    broken = False
    for chunk in chunks:
        framer.handle_bytes(chunk)
        try:
            # One at a time, since those before a broken frame are lost with it.
            while taken := framer.take_datagrams(1):
                datagrams += taken
        except MalformedError:
            broken = True
        else:
            assert not broken, "a stream that broke once was taken up again"
        assert framer.buffered < LENGTH_SIZE + limit
    return datagrams, broken


def run(data: bytes) -> Hashable:
    """How many datagrams, and the end."""
    sizes, limit, stream = data[:2] or b"\1", data[2:3] or b"\1", data[3:]
    most = limit[0] * 16
    chunks: list[bytes] = []
    position = turn = 0
    while position < len(stream):
        # One byte at a time for a while, and then in larger steps: a long input must not mean thousands of chunks.
        size = 1 + sizes[turn % len(sizes)] + (64 if turn > 200 else 0)
        chunks.append(stream[position : position + size])
        position += size
        turn += 1
    datagrams, broken = datagrams_of([stream] if stream else [], most)
    assert datagrams_of(chunks, most) == (datagrams, broken), "datagrams depend on how the bytes were cut"
    assert all(0 < len(datagram) <= most for datagram in datagrams)
    return len(datagrams[:5]), broken
