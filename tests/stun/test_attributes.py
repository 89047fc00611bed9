"""The values of attributes: every malformed shape is one error class, every encoding reads back."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.core.net import SocketAddress, unpack_host
from icelane.errors import MalformedError
from icelane.stun import attributes
from icelane.stun.attributes import (
    MAX_PASSWORD_ALGORITHMS,
    MAX_TEXT,
    MAX_UNKNOWN_ATTRIBUTES,
    MAX_USERNAME,
    REASONS,
    ChangeRequest,
    ErrorCode,
    encode_address,
    encode_change_request,
    encode_error_code,
    encode_password_algorithms,
    encode_response_port,
    encode_text,
    encode_uint32,
    encode_uint64,
    encode_unknown_attributes,
    encode_xor_address,
    exactly,
    parse_address,
    parse_change_request,
    parse_error_code,
    parse_flag,
    parse_password_algorithm,
    parse_password_algorithms,
    parse_response_port,
    parse_text,
    parse_uint32,
    parse_uint64,
    parse_unknown_attributes,
    parse_userhash,
    parse_xor_address,
)

pytestmark = pytest.mark.twin

TRANSACTION_ID = bytes(range(12))


def parse_xor(value: bytes) -> SocketAddress:
    return parse_xor_address(value, TRANSACTION_ID)


def parse_user_name(value: bytes) -> str:
    return parse_text(value, MAX_USERNAME)


PARSERS: list[Callable[[bytes], object]] = [
    parse_address,
    parse_change_request,
    parse_response_port,
    parse_xor,
    parse_text,
    parse_user_name,
    parse_error_code,
    parse_unknown_attributes,
    parse_uint32,
    parse_uint64,
    parse_userhash,
    parse_flag,
    parse_password_algorithms,
    parse_password_algorithm,
]


def test_every_parser_of_the_module_is_under_test() -> None:
    """ST-7: a parser that is added later joins the list above or fails here."""
    defined = {name for name in vars(attributes) if name.startswith("parse_")}
    assert defined == {parser.__name__ for parser in PARSERS if parser not in (parse_xor, parse_user_name)} | {
        "parse_xor_address"
    }


@pytest.mark.parametrize("parse", PARSERS)
@given(value=st.binary(max_size=80))
def test_arbitrary_values_raise_nothing_but_malformed_error(parse: Callable[[bytes], object], value: bytes) -> None:
    """ST-7: the catch-all: any other exception fails the test by escaping."""
    try:
        parse(value)
    except MalformedError:
        return


# -- addresses


@pytest.mark.parametrize("parse", [parse_address, parse_xor])
@pytest.mark.parametrize("family", [0, 3, 4, 0x11, 255])
@pytest.mark.parametrize("size", [4, 16])
def test_an_address_of_an_unknown_family_is_malformed(
    parse: Callable[[bytes], SocketAddress], family: int, size: int
) -> None:
    """ST-7: family 0, 3, 255."""
    with pytest.raises(MalformedError, match=f"family {family}"):
        parse(bytes((0, family, 0, 80)) + bytes(size))


@pytest.mark.parametrize("parse", [parse_address, parse_xor])
@pytest.mark.parametrize(
    ("family", "size"), [(1, 0), (1, 3), (1, 5), (1, 16), (2, 0), (2, 4), (2, 12), (2, 15), (2, 17)]
)
def test_an_address_in_the_length_of_another_is_malformed(
    parse: Callable[[bytes], SocketAddress], family: int, size: int
) -> None:
    """ST-7: IPv4 in the length of IPv6 and the reverse."""
    with pytest.raises(MalformedError, match=f"with {size + 4} bytes"):
        parse(bytes((0, family, 0, 80)) + bytes(size))


@pytest.mark.parametrize("size", range(4))
def test_an_address_shorter_than_its_head_is_malformed(size: int) -> None:
    """ST-7: zero-length included."""
    for parse in (parse_address, parse_xor):
        with pytest.raises(MalformedError):
            parse(b"\0\1\0\0"[:size])


def test_the_first_byte_of_an_address_is_ignored() -> None:
    """RFC 8489 section 14.1: "MUST be ignored by the receiver"."""
    value = bytearray(encode_address(SocketAddress("192.0.2.1", 80)))
    value[0] = 0xFF
    assert parse_address(bytes(value)) == ("192.0.2.1", 80)


hosts = (st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16)).map(unpack_host)
addresses = st.builds(SocketAddress, hosts, st.integers(0, 0xFFFF))


@given(address=addresses, transaction_id=st.binary(min_size=12, max_size=12))
def test_addresses_read_back(address: SocketAddress, transaction_id: bytes) -> None:
    assert parse_address(encode_address(address)) == address
    hidden = encode_xor_address(address, transaction_id)
    assert parse_xor_address(hidden, transaction_id) == address
    assert len(hidden) in (8, 20)


def test_an_xored_ipv6_address_needs_its_own_transaction_id() -> None:
    """RFC 8489 section 14.2: bits beyond the cookie come from the transaction id."""
    address = SocketAddress("2001:db8::1", 80)
    hidden = encode_xor_address(address, TRANSACTION_ID)
    assert parse_xor_address(hidden, bytes(12)) != address


# -- text


@pytest.mark.parametrize(("limit", "size"), [(MAX_USERNAME, 508), (MAX_TEXT, 763)])
def test_text_is_accepted_up_to_its_limit_and_refused_beyond(limit: int, size: int) -> None:
    """ST-7: USERNAME above 508 bytes, NONCE and REALM above 763."""
    assert limit == size
    assert parse_text(b"x" * size, limit) == "x" * size
    assert encode_text("x" * size, limit) == b"x" * size
    with pytest.raises(MalformedError, match=f"{size + 1} bytes"):
        parse_text(b"x" * (size + 1), limit)
    with pytest.raises(ValueError, match=f"{size + 1} bytes"):
        encode_text("x" * (size + 1), limit)


def test_the_limit_counts_bytes_not_characters() -> None:
    with pytest.raises(MalformedError):
        parse_text("\u00e9".encode() * 255, MAX_USERNAME)
    with pytest.raises(ValueError, match="bytes"):
        encode_text("\u00e9" * 255, MAX_USERNAME)


@pytest.mark.parametrize(
    "value", [b"\xff", b"a\x80", b"\xc3", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xfe\xff\0a"]
)
def test_text_that_is_not_utf_8_is_malformed(value: bytes) -> None:
    """ST-7: stray and cut continuation, overlong, surrogate, beyond U+10FFFF, UTF-16."""
    with pytest.raises(MalformedError, match="UTF-8"):
        parse_text(value)


@pytest.mark.parametrize("value", [b"\0", b"user\0", b"us\0er"])
def test_text_with_nul_inside_is_malformed(value: bytes) -> None:
    """ST-7."""
    with pytest.raises(MalformedError, match="NUL"):
        parse_text(value)


def test_an_error_about_text_never_shows_the_text() -> None:
    with pytest.raises(MalformedError) as caught:
        parse_text(b"secret\xff")
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


@given(st.text(max_size=190))
def test_text_reads_back(text: str) -> None:
    try:
        value = encode_text(text)
    except UnicodeEncodeError:
        return
    if "\0" in text:
        with pytest.raises(MalformedError):
            parse_text(value)
    else:
        assert parse_text(value) == text


# -- error codes


@pytest.mark.parametrize("value", [b"", b"\0", b"\0\0", b"\0\0\4"])
def test_an_error_code_shorter_than_four_bytes_is_malformed(value: bytes) -> None:
    """ST-7: 1-byte ERROR-CODE."""
    with pytest.raises(MalformedError):
        parse_error_code(value)


@pytest.mark.parametrize(("hundreds", "number"), [(0, 0), (1, 0), (2, 99), (7, 0), (4, 100), (4, 255), (6, 100)])
def test_an_error_code_out_of_range_is_malformed(hundreds: int, number: int) -> None:
    """RFC 8489 section 14.8: class 3 to 6, number 0 to 99."""
    with pytest.raises(MalformedError):
        parse_error_code(bytes((0, 0, hundreds, number)))


def test_reserved_bits_of_an_error_code_are_ignored() -> None:
    assert parse_error_code(bytes((0xFF, 0xFF, 0xF8 | 4, 1)) + b"no") == ErrorCode(401, "no")


@pytest.mark.parametrize("code", sorted(REASONS))
def test_every_error_code_reads_back(code: int) -> None:
    assert parse_error_code(encode_error_code(code, REASONS[code])) == (code, REASONS[code])


def test_a_reason_that_is_too_long_or_not_text_is_malformed() -> None:
    """ST-7."""
    for reason in (b"x" * 764, b"\xff", b"a\0b"):
        with pytest.raises(MalformedError):
            parse_error_code(b"\0\0\4\1" + reason)


# -- numbers and flags


@pytest.mark.parametrize("size", [0, 1, 2, 3, 5, 8])
def test_a_32_bit_number_of_another_size_is_malformed(size: int) -> None:
    """ST-7: 2-byte PRIORITY."""
    with pytest.raises(MalformedError):
        parse_uint32(bytes(size))


@pytest.mark.parametrize("size", [0, 4, 7, 9])
def test_a_64_bit_number_of_another_size_is_malformed(size: int) -> None:
    """ST-7."""
    with pytest.raises(MalformedError):
        parse_uint64(bytes(size))


def test_a_flag_has_no_value_and_a_userhash_32_bytes() -> None:
    """ST-7."""
    parse_flag(b"")
    with pytest.raises(MalformedError):
        parse_flag(b"\0")
    assert parse_userhash(bytes(32)) == bytes(32)
    for size in (0, 31, 33):
        with pytest.raises(MalformedError):
            parse_userhash(bytes(size))


def test_exactly_says_both_sizes() -> None:
    assert exactly(b"abc", 3) == b"abc"
    with pytest.raises(MalformedError, match="of 2 bytes where 3"):
        exactly(b"ab", 3)


@given(st.integers(0, 0xFFFFFFFF), st.integers(0, 0xFFFFFFFFFFFFFFFF))
def test_numbers_read_back(small: int, large: int) -> None:
    assert parse_uint32(encode_uint32(small)) == small
    assert parse_uint64(encode_uint64(large)) == large


# -- lists


def test_unknown_attributes_are_bounded_and_without_repetition() -> None:
    """ST-8: the codec half."""
    assert encode_unknown_attributes([5, 6, 5, 5, 7, 6]) == b"\0\5\0\6\0\7"
    assert len(encode_unknown_attributes(range(1000))) == 2 * MAX_UNKNOWN_ATTRIBUTES
    assert parse_unknown_attributes(b"\0\1\xff\xfe") == (1, 0xFFFE)
    assert parse_unknown_attributes(b"") == ()
    assert len(parse_unknown_attributes(bytes(60_000))) == MAX_UNKNOWN_ATTRIBUTES
    with pytest.raises(MalformedError):
        parse_unknown_attributes(b"\0\1\0")


@given(st.lists(st.integers(0, 0xFFFF), max_size=80))
def test_unknown_attributes_read_back(types: list[int]) -> None:
    distinct = list(dict.fromkeys(types))[:MAX_UNKNOWN_ATTRIBUTES]
    assert list(parse_unknown_attributes(encode_unknown_attributes(types))) == distinct


def test_password_algorithms_keep_the_sender_s_order() -> None:
    """TA-5: the codec half."""
    value = encode_password_algorithms([(2, b""), (1, b"abc"), (7, b"wxyz")])
    assert value == b"\0\2\0\0" + b"\0\1\0\3abc\0" + b"\0\7\0\4wxyz"
    assert parse_password_algorithms(value) == ((2, b""), (1, b"abc"), (7, b"wxyz"))
    assert parse_password_algorithms(b"") == ()


def test_the_padding_of_the_last_algorithm_may_be_missing_from_the_value() -> None:
    """RFC 8489 section 14.11: parameters are padded, and some count the last padding as the attribute's own."""
    assert parse_password_algorithms(b"\0\1\0\3abc") == ((1, b"abc"),)
    assert parse_password_algorithm(b"\0\1\0\3abc\0") == (1, b"abc")


