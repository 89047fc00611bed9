"""The peers that our connection is tested with, among themselves: what they are taken to do, they do."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.interop.peers.calls import assert_bytes_arrive_unchanged, carried_signals, connect, negotiate
from tests.interop.peers.media import RemoteMedia, median_age, readable_share
from tests.interop.peers.stage import Stage, stage

pytestmark = [pytest.mark.interop, pytest.mark.once]

LABELS = ("polite", "impolite")
PAYLOAD = 10_000_000  # bytes each way


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("stage")) as ready:
        yield ready


@pytest.mark.parametrize("trickle", [True, False], ids=["trickle", "no trickle"])
@pytest.mark.parametrize(("offerer", "answerer"), [("chromium", "firefox"), ("wrtc", "aiortc")])
def test_what_two_real_peers_send_each_other_arrives(scene: Stage, offerer: str, answerer: str, trickle: bool) -> None:
    async def call() -> None:
        async with scene.started(offerer, answerer) as (one, other):
            await connect(one, other, trickle=trickle)
            await assert_bytes_arrive_unchanged(one, other, PAYLOAD)
            for peer in (one, other):
                pair = await peer.selected_pair()
                assert pair is not None
                assert (pair.local, pair.protocol) == ("host", "udp")

    scene.run(call())


@pytest.mark.parametrize(("sender", "receiver"), [("chromium", "firefox"), ("firefox", "chromium")])
def test_browsers_measure_each_others_tone_and_read_each_others_clock(scene: Stage, sender: str, receiver: str) -> None:
    async def call() -> None:
        async with scene.started(sender, receiver) as (one, other):
            sends, sees = RemoteMedia(one), RemoteMedia(other)
            await sends.send_tone(frequency=440, level=0.25)
            await sends.send_clock()
            await negotiate(one, other, trickle=True)
            tone = await sees.hear_tone()
            assert tone.frequency == pytest.approx(440, abs=2)
            assert tone.level == pytest.approx(0.25, rel=0.2)
            pictures = await sees.see_clock()
            assert readable_share(pictures) > 0.9
            assert median_age(pictures) < 500

    scene.run(call())


def test_firefox_and_chromium_reach_our_relay_by_tls_alone(scene: Stage) -> None:
    async def call() -> None:
        async with scene.peers("firefox", "chromium") as ends:
            for peer in ends:
                await peer.start([scene.relay_by("tls")], "relay")
            await connect(*ends, trickle=True)
            for peer in ends:
                pair = await peer.selected_pair()
                assert pair is not None
                assert (pair.local, pair.relay_protocol) == ("relay", "tls")
                assert pair.remote_address == scene.relay.host

    scene.run(call())


def test_browsers_restart_ice_and_survive_offers_that_meet(scene: Stage) -> None:
    async def call() -> None:
        async with (
            scene.started("firefox", "chromium") as (polite, impolite),
            carried_signals(polite, impolite),
        ):
            await asyncio.gather(polite.create_channel("polite"), impolite.create_channel("impolite"))
            await asyncio.gather(*(peer.wait_open(label) for peer in (polite, impolite) for label in LABELS))
        async with scene.started("firefox", "chromium") as (offerer, answerer):
            first, _ = await connect(offerer, answerer, trickle=True)
            await offerer.restart_ice()
            second, _ = await negotiate(offerer, answerer, trickle=True)
            assert first.ice_ufrag != second.ice_ufrag
            await assert_bytes_arrive_unchanged(offerer, answerer, PAYLOAD // 10)

    scene.run(call())
