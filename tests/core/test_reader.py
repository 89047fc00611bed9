"""A cursor that raises rather than reads short."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.core.reader import Reader
from icelane.errors import MalformedError

pytestmark = pytest.mark.twin

FORMS: list[Callable[[bytes], bytes | bytearray | memoryview]] = [bytes, bytearray, memoryview]


@pytest.mark.parametrize("form", FORMS)
def test_fields_are_read_in_order_from_any_buffer(form: Callable[[bytes], bytes | bytearray | memoryview]) -> None:
    reader = Reader(form(bytes(range(0xF0, 0x100))))
    assert reader.uint8() == 0xF0
    assert reader.uint16() == 0xF1F2
    assert reader.uint32() == 0xF3F4F5F6
    assert reader.uint64() == 0xF7F8F9FAFBFCFDFE
    assert (reader.position, reader.remaining) == (15, 1)
    assert reader.rest() == b"\xff"
    assert (reader.position, reader.remaining) == (16, 0)
    assert reader.rest() == b""


@pytest.mark.parametrize("form", FORMS)
def test_take_returns_bytes_of_its_own(form: Callable[[bytes], bytes | bytearray | memoryview]) -> None:
    taken = Reader(form(b"abcdef")).take(4)
    assert type(taken) is bytes
    assert taken == b"abcd"


def test_skip_passes_over_bytes() -> None:
    reader = Reader(b"abc")
    reader.skip(2)
    reader.skip(0)
    assert reader.rest() == b"c"


def test_values_are_unsigned_and_exact() -> None:
    assert Reader(b"\xff").uint8() == 0xFF
    assert Reader(b"\xff\xff").uint16() == 0xFFFF
    assert Reader(b"\xff" * 4).uint32() == 0xFFFFFFFF
    assert Reader(b"\xff" * 8).uint64() == 0xFFFFFFFFFFFFFFFF
    assert Reader(b"\x80" + bytes(7)).uint64() == 1 << 63


@pytest.mark.parametrize(("read", "size"), [("uint8", 1), ("uint16", 2), ("uint32", 4), ("uint64", 8)])
def test_a_field_past_the_end_is_malformed_and_moves_nothing(read: str, size: int) -> None:
    for available in range(size):
        reader = Reader(b"x" + bytes(available))
        reader.skip(1)
        with pytest.raises(MalformedError, match=f"{size} bytes wanted at offset 1, {available} left"):
            getattr(reader, read)()
        assert (reader.position, reader.remaining) == (1, available)


@pytest.mark.parametrize("size", [-1, -(2**31), -(2**63), 4, 2**31, 2**32, 2**63 - 1])
def test_a_size_that_is_not_there_is_malformed(size: int) -> None:
    for read in ("take", "skip"):
        reader = Reader(b"abc")
        with pytest.raises(MalformedError):
            getattr(reader, read)(size)
        assert reader.remaining == 3


def test_an_empty_buffer_has_nothing() -> None:
    reader = Reader(b"")
    assert reader.remaining == 0
    assert reader.take(0) == b""
    with pytest.raises(MalformedError):
        reader.uint8()


@given(st.binary(max_size=64), st.lists(st.sampled_from(["uint8", "uint16", "uint32", "uint64"]), max_size=20))
def test_reading_agrees_with_int_from_bytes(data: bytes, reads: list[str]) -> None:
    """ST-7: and nothing but MalformedError escapes."""
    reader = Reader(data)
    position = 0
    for read in reads:
        size = int(read[4:]) // 8
        if position + size > len(data):
            with pytest.raises(MalformedError):
                getattr(reader, read)()
            continue
        assert getattr(reader, read)() == int.from_bytes(data[position : position + size], "big")
        position += size
    assert reader.rest() == data[position:]
