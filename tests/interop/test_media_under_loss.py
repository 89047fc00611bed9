"""Sound and pictures both ways at once, where one packet of twenty is lost each way and a round trip takes 50 ms.

A browser is at one end, at the other our RTCPeerConnection, and for comparison aiortc, of which nothing is asked. How
long pictures stood still is measured from when they were shown; Chromium also tells it in its statistics.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Final

import pytest

from icelane.testing.lab import Host, Way
from tests.interop.peers.calls import negotiate
from tests.interop.peers.media import Kind, Observed, RemoteMedia, median_age, readable_share
from tests.interop.peers.remote import PeerError
from tests.interop.peers.stage import Stage, stage

pytestmark = [pytest.mark.interop, pytest.mark.once]

BROWSER: Final = "chromium"
OURS: Final = "icelane"
COMPARED: Final = "aiortc"
LINE: Final = Way(delay=0.025, loss=0.05)
SECONDS: Final = (pytest.param(15.0, id="15 s"), pytest.param(60.0, id="60 s", marks=pytest.mark.long))
# Before it is measured: the browser begins with little bandwidth, and nobody knows yet that packets are lost.
SETTLING: Final = 3.0
PATIENCE: Final = 60.0

OUR_TONE: Final = 440.0  # Hz
THEIR_TONE: Final = 660.0
LEVEL: Final = 0.25
SIZE: Final = (480, 270)

MAX_FREEZE: Final = 1000.0  # ms
# Of a minute; of less, one freeze of the longest kind.
MAX_FREEZE_SHARE: Final = 0.03
MAX_SILENCE: Final = 60.0  # ms
READABLE: Final = 0.9


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("stage"), Host("left"), Host("right", up=LINE)) as ready:
        yield ready


@asynccontextmanager
async def call(scene: Stage, other: str) -> AsyncIterator[tuple[RemoteMedia, RemoteMedia]]:
    """The browser and the other one, who hear and see each other."""
    async with scene.peers(BROWSER, other) as (browser, peer):
        ends = RemoteMedia(browser), RemoteMedia(peer)
        for media, frequency in zip(ends, (THEIR_TONE, OUR_TONE), strict=True):
            await media.peer.start()
            await media.send_tone(frequency, LEVEL)
            await media.send_clock(*SIZE)
        await negotiate(browser, peer, trickle=peer.abilities.trickles)
        await asyncio.gather(*(media.hear_tone(0.2) for media in ends), *(media.see_clock(1) for media in ends))
        yield ends


async def observe(scene: Stage, other: str, seconds: float) -> tuple[Observed, Observed]:
    """What the browser receives, and what the other one does."""
    async with call(scene, other) as ends:
        await asyncio.sleep(SETTLING)
        for media in ends:
            media.peer.patience = seconds + PATIENCE
        there, here = await asyncio.gather(*(media.observe(seconds) for media in ends))
        return there, here


def lost_share(observed: Observed) -> float:
    """Of the packets of sound, which is not sent again, those that the network has lost."""
    lost, received = observed.counted("audio", "packetsLost"), observed.counted("audio", "packetsReceived")
    assert lost is not None
    assert received is not None
    return lost / (lost + received)


def rows(observed: Observed, seconds: float) -> dict[str, str]:
    """What is said of one direction, by titles; "-" for what a peer does not count."""
    freezes = observed.freezes()
    readable = readable_share(observed.pictures) if observed.pictures else 0.0

    def counted(kind: Kind, name: str, form: str = ".0f", unit: float = 1.0) -> str:
        found = observed.counted(kind, name)
        return "-" if found is None else format(found / unit, form)

    samples = observed.counted("audio", "totalSamplesReceived") or 1.0
    return {
        "packets of sound lost": f"{lost_share(observed):.1%}",
        "pictures shown": f"{len(observed.pictures)}",
        "pictures whose clock was read": f"{readable:.1%}",
        "age of pictures in the median": f"{median_age(observed.pictures):.0f} ms" if readable else "-",
        "freezes": f"{len(freezes)}",
        "share of time frozen": f"{sum(freezes) / seconds / 1000:.1%}",
        "longest freeze": f"{max(freezes, default=0):.0f} ms",
        "`freezeCount`": counted("video", "freezeCount"),
        "`totalFreezesDuration`, share of time": counted("video", "totalFreezesDuration", ".1%", seconds),
        "`nackCount`": counted("video", "nackCount"),
        "`pliCount`": counted("video", "pliCount"),
        "longest silence in the tone": f"{observed.tone.longest_silence:.0f} ms",
        "`concealedSamples`, share": counted("audio", "concealedSamples", ".1%", samples),
        "`concealmentEvents`": counted("audio", "concealmentEvents"),
        "frequency of the tone": f"{observed.tone.frequency:.1f} Hz",
    }


def print_table(title: str, found: dict[str, dict[str, str]]) -> None:
    """In the form of a page of the documentation."""
    print(f"\n{title}; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors\n")
    titles = list(next(iter(found.values())))
    print(f"| | {' | '.join(found)} |")
    print("|---" * (len(found) + 1) + "|")
    for name in titles:
        print(f"| {name} | {' | '.join(columns[name] for columns in found.values())} |")


def assert_watchable(observed: Observed, seconds: float) -> None:
    assert LINE.loss / 2 < lost_share(observed) < LINE.loss * 2
    freezes = observed.freezes()
    assert max(freezes, default=0) <= MAX_FREEZE, freezes
    frozen_at_most = max(MAX_FREEZE_SHARE * seconds * 1000, MAX_FREEZE)
    assert sum(freezes) <= frozen_at_most, freezes
    told = observed.counted("video", "totalFreezesDuration")
    assert told is not None
    assert told * 1000 <= frozen_at_most
    assert readable_share(observed.pictures) > READABLE
    assert observed.tone.longest_silence <= MAX_SILENCE


@pytest.mark.parametrize("seconds", SECONDS)
def test_pictures_hardly_stand_still_and_sound_has_no_gaps_where_a_twentieth_is_lost(
    scene: Stage, seconds: float
) -> None:
    async def calls() -> None:
        found = {}
        there, here = await observe(scene, OURS, seconds)
        found[f"{BROWSER} to {OURS}"], found[f"{OURS} to {BROWSER}"] = rows(here, seconds), rows(there, seconds)
        try:
            their_there, their_here = await observe(scene, COMPARED, seconds)
        except (TimeoutError, PeerError) as error:  # this is no test of theirs
            print(f"{COMPARED}: {error}")
        else:
            found[f"{BROWSER} to {COMPARED}"] = rows(their_here, seconds)
            found[f"{COMPARED} to {BROWSER}"] = rows(their_there, seconds)
        print_table(f"{LINE.loss:.0%} lost and {2000 * LINE.delay:.0f} ms round trip, {seconds:.0f} s", found)
        for observed, frequency in ((here, THEIR_TONE), (there, OUR_TONE)):
            assert_watchable(observed, seconds)
            assert observed.tone.frequency == pytest.approx(frequency, abs=5)

    scene.run(calls())
