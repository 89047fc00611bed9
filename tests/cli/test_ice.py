"""`icelane ice`."""

from __future__ import annotations

import base64
import hmac
import json
import time

from icelane import RTCConfiguration
from tests.cli.conftest import Icelane

SECRET = "q5Vn0nJ3rX8sZk2LwT7yBd4E"

BODY = f"""
turn.hostname = "turn.example.org"
turn.listen = ["udp://127.0.0.1:3478", "tcp://127.0.0.1:3478"]
turn.relay_addresses = ["127.0.0.1"]
turn.users = {{ alice = "wonderland" }}
turn.secrets = [{{ kid = "k1", secret = "{SECRET}" }}]
"""


def test_a_browser_gets_the_object_for_its_constructor(icelane: Icelane) -> None:
    result = icelane("ice", "--format", "browser", "--user", "bob", "--ttl", "60", ICELANE_CONFIG_BODY=BODY)
    assert result.code == 0
    body = result.document
    stun, turn = body["iceServers"]
    assert stun == {"urls": ["stun:turn.example.org:3478"]}
    assert turn["urls"] == [
        "turn:turn.example.org:3478?transport=udp",
        "turn:turn.example.org:3478?transport=tcp",
    ]
    expiry, kid, user = turn["username"].split(":")
    assert (kid, user) == ("k1", "bob")
    assert 0 < int(expiry) - time.time() <= 61
    mac = hmac.digest(SECRET.encode(), turn["username"].encode(), "sha1")
    assert turn["credential"] == base64.b64encode(mac).decode()
    assert body["ttl"] == 60


def test_a_static_user_gets_the_password_without_expiry(icelane: Icelane) -> None:
    body = icelane("ice", "--user", "alice", "--json", ICELANE_CONFIG_BODY=BODY).document
    assert body["iceServers"][1]["username"] == "alice"
    assert body["iceServers"][1]["credential"] == "wonderland"
    assert "ttl" not in body
    assert "null" not in json.dumps(body)


def test_python_gets_a_configuration_for_our_own_peer_connection(icelane: Icelane) -> None:
    result = icelane("ice", "--format", "python", "--user", "alice", ICELANE_CONFIG_BODY=BODY)
    scope: dict[str, object] = {}
    exec(result.out, scope)
    configuration = scope["configuration"]
    assert isinstance(configuration, RTCConfiguration)
    servers = configuration.check()
    assert [server.credential for server, uri in servers if uri.scheme == "turn"] == ["wonderland"] * 2
    assert [uri.scheme for _, uri in servers] == ["stun", "turn", "turn"]


def test_curl_gets_one_line(icelane: Icelane) -> None:
    result = icelane("ice", "--format", "curl", "--user", "alice", ICELANE_CONFIG_BODY=BODY)
    assert result.out.count("\n") == 1
    assert result.document == icelane("ice", "--user", "alice", "--json", ICELANE_CONFIG_BODY=BODY).document


def test_an_unknown_user_without_a_secret_is_a_configuration_error(icelane: Icelane) -> None:
    body = "turn.users = { alice = 'wonderland' }\nturn.relay_addresses = ['127.0.0.1']"
    result = icelane("ice", "--user", "bob", ICELANE_CONFIG_BODY=body)
    assert result.code == 2
    assert "no user 'bob'" in result.err


def test_the_first_static_user_does_when_nobody_is_named_and_there_is_no_secret(icelane: Icelane) -> None:
    body = "turn.users = { alice = 'wonderland' }\nturn.relay_addresses = ['127.0.0.1']"
    result = icelane("ice", "--json", ICELANE_CONFIG_BODY=body)
    assert result.document["iceServers"][1]["username"] == "alice"


def test_a_port_that_is_not_known_yet_cannot_be_told(icelane: Icelane) -> None:
    result = icelane("ice", ICELANE_CONFIG_BODY=BODY.replace(":3478", ":0"))
    assert result.code == 2
    assert "turn.listen" in result.err
