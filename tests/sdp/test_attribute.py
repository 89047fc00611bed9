"""Attributes as they are written, and the words in them."""

from __future__ import annotations

import pytest

from icelane.errors import MalformedError
from icelane.sdp.attribute import Attribute, parse_attribute, parse_number, parse_token, parse_words


@pytest.mark.parametrize(
    ("text", "attribute"),
    [
        ("rtcp-mux", Attribute("rtcp-mux")),
        ("mid:0", Attribute("mid", "0")),
        ("x:", Attribute("x", "")),
        ("msid-semantic: WMS", Attribute("msid-semantic", " WMS")),
        ("ssrc:1 a:b", Attribute("ssrc", "1 a:b")),
    ],
)
def test_an_attribute_is_kept_as_it_came(text: str, attribute: Attribute) -> None:
    assert parse_attribute(text) == attribute
    assert str(attribute) == text
    assert str(attribute.line) == f"a={text}"


@pytest.mark.parametrize("text", ["", ":", ":x", "a b", "a\tb:c", "\u00e9:x", " x"])
def test_a_name_is_a_token(text: str) -> None:
    with pytest.raises(MalformedError):
        parse_attribute(text)


@pytest.mark.parametrize("name", ["ice-pwd", "crypto", "candidate"])
def test_keys_and_addresses_are_not_in_the_repr(name: str) -> None:
    assert "hunter2" not in repr(Attribute(name, "hunter2"))
    assert "hunter2" in repr(Attribute("mid", "hunter2"))


def test_tokens_have_the_characters_of_rfc_8866() -> None:
    allowed = {chr(code) for code in range(128) if not _fails(chr(code))}
    assert allowed == set("!#$%&'*+-.0123456789^_`{|}~") | {chr(c) for c in [*range(65, 91), *range(97, 123)]}


@pytest.mark.parametrize("text", ["", "-1", "+1", "1.0", "1e3", "0x10", " 1", "1_0", "\u0661", "\u00b2", "9" * 5000])
def test_numbers_are_digits_and_few(text: str) -> None:
    """SD-1: negative and huge integers."""
    with pytest.raises(MalformedError) as caught:
        parse_number(text, "number", 2**64 - 1)
    assert len(str(caught.value)) < 200


def test_numbers_keep_within_their_bounds() -> None:
    assert parse_number("00", "number", 5) == 0
    assert parse_number("5", "number", 5, 5) == 5
    for text in ("4", "6"):
        with pytest.raises(MalformedError, match="no port, a number from 5 to 5"):
            parse_number(text, "port", 5, 5)


def test_several_spaces_between_words_count_as_one() -> None:
    assert parse_words(" a  b ", "thing", (2,)) == ["a", "b"]
    with pytest.raises(MalformedError, match="no thing: it has 1 parts"):
        parse_words("a\tb", "thing", (2,))


def _fails(text: str) -> bool:
    try:
        parse_token(text, "token")
    except MalformedError:
        return True
    return False
