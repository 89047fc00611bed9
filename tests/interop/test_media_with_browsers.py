"""Sound and pictures between our RTCPeerConnection and Chromium and Firefox, both ways at once, codec by codec.

What arrives is measured: the frequency and the level of a tone, and a clock that is read from the pixels.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import pytest

from tests.interop.peers.calls import in_order, negotiate
from tests.interop.peers.media import Kind, RemoteMedia, median_age, readable_share
from tests.interop.peers.stage import Stage, stage

pytestmark = [pytest.mark.interop, pytest.mark.once]

OURS: Final = "icelane"
BROWSERS: Final = ("chromium", "firefox")
OUR_TONE: Final = 440.0  # Hz
THEIR_TONE: Final = 660.0
LEVEL: Final = 0.25
SIZE: Final = (480, 270)
PICTURES: Final = 30
# A browser begins with little bandwidth, and its first pictures are blurred.
READABLE: Final = 0.75
# What carries no media of its own, or repairs that of others.
BESIDE_MEDIA: Final = ("rtx", "red", "ulpfec", "flexfec-03", "telephone-event", "cn")


@dataclass(frozen=True, order=True)
class Row:
    """A codec, by what tells it from others of its name."""

    kind: Kind
    mime_type: str
    variant: str = ""

    def __str__(self) -> str:
        return f"{self.mime_type} {self.variant}".strip()


# Those that a browser of today has, in pairs of one call each; what is left over of the rest goes with the first.
CALLS: Final = (
    (Row("audio", "audio/opus"), Row("video", "video/VP8")),
    (Row("audio", "audio/G722"), Row("video", "video/VP9", "profile-id=0")),
    (Row("audio", "audio/PCMU"), Row("video", "video/H264", "packetization-mode=1")),
    (Row("audio", "audio/PCMA"), Row("video", "video/H264", "packetization-mode=0")),
    (Row("audio", "audio/opus"), Row("video", "video/AV1")),
)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("stage")) as ready:
        yield ready


@asynccontextmanager
async def both(scene: Stage, browser: str) -> AsyncIterator[tuple[RemoteMedia, RemoteMedia]]:
    """Ours and a browser's."""
    async with scene.started(browser, OURS) as (theirs, ours):
        yield RemoteMedia(ours), RemoteMedia(theirs)


def has(codecs: list[dict[str, Any]], row: Row) -> bool:
    """Whether one of the codecs is that of the row. What an `fmtp` does not say is what the default is."""
    for codec in codecs:
        if codec["mimeType"].lower() == row.mime_type.lower():
            said = codec.get("sdpFmtpLine") or ""
            name, _, value = row.variant.partition("=")
            if row.variant in said or (value == "0" and name not in said):
                return True
    return False


async def missing(ours: RemoteMedia, theirs: RemoteMedia, row: Row) -> str | None:
    """Why a codec cannot be used both ways, None when it can."""
    sides = [
        f"{media.peer.name} does not {way}"
        for media in (ours, theirs)
        for way, codecs in (await media.capabilities(row.kind)).items()
        if not has(codecs, row)
    ]
    return ", ".join(sides) or None


async def assert_everything_arrives(ours: RemoteMedia, theirs: RemoteMedia) -> tuple[float, float]:
    """Both ways; returns how old pictures are when they are shown, in milliseconds, here and there."""
    heard, heard_there = await asyncio.gather(ours.hear_tone(), theirs.hear_tone())
    assert heard.frequency == pytest.approx(THEIR_TONE, abs=5)
    assert heard_there.frequency == pytest.approx(OUR_TONE, abs=5)
    for one in (heard, heard_there):
        assert one.level == pytest.approx(LEVEL, rel=0.3)
    seen, seen_there = await asyncio.gather(ours.see_clock(PICTURES), theirs.see_clock(PICTURES))
    for pictures in (seen, seen_there):
        assert readable_share(pictures) > READABLE
        assert pictures[-1].width * 9 == pictures[-1].height * 16
    return median_age(seen), median_age(seen_there)


@pytest.mark.parametrize("browser", BROWSERS)
@pytest.mark.parametrize("we_offer", [True, False], ids=["we offer", "they offer"])
def test_every_codec_that_both_have_carries_sound_and_pictures_both_ways(
    scene: Stage, browser: str, we_offer: bool
) -> None:
    async def call() -> None:
        print(f"\n{'codec':32} {browser}, {'we' if we_offer else 'they'} offer")
        for rows in CALLS:
            async with both(scene, browser) as (ours, theirs):
                usable = []
                for row in rows:
                    if (reason := await missing(ours, theirs, row)) is None:
                        usable.append(row)
                    else:
                        print(f"{row!s:32} missing: {reason}")
                if not usable:
                    continue
                for media, frequency in ((ours, OUR_TONE), (theirs, THEIR_TONE)):
                    await media.send_tone(frequency, LEVEL)
                    await media.send_clock(*SIZE)
                    for row in usable:
                        await media.prefer_codec(row.kind, row.mime_type, row.variant)
                await negotiate(*in_order(ours.peer, theirs.peer, we_offer), trickle=True)
                here, there = await assert_everything_arrives(ours, theirs)
                in_use = {one["mimeType"].lower() for one in await codecs_in_use(ours)}
                assert {row.mime_type.lower() for row in usable} <= in_use
                for row in usable:
                    print(f"{row!s:32} both ways; pictures {here:.0f} ms old here and {there:.0f} there")

    scene.run(call())


