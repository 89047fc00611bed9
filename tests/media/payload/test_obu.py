"""OBUs, their lengths and their sequence header."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.errors import MalformedError
from icelane.media.payload.obu import (
    encode_leb128,
    encode_temporal_unit,
    is_shown_key_frame,
    is_still_picture,
    leb128_size,
    parse_leb128,
    parse_sequence_size,
    parse_temporal_unit,
)


def bits(text: str) -> bytes:
    digits = text.replace(" ", "")
    digits += "0" * (-len(digits) % 8)
    return int("1" + digits, 2).to_bytes(len(digits) // 8 + 1, "big")[1:]


@given(st.integers(0, 2**56 - 1))
def test_lengths_come_back(value: int) -> None:
    encoded = encode_leb128(value)
    assert len(encoded) == leb128_size(value)
    assert parse_leb128(b"x" + encoded + b"y", 1) == (value, 1 + len(encoded))


@pytest.mark.parametrize(("value", "encoded"), [(0, "00"), (127, "7f"), (128, "8001"), (1200, "b009")])
def test_lengths_are_little_endian_in_sevens(value: int, encoded: str) -> None:
    """AV1 section 4.10.5."""
    assert encode_leb128(value).hex() == encoded


def test_a_length_with_needless_bytes_is_read() -> None:
    assert parse_leb128(bytes.fromhex("85808000"), 0) == (5, 4)


@pytest.mark.parametrize("data", ["", "80", "ff" * 8, "80" * 8 + "00"])
def test_a_length_without_an_end_is_malformed(data: str) -> None:
    with pytest.raises(MalformedError):
        parse_leb128(bytes.fromhex(data), 0)


def test_a_temporal_unit_loses_its_delimiter_and_lengths_and_gets_the_lengths_back() -> None:
    # Delimiter, sequence header, frame of a layer, tile list.
    units = parse_temporal_unit(bytes.fromhex("1200 0a03010203 3648020506 4201ff"))
    assert [unit.hex() for unit in units] == ["08010203", "34480506"]
    assert encode_temporal_unit(units).hex() == "0a03010203" + "3648020506"


def test_the_last_obu_needs_no_length() -> None:
    assert parse_temporal_unit(bytes.fromhex("0a0101 30050607")) == [b"\x08\x01", bytes.fromhex("30050607")]


def test_an_obu_that_kept_its_length_gets_no_second_one() -> None:
    assert encode_temporal_unit([bytes.fromhex("0a0101"), bytes.fromhex("32020506")]) == bytes.fromhex(
        "0a0101 32020506"
    )


@pytest.mark.parametrize("units", [[], [b"\x10"], [b"\xb0\x01"], [b"\x32\x05\x01"], [b"\x34"], [b"\x32"]])
def test_what_cannot_be_decoded_is_malformed(units: list[bytes]) -> None:
    with pytest.raises(MalformedError):
        encode_temporal_unit(units)


@pytest.mark.parametrize("data", ["0a", "0a0201", "8a00", "34", "3600", "0aff"])
def test_a_temporal_unit_with_lengths_that_lie_is_malformed(data: str) -> None:
    with pytest.raises(MalformedError):
        parse_temporal_unit(bytes.fromhex(data))


def test_an_obu_has_the_bytes_that_its_length_says() -> None:
    assert parse_temporal_unit(bytes.fromhex("3600 00")) == [b"\x34\x00"]


@pytest.mark.parametrize(
    ("first", "expected"), [(0x10, True), (0x00, False), (0x30, False), (0x50, False), (0x90, False)]
)
def test_key_frames_that_are_shown_begin_a_sequence(first: int, expected: bool) -> None:
    """AV1 section 5.9.2: show_existing_frame, frame_type in two bits, show_frame."""
    assert is_shown_key_frame(bytes((first, 0))) is expected
    assert not is_shown_key_frame(b"")


@pytest.mark.parametrize(
    "header",
    [
        "000 1 1 00100 {size}",  # a still picture
        "000 0 0 0 0 00000 {point} 00100 {size}",
        "000 0 0 0 0 00000 {point} 01000 1 {size}",  # a level that has tiers
        "000 0 0 0 1 00001 {point} 00100 1 0011 {point} 00100 0 {size}",  # two points and delays
        "000 0 0 1 {word} {word} 0 0 0 00000 {point} 00100 {size}",  # timing
        "000 0 0 1 {word} {word} 1 00101 1 00011 {word} 00000 00000 0 00000 {point} 00100 1 1010 0101 0 {size}",
    ],
)
def test_the_size_is_read_behind_everything_that_may_stand_before_it(header: str) -> None:
    """AV1 section 5.5.1."""
    size = f"1001 1000 {639:010b} {359:09b}"
    data = bits(header.format(size=size, word="0" * 31 + "1", point="0" * 12))
    assert parse_sequence_size(data) == (640, 360)
    assert is_still_picture(data) is header.startswith("000 1 1")


@given(st.binary(max_size=30))
def test_nothing_but_malformed_error_comes_out(data: bytes) -> None:
    """FZ-1."""
    with contextlib.suppress(MalformedError):
        units = parse_temporal_unit(data)
        assert parse_temporal_unit(encode_temporal_unit(units)) == units
    with contextlib.suppress(MalformedError):
        parse_sequence_size(data)
