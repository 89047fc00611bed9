"""Frames of RFC 4571: whatever the cuts, the datagrams are the same."""

from __future__ import annotations

import pytest

from icelane.errors import LocalProtocolError, MalformedError
from icelane.ice.framing import MAX_DATAGRAM, DatagramFramer, encode_frame

DATAGRAMS = [b"a", b"bc" * 100, bytes(MAX_DATAGRAM), b"d"]


def test_a_frame_is_the_length_in_two_bytes_and_the_datagram() -> None:
    assert encode_frame(b"hello") == b"\x00\x05hello"
    assert encode_frame(b"") == b"\x00\x00"
    assert encode_frame(bytes(MAX_DATAGRAM))[:2] == b"\xff\xff"


def test_a_datagram_that_no_length_can_say_is_refused() -> None:
    with pytest.raises(LocalProtocolError):
        encode_frame(bytes(MAX_DATAGRAM + 1))


@pytest.mark.parametrize("step", [1, 2, 3, 1000, 10**6])
def test_datagrams_do_not_depend_on_how_the_bytes_arrive(step: int) -> None:
    stream = b"".join(map(encode_frame, DATAGRAMS))
    if step == 1:
        stream = stream[:500]
    framer = DatagramFramer()
    found = []
    for start in range(0, len(stream), step):
        framer.handle_bytes(stream[start : start + step])
        found += framer.take_datagrams()
    assert found == (DATAGRAMS[:2] if step == 1 else DATAGRAMS)


def test_empty_frames_are_passed_over() -> None:
    framer = DatagramFramer()
    framer.handle_bytes(encode_frame(b"") * 3 + encode_frame(b"x") + encode_frame(b""))
    assert framer.take_datagrams(1) == [b"x"]
    assert framer.take_datagrams() == []
    assert framer.buffered == 0


def test_a_frame_that_claims_more_than_the_limit_ends_the_stream_before_it_has_come() -> None:
    framer = DatagramFramer(limit=100)
    framer.handle_bytes(encode_frame(bytes(100)) + b"\x00\x65")
    assert framer.take_datagrams(1) == [bytes(100)]
    for _ in range(2):
        with pytest.raises(MalformedError):
            framer.take_datagrams()
        framer.handle_bytes(encode_frame(b"x"))
        assert framer.buffered == 0


def test_the_limit_can_be_lifted_between_two_frames() -> None:
    framer = DatagramFramer(limit=10)
    framer.handle_bytes(encode_frame(b"x") + encode_frame(bytes(1000)))
    assert framer.take_datagrams(1) == [b"x"]
    framer.limit = MAX_DATAGRAM
    assert framer.take_datagrams() == [bytes(1000)]
