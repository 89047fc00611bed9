"""The attribute values that TURN adds (RFC 8656 section 18)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.core.net import AddressFamily
from icelane.errors import MalformedError
from icelane.turn.attributes import (
    IcmpError,
    encode_address_error_code,
    encode_address_family,
    encode_channel_number,
    encode_even_port,
    encode_icmp,
    encode_requested_transport,
    parse_address_error_code,
    parse_address_family,
    parse_channel_number,
    parse_even_port,
    parse_icmp,
    parse_requested_transport,
    parse_reservation_token,
)

PARSERS: dict[Callable[[bytes], object], int] = {
    parse_channel_number: 4,
    parse_requested_transport: 4,
    parse_address_family: 4,
    parse_even_port: 1,
    parse_reservation_token: 8,
    parse_icmp: 8,
}


@pytest.mark.parametrize(("parse", "size"), PARSERS.items(), ids=lambda one: getattr(one, "__name__", str(one)))
def test_a_value_of_any_other_size_is_malformed(parse: Callable[[bytes], object], size: int) -> None:
    """ST-7."""
    for wrong in set(range(20)) - {size}:
        with pytest.raises(MalformedError):
            parse(bytes(wrong))
    parse(bytes(size))


def test_what_is_reserved_is_zero_when_sent_and_ignored_when_received() -> None:
    assert encode_channel_number(0x4001) == b"\x40\x01\0\0"
    assert parse_channel_number(b"\x40\x01\xff\xff") == 0x4001
    assert encode_requested_transport(17) == b"\x11\0\0\0"
    assert parse_requested_transport(b"\x11\xff\xff\xff") == 17
    assert encode_address_family(AddressFamily.IPV6) == b"\x02\0\0\0"
    assert parse_address_family(b"\x02\xff\xff\xff") == AddressFamily.IPV6
    assert (encode_even_port(True), encode_even_port(False)) == (b"\x80", b"\x00")
    assert (parse_even_port(b"\xff"), parse_even_port(b"\x7f")) == (True, False)


def test_an_address_error_code_has_the_family_where_an_error_code_has_nothing() -> None:
    """Section 18.12."""
    value = encode_address_error_code(AddressFamily.IPV6, 440, "no")
    assert value == b"\x02\x00\x04\x28no"
    assert parse_address_error_code(value) == (2, (440, "no"))


@given(st.binary(max_size=40))
def test_an_address_error_code_is_whole_or_malformed(value: bytes) -> None:
    """FZ-1."""
    try:
        _, error = parse_address_error_code(value)
    except MalformedError:
        return
    assert 300 <= error.code <= 699


@given(st.integers(0, 127), st.integers(0, 511), st.integers(0, 0xFFFFFFFF))
def test_icmp_is_read_as_it_was_built(kind: int, code: int, data: int) -> None:
    """Section 18.13: seven bits of type and nine of code."""
    value = encode_icmp(IcmpError(kind, code, data))
    assert len(value) == 8
    assert parse_icmp(value) == IcmpError(kind, code, data)
    assert encode_icmp(IcmpError(3, 4, 1400)) == b"\0\0\x06\x04\0\0\x05\x78"
