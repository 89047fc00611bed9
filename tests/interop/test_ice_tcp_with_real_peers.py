"""Browsers, which gather active candidates of TCP, connect to our passive ones where UDP does not pass (RFC 6544)."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from icelane.testing.lab.machine import Machine
from tests.interop.conftest import need_program
from tests.interop.peers.calls import assert_bytes_arrive_unchanged, connect, negotiate, without_udp
from tests.interop.peers.stage import Stage, stage

pytestmark = [pytest.mark.interop, pytest.mark.once]

PAYLOAD = 10_000_000  # bytes each way


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("stage")) as ready:
        yield ready


@pytest.mark.parametrize("kind", ["chromium", "firefox", "icelane"])
@pytest.mark.parametrize("we_offer", [True, False], ids=["we offer", "they offer"])
def test_where_udp_does_not_pass_they_connect_to_our_tcp_port(scene: Stage, kind: str, we_offer: bool) -> None:
    async def call() -> None:
        async with scene.started(kind, "icelane that listens") as (theirs, ours):
            offerer, answerer = (ours, theirs) if we_offer else (theirs, ours)
            descriptions = await connect(offerer, answerer, trickle=False, change=without_udp)
            their_description = descriptions[1 if we_offer else 0]
            assert all("tcptype active" in candidate for candidate in their_description.candidates)
            await assert_bytes_arrive_unchanged(ours, theirs, PAYLOAD)
            for peer in (ours, theirs):
                pair = await peer.selected_pair()
                assert pair is not None
                assert pair.protocol == "tcp"
                assert await peer.connection_state() == "connected"
            pair = await ours.selected_pair()
            assert pair is not None
            assert (pair.local, pair.remote) == ("host", "prflx")

    scene.run(call())


@contextmanager
def firewall(machine: Machine) -> Iterator[None]:
    """In this block no UDP reaches the machine, and none leaves it."""
    nft = need_program("nft", "nftables")
    rules = """
    table inet firewall {
        chain input { type filter hook input priority 0; meta l4proto udp drop; }
        chain output { type filter hook output priority 0; meta l4proto udp drop; }
    }
    """
    with machine.inside():
        subprocess.run([nft, "--file", "-"], input=rules, text=True, check=True)
    try:
        yield
    finally:
        with machine.inside():
            subprocess.run([nft, "delete", "table", "inet", "firewall"], check=True)


@pytest.mark.parametrize("kind", ["chromium", "firefox", "icelane"])
@pytest.mark.parametrize("we_offer", [True, False], ids=["we offer", "they offer"])
def test_through_a_firewall_that_drops_udp_they_connect_by_tcp(scene: Stage, kind: str, we_offer: bool) -> None:
    async def call() -> None:
        async with scene.started(kind, "icelane that listens") as (theirs, ours):
            await connect(*((ours, theirs) if we_offer else (theirs, ours)), trickle=True)
            await assert_bytes_arrive_unchanged(ours, theirs, 1_000_000)
            for peer in (ours, theirs):
                pair = await peer.selected_pair()
                assert pair is not None
                assert pair.protocol == "tcp"

    with firewall(scene.lab["right"]):
        scene.run(call())


@pytest.mark.parametrize("kind", ["chromium", "firefox"])
def test_ice_restarts_over_tcp(scene: Stage, kind: str) -> None:
    async def call() -> None:
        async with scene.started(kind, "icelane that listens") as (theirs, ours):
            await connect(ours, theirs, trickle=False, change=without_udp)
            await ours.restart_ice()
            await negotiate(ours, theirs, trickle=False, change=without_udp)
            await assert_bytes_arrive_unchanged(ours, theirs, 1_000_000)
            assert await ours.connection_state() == "connected"

    scene.run(call())


@pytest.mark.parametrize("kind", ["chromium", "firefox"])
@pytest.mark.parametrize("we_offer", [True, False], ids=["we offer", "they offer"])
def test_where_udp_passes_it_is_taken(scene: Stage, kind: str, we_offer: bool) -> None:
    async def call() -> None:
        async with scene.started(kind, "icelane that listens") as (theirs, ours):
            await connect(*((ours, theirs) if we_offer else (theirs, ours)), trickle=False)
            pair = await ours.selected_pair()
            assert pair is not None
            assert pair.protocol == "udp"

    scene.run(call())
