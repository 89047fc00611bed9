"""The `iceServers` body keeps every rule that a browser's constructor would throw for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from icelane.core.clock import UnixSeconds
from icelane.errors import ConfigurationError
from icelane.server.config import Config, parse_config
from icelane.server.credentials import credential_store, issue
from icelane.server.ice_servers import IceServersBody, ice_servers_body
from icelane.server.machine import Machine
from icelane.stun.uri import parse_uri
from icelane.turn.credentials import Credential

NOW = UnixSeconds(1_795_389_000.0)
SECRET = "q5Vn0nJ3rX8sZk2LwT7yBd4E"
MACHINE = Machine(
    addresses=("127.0.0.1", "10.0.0.5", "10.0.0.6", "10.0.0.7", "::1", "2001:db8::5"),
    preferred=("10.0.0.5", "2001:db8::5"),
)


def config(**turn: Any) -> Config:
    """A configuration with a user and a secret."""
    both = {"users": {"alice": "wonderland"}, "secrets": [{"kid": "k1", "secret": SECRET}]}
    return parse_config({"turn": both | turn}, machine=MACHINE)


def body(settings: Config, user: str = "bob", ttl: float = 600) -> IceServersBody:
    """The body for one user."""
    return ice_servers_body(settings, issue(settings, user, ttl, NOW))


def urls(settings: Config) -> list[str]:
    """Every URL, in order."""
    return [url for server in body(settings)["iceServers"] for url in server["urls"]]


@pytest.mark.parametrize(
    "turn",
    [
        {},
        {"hostname": "turn.example.org"},
        {"hostname": "2001:db8::5"},
        {"listen": ["tcp://10.0.0.5:443"]},
        {"listen": ["udp://[::1]:3478"]},
        {"external_addresses": {"10.0.0.5": "203.0.113.7"}},
    ],
)
def test_no_rule_of_a_browser_is_broken(turn: dict[str, Any]) -> None:
    made = body(config(**turn))
    assert "null" not in json.dumps(made)
    for server in made["iceServers"]:
        assert server["urls"]
        assert set(server) <= {"urls", "username", "credential"}
        for url in server["urls"]:
            assert str(parse_uri(url)) == url
            assert not (url.startswith("stun:") and "?" in url)
    assert len(urls(config(**turn))) <= 8


def test_an_ipv6_address_stands_in_brackets() -> None:
    assert urls(config(hostname="2001:db8::5", listen=["udp://[2001:db8::5]:3478"])) == [
        "stun:[2001:db8::5]:3478",
        "turn:[2001:db8::5]:3478?transport=udp",
    ]


def test_clients_are_told_the_outside_address_and_not_loopback() -> None:
    settings = config(
        listen=["udp://127.0.0.1:3478", "udp://10.0.0.5:3478"],
        relay_addresses=["10.0.0.5"],
        external_addresses={"10.0.0.5": "203.0.113.7"},
    )
    assert urls(settings) == ["stun:203.0.113.7:3478", "turn:203.0.113.7:3478?transport=udp"]


def test_at_most_two_hosts_are_named() -> None:
    settings = config(listen=[f"udp://10.0.0.{number}:3478" for number in (5, 6, 7)])
    assert urls(settings) == [
        "stun:10.0.0.5:3478",
        "stun:10.0.0.6:3478",
        "turn:10.0.0.5:3478?transport=udp",
        "turn:10.0.0.6:3478?transport=udp",
    ]


def test_udp_comes_before_tcp() -> None:
    settings = config(hostname="h", listen=["tcp://10.0.0.5:3478", "udp://10.0.0.5:3478"])
    assert urls(settings)[1:] == ["turn:h:3478?transport=udp", "turn:h:3478?transport=tcp"]


def test_without_udp_there_is_no_stun() -> None:
    assert urls(config(hostname="h", listen=["tcp://10.0.0.5:3478"])) == ["turn:h:3478?transport=tcp"]


def test_ports_that_nobody_can_use_are_left_out() -> None:
    assert urls(config(hostname="h", listen=["udp://10.0.0.5:53", "udp://10.0.0.6:0", "udp://10.0.0.5:3478"])) == [
        "stun:h:3478",
        "turn:h:3478?transport=udp",
    ]


@pytest.mark.parametrize(("asked", "given"), [(0, 1), (-1, 1), (600, 600), (1e12, 86_400)])
def test_lifetimes_stay_within_a_day(asked: float, given: int) -> None:
    """CR-3: 0, -1 and 10^12 are clamped."""
    made = body(config(), ttl=asked)
    assert made["ttl"] == given
    assert made["iceServers"][-1]["username"].startswith(f"{int(NOW) + given}:")


def test_the_expiry_is_a_date_too() -> None:
    assert body(config())["expiresAt"] == "2026-11-22T23:20:00Z"


def test_an_issued_credential_is_accepted_by_the_store() -> None:
    """CR-3: what is handed out works."""
    settings = config()
    for user in ("bob", "alice", "bob:with/odd characters"):
        issued = issue(settings, user, 600, NOW)
        assert len(issued.username.encode()) <= 508
        assert isinstance(credential_store(settings).find(issued.username, "icelane", NOW), Credential)


def test_an_issued_credential_does_not_show_its_password() -> None:
    """CR-6: nor does the store."""
    settings = config()
    assert "wonderland" not in repr(issue(settings, "alice", 600, NOW)) + repr(credential_store(settings))


def test_nobody_gets_a_credential_from_a_configuration_without_any() -> None:
    with pytest.raises(ConfigurationError):
        issue(parse_config({}, machine=MACHINE), None, 600, NOW)


def secure(*listen: str, hostname: str | None = "turn.example.org") -> Config:
    """A configuration with certificates."""
    turn = {
        "listen": list(listen),
        "users": {"alice": "wonderland"},
        "secrets": [{"kid": "k1", "secret": SECRET}],
        **({"hostname": hostname} if hostname else {}),
    }
    return parse_config({"turn": turn, "tls": {"certificate": "c.pem", "key": "k.pem"}}, machine=MACHINE)


def test_tls_comes_last_and_443_after_every_other_port() -> None:
    settings = secure("tls://10.0.0.5:443", "tls://10.0.0.5", "tcp://10.0.0.5", "udp://10.0.0.5", "tls://[::1]:443")
    assert urls(settings)[1:] == [
        "turn:turn.example.org:3478?transport=udp",
        "turn:turn.example.org:3478?transport=tcp",
        "turns:turn.example.org:5349?transport=tcp",
        "turns:turn.example.org:443?transport=tcp",
    ]


@pytest.mark.parametrize("hostname", [None, "203.0.113.7", "2001:db8::5"])
def test_no_url_with_tls_is_made_without_a_name_to_verify(hostname: str | None) -> None:
    """TL-5."""
    settings = secure("udp://10.0.0.5:3478", "tls://10.0.0.5:443", hostname=hostname)
    assert not any(url.startswith("turns:") for url in urls(settings))


@pytest.mark.parametrize("hostname", ["laptop.local", "localhost"])
def test_a_name_that_not_every_device_finds_is_for_tls_alone(hostname: str) -> None:
    settings = secure("udp://10.0.0.5:3478", "tcp://10.0.0.5:3478", "tls://10.0.0.5:5349", hostname=hostname)
    assert urls(settings) == [
        "stun:10.0.0.5:3478",
        "turn:10.0.0.5:3478?transport=udp",
        "turn:10.0.0.5:3478?transport=tcp",
        f"turns:{hostname}:5349?transport=tcp",
    ]


def test_the_url_that_passes_everywhere_is_not_cut_off() -> None:
    listen = [f"udp://10.0.0.5:{port}" for port in range(3478, 3488)]
    found = urls(secure(*listen, "tls://10.0.0.5:443"))
    assert found[-1] == "turns:turn.example.org:443?transport=tcp"
