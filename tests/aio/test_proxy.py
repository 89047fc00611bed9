from __future__ import annotations

import asyncio

import pytest

from icelane.aio.proxy import ENVIRONMENT, MAX_URL_LENGTH, HttpProxy, find_proxy, parse_proxy, resolve_by_proxy
from icelane.aio.resolver import NamedTarget, ServiceRecord, Target
from icelane.core.net import NamedPlace, SocketAddress, Transport
from icelane.errors import ConfigurationError, MalformedError, ResolutionError
from icelane.stun.uri import TurnUri, parse_uri

PROXY = "http://proxy.example.org:3128"


class NoNames:
    """A name service as many networks with a proxy have it: it knows nobody outside."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def service_records(self, name: str) -> list[ServiceRecord]:
        self.asked.append(name)
        return []

    async def addresses(self, host: str) -> list[str]:
        self.asked.append(host)
        raise ResolutionError(f"{host}: unknown")


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.mark.parametrize(
    ("text", "proxy"),
    [
        ("http://proxy:3128", HttpProxy(host="proxy", port=3128)),
        ("http://Proxy.Example.org:3128/", HttpProxy(host="proxy.example.org", port=3128)),
        ("http://proxy", HttpProxy(host="proxy", port=80)),
        ("proxy:3128", HttpProxy(host="proxy", port=3128)),
        ("HTTPS://proxy", HttpProxy(host="proxy", port=443, secure=True)),
        ("http://[::1]:3128", HttpProxy(host="::1", port=3128)),
        ("http://192.0.2.1:8080", HttpProxy(host="192.0.2.1", port=8080)),
        ("http://a:b/c?d#e@proxy:1", HttpProxy(host="proxy", port=1, username="a", password="b/c?d#e")),
        ("http://alice@proxy:1", HttpProxy(host="proxy", port=1, username="alice")),
        ("http://a:b@proxy:1", HttpProxy(host="proxy", port=1, username="a", password="b")),
        ("http://a:b:c@d@proxy:1", HttpProxy(host="proxy", port=1, username="a", password="b:c@d")),
        ("a%40b:p%2Fw%3A%C3%BC@proxy:1", HttpProxy(host="proxy", port=1, username="a@b", password="p/w:ü")),
        ("http://:@proxy:1", HttpProxy(host="proxy", port=1, username="", password="")),
    ],
)
def test_a_url_names_a_proxy_and_perhaps_a_user(text: str, proxy: HttpProxy) -> None:
    assert parse_proxy(text) == proxy


@pytest.mark.parametrize(
    "text",
    [
        "",
        "http://",
        "socks5://alice:hidden@proxy:1080",
        "ftp://alice:hidden@proxy",
        "http://alice:hidden@proxy:0",
        "http://alice:hidden@proxy:65536",
        "http://alice:hidden@proxy:3128/path",
        "http://alice:hidden@pro xy:3128",
        "http://alice:hidden@proxy\r\nX-Evil: 1:3128",
        "http://alice:hidden@[::1:3128",
        "http://alice:hidden%0d%0aX-Evil:1@proxy:3128",
        "http://alice%3abob:hidden@proxy:3128",
        "http://alice:hidden%ff@proxy:3128",
        "http://alice:hidden@" + "a" * MAX_URL_LENGTH,
    ],
)
def test_anything_else_is_malformed_and_is_not_repeated(text: str) -> None:
    with pytest.raises(MalformedError) as caught:
        parse_proxy(text)
    assert not any(secret in str(caught.value) for secret in ("alice", "hid", "Evil"))


def test_neither_user_nor_password_is_shown() -> None:
    proxy = parse_proxy("http://alice:hidden@proxy:3128")
    assert str(proxy) == "http://proxy:3128"
    assert "alice" not in repr(proxy) + str(proxy)
    assert "hidden" not in repr(proxy) + str(proxy)


def test_no_setting_means_no_proxy_whatever_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    monkeypatch.setenv("ALL_PROXY", PROXY)
    assert find_proxy(None, "turn.example.org", 443) is None


def test_a_proxy_that_is_named_leads_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    assert find_proxy(PROXY, "turn.example.org", 443) == parse_proxy(PROXY)


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
def test_the_environment_counts_when_it_is_asked(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    assert find_proxy(ENVIRONMENT, "turn.example.org", 443) is None
    monkeypatch.setenv(name, PROXY)
    assert find_proxy(ENVIRONMENT, "turn.example.org", 443) == parse_proxy(PROXY)


def test_the_proxy_for_https_goes_before_the_one_for_all_and_that_for_http_does_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://wrong:1")
    assert find_proxy(ENVIRONMENT, "turn.example.org", 443) is None
    monkeypatch.setenv("ALL_PROXY", "http://other:1")
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    assert find_proxy(ENVIRONMENT, "turn.example.org", 443) == parse_proxy(PROXY)


@pytest.mark.parametrize(
    ("exempt", "host", "is_exempt"),
    [
        ("example.org", "turn.example.org", True),
        (".example.org", "turn.example.org", True),
        ("turn.example.org", "turn.example.org", True),
        ("turn.example.org:443", "turn.example.org", True),
        ("turn.example.org:444", "turn.example.org", False),
        ("example.com, localhost", "turn.example.org", False),
        ("ample.org", "turn.example.org", False),
        ("*", "turn.example.org", True),
        ("192.0.2.1", "192.0.2.1", True),
        ("2001:db8::1", "2001:db8::1", True),
        ("[2001:db8::1]", "2001:db8::1", True),
    ],
)
def test_no_proxy_exempts_by_the_rules_of_the_standard_library(
    monkeypatch: pytest.MonkeyPatch, exempt: str, host: str, is_exempt: bool
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    monkeypatch.setenv("NO_PROXY", exempt)
    assert (find_proxy(ENVIRONMENT, host, 443) is None) is is_exempt


def test_a_bad_proxy_in_the_environment_is_told_by_the_name_of_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://alice:hidden@proxy:1080")
    with pytest.raises(ConfigurationError) as caught:
        find_proxy(ENVIRONMENT, "turn.example.org", 443)
    assert caught.value.key == "ALL_PROXY"
    assert "hidden" not in str(caught.value)


def uri(text: str) -> TurnUri:
    found = parse_uri(text)
    assert isinstance(found, TurnUri)
    return found


@pytest.mark.parametrize(
    ("text", "target"),
    [
        (
            "turns:turn.example.org",
            NamedTarget(NamedPlace("turn.example.org", 5349), Transport.TLS, "turn.example.org"),
        ),
        ("turns:turn.test:443", NamedTarget(NamedPlace("turn.test", 443), Transport.TLS, "turn.test")),
        ("turn:turn.test?transport=tcp", NamedTarget(NamedPlace("turn.test", 3478), Transport.TCP, "turn.test")),
        ("turn:[::1]?transport=tcp", Target(SocketAddress("::1", 3478), Transport.TCP, "::1")),
    ],
)
def test_nobody_here_is_asked_for_the_name_of_a_server_behind_a_proxy(text: str, target: object) -> None:
    async def scenario() -> None:
        lookup = NoNames()
        assert await resolve_by_proxy(uri(text), PROXY, lookup=lookup) == [target]
        assert lookup.asked == []

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("text", "setting"),
    [("turn:turn.test:1?transport=udp", PROXY), ("turn:turn.test:1", PROXY), ("turns:turn.test:1", None)],
)
def test_udp_goes_directly_and_so_does_everything_without_a_proxy(text: str, setting: str | None) -> None:
    async def scenario() -> None:
        lookup = NoNames()
        with pytest.raises(ResolutionError):
            await resolve_by_proxy(uri(text), setting, lookup=lookup)
        assert lookup.asked == ["turn.test"]

    asyncio.run(scenario())


def test_what_tls_cannot_prove_is_refused_behind_a_proxy_too() -> None:
    async def scenario() -> None:
        for text in ("turns:192.0.2.1", "turns:turn.test?transport=udp"):
            with pytest.raises(ResolutionError):
                await resolve_by_proxy(uri(text), PROXY, lookup=NoNames())

    asyncio.run(scenario())
