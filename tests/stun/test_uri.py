"""The URIs of RFC 7064 and RFC 7065."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from icelane.core.net import Transport
from icelane.errors import MalformedError
from icelane.stun.uri import StunUri, TurnUri, parse_uri


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        ("stun:example.org", StunUri(host="example.org")),
        ("stuns:example.org", StunUri(host="example.org", secure=True)),
        ("stun:example.org:8000", StunUri(host="example.org", port=8000)),
        ("turn:example.org", TurnUri(host="example.org")),
        ("turns:example.org", TurnUri(host="example.org", secure=True)),
        ("turn:example.org:8000", TurnUri(host="example.org", port=8000)),
        ("turn:example.org?transport=udp", TurnUri(host="example.org", transport=Transport.UDP)),
        ("turn:example.org?transport=tcp", TurnUri(host="example.org", transport=Transport.TCP)),
        ("turns:example.org?transport=tcp", TurnUri(host="example.org", secure=True, transport=Transport.TCP)),
        ("turn:192.0.2.1:3478", TurnUri(host="192.0.2.1", port=3478)),
        ("stun:[2001:db8::1]", StunUri(host="2001:db8::1")),
        ("turns:[::1]:443?transport=tcp", TurnUri(host="::1", port=443, secure=True, transport=Transport.TCP)),
        ("stun:localhost", StunUri(host="localhost")),
        ("stun:a-1_b.example.", StunUri(host="a-1_b.example.")),
    ],
)
def test_every_form_of_the_standards_parses_and_prints_back(text: str, uri: StunUri | TurnUri) -> None:
    assert parse_uri(text) == uri
    assert str(uri) == text


def test_scheme_host_and_transport_are_read_in_any_case() -> None:
    assert str(parse_uri("TURNS:Example.ORG?Transport=TCP")) == "turns:example.org?transport=tcp"


def test_a_port_that_is_not_written_is_that_of_the_scheme() -> None:
    assert parse_uri("stun:a").port_or_default == parse_uri("turn:a").port_or_default == 3478
    assert parse_uri("stuns:a").port_or_default == parse_uri("turns:a").port_or_default == 5349
    assert parse_uri("turns:a:443").port_or_default == 443


@pytest.mark.parametrize(
    "text",
    [
        "",
        "example.org",
        "http:example.org",
        "stun:",
        "stun://example.org",
        "turn:user@example.org",
        "turn:user:secret@example.org",
        "stun:example.org?transport=udp",
        "stuns:example.org?",
        "turn:example.org?",
        "turn:example.org?transport=sctp",
        "turn:example.org?transport=udp&x=1",
        "turn:example.org?foo=udp",
        "turn:example.org/path",
        "turn:example.org#fragment",
        "stun:example.org:",
        "stun:example.org:0",
        "stun:example.org:65536",
        "stun:example.org:000080",
        "stun:example.org:+1",
        "stun:example.org:1_0",
        "stun:example.org:\u0661",
        "stun:::1",
        "stun:[::1",
        "stun:[::1]3478",
        "stun:[::1%25eth0]",
        "stun:[fe80::1%eth0]",
        "stun:[192.0.2.1]",
        "stun:[example.org]",
        "stun:1.2.3",
        "stun:1.2.3.256",
        "stun:127.1",
        "stun:0x7f.0x1",
        "stun:2130706433",
        "stun:-a.example",
        "stun:a..example",
        "stun:" + "a" * 64 + ".example",
        "stun:" + "a." * 150,
        "stun:b\u00fccher.example",
        "stun: example.org",
        "stun:example.org\r\n",
        "stun:exam\x00ple.org",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(MalformedError):
        parse_uri(text)


@pytest.mark.parametrize("password", ["hunter2", "?hunter2", " hunter2", "#hunter2"])
def test_the_refusal_of_credentials_in_a_uri_does_not_repeat_them(password: str) -> None:
    with pytest.raises(MalformedError) as caught:
        parse_uri(f"turn:alice:{password}@example.org")
    assert "hunter2" not in str(caught.value)


@given(text=st.one_of(st.text(), st.from_regex(r"(stun|turn)s?:[a-z0-9.:\[\]@/%-]*(\?[a-z=]*)?", fullmatch=True)))
@example("stun:0")
def test_whatever_parses_prints_as_a_uri_that_means_the_same(text: str) -> None:
    """ST-7: one typed error class, whatever the text."""
    try:
        uri = parse_uri(text)
    except MalformedError:
        return
    assert parse_uri(str(uri)) == uri
