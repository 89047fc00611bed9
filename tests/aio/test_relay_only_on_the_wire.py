"""iceTransportPolicy "relay" on real interfaces, with a capture of all that leaves the machine."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.aio.relay_only import HOSTS, PORTS, PROXY_PORT, SIXES
from tests.server.namespaces import run_module


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_a_capture_shows_packets_to_the_turn_server_alone(transport: str) -> None:
    """IC-8: over UDP, TCP and TLS, from gathering through a restart to the end; and nothing told says where we are."""
    found = json.loads(run_module("tests.aio.relay_only", "left", transport))
    carrier = "udp" if transport == "udp" else "tcp"
    assert [tuple(one) for one in found["sent"]] == [(carrier, HOSTS["server"], PORTS[transport])]
    assert_nothing_tells_where_we_are(found)


def test_through_a_proxy_a_capture_shows_packets_to_the_proxy_alone() -> None:
    """IC-8: the TURN server is reached over TLS in the tunnel, and its name is looked up by nobody but the proxy."""
    found = json.loads(run_module("tests.aio.relay_only", "left", "proxy"))
    assert [tuple(one) for one in found["sent"]] == [("tcp", HOSTS["server"], PROXY_PORT)]
    assert_nothing_tells_where_we_are(found)


def assert_nothing_tells_where_we_are(found: dict[str, Any]) -> None:
    told = found["told"]
    candidates = [line for text in told for line in text.splitlines() if "candidate:" in line]
    assert candidates
    for line in candidates:
        assert f" {HOSTS['server']} " in line
        assert " typ relay raddr 0.0.0.0 rport 9" in line
    secrets = [HOSTS["left"], SIXES["left"], *(f" {port} " for port in found["ports"])]
    secrets += [f": {port}," for port in found["ports"]]
    assert [secret for secret in secrets for text in told if secret in text] == []