@pytest.mark.parametrize("value", [b"\0", b"\0\2\0", b"\0\2\0\1", b"\0\2\xff\xff", b"\0\2\0\0\0", b"\0\1\0\5abcd"])
def test_a_password_algorithm_that_is_cut_is_malformed(value: bytes) -> None:
    """ST-7."""
    for parse in (parse_password_algorithm, parse_password_algorithms):
        with pytest.raises(MalformedError):
            parse(value)


def test_password_algorithm_is_exactly_one() -> None:
    """ST-7: empty and two."""
    for value in (b"", encode_password_algorithms([(2, b""), (1, b"")])):
        with pytest.raises(MalformedError):
            parse_password_algorithm(value)


def test_more_password_algorithms_than_the_bound_are_malformed() -> None:
    """ST-7."""
    one = b"\0\1\0\0"
    assert len(parse_password_algorithms(one * MAX_PASSWORD_ALGORITHMS)) == MAX_PASSWORD_ALGORITHMS
    with pytest.raises(MalformedError, match="more than"):
        parse_password_algorithms(one * (MAX_PASSWORD_ALGORITHMS + 1))


@given(st.lists(st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=9)), max_size=MAX_PASSWORD_ALGORITHMS))
def test_password_algorithms_read_back(algorithms: list[tuple[int, bytes]]) -> None:
    assert list(parse_password_algorithms(encode_password_algorithms(algorithms))) == algorithms


@pytest.mark.parametrize(
    ("value", "change"),
    [
        ("00000000", ChangeRequest(address=False, port=False)),
        ("00000002", ChangeRequest(address=False, port=True)),
        ("00000004", ChangeRequest(address=True, port=False)),
        ("00000006", ChangeRequest(address=True, port=True)),
    ],
)
def test_the_flags_of_a_change_request_are_bits_29_and_30(value: str, change: ChangeRequest) -> None:
    assert parse_change_request(bytes.fromhex(value)) == change
    assert encode_change_request(change) == bytes.fromhex(value)


def test_the_other_bits_of_a_change_request_are_ignored() -> None:
    assert parse_change_request(bytes.fromhex("fffffff9")) == ChangeRequest(address=False, port=False)


def test_a_response_port_is_followed_by_two_bytes_that_mean_nothing() -> None:
    assert encode_response_port(40_000) == bytes.fromhex("9c400000")
    assert parse_response_port(bytes.fromhex("9c40ffff")) == 40_000
