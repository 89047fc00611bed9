"""Which uplink a machine with two of them uses, with a capture on both."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.server.namespaces import run_module

RELAYED_BY = {"udp", "tcp", "tls"}


def by(chosen: str, only: str = "") -> dict[str, Any]:
    found = json.loads(run_module("tests.aio.two_uplinks", chosen, *([only] if only else [])))
    assert isinstance(found, dict)
    for uplink in ("first", "second"):
        # That a socket is closed which an answer was still on its way to, the kernel tells by routes of its own.
        found[uplink] = [one for one in found[uplink] if one[0] not in ("icmp", "icmp6")]
    return found


@pytest.mark.parametrize("chosen", ["interfaces", "addresses", "mux"])
def test_everything_leaves_by_the_uplink_that_is_chosen(chosen: str) -> None:
    """STUN, TURN over UDP, TCP and TLS, checks and data, over both families; nothing at all leaves by the other one."""
    found = by(chosen)
    assert found["first"] == []
    assert sorted(found["sources"]) == sorted(found["ours"])
    four, six = found["at"]["server"]
    asked = {(protocol, host) for protocol, host, _ in found["second"]}
    assert asked >= {("udp", four), ("udp", six), ("tcp", four)}
    assert {carrier for kind, carrier in found["candidates"] if kind == "relay"} == RELAYED_BY
    assert ["srflx", "udp"] in found["candidates"]


def test_so_do_connections_with_the_peer_over_tcp() -> None:
    found = by("addresses", "tcp")
    assert found["selected"].startswith("tcp ")
    assert found["first"] == []
    assert {host for protocol, host, _ in found["second"] if protocol == "tcp"} & set(found["at"]["right"])


def test_where_nothing_is_chosen_the_routes_of_the_machine_decide() -> None:
    found = by("routes")
    assert found["first"]
    assert found["second"] == []
