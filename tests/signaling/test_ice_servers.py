"""The body that goes into RTCPeerConnection: ten rules, and credentials that end."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.core.clock import Instant, UnixSeconds
from icelane.errors import ConfigurationError
from icelane.signaling.admitted import Admission, IcePolicy, IceTransportPolicy
from icelane.signaling.ice_servers import MAX_HOSTS, MAX_URLS_PER_HOST, IceServers, IceSettings
from icelane.turn.credentials import CredentialStore, RestCredentials
from tests.signaling.http.asgi import ALICE, SECRET, URLS, FrozenClock

NOW = Instant(5.0)
REALM = "example.org"


def made(**settings: object) -> IceServers:
    return IceServers(
        IceSettings(**({"urls": URLS, "secrets": (SECRET,)} | settings)),  # type: ignore[arg-type]
        wall_clock=FrozenClock(),
    )


def test_the_body_is_what_a_browser_takes() -> None:
    """CR-9: rules 1 to 10: URLs sorted with TLS on 443 last, no null, no transport on stun:, times in both forms."""
    body = json.loads(msgspec.json.encode(made().ice_servers(ALICE, NOW)))
    turn = body["iceServers"][1]
    username = "1800000600:k1:alice"
    assert body == {
        "iceServers": [
            {"urls": ["stun:turn.example.org:3478"]},
            {
                "urls": [
                    "turn:turn.example.org:3478?transport=udp",
                    "turn:turn.example.org:3478?transport=tcp",
                    "turns:turn.example.org:443?transport=tcp",
                ],
                "username": username,
                "credential": turn["credential"],
            },
        ],
        "iceTransportPolicy": "all",
        "ttl": 600,
        "expiresAt": "2027-01-15T08:10:00Z",
    }
    expected = hmac.new(SECRET.secret.encode(), username.encode(), hashlib.sha1).digest()
    assert base64.b64decode(turn["credential"]) == expected


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("turn:[2001:db8::1]:3478?transport=udp", "turn:[2001:db8::1]:3478?transport=udp"),
        ("turn:TURN.Example.org:3478?transport=UDP", "turn:turn.example.org:3478?transport=udp"),
        ("turn:bücher.example:3478?transport=udp", "turn:xn--bcher-kva.example:3478?transport=udp"),
        ("turns:bücher.example?transport=tcp", "turns:xn--bcher-kva.example?transport=tcp"),
    ],
)
def test_hosts_are_written_as_browsers_want_them(url: str, shown: str) -> None:
    """CR-9: rules 5 and 7."""
    assert made(urls=(url,)).ice_servers(ALICE, NOW).ice_servers[0].urls == (shown,)


@pytest.mark.parametrize(
    "url",
    [
        "stun:turn.example.org?transport=udp",
        "turn://turn.example.org",
        "turn:user:password@turn.example.org",
        "turn:",
        "turn:2001:db8::1:3478",
        "turn:turn.example.org:0",
        "turn:turn.example.org?transport=sctp",
        "http://turn.example.org",
        "turn:tu rn.example.org",
        "turn:turn.example.org\r\nx: y",
        "turn:" + "ü" * 80 + ".example",
    ],
)
def test_a_url_that_makes_a_constructor_throw_is_refused_at_the_start(url: str) -> None:
    """CR-9: rules 3 to 5, and the password of a user name is not repeated."""
    with pytest.raises(ConfigurationError) as error:
        made(urls=(url,))
    assert "password" not in str(error.value)


def test_port_53_is_left_out_and_nothing_is_empty() -> None:
    """CR-9: rules 4 and 9: browsers refuse that port."""
    servers = made(urls=("turn:a.example:53?transport=udp", "stun:a.example:53")).ice_servers(ALICE, NOW).ice_servers
    assert servers == ()


def test_no_more_servers_than_browsers_like() -> None:
    """CR-9: rule 8, and what passes where nothing else does is never the one that is left out."""
    urls = [
        f"{scheme}:{host}.example:{port}?transport={transport}"
        for host in "abc"
        for scheme, transport in (("turn", "udp"), ("turn", "tcp"), ("turns", "tcp"))
        for port in (443, 5349, 3478)
    ]
    [server] = made(urls=tuple(urls)).ice_servers(ALICE, NOW).ice_servers
    assert len(server.urls) == MAX_HOSTS * MAX_URLS_PER_HOST
    assert server.urls[-1] == "turns:b.example:443?transport=tcp"
    assert server.urls[0].endswith("transport=udp")


@pytest.mark.parametrize(
    ("asked", "lives"), [(None, 600), (0, 1), (-1, 1), (1, 1), (60, 60), (86_400, 86_400), (10**12, 86_400)]
)
def test_a_life_is_clamped(asked: int | None, lives: int) -> None:
    """CR-3: absent, zero, negative, endless."""
    issued = made().issue("alice", NOW, kind="http", ttl=asked)
    assert (issued.ttl, float(issued.expires_at)) == (lives, 1_800_000_000.0 + lives)
    assert issued.username == f"{1_800_000_000 + lives}:k1:alice"


def test_a_user_gets_no_longer_life_than_his_policy_or_his_admission() -> None:
    """CR-3: whoever asks for more gets what he may have."""
    ice = made()
    short = replace(ALICE, ice=IcePolicy(ttl=30))
    assert ice.for_admission(short, NOW, kind="http").ttl == 30
    assert ice.for_admission(short, NOW, kind="http", ttl=3600).ttl == 30
    assert ice.for_admission(short, NOW, kind="http", ttl=10).ttl == 10
    ending = replace(ALICE, expires_at=UnixSeconds(1_800_000_045.0))
    assert ice.for_admission(ending, NOW, kind="http", ttl=3600).ttl == 45


def test_what_is_issued_is_accepted_until_it_ends() -> None:
    """CR-3: by the server that has the secret, and by nobody afterwards."""
    clock = FrozenClock()
    issued = IceServers(IceSettings(urls=URLS, secrets=(SECRET,)), wall_clock=clock).issue("alice", NOW, kind="http")
    store = CredentialStore(rest=RestCredentials([SECRET]))
    assert issued.username is not None
    assert hasattr(store.find(issued.username, REALM, UnixSeconds(clock.at + 600)), "md5_keys")
    assert not hasattr(store.find(issued.username, REALM, UnixSeconds(clock.at + 601)), "md5_keys")


@given(st.text(min_size=1, max_size=300), st.text(min_size=1, max_size=300))
def test_no_user_can_be_another_one_or_live_longer(one: str, other: str) -> None:
    """CR-5: colons, bars, line feeds, any script, a kilobyte: the name has three fields, and its own user."""
    try:
        names = [made().issue(user, NOW, kind="http").username for user in (one, other)]
    except UnicodeEncodeError:  # a lone surrogate is no text; JSON with one is refused before
        return
    for name in names:
        assert name is not None
        assert name.isascii()
        assert len(name) <= 508
        assert name.split(":")[:2] == ["1800000600", "k1"]
        assert name.count(":") == 2
    assert (names[0] == names[1]) is (one == other)


def test_a_relay_only_user_is_told_of_nothing_that_tells_his_address() -> None:
    body = made().ice_servers(replace(ALICE, ice=IcePolicy(transport_policy=IceTransportPolicy.RELAY)), NOW)
    assert body.ice_transport_policy == "relay"
    assert all(url.startswith("turn") for server in body.ice_servers for url in server.urls)


def test_whoever_is_granted_no_servers_gets_no_credential() -> None:
    body = made().ice_servers(replace(ALICE, ice=IcePolicy(servers=False)), NOW)
    assert all(not isinstance(server.username, str) for server in body.ice_servers)


def test_the_first_secret_signs() -> None:
    """CR-6: and neither the secret nor a password is in any repr."""
    other = type(SECRET)(kid="k2", secret="another secret of many bytes")
    ice = made(secrets=(other, SECRET))
    issued = ice.issue("alice", NOW, kind="http")
    assert issued.username is not None
    assert ":k2:" in issued.username
    assert issued.password is not None
    shown = f"{ice!r} {ice.settings!r} {issued!r} {issued.body!r} {issued.body.ice_servers!r}"
    assert issued.password not in shown
    assert other.secret not in shown


def test_turn_without_a_secret_is_an_error_and_stun_is_not() -> None:
    with pytest.raises(ConfigurationError, match="no secret"):
        made(secrets=())
    body = made(urls=("stun:a.example",), secrets=()).ice_servers(Admission(identity="a"), NOW)
    assert len(body.ice_servers) == 1
