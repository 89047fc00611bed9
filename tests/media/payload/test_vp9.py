"""VP9's descriptor and its uncompressed header."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.errors import MalformedError
from icelane.media.payload.packetizer import MIN_PAYLOAD_SIZE
from icelane.media.payload.vp9 import Vp9Depacketizer, Vp9Packetizer, is_key_frame, parse_frame_size
from tests.media.payload.trips import trip

# Profile 0, shown, 640 by 480: sync code, then color space 2, range 0, and 16 bits each.
KEY = bytes.fromhex("82 498342 4027f01df0") + bytes(30)
DELTA = bytes.fromhex("86 00") + bytes(30)
STRUCTURE = "18 0280 01e0 01 04 01"


@given(
    st.binary(min_size=1, max_size=3000),
    st.sampled_from([b"", KEY, DELTA]),
    st.integers(MIN_PAYLOAD_SIZE, 1500),
    st.integers(0, 2**32),
)
def test_a_frame_comes_back_at_every_size(data: bytes, head: bytes, max_size: int, first: int) -> None:
    data = head + data
    fragments = trip(Vp9Packetizer(first), Vp9Depacketizer(), data, max_size)
    assert Vp9Depacketizer().assemble(fragments) == data
    assert [fragment.begins_frame for fragment in fragments] == [True] + [False] * (len(fragments) - 1)
    assert [fragment.ends_frame for fragment in fragments] == [False] * (len(fragments) - 1) + [True]
    assert {fragment.picture_id for fragment in fragments} == {first & 0x7FFF}
    key = is_key_frame(data)
    assert [fragment.is_key for fragment in fragments] == [key] + [None if key else False] * (len(fragments) - 1)


def test_packets_are_those_of_rfc_9628() -> None:
    """Section 4.2: I, P, B, E; the structure of one layer and a group of one picture with the key frame."""
    packetizer = Vp9Packetizer(0x1234)
    first, second = packetizer.packetize(KEY, MIN_PAYLOAD_SIZE)
    assert first.hex() == ("8a 9234" + STRUCTURE + KEY[: len(first) - 11].hex()).replace(" ", "")
    assert second == bytes.fromhex("84 9234") + KEY[len(first) - 11 :]
    assert packetizer.packetize(DELTA, 1200) == [bytes.fromhex("cc 9235") + DELTA]


@pytest.mark.parametrize(
    ("descriptor", "expected"),
    [
        # begins, ends, key, picture id, TL0PICIDX, spatial, temporal
        ("0c", (True, True, True, None, None, 0, 0)),  # nothing but B and E
        ("8c 11", (True, True, True, 0x11, None, 0, 0)),  # 7 bits
        ("ae 9234 00 07" + STRUCTURE, (True, False, True, 0x1234, 7, 0, 0)),  # non-flexible, with layers
        ("e8 9234 40 07", (True, False, False, 0x1234, 7, 0, 2)),  # TID 2
        # Flexible mode, as Chromium sends it: structure of two layers with the key frame, references with others.
        ("ba 9234 00 38 0140 00b4 0280 0168 01 04 01", (True, False, True, 0x1234, None, 0, 0)),
        ("b4 9234 03", (False, False, None, 0x1234, None, 1, 0)),  # the upper layer of a key picture
        ("b8 9234 02", (True, False, True, 0x1234, None, 1, 0)),  # one that needs no lower layer
        ("f8 9235 00 02", (True, False, False, 0x1235, None, 0, 0)),  # P_DIFF 1
        ("f8 9235 40 03 05 08", (True, False, False, 0x1235, None, 0, 2)),  # three of them
        ("fc 9235 23 02", (False, False, False, 0x1235, None, 1, 1)),  # predicted from both
        ("9a 9234 00", (True, False, True, 0x1234, None, 0, 0)),  # a structure that says nothing
        ("9a 9234 08 02 00 0c 01 02 03", (True, False, True, 0x1234, None, 0, 0)),  # a group, no sizes
    ],
)
def test_descriptors_of_both_modes_are_read(descriptor: str, expected: tuple[object, ...]) -> None:
    fragment = Vp9Depacketizer().parse(bytes.fromhex(descriptor) + b"\x82frame")
    assert (
        fragment.begins_frame,
        fragment.ends_frame,
        fragment.is_key,
        fragment.picture_id,
        fragment.tl0_picture_index,
        fragment.spatial_layer,
        fragment.temporal_layer,
    ) == expected
    assert fragment.pieces == (b"\x82frame",)


def test_a_sender_that_never_sets_p_is_not_believed() -> None:
    """FFmpeg's packets have nothing but B and E."""
    assert Vp9Depacketizer().parse(b"\x08" + KEY).is_key is True
    assert Vp9Depacketizer().parse(b"\x08" + DELTA).is_key is False
    assert Vp9Depacketizer().parse(b"\x04" + DELTA).is_key is None


@pytest.mark.parametrize(
    "payload",
    [
        "", "0c", "8c", "8c92", "8c9234", "ac9234", "ac923400", "ac92340007", "f8923500", "f892350003",
        "f8923500030303ff", "9a9234", "9a923418", "9a923418028001e0", "9a923418028001e001", "9a923408ff0000",
        "9a9234080104", "9a9234080108ff",
    ],
)  # fmt: skip
def test_a_payload_that_ends_too_early_is_malformed(payload: str) -> None:
    with pytest.raises(MalformedError):
        Vp9Depacketizer().parse(bytes.fromhex(payload))


def test_more_than_three_references_are_malformed() -> None:
    with pytest.raises(MalformedError, match="references"):
        Vp9Depacketizer().parse(bytes.fromhex("d8 9235 03 03 03 02") + b"frame")


@pytest.mark.parametrize(
    ("bits", "size"),
    [
        ("10 0 0 0 0 1 0 {sync} 001 0 {size}", (640, 480)),  # profile 0
        ("10 1 0 0 0 1 0 {sync} 001 0 1 0 0 {size}", (640, 480)),  # profile 1: subsampling
        ("10 1 0 0 0 1 0 {sync} 111 0 {size}", (640, 480)),  # sRGB
        ("10 0 1 0 0 1 0 {sync} 0 001 0 {size}", (640, 480)),  # profile 2: ten bits
        ("10 1 1 0 0 0 1 0 {sync} 1 001 0 1 1 0 {size}", (640, 480)),  # profile 3
        ("10 0 0 0 1 1 0", None),  # predicted
        ("10 0 0 1 000", None),  # shows an earlier frame
    ],
)
def test_sizes_are_read_in_every_profile(bits: str, size: tuple[int, int] | None) -> None:
    text = bits.format(sync=f"{0x498342:024b}", size=f"{639:016b}{479:016b}").replace(" ", "")
    data = int(text + "0" * (-len(text) % 8), 2).to_bytes((len(text) + 7) // 8, "big")
    assert parse_frame_size(data) == size
    assert is_key_frame(data) == (size is not None)


@pytest.mark.parametrize("data", [b"", b"\x42", KEY[:5], KEY[:1] + b"\0" + KEY[2:]])
def test_what_is_no_key_frame_has_no_size(data: bytes) -> None:
    with pytest.raises(MalformedError):
        parse_frame_size(data)


@given(st.binary(max_size=16))
def test_nothing_but_malformed_error_comes_out(data: bytes) -> None:
    """FZ-1."""
    with contextlib.suppress(MalformedError):
        fragment = Vp9Depacketizer().parse(data)
        assert data.endswith(fragment.pieces[0])
    with contextlib.suppress(MalformedError):
        parse_frame_size(data)