async def codecs_in_use(media: RemoteMedia) -> list[dict[str, Any]]:
    """What is sent with, and what is received with."""
    entries = {one["id"]: one for one in await media.stats()}
    streams = [one for one in entries.values() if one["type"] in ("inbound-rtp", "outbound-rtp")]
    return [entries[one["codecId"]] for one in streams if one.get("codecId")]


def test_tracks_are_added_paused_removed_and_added_again_ten_times_with_chromium(scene: Stage) -> None:
    async def call() -> None:
        async with both(scene, "chromium") as (ours, theirs):
            await theirs.send_tone(THEIR_TONE, LEVEL)
            await ours.send_tone(OUR_TONE, LEVEL)
            await negotiate(ours.peer, theirs.peer, trickle=True)
            for turn in range(10):
                ends = in_order(ours.peer, theirs.peer, turn % 2 == 1)
                await ours.send_clock(320, 180)
                await theirs.send_clock(320, 180)
                await negotiate(*ends, trickle=False)
                await assert_clocks_are_seen(ours, theirs)
                for paused in ours, theirs:
                    offerer_first = in_order(ours.peer, theirs.peer, paused is ours)
                    await paused.set_direction("video", "inactive")
                    await negotiate(*offerer_first, trickle=False)
                    for media in (ours, theirs):
                        assert (await media.transceivers())[-1]["currentDirection"] == "inactive"
                    await paused.set_direction("video", "sendrecv")
                    await negotiate(*offerer_first, trickle=False)
                    await assert_clocks_are_seen(ours, theirs)
                await ours.remove_track("video")
                await theirs.remove_track("video")
                await negotiate(*ends, trickle=False)
            heard, heard_there = await asyncio.gather(ours.hear_tone(), theirs.hear_tone())
            assert heard.frequency == pytest.approx(THEIR_TONE, abs=5)
            assert heard_there.frequency == pytest.approx(OUR_TONE, abs=5)
            directions = [one["currentDirection"] for one in await ours.transceivers()]
            assert directions == ["sendrecv", *["inactive"] * 10]

    scene.run(call())


async def assert_clocks_are_seen(ours: RemoteMedia, theirs: RemoteMedia) -> None:
    seen, seen_there = await asyncio.gather(ours.see_clock(5), theirs.see_clock(5))
    assert readable_share(seen) == readable_share(seen_there) == 1.0


# What a browser tells of media and we do not, by type, with the reason; `*` for every type.
NOT_TOLD: Final = {
    "*": {
        "mediaType": "of before the standard: it is kind",
        "ip": "of before the standard: it is address",
        "isRemote": "of before the standard: it is in the type",
        "networkType": "deprecated",
        "packetsSentWithEct1": "nothing is marked by ECN",
        "packetsReceivedWithEct1": "ECN is not read",
        "packetsReceivedWithCe": "ECN is not read",
        "fecPacketsReceived": "FlexFEC and ULPFEC are not spoken",
        "fecPacketsDiscarded": "FlexFEC and ULPFEC are not spoken",
        "estimatedPlayoutTimestamp": "programs play, we do not",
        "playoutId": "programs play, we do not",
        "jitterBufferMinimumDelay": "there is no other than jitterBufferTargetDelay",
        "qpSum": "PyAV does not tell quantizers",
        "roundTripTimeMeasurements": "no extended reports are sent (RFC 3611)",
        "totalRoundTripTime": "no extended reports are sent (RFC 3611)",
    },
    "candidate-pair": {
        "bytesDiscardedOnSend": "nothing is",
        "packetsDiscardedOnSend": "nothing is",
        "writable": "not of the standard",
        "availableOutgoingBitrate": "there is no estimation of bandwidth yet",
    },
    "outbound-rtp": {
        "encodingIndex": "there is one encoding",
        "scalabilityMode": "there is one layer",
        "qualityLimitationDurations": "a record within a record",
        "qualityLimitationResolutionChanges": "nothing is made smaller by itself",
        "contentType": "only of what is captured from a screen",
    },
}


def test_statistics_are_those_of_chromium(scene: Stage) -> None:
    """Every type but the one of loudspeakers, and every name, but those above."""

    async def call() -> None:
        async with both(scene, "chromium") as (ours, theirs):
            for media, frequency in ((ours, OUR_TONE), (theirs, THEIR_TONE)):
                await media.send_tone(frequency, LEVEL)
                await media.send_clock(*SIZE)
            await negotiate(ours.peer, theirs.peer, trickle=True)
            await assert_everything_arrives(ours, theirs)
            await asyncio.sleep(6)  # until both have reported
            we, they = by_type(await ours.stats()), by_type(await theirs.stats())
        assert they.keys() - we.keys() <= {"media-playout"}
        for kind in sorted(they.keys() & we.keys()):
            lacking = they[kind] - we[kind]
            print(f"\n{kind}: {len(we[kind])} names, without {', '.join(sorted(lacking)) or 'any less'}")
            assert lacking <= {*NOT_TOLD["*"], *NOT_TOLD.get(kind, {})}, kind

    scene.run(call())


def by_type(entries: list[dict[str, Any]]) -> dict[str, set[str]]:
    """The names that records of each type have."""
    found: dict[str, set[str]] = {}
    for entry in entries:
        found.setdefault(entry["type"], set()).update(entry)
    return found
