"""The demo's calls in a room and between pages, for real and on loopback; those with a browser are interop tests."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from demo.calls import DemoBrowser, pages_path
from demo.node import demo_node
from demo.paths import Outcome, PathResult
from demo.room import room_page_path, room_peers_path
from demo.server import demo_server


def test_two_programs_meet_in_a_room_and_everything_goes_through_one_port_by_relay_only() -> None:
    async def run() -> PathResult:
        async with demo_server() as server, demo_node(server) as node:
            return await room_peers_path(node)

    result = asyncio.run(run())
    assert result.outcome is Outcome.CARRIED, result.remark
    assert result.bytes_received == result.bytes_sent > 0
    assert result.round_trip is not None
    security, carried = result.security, result.carried
    assert security is not None
    assert carried is not None
    assert security.path == "relay to relay, TURN over TLS"
    assert security.caller_fingerprint != security.callee_fingerprint
    assert security.srtp_profile == "SRTP_AEAD_AES_128_GCM"
    assert set(carried.codecs) == {"VP8", "opus"}
    assert min(carried.pictures_forth, carried.pictures_back) >= 30
    assert min(carried.bytes_forth, carried.bytes_back) > carried.files_forth


def test_a_call_that_cannot_be_is_told_by_its_row() -> None:
    async def run() -> PathResult:
        async with demo_server() as server, demo_node(server) as node:
            return await room_peers_path(
                replace(node, signer=replace(node.signer, key="another key altogether, of 40 bytes"))
            )

    result = asyncio.run(run())
    assert result.outcome is Outcome.FAILED
    assert "SignalRefusedError" in result.remark


def test_without_a_browser_the_rest_goes_on() -> None:
    async def run(chromium: DemoBrowser) -> list[PathResult]:
        async with demo_server() as server, demo_node(server) as node:
            return [await room_page_path(node, chromium), await pages_path(server, chromium, "udp")]

    for result in asyncio.run(run(DemoBrowser(missing="not installed"))):
        assert (result.outcome, result.remark) == (Outcome.SKIPPED, "not installed")
    for result in asyncio.run(run(DemoBrowser(error=OSError("does not start")))):
        assert (result.outcome, result.remark) == (Outcome.FAILED, "OSError: does not start")
