"""Whose page it is."""

from __future__ import annotations

import pytest

from icelane.core.origin import parse_origin
from icelane.errors import ConfigurationError
from icelane.signaling.admission.headers import Headers
from icelane.signaling.admission.origin import OriginPolicy, OriginVerdict

POLICY = OriginPolicy(("https://app.example.org", "https://example.com:8443", "http://localhost:3000"))


def judge(*origins: str) -> OriginVerdict:
    return POLICY.judge(Headers(("Origin", origin) for origin in origins))


@pytest.mark.parametrize("origin", ["https://app.example.org", "https://example.com:8443", "http://localhost:3000"])
def test_an_origin_of_the_list_is_allowed(origin: str) -> None:
    assert judge(origin) is OriginVerdict.ALLOWED


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "",
        "*",
        "http://app.example.org",
        "https://app.example.org:443",
        "https://app.example.org:8443",
        "https://app.example.org.evil.com",
        "https://evilapp.example.org",
        "https://evil.com/https://app.example.org",
        "https://APP.example.org",
        "HTTPS://app.example.org",
        "https://app.example.org.",
        "https://app.example.org/",
        " https://app.example.org",
        "https://app.example.org, https://evil.com",
        "https://user@app.example.org",
    ],
)
def test_any_other_text_is_foreign(origin: str) -> None:
    """SG-1: other scheme, port, suffix, prefix, case, trailing dot, null: only what the list has, to the letter."""
    assert judge(origin) is OriginVerdict.FOREIGN


def test_two_origins_are_foreign_though_both_are_allowed() -> None:
    """SG-1: a browser sends one."""
    assert judge("https://app.example.org", "https://app.example.org") is OriginVerdict.FOREIGN


def test_no_origin_is_told_apart_from_a_foreign_one() -> None:
    """SG-1: what a missing Origin means is said explicitly: no browser."""
    assert judge() is OriginVerdict.ABSENT


def test_without_a_list_every_page_is_foreign() -> None:
    assert OriginPolicy().judge(Headers([("Origin", "https://app.example.org")])) is OriginVerdict.FOREIGN


def test_the_list_is_written_as_browsers_write_it() -> None:
    assert parse_origin("HTTPS://App.Example.org:443/") == "https://app.example.org"
    assert parse_origin("http://[::1]:8080") == "http://[::1]:8080"


@pytest.mark.parametrize(
    "text",
    ["*", "https://*.example.org", "app.example.org", "https://app.example.org/path", "null", "https://a:99999", 7],
)
def test_a_pattern_stops_the_start(text: object) -> None:
    """SG-1: there are no wildcards to get wrong."""
    with pytest.raises(ValueError, match=r"not an origin|should be"):
        parse_origin(text)


def test_what_is_no_origin_names_the_key() -> None:
    with pytest.raises(ConfigurationError, match=r"server\.allowed_origins"):
        OriginPolicy(("*",))
