"""Our lite agent of ICE, with everybody else's full ones (RFC 8445 section 2.5)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.interop.peers.calls import assert_bytes_arrive_unchanged, connect, negotiate, without_udp
from tests.interop.peers.stage import Stage, stage

pytestmark = [pytest.mark.interop, pytest.mark.once]

PAYLOAD = 1_000_000  # bytes each way

directions = pytest.mark.parametrize("we_offer", [True, False], ids=["we offer", "they offer"])


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("stage")) as ready:
        yield ready


@directions
@pytest.mark.parametrize("trickle", [True, False], ids=["trickle", "no trickle"])
@pytest.mark.parametrize("kind", ["chromium", "firefox", "aiortc", "wrtc", "icelane", "icelane that is lite"])
def test_a_full_peer_finds_the_path_to_our_lite_one(scene: Stage, kind: str, trickle: bool, we_offer: bool) -> None:
    async def call() -> None:
        async with scene.started(kind, "icelane that is lite") as (theirs, ours):
            offerer, answerer = (ours, theirs) if we_offer else (theirs, ours)
            offer, answer = await connect(offerer, answerer, trickle=trickle)
            assert "a=ice-lite" in (offer if we_offer else answer).sdp
            await assert_bytes_arrive_unchanged(ours, theirs, PAYLOAD)
            assert await ours.connection_state() == await theirs.connection_state() == "connected"
            pair = await ours.selected_pair()
            assert pair is not None
            assert (pair.local, pair.protocol) == ("host", "udp")

    scene.run(call())


@pytest.mark.parametrize("kind", ["chromium", "firefox"])
def test_a_browser_reaches_our_lite_agent_over_tcp(scene: Stage, kind: str) -> None:
    async def call() -> None:
        async with scene.started(kind, "icelane that is lite") as (theirs, ours):
            await connect(theirs, ours, trickle=False, change=without_udp)
            await assert_bytes_arrive_unchanged(ours, theirs, PAYLOAD)
            pair = await ours.selected_pair()
            assert pair is not None
            assert pair.protocol == "tcp"

    scene.run(call())


@directions
@pytest.mark.parametrize("kind", ["chromium", "firefox", "wrtc"])  # aiortc cannot
def test_ice_restarts_with_our_lite_agent(scene: Stage, kind: str, we_offer: bool) -> None:
    async def call() -> None:
        async with scene.started(kind, "icelane that is lite") as (theirs, ours):
            offerer, answerer = (ours, theirs) if we_offer else (theirs, ours)
            await connect(offerer, answerer, trickle=True)
            await offerer.restart_ice()
            await negotiate(offerer, answerer, trickle=True)
            await assert_bytes_arrive_unchanged(ours, theirs, PAYLOAD)
            assert await ours.connection_state() == "connected"

    scene.run(call())
