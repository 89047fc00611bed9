"""The demo's call between two of our own peers, for real and on loopback; those with a browser are interop tests."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from demo.calls import DemoBrowser, browser_and_peer_path, pages_path, peers_path
from demo.paths import Outcome, PathResult
from demo.server import demo_server


def test_two_peers_exchange_data_by_relay_only_over_tls_and_see_each_other_s_certificates() -> None:
    async def run() -> PathResult:
        async with demo_server() as server:
            return await peers_path(server, "tls")

    result = asyncio.run(run())
    assert result.outcome is Outcome.CARRIED, result.remark
    assert result.bytes_received == result.bytes_sent > 0
    assert result.round_trip is not None
    assert result.security is not None
    assert result.security.path == "relay to relay, TURN over TLS"
    assert result.security.caller_fingerprint != result.security.callee_fingerprint
    assert result.security.srtp_profile == "SRTP_AEAD_AES_128_GCM"


def test_a_call_that_the_server_refuses_says_so_at_both_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("demo.calls.TIMEOUT", 2.0)

    async def run() -> PathResult:
        async with demo_server() as server:
            return await peers_path(replace(server, password="wrong"), "udp")

    result = asyncio.run(run())
    assert result.outcome is Outcome.FAILED
    for end in ("caller", "callee"):
        assert f"{end}: turn:127.0.0.1:" in result.remark
    assert result.remark.count("401 Unauthenticated") == 2


def test_without_a_browser_the_rest_goes_on() -> None:
    async def run(chromium: DemoBrowser) -> list[PathResult]:
        async with demo_server() as server:
            return [
                await browser_and_peer_path(server, chromium, "udp"),
                await pages_path(server, chromium, "udp"),
            ]

    for result in asyncio.run(run(DemoBrowser(missing="not installed"))):
        assert (result.outcome, result.remark) == (Outcome.SKIPPED, "not installed")
    for result in asyncio.run(run(DemoBrowser(error=OSError("does not start")))):
        assert (result.outcome, result.remark) == (Outcome.FAILED, "OSError: does not start")
