"""VP8's descriptor."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.errors import MalformedError
from icelane.media.payload.packetizer import MIN_PAYLOAD_SIZE
from icelane.media.payload.vp8 import Vp8Depacketizer, Vp8Packetizer, is_key_frame, parse_frame_size
from tests.media.payload.trips import fragments_of, trip

pytestmark = pytest.mark.twin

KEY = bytes.fromhex("10b900 9d012a 8002e001") + bytes(30)  # 640 by 480
DELTA = bytes.fromhex("11b900") + bytes(30)


@given(st.binary(min_size=1, max_size=3000), st.integers(MIN_PAYLOAD_SIZE, 1500), st.integers(0, 2**32))
def test_a_frame_comes_back_at_every_size(data: bytes, max_size: int, first: int) -> None:
    fragments = trip(Vp8Packetizer(first), Vp8Depacketizer(), data, max_size)
    assert Vp8Depacketizer().assemble(fragments) == data
    assert [fragment.begins_frame for fragment in fragments] == [True] + [False] * (len(fragments) - 1)
    assert {fragment.picture_id for fragment in fragments} == {first & 0x7FFF}
    assert [fragment.is_key for fragment in fragments] == [not data[0] & 1] + [None] * (len(fragments) - 1)


def test_packets_are_those_of_rfc_7741() -> None:
    """Section 4.2: X and S in the first, X in the second, a picture id of 15 bits in both."""
    first, second = Vp8Packetizer(0x1234).packetize(bytes(range(40)), MIN_PAYLOAD_SIZE)
    assert first == bytes.fromhex("90 80 9234") + bytes(range(24))
    assert second == bytes.fromhex("80 80 9234") + bytes(range(24, 40))


def test_picture_ids_count_and_go_round() -> None:
    packetizer = Vp8Packetizer(0x7FFE)
    frames = [packetizer.packetize(KEY, 1200) for _ in range(3)]
    assert [fragments_of(Vp8Depacketizer(), frame)[0].picture_id for frame in frames] == [0x7FFE, 0x7FFF, 0]


def test_an_empty_frame_takes_no_picture_id() -> None:
    packetizer = Vp8Packetizer(7)
    assert packetizer.packetize(b"", 1200) == []
    assert Vp8Depacketizer().parse(packetizer.packetize(KEY, 1200)[0]).picture_id == 7


@pytest.mark.parametrize(
    ("descriptor", "picture_id", "tl0", "layer"),
    [
        ("10", None, None, 0),  # no extension at all
        ("90 80 11", 0x11, None, 0),  # 7 bits, as Firefox sends them at times
        ("90 80 9234", 0x1234, None, 0),  # 15 bits, as Chromium does
        ("90 e0 9234 55 80", 0x1234, 0x55, 2),  # layers in time: TL0PICIDX and TID
        ("90 f0 9234 55 65", 0x1234, 0x55, 1),  # and KEYIDX
        ("90 10 1f", None, None, 0),  # KEYIDX alone: the TID beside it means nothing
        ("90 40 07", None, 7, 0),
        ("b0 20 c0", None, None, 3),  # N: nothing refers to it
    ],
)
def test_descriptors_of_every_form_are_read(
    descriptor: str, picture_id: int | None, tl0: int | None, layer: int
) -> None:
    fragment = Vp8Depacketizer().parse(bytes.fromhex(descriptor) + KEY)
    assert fragment.pieces == (KEY,)
    assert fragment.begins_frame
    assert fragment.is_key
    assert (fragment.picture_id, fragment.tl0_picture_index, fragment.temporal_layer) == (picture_id, tl0, layer)


def test_only_the_first_partition_begins_a_frame() -> None:
    depacketizer = Vp8Depacketizer()
    assert depacketizer.parse(b"\x10" + DELTA).is_key is False
    for first in (0x00, 0x11, 0x17, 0x01):
        fragment = depacketizer.parse(bytes((first,)) + KEY)
        assert not fragment.begins_frame
        assert fragment.is_key is None
        assert not fragment.ends_frame


@pytest.mark.parametrize(
    "payload",
    [
        "",
        "10",
        "00",
        "90",
        "9080",
        "908092",
        "90809234",
        "90e0923455",
        "90f0923455",
        "90f092345565",
        "9040",
        "8080",
        "8010",
    ],
)
def test_a_payload_that_ends_too_early_is_malformed(payload: str) -> None:
    with pytest.raises(MalformedError):
        Vp8Depacketizer().parse(bytes.fromhex(payload))


def test_key_frames_are_known_and_say_their_size() -> None:
    assert is_key_frame(KEY)
    assert parse_frame_size(KEY) == (640, 480)
    assert parse_frame_size(KEY[:7] + b"\x42" + KEY[8:]) == (640, 480)  # scaling is told in the upper bits
    assert not is_key_frame(DELTA)
    assert parse_frame_size(DELTA) is None
    assert not is_key_frame(b"")


@pytest.mark.parametrize("data", [b"", KEY[:9], KEY[:3] + b"\x9d\x01\x2b" + KEY[6:]])
def test_a_key_frame_without_its_start_code_is_malformed(data: bytes) -> None:
    assert not is_key_frame(data)
    with pytest.raises(MalformedError):
        parse_frame_size(data)


@given(st.binary(max_size=12))
def test_nothing_but_malformed_error_comes_out(data: bytes) -> None:
    """FZ-1."""
    with contextlib.suppress(MalformedError):
        fragment = Vp8Depacketizer().parse(data)
        assert data.endswith(fragment.pieces[0])
