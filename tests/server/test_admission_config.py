"""The tables of the configuration that say who may enter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from icelane.crypto.api_key import hash_of
from icelane.errors import ConfigurationError
from icelane.server.config import Config, load_config, problems_of
from icelane.server.config.presentation import MASK, presented
from icelane.server.config.values import parse_https_url, parse_url
from icelane.server.machine import Machine

MACHINE = Machine(addresses=("127.0.0.1", "10.0.0.5"), preferred=("10.0.0.5",))
SECRET = "b3f0e9c2a7d84f5196e3c8b2a1d07f64"
KEY = "ik_5a0c2f6e8b7d4c1393e2f1a0b9d8c7e6"
JWT = f"[[auth.jwt]]\nissuer = 'example'\nalgorithm = 'HS256'\nsecret = '{SECRET}'\n"

# These keys are fixed, because other programs write them; this is the form in which they were first told.
PUBLISHED = f"""
[server]
trusted_proxies = []
allowed_origins = ["https://app.example.org"]
[auth]
api_keys = {{ backend = "{hash_of(KEY)}" }}
[[auth.jwt]]
issuer = "example"
algorithm = "HS256"
secret = "{SECRET}"
[hooks]
before_connect = "package.module:function"
[lists]
allow = []
deny = ["203.0.113.0/24"]
[limits]
connects_per_minute_per_address = 60
messages_per_second = 50
"""


def load(text: str, **arguments: Any) -> Config:
    environ = {"ICELANE_CONFIG_BODY": text, **arguments.pop("environ", {})}
    return load_config(environ=environ, searched=(), machine=MACHINE, **arguments)


def test_the_published_keys_are_accepted_word_for_word() -> None:
    config = load(PUBLISHED)
    assert config.server.allowed_origins == ("https://app.example.org",)
    assert config.auth.jwt[0].issuer == "example"
    assert config.auth.jwt[0].audience == "icelane"
    assert config.hooks.before_connect == ("package.module:function",)
    assert config.lists.deny == ("203.0.113.0/24",)
    assert config.limits.messages_per_second == 50


def test_a_key_is_hashed_when_it_is_read() -> None:
    """CR-6: a configuration in memory, and what it prints, has no key in it."""
    config = load(f"auth.api_keys = {{ a = '{KEY}', b = '{hash_of(KEY)}' }}")
    assert [key.get_secret_value() for key in config.auth.api_keys.values()] == [hash_of(KEY)] * 2


def test_nothing_that_is_printed_has_a_secret() -> None:
    """SG-7: `icelane config show`, and a traceback with a configuration in it."""
    text = PUBLISHED.replace("[hooks]", f"[hooks]\nsecret = '{SECRET[::-1]}'")
    config = load(text)
    for shown in (repr(config), str(presented(config)), repr(config.auth.jwt)):
        assert SECRET not in shown
        assert SECRET[::-1] not in shown
        assert hash_of(KEY) not in shown


def test_what_an_entry_does_not_say_is_not_printed() -> None:
    """`icelane config show`: "None" would be the name of a file."""
    shown = presented(load(JWT))["auth.jwt"]
    assert shown == [{"issuer": "example", "algorithm": "HS256", "secret": MASK, "audience": "icelane"}]


def test_a_hook_is_a_function_a_url_or_both() -> None:
    config = load(
        "hooks.before_connect = ['a.b:c', 'https://app.example.org/hook']\nhooks.on_left = 'http://127.0.0.1/x'"
    )
    assert config.hooks.before_connect == ("a.b:c", "https://app.example.org/hook")
    assert config.hooks.on_left == ("http://127.0.0.1/x",)
    assert load("", environ={"ICELANE_HOOKS__BEFORE_JOIN": "a:b"}).hooks.before_join == ("a:b",)
    both = load("", environ={"ICELANE_HOOKS__BEFORE_JOIN": '["a:b", "https://c.example"]'})
    assert both.hooks.before_join == ("a:b", "https://c.example")
    assert presented(both)["hooks.before_join"] == '["a:b", "https://c.example"]'
    assert presented(config)["hooks.on_left"] == "http://127.0.0.1/x"


def test_a_webhook_in_clear_needs_a_setting_that_says_so() -> None:
    """SG-7: tokens travel in it; this machine is no way on which somebody reads."""
    text = "hooks.before_connect = 'http://app.example.org/hook'\n"
    with pytest.raises(ConfigurationError, match=r"in clear.*hooks\.dangerously_post_in_clear"):
        load(text)
    config = load(text + "hooks.dangerously_post_in_clear = true")
    assert config.hooks.before_connect == ("http://app.example.org/hook",)
    for host in ("localhost", "127.0.0.1", "127.0.0.2", "[::1]"):
        assert load(f"hooks.before_connect = 'http://{host}:8000/hook'").hooks.before_connect


def test_files_are_beside_the_file_that_names_them(tmp_path: Path) -> None:
    file = tmp_path / "icelane.toml"
    file.write_text(
        "[[auth.jwt]]\nissuer = 'x'\nalgorithm = 'ES256'\npublic_key = 'a.pem'\nprivate_key = '/etc/b.pem'\n"
        "[lists]\ndeny_file = 'deny.txt'\ncountries = 'c.mmdb'\n"
    )
    config = load_config(file, environ={}, machine=MACHINE)
    assert config.auth.jwt[0].public_key == tmp_path / "a.pem"
    assert config.auth.jwt[0].private_key == Path("/etc/b.pem")
    assert config.lists.deny_file == tmp_path / "deny.txt"
    assert config.lists.countries == tmp_path / "c.mmdb"


def test_a_file_of_a_list_may_be_named_in_the_environment() -> None:
    """The name of a key that ends in `_file` is not taken for the file of another key."""
    config = load("", environ={"ICELANE_LISTS__DENY_FILE": "/etc/deny", "ICELANE_LISTS__DENY": '["203.0.113.1"]'})
    assert config.lists.deny_file == Path("/etc/deny")
    assert config.lists.deny == ("203.0.113.1",)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("server.trusted_proxies = ['0.0.0.0/0']", "server.trusted_proxies"),
        ("server.trusted_proxies = ['0.0.0.0/1', '128.0.0.0/1']", "server.trusted_proxies"),
        ("server.trusted_proxies = ['2000::/3']", "server.trusted_proxies"),
        ("server.trusted_proxies = ['*']", "server.trusted_proxies[0]"),
        ("server.allowed_origins = ['*']", "server.allowed_origins[0]"),
        ("server.allowed_origins = ['https://*.example.org']", "server.allowed_origins[0]"),
        ("server.allowed_origins = ['https://a.example/x']", "server.allowed_origins[0]"),
        ("auth.api_keys = { a = 'weak' }", "auth.api_keys.a"),
        ("auth.api_keys = { a = 'sha256:12' }", "auth.api_keys.a"),
        ("auth.api_keys = { a = 7 }", "auth.api_keys.a"),
        (JWT.replace(SECRET, "weak"), "auth.jwt[0].secret"),
        (JWT.replace(SECRET, "a" * 40), "auth.jwt[0].secret"),
        (JWT.replace("HS256", "none"), "auth.jwt[0].algorithm"),
        (JWT.replace("HS256", "hs256"), "auth.jwt[0].algorithm"),
        (JWT.replace("HS256", "RS256"), "auth.jwt"),
        (JWT + "public_key = 'a.pem'", "auth.jwt"),
        (JWT + "algorithms = ['HS256']", "auth.jwt[0].algorithms"),
        (JWT + JWT, "auth.jwt"),
        ("[[auth.jwt]]\nissuer = 'x'\nalgorithm = 'RS256'\njwks_url = 'http://a.example/keys'", "auth.jwt[0].jwks_url"),
        ("[[auth.jwt]]\nissuer = 'x'\nalgorithm = 'RS256'", "auth.jwt"),
        ("auth.cookie = 'a b'", "auth.cookie"),
        ("auth.dangerously_accept_tokens_in_urls = 'yes'", "auth.dangerously_accept_tokens_in_urls"),
        ("hooks.before_connect = 'nonsense'", "hooks.before_connect"),
        ("hooks.before_connect = ['a:b', 'c:d', 'e:f']", "hooks.before_connect"),
        ("hooks.before_connect = 'https://user:pass@a.example/'", "hooks.before_connect"),
        ("hooks.before_connect = 'http://app.example.org/hook'", "hooks.before_connect"),
        ("hooks.on_left = ['a.b:c', 'http://192.0.2.1/']", "hooks.on_left"),
        ("hooks.before_ice = 'http://127.0.0.1.example/'", "hooks.before_ice"),
        ("hooks.headers = ['Cookie']", "hooks.headers[0]"),
        ("hooks.headers = ['a b']", "hooks.headers[0]"),
        ("hooks.cache = '2m'", "hooks.cache"),
        ("hooks.secret = 'weak'", "hooks.secret"),
        ("lists.deny = ['203.0.113.1/24']", "lists.deny[0]"),
        ("lists.allow = ['bob']", "lists.allow[0]"),
        ("lists.allow = ['country:Norway']", "lists.allow[0]"),
        ("limits.connects_per_minute_per_address = -1", "limits.connects_per_minute_per_address"),
        ("limits.connections_total = 0", "limits.connections_total"),
    ],
)
def test_a_value_that_cannot_be_used_names_its_key(text: str, key: str) -> None:
    """SG-1, SG-5: wildcard trust and wildcard origins stop the start, as weak keys do, with the key and the source."""
    with pytest.raises(ConfigurationError) as caught:
        load(text)
    problems = problems_of(caught.value)
    assert [problem.key for problem in problems] == [key]
    assert problems[0].file == "ICELANE_CONFIG_BODY"
    assert "weak" not in problems[0].message
    assert "user:pass" not in problems[0].message


def test_a_misspelt_key_of_an_entry_is_understood() -> None:
    with pytest.raises(ConfigurationError, match=r"auth\.jwt\[0\]\.isuer.*did you mean issuer"):
        load(JWT.replace("issuer", "isuer"))


@pytest.mark.parametrize(
    "text", ["", "app.example.org", "ftp://a", "https://", "https://u:p@a.example", "https://a:99999", "http://[::1", 7]
)
def test_what_is_no_url_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"URL|string"):
        parse_url(text)


def test_a_url_may_be_inside() -> None:
    assert parse_url("http://127.0.0.1:8000/hook") == "http://127.0.0.1:8000/hook"
    with pytest.raises(ValueError, match="https"):
        parse_https_url("http://a.example")
