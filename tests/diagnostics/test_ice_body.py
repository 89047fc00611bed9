"""What backends hand out is read as a page would read it, and refused without a word of what may be secret."""

from __future__ import annotations

import json

import pytest

from icelane.diagnostics.ice_body import MAX_BODY, MAX_SERVERS, parse_ice_body, parse_relay_ports
from icelane.errors import MalformedError

TURN = {"urls": ["turn:a.example:3478?transport=udp"], "username": "u", "credential": "hidden"}


def body(*servers: object, **more: object) -> bytes:
    return json.dumps({"iceServers": servers, **more}).encode()


def test_urls_and_the_first_credential_are_found() -> None:
    found = parse_ice_body(body({"urls": "stun:a.example"}, TURN, ttl=600))
    assert found.urls == ("stun:a.example", "turn:a.example:3478?transport=udp")
    assert found.login is not None
    assert (found.login.username, found.login.password) == ("u", "hidden")
    assert "hidden" not in repr(found)


def test_servers_without_a_credential_are_stun_alone() -> None:
    assert parse_ice_body(body({"urls": ["stun:a.example"]})).login is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b'{"iceServers": null}',
        b"\xff",
        b"[" * 10_000,
        body({"urls": "http://hidden.example"}),
        body({"urls": ["turn:user@a.example"]}),
        body({"username": "hidden"}),
        body(*[TURN] * (MAX_SERVERS + 1)),
        body({"urls": ["stun:a.example"] * 100}),
        b" " * (MAX_BODY + 1),
    ],
)
def test_what_no_page_could_use_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedError):
        parse_ice_body(data)


@pytest.mark.parametrize(
    "data", [b"", b"{}", b'{"relayPorts": 7}', b'{"relayPorts": "1-2; reboot"}', b'{"relayPorts": "9-8"}']
)
def test_relay_ports_that_could_not_stand_in_a_command_are_refused(data: bytes) -> None:
    with pytest.raises(MalformedError):
        parse_relay_ports(data)


def test_relay_ports_are_a_range() -> None:
    assert parse_relay_ports(b'{"ok": true, "checks": [], "relayPorts": "49160-49199"}') == "49160-49199"
