"""Headers, cookies and sub-protocols."""

from __future__ import annotations

import pytest

from icelane.errors import MalformedError
from icelane.signaling.admission.headers import MAX_COOKIES, Headers, parse_cookies, parse_subprotocols


def test_a_name_is_found_in_any_case() -> None:
    """SG-4: a hook sees headers case-insensitively."""
    headers = Headers.of_asgi([(b"X-Thing", b"1"), (b"x-thing", b"2"), (b"Cookie", b"a=1"), (b"cookie", b"b=2")])
    assert headers["X-THING"] == "1, 2"
    assert headers["COOKIE"] == "a=1; b=2"
    assert headers.get("X-Other") is None
    assert headers.lines("x-thing") == ("1", "2")
    assert list(headers) == ["x-thing", "cookie"]


def test_headers_show_names_and_no_values() -> None:
    """SG-7: a header that is logged tells nobody the token in it."""
    assert "hunter2" not in repr(Headers([("Authorization", "Bearer hunter2")]))


def test_some_headers_can_be_left_out() -> None:
    headers = Headers([("A", "1"), ("a", "2"), ("B", "3")])
    assert dict(headers.without("b")) == {"a": "1, 2"}
    assert len(headers.without("A", "B")) == 0


def test_cookies_are_taken_apart() -> None:
    assert parse_cookies('a=1; b="2";c=;  d=x=y') == {"a": "1", "b": "2", "c": "", "d": "x=y"}
    assert parse_cookies("a=first; a=second") == {"a": "first"}
    assert parse_cookies("") == parse_cookies(" ; ") == {}


@pytest.mark.parametrize(
    "text",
    ["a", "=1", "a=\x00", "a=1, b=2", "a b=1", 'a="', "a=é", "a=\\", "a=1\r\nx: y",
     "; ".join(["a=1"] * (MAX_COOKIES + 1)), "a=" + "x" * 20_000],
)  # fmt: skip
def test_what_is_no_cookie_spoils_the_header(text: str) -> None:
    with pytest.raises(MalformedError):
        parse_cookies(text)


def test_subprotocols_keep_their_order() -> None:
    assert parse_subprotocols("icelane.signal.v1, bearer.abc") == ("icelane.signal.v1", "bearer.abc")
    assert parse_subprotocols(" ") == ()


@pytest.mark.parametrize("text", ["a,,b", "a b", "ü", "bearer.abc=", ", ".join(["a"] * 17), "a" * 20_000, "a,\x00"])
def test_what_is_no_token_is_no_subprotocol(text: str) -> None:
    """SG-9: a Sec-WebSocket-Protocol that is not ASCII tokens is malformed."""
    with pytest.raises(MalformedError):
        parse_subprotocols(text)
