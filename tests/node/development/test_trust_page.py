"""The page that asks to be trusted, and what it hands out."""

from __future__ import annotations

import asyncio
import plistlib
import time
from pathlib import Path

import pytest
from cryptography import x509
from starlette.requests import Request
from starlette.responses import Response

from icelane.core.clock import UnixSeconds
from icelane.node.development.authority import Authority, authority_of
from icelane.node.development.trust_page import profile, trust_endpoints, trust_page
from icelane.node.development.trust_steps import TITLES, System

IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 Safari/604.1"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """One of this test."""
    return authority_of(tmp_path, UnixSeconds(time.time()), host_name="<laptop>")


def answer(authority: Authority, path: str, user_agent: str = "") -> Response:
    """What is served at `path`."""
    endpoint = next(one for one in trust_endpoints(authority) if one.path == path)
    headers = [(b"user-agent", user_agent.encode())]
    request = Request({"type": "http", "method": "GET", "path": path, "headers": headers})

    async def answered() -> Response:
        return await endpoint.handler(request)

    return asyncio.run(answered())


def test_the_page_shows_the_fingerprint_that_the_terminal_shows(authority: Authority) -> None:
    text = bytes(answer(authority, "/trust").body).decode()
    assert all(line in text for line in authority.fingerprint_lines(4))


def test_what_concerns_the_browser_that_asks_stands_first_and_open(authority: Authority) -> None:
    text = bytes(answer(authority, "/trust", IPHONE).body).decode()
    assert text.count("<details open>") == 1
    assert text.index("<details open>") < text.index("<details>")
    assert f"<details open><summary>{TITLES[System.IOS]}" in text


def test_a_browser_that_says_nothing_sees_all_closed(authority: Authority) -> None:
    text = bytes(answer(authority, "/trust").body).decode()
    assert "<details open>" not in text
    assert all(title in text for title in TITLES.values())


def test_nothing_runs_in_the_page_and_nothing_of_elsewhere_is_loaded(authority: Authority) -> None:
    response = answer(authority, "/trust")
    assert "default-src 'none'" in response.headers["content-security-policy"]
    text = bytes(response.body).decode()
    assert "<script" not in text
    assert "style=" not in text
    assert "http://" not in text
    assert "https://" not in text


def test_a_name_is_text_and_no_markup(authority: Authority) -> None:
    assert "<laptop>" not in trust_page(authority, None)
    assert "&lt;laptop&gt;" in trust_page(authority, None)


@pytest.mark.parametrize(
    ("kind", "media_type"),
    [
        ("crt", "application/x-x509-ca-cert"),
        ("pem", "application/x-pem-file"),
        ("mobileconfig", "application/x-apple-aspen-config"),
    ],
)
def test_the_certificate_comes_as_each_system_takes_it_and_never_the_key(
    authority: Authority, kind: str, media_type: str
) -> None:
    response = answer(authority, f"/trust/icelane-development.{kind}")
    assert response.headers["content-type"] == media_type
    assert b"PRIVATE" not in bytes(response.body)


def test_the_der_file_is_the_authority(authority: Authority) -> None:
    body = bytes(answer(authority, "/trust/icelane-development.crt").body)
    assert x509.load_der_x509_certificate(body) == authority.certificate


def test_the_profile_of_apple_has_the_certificate_and_stays_the_same(authority: Authority) -> None:
    document = plistlib.loads(profile(authority))
    (inner,) = document["PayloadContent"]
    assert inner["PayloadType"] == "com.apple.security.root"
    assert inner["PayloadContent"] == authority.der
    assert profile(authority) == profile(authority)
