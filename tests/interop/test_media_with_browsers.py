"""Sound and pictures between our RTCPeerConnection and Chromium and Firefox, proven by what they contain."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.interop.peers.calls import negotiate
from tests.interop.peers.media import RemoteMedia, median_age, readable_share
from tests.interop.peers.remote import RemotePeer
from tests.interop.peers.stage import Stage, stage

pytestmark = pytest.mark.interop


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("stage")) as ready:
        yield ready


async def again(offerer: RemotePeer, answerer: RemotePeer) -> None:
    """Negotiate over a connection that is there."""
    await offerer.accept_answer(await answerer.accept_offer(await offerer.offer()))


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


@pytest.mark.parametrize("codec", ["video/VP8", "video/VP9", "video/H264", "video/AV1"])
@pytest.mark.parametrize("we_send", [True, False], ids=["we send", "they send"])
def test_pictures_go_by_every_codec_of_chromium(scene: Stage, codec: str, we_send: bool) -> None:
    async def call() -> None:
        async with scene.peers("chromium", "icelane") as (theirs, ours):
            await theirs.start()
            await ours.start()
            sender, receiver = (ours, theirs) if we_send else (theirs, ours)
            await RemoteMedia(sender).send_clock()
            await RemoteMedia(sender).prefer_codec("video", codec)
            await negotiate(sender, receiver, trickle=True)
            pictures = await RemoteMedia(receiver).see_clock(20)
            assert readable_share(pictures) >= 0.8
            stats = await RemoteMedia(receiver).stats("codec")
            assert codec in {one["mimeType"] for one in stats}

    scene.run(call())


@pytest.mark.parametrize("codec", ["audio/opus", "audio/G722", "audio/PCMU", "audio/PCMA"])
def test_sound_goes_by_every_codec_of_chromium(scene: Stage, codec: str) -> None:
    async def call() -> None:
        async with scene.peers("chromium", "icelane") as ends:
            for peer in ends:
                await peer.start()
                await RemoteMedia(peer).send_tone(frequency=600, level=0.25)
            theirs, ours = ends
            await RemoteMedia(ours).prefer_codec("audio", codec)
            await negotiate(ours, theirs, trickle=True)
            for peer in ends:
                heard = await RemoteMedia(peer).hear_tone()
                assert heard.frequency == pytest.approx(600, abs=4)
                assert heard.level == pytest.approx(0.25, rel=0.3)

    scene.run(call())


def test_tones_of_keys_go_to_and_from_chromium(scene: Stage) -> None:
    async def call() -> None:
        async with scene.peers("chromium", "icelane") as (theirs, ours):
            for peer in (theirs, ours):
                await peer.start()
                await RemoteMedia(peer).send_tone(frequency=500)
            await negotiate(ours, theirs, trickle=True)
            for peer in (theirs, ours):
                await RemoteMedia(peer).hear_tone(0.3)
            await RemoteMedia(theirs).send_tones("159#", 70, 50)
            await RemoteMedia(ours).send_tones("A0", 70, 50)
            heard: list[dict[str, object]] = await ours.ask("heardTones", count=4)
            assert "".join(str(one["tone"]) for one in heard) == "159#"
            # Chromium goes on with a tone until its next step of 50 ms.
            assert [one["duration"] for one in heard] == [pytest.approx(0.1, abs=0.035)] * 4

    scene.run(call())


def test_tracks_are_paused_removed_and_added_again_ten_times_with_chromium(scene: Stage) -> None:
    async def call() -> None:
        async with scene.peers("chromium", "icelane") as (theirs, ours):
            await theirs.start()
            await ours.start()
            media, page = RemoteMedia(ours), RemoteMedia(theirs)
            await media.send_tone(frequency=500)
            await media.send_clock(320, 180)
            await negotiate(ours, theirs, trickle=True)
            for _ in range(10):
                assert readable_share(await page.see_clock(5)) > 0.7
                await media.set_direction("audio", "inactive")
                await media.remove_track("video")
                await again(ours, theirs)
                states = {one["kind"]: one["currentDirection"] for one in await page.transceivers()}
                assert states["audio"] == "inactive"
                await media.set_direction("audio", "sendrecv")
                await media.send_clock(320, 180)
                await again(ours, theirs)
            assert readable_share(await page.see_clock(20)) > 0.7
            # A page's graph of sound hears a track once, so that what was decoded says that it came.
            (heard,) = [one for one in await page.stats("inbound-rtp") if one["kind"] == "audio"]
            assert heard["packetsReceived"] > 20
            assert heard["packetsLost"] == 0

    scene.run(call())
