"""Which node a command enters."""

from __future__ import annotations

import pytest

from icelane.cli.node_access import Link, NodeAccess, NodeOptions, node_access, parse_link
from icelane.cli.output import CommandError
from icelane.errors import LocalProtocolError

BODY = """
turn.relay_addresses = ["127.0.0.1"]
server.public_url = "https://call.example.org"
server.listen = ["http://127.0.0.1:8080"]
[[auth.jwt]]
issuer = "example"
algorithm = "HS256"
secret = "b3f0e9c2a7d84f5196e3c8b2a1d07f64"
"""


@pytest.mark.parametrize(
    ("text", "url", "room", "token"),
    [
        ("https://h", "https://h", None, None),
        ("wss://h:8443/rtc/v1/signal?a=b", "wss://h:8443/rtc/v1/signal?a=b", None, None),
        ("https://h/r/demo", "https://h", "demo", None),
        ("https://h/r/b%C3%A4r/#token=a.b.c&name=Ann", "https://h", "bär", "a.b.c"),
        ("https://h/r/demo#a.b.c", "https://h", "demo", "a.b.c"),
        ("https://h/#room=demo&token=x", "https://h/", "demo", "x"),
        ("https://h/r/demo#ticket=T-x_1", "https://h?ticket=T-x_1", "demo", None),
        ("https://[::1]:8443/r/demo#token=x", "https://[::1]:8443", "demo", "x"),
    ],
)
def test_a_link_says_where_which_room_and_as_whom(text: str, url: str, room: str | None, token: str | None) -> None:
    assert parse_link(text) == Link(url, room, token)


@pytest.mark.parametrize("text", ["h", "ftp://h", "https://", "javascript:alert(1)", "/r/demo"])
def test_what_is_no_link_is_refused(text: str) -> None:
    with pytest.raises(LocalProtocolError):
        parse_link(text)


def test_a_token_is_in_no_text_of_ours() -> None:
    access = NodeAccess(url="https://h?ticket=t0k3n", token="t0k3n", room="demo", authority=None)
    assert "t0k3n" not in repr(parse_link("https://h/r/demo#token=t0k3n"))
    assert "t0k3n" not in access.shown


def given(monkeypatch: pytest.MonkeyPatch, place: str | None, body: str | None = None, **options: str) -> NodeAccess:
    """With a configuration in the environment, or none."""
    monkeypatch.delenv("ICELANE_CONFIG_BODY", raising=False)
    monkeypatch.setattr("icelane.cli.admin.development_socket", lambda: None)
    if body is not None:
        monkeypatch.setenv("ICELANE_CONFIG_BODY", body)
    found = NodeOptions(server=options.get("server"), token=options.get("token"))
    return node_access(place, found, identity="bot", rooms="send-*")


def test_a_configuration_names_the_node_and_signs_a_token_for_the_room_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from icelane.signaling.admission.json_web_token import parse_token

    access = given(monkeypatch, "demo", BODY)
    assert (access.url, access.room, access.guest) == ("https://call.example.org", "demo", False)
    assert access.token is not None
    claims = parse_token(access.token).claims
    assert (claims["sub"], claims["rooms"]) == ("bot", ["demo"])
    anywhere = given(monkeypatch, None, BODY)
    assert anywhere.token is not None
    assert parse_token(anywhere.token).claims["rooms"] == ["send-*"]


def test_a_token_that_is_signed_here_goes_to_no_other_node(monkeypatch: pytest.MonkeyPatch) -> None:
    assert given(monkeypatch, "demo", BODY, server="https://other.example.org").token is None
    assert given(monkeypatch, "demo", BODY, server="https://call.example.org").token is not None


def test_what_is_given_counts_before_the_link_and_the_room_before_both(monkeypatch: pytest.MonkeyPatch) -> None:
    link = "https://h/r/demo#token=of-the-link"
    assert given(monkeypatch, link).token == "of-the-link"
    assert given(monkeypatch, link).guest
    own = given(monkeypatch, "other", server=link, token="my-own")
    assert (own.url, own.room, own.token, own.guest) == ("https://h", "other", "my-own", False)


def test_without_any_node_there_is_a_question_and_what_answers_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CommandError, match="which node") as caught:
        given(monkeypatch, "demo")
    assert "--server" in str(caught.value.problems[0].mend)
