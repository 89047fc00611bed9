"""The format of turnserver.conf."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.compat.coturn.file import MAX_LINE_LENGTH, MAX_LINES, Line, TurnserverError, parse_turnserver
from icelane.errors import MalformedError


def test_names_values_and_remarks_are_read_as_coturn_reads_them() -> None:
    text = (
        '# remark\n\n  realm=example.org\r\nlt-cred-mech\nmin-port 50000\ncert = "a b.pem" \nuser=a:b #c=\n\t--no-udp\n'
    )
    assert parse_turnserver(text) == (
        Line(3, "realm", "example.org"),
        Line(4, "lt-cred-mech"),
        Line(5, "min-port", "50000"),
        Line(6, "cert", "a b.pem"),
        Line(7, "user", "a:b #c="),
        Line(8, "no-udp"),
    )


def test_a_blank_at_the_end_belongs_to_a_value() -> None:
    """A password may end with one."""
    assert parse_turnserver("user=a:b ") == (Line(1, "user", "a:b "),)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("listning-port=1", "line 1: listning-port is not an option of coturn's; did you mean listening-port?"),
        ("lt-cred-mech\n[turn]", "line 2: not an option of coturn's"),
        ("=x", "line 1: not a line of NAME=VALUE"),
        ("realm=" + "x" * MAX_LINE_LENGTH, f"line 1: longer than {MAX_LINE_LENGTH} characters"),
        ("fingerprint\n" * (MAX_LINES + 1), f"line {MAX_LINES + 1}: more than {MAX_LINES} options"),
        ("x\n" * (MAX_LINES + 1), f"line {MAX_LINES + 1}: more than {MAX_LINES} options"),
    ],
)
def test_what_is_no_option_is_an_error_with_its_line(text: str, words: str) -> None:
    with pytest.raises(TurnserverError) as caught:
        parse_turnserver(text)
    assert str(caught.value.problems[0]) == words


def test_every_line_that_is_wrong_is_named_at_once() -> None:
    with pytest.raises(TurnserverError) as caught:
        parse_turnserver("one\nrealm=x\ntwo\n# three\nfour=4")
    assert [problem.number for problem in caught.value.problems] == [1, 3, 5]


@given(st.text(max_size=200))
def test_any_text_is_lines_or_a_malformed_error(text: str) -> None:
    try:
        lines = parse_turnserver(text)
    except MalformedError:
        return
    assert all(1 <= line.number <= text.count("\n") + 1 for line in lines)
