"""Sizes in parameter sets that are written bit by bit; those of real encoders are in test_registry.py."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.errors import MalformedError
from icelane.media.payload.sequence_parameter_set import parse_h264_size, parse_h265_size
from tests.media.payload.test_bit_reader import code_of


def bits(text: str) -> bytes:
    """Words of 0 and 1 as they are; others are numbers to be coded."""
    digits = "".join(word[1:] if word[0] == "b" else code_of(int(word)) for word in text.split()) + "1"
    digits += "0" * (-len(digits) % 8)
    data = bytearray()
    for byte in int("1" + digits, 2).to_bytes(len(digits) // 8 + 1, "big")[1:]:
        if data[-2:] == b"\0\0" and byte <= 3:
            data.append(3)
        data.append(byte)
    return bytes(data)


def h264(profile: int, rest: str) -> bytes:
    return b"\x67" + bytes((profile, 0, 31)) + bits("0 " + rest)


# log2_max_frame_num, order count of type 2, reference frames, gaps; 20 by 15 macroblocks, frames only, direct_8x8.
PLAIN = "0 2 1 b0 19 14 b1 b1"


@pytest.mark.parametrize(
    ("unit", "size"),
    [
        (h264(66, PLAIN + " b0"), (320, 240)),
        (h264(66, PLAIN + " b1 1 2 3 4"), (314, 226)),  # 4:2:0: units of two
        (h264(66, "0 0 4 1 b0 19 14 b1 b1 b0"), (320, 240)),  # order count of type 0
        (h264(66, "0 1 b0 0 0 2 1 1 1 b0 19 14 b1 b1 b0"), (320, 240)),  # and 1
        (h264(77, "0 2 1 b0 19 14 b0 b0 b1 b1 0 0 0 1"), (320, 476)),  # fields: twice as high, units of four
        (h264(100, "1 0 0 b0 b0 " + PLAIN + " b1 0 1 0 1"), (318, 238)),
        (h264(122, "2 0 0 b0 b0 " + PLAIN + " b1 0 1 0 1"), (318, 239)),  # 4:2:2
        (h264(244, "3 b0 0 0 b0 b0 " + PLAIN + " b1 0 1 0 1"), (319, 239)),  # 4:4:4
        (h264(244, "3 b1 0 0 b0 b0 " + PLAIN + " b1 0 1 0 1"), (319, 239)),  # in three planes
        (h264(100, "0 0 0 b0 b0 " + PLAIN + " b1 0 1 0 1"), (319, 239)),  # no chroma
        (h264(100, "1 0 0 b0 b1 b1 16 b0 b0 b0 b0 b0 b0 b0 " + PLAIN + " b0"), (320, 240)),  # a list that ends at once
        (h264(100, "1 0 0 b0 b1 " + "b0 " * 7 + "b1 " + "0 " * 64 + PLAIN + " b0"), (320, 240)),  # one of 64 numbers
    ],
)
def test_sizes_of_h264(unit: bytes, size: tuple[int, int]) -> None:
    assert parse_h264_size(unit) == size


def h265(sub_layers: str, rest: str) -> bytes:
    return b"\x42\x01" + bits(f"b0000 {sub_layers} {rest}")


PROFILE = "b" + "01" * 44
LEVEL = "b01011101"
ONE = f"b000 b1 {PROFILE} {LEVEL}"
THREE = f"b010 b1 {PROFILE} {LEVEL} b11 b01 b{'00' * 6} {PROFILE} {LEVEL} {LEVEL}"


@pytest.mark.parametrize(
    ("unit", "size"),
    [
        (h265(ONE, "0 1 320 240 b0"), (320, 240)),
        (h265(ONE, "0 1 328 240 b1 1 2 0 3"), (322, 234)),
        (h265(THREE, "0 1 320 240 b0"), (320, 240)),
        (h265(ONE, "0 3 b0 320 240 b1 1 2 0 3"), (317, 237)),
        (h265(ONE, "0 2 320 240 b1 1 2 0 3"), (314, 237)),
    ],
)
def test_sizes_of_h265(unit: bytes, size: tuple[int, int]) -> None:
    assert parse_h265_size(unit) == size


@pytest.mark.parametrize(
    "unit",
    [
        h264(66, PLAIN + " b1 0 160 0 0"),  # nothing left of the width
        h264(66, "0 2 1 b0 70000 14 b1 b1 b0"),
        h264(66, "0 1 b0 0 0 256 " + "0 " * 256 + "1 b0 19 14 b1 b1 b0"),
        h264(100, "4 0 0 b0 b0 " + PLAIN + " b0"),
        h264(66, PLAIN)[:-1],
        b"\x67",
        b"",
    ],
)
def test_parameter_sets_that_cannot_be_are_malformed(unit: bytes) -> None:
    with pytest.raises(MalformedError):
        parse_h264_size(unit)


@given(st.binary(max_size=60))
def test_nothing_but_malformed_error_comes_out(data: bytes) -> None:
    """FZ-1."""
    for parse in (parse_h264_size, parse_h265_size):
        with contextlib.suppress(MalformedError):
            width, height = parse(data)
            assert 0 < width <= 65_536
            assert 0 < height <= 65_536
