"""Sound and pictures between our RTCPeerConnection and Chromium and Firefox, proven by what they contain."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.interop.peers.calls import negotiate
from tests.interop.peers.media import RemoteMedia, median_age, readable_share
from tests.interop.peers.stage import Stage, stage

pytestmark = pytest.mark.interop


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("stage")) as ready:
        yield ready


@pytest.mark.parametrize("we_offer", [True, False], ids=["we offer", "they offer"])
@pytest.mark.parametrize("kind", ["chromium", "firefox"])
def test_tones_and_clocks_go_both_ways(scene: Stage, kind: str, we_offer: bool) -> None:
    async def call() -> None:
        async with scene.peers(kind, "icelane") as (theirs, ours):
            for peer, frequency in ((theirs, 440), (ours, 1_000)):
                await peer.start()
                await RemoteMedia(peer).send_tone(frequency=frequency, level=0.25)
                await RemoteMedia(peer).send_clock()
            offerer, answerer = (ours, theirs) if we_offer else (theirs, ours)
            await negotiate(offerer, answerer, trickle=True)
            for peer, frequency in ((ours, 440), (theirs, 1_000)):
                heard = await RemoteMedia(peer).hear_tone()
                assert heard.frequency == pytest.approx(frequency, abs=3)
                assert heard.level == pytest.approx(0.25, rel=0.25)
                pictures = await RemoteMedia(peer).see_clock()
                assert readable_share(pictures) > 0.9
                assert median_age(pictures) < 1_000

    scene.run(call())
