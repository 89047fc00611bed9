"""Cutting a description into lines, and the bounds of everything behind it."""

from __future__ import annotations

import pytest

from icelane.errors import LocalProtocolError, MalformedError
from icelane.sdp.lines import Line, decode_text, format_lines, parse_lines, shown

# The bounds, written out: a product whose bounds are broken on purpose must not make these texts endless.
MAX_SIZE = 262144
MAX_LINES = 8192
MAX_LINE = 16384


@pytest.mark.parametrize("text", ["v=0\r\ns=-\r\n", "v=0\ns=-\n", "v=0\ns=-", "v=0\r\ns=-\n\r\n\n"])
def test_lines_end_with_crlf_or_lf_and_the_last_may_do_without(text: str) -> None:
    assert parse_lines(text) == [("v", "0"), ("s", "-")]


def test_values_are_kept_with_their_spaces_and_every_other_separator() -> None:
    text = "s= \u2028\x0b\x85 \na==:=\na=\n"
    assert parse_lines(text) == [("s", " \u2028\x0b\x85 "), ("a", "=:="), ("a", "")]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\r\n\r\n",
        "v=0\rs=-\r",
        "v=0\r\r\ns=-",
        "v=0\n\ns=-",
        "v=\0",
        "v",
        "v0",
        "=0",
        " v=0",
        "V=0",
        "\u00e9=0",
        "1=0",
        "v=0\ns",
        "\ufeffv=0",
        "s=\ud800",
    ],
)
def test_anything_else_is_malformed(text: str) -> None:
    """SD-1: NUL, CR alone, half characters, lines that are none."""
    with pytest.raises(MalformedError):
        parse_lines(text)


@pytest.mark.parametrize(
    "text",
    [
        "s=" + "x" * (MAX_LINE - 1),
        "a=x\n" * (MAX_LINES + 1),
        "\n".join(["s=" + "x" * (MAX_LINE - 3)] * (MAX_SIZE // MAX_LINE + 1)),
    ],
    ids=["line", "lines", "size"],
)
def test_one_more_than_a_bound_is_malformed(text: str) -> None:
    """SD-1: a line, a number of lines and a size that no description needs."""
    with pytest.raises(MalformedError, match="at most"):
        parse_lines(text)


def test_what_is_at_its_bound_parses() -> None:
    assert len(parse_lines("a=x\n" * MAX_LINES)) == MAX_LINES
    assert len(parse_lines("s=" + "x" * (MAX_LINE - 2))[0].value) == MAX_LINE - 2
    assert len(parse_lines(("s=" + "x" * 61 + "\n") * (MAX_SIZE // 64))) == MAX_SIZE // 64


@pytest.mark.parametrize("data", [b"v=\xff", b"v=\xc0\x80", b"v=\xed\xa0\x80", b"v=0\n" * MAX_SIZE])
def test_bytes_that_are_not_utf_8_or_too_many_are_malformed(data: bytes) -> None:
    """SD-1: strict UTF-8."""
    with pytest.raises(MalformedError):
        decode_text(data)


def test_bytes_that_are_utf_8_become_text() -> None:
    assert decode_text("s=é".encode()) == "s=é"


def test_formatting_ends_each_line_with_crlf() -> None:
    assert format_lines([Line("v", "0"), Line("s", "-")]) == "v=0\r\ns=-\r\n"


@pytest.mark.parametrize("value", ["x\r\na=ice-lite", "x\n", "x\r", "x\0"])
def test_a_value_that_would_smuggle_in_a_line_is_our_caller_s_mistake(value: str) -> None:
    with pytest.raises(LocalProtocolError):
        format_lines([Line("a", value)])


def test_errors_repeat_only_the_beginning_of_a_text() -> None:
    assert shown("x") == "'x'"
    assert len(shown("x" * 10000)) < 80


def test_the_key_in_a_line_is_not_in_its_repr() -> None:
    assert "hunter2" not in repr(Line("k", "clear:hunter2"))
