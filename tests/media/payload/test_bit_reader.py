"""Bits and the codes made of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.errors import MalformedError
from icelane.media.payload.bit_reader import BitReader


def code_of(value: int) -> str:
    """ue(v): as many zeros as the number has bits behind the first."""
    digits = f"{value + 1:b}"
    return "0" * (len(digits) - 1) + digits


def reader_of(bits: str) -> BitReader:
    return BitReader(int(bits + "0" * (-len(bits) % 8), 2).to_bytes((len(bits) + 7) // 8, "big"))


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 2**40)), min_size=1, max_size=20))
def test_fields_come_back(fields: list[tuple[int, int]]) -> None:
    wanted = [(size, value & (1 << size) - 1) for size, value in fields]
    reader = reader_of("1" + "".join(f"{value:0{size}b}" for size, value in wanted if size))
    assert reader.flag()
    assert [reader.bits(size) for size, _ in wanted] == [value for _, value in wanted]


@given(st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=10))
def test_codes_come_back(values: list[int]) -> None:
    reader = reader_of("".join(map(code_of, values)))
    assert [reader.exp_golomb() for _ in values] == values


def test_signed_codes_alternate() -> None:
    """H.264 table 9-3."""
    reader = reader_of("".join(map(code_of, range(7))))
    assert [reader.signed_exp_golomb() for _ in range(7)] == [0, 1, -1, 2, -2, 3, -3]


def test_reading_past_the_end_is_malformed() -> None:
    reader = BitReader(b"\x80")
    reader.skip(7)
    for read in (lambda: reader.bits(2), lambda: reader.skip(2), reader.exp_golomb):
        with pytest.raises(MalformedError):
            read()


def test_a_code_that_goes_on_for_ever_is_malformed() -> None:
    with pytest.raises(MalformedError, match="zeros"):
        BitReader(bytes(100)).exp_golomb()
