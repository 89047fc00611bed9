"""The lines `o=`, `c=` and `t=`."""

from __future__ import annotations

import pytest

from icelane.errors import MalformedError
from icelane.sdp.fields import NEUTRAL_CONNECTION, Origin, parse_connection, parse_origin, parse_timing


@pytest.mark.parametrize(
    "text",
    [
        "- 4962303333179871722 1 IN IP4 127.0.0.1",
        "mozilla...THIS_IS_SDPARTA-99.0 18446744073709551615 0 IN IP4 0.0.0.0",
        "jdoe 3724394400 3724394405 IN IP6 2001:db8::1",
    ],
)
def test_an_origin_prints_as_it_was(text: str) -> None:
    assert str(parse_origin(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "- 1 2 IN IP4",
        "- 1 2 IN IP4 127.0.0.1 x",
        "- -1 2 IN IP4 127.0.0.1",
        "- 1 18446744073709551616 IN IP4 127.0.0.1",
        "- 1 2 I/N IP4 127.0.0.1",
    ],
)
def test_a_wrong_origin_is_malformed(text: str) -> None:
    with pytest.raises(MalformedError):
        parse_origin(text)


def test_our_own_lines_name_no_user_and_no_machine() -> None:
    assert str(Origin(5, 6)) == "- 5 6 IN IP4 127.0.0.1"
    assert str(NEUTRAL_CONNECTION) == "IN IP4 0.0.0.0"


@pytest.mark.parametrize("text", ["IN IP4 0.0.0.0", "IN IP6 ::1", "IN IP4 224.2.36.42/127/3", "IN IP4 host.example"])
def test_a_connection_prints_as_it_was(text: str) -> None:
    assert str(parse_connection(text)) == text


@pytest.mark.parametrize("text", ["", "IN IP4", "IN IP4 0.0.0.0 9"])
def test_a_wrong_connection_is_malformed(text: str) -> None:
    with pytest.raises(MalformedError):
        parse_connection(text)


def test_timing_is_two_numbers() -> None:
    assert parse_timing("0 0") == "0 0"
    assert parse_timing("3034423619 3042462419") == "3034423619 3042462419"
    for text in ("", "0", "0 0 0", "0 -1", "0  0", "now then"):
        with pytest.raises(MalformedError):
            parse_timing(text)
