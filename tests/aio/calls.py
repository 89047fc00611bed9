"""Calls with sound and pictures between two connections of this process, and what is measured at their ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from icelane.aio.configuration import RTCConfiguration
from icelane.aio.media_stream_track import MediaStreamTrack
from icelane.aio.peer_connection import RTCPeerConnection
from icelane.aio.remote_stream_track import RemoteStreamTrack
from icelane.media.pyav import av
from icelane.media.synthetic.clock_card import read_card
from icelane.media.synthetic.sound import ToneMeasurement, measure_tone
from tests.aio.peers import LOOPBACK, PATIENCE, connect, exchange, pair

__all__ = [
    "Call", "call", "hear", "negotiate", "pictures", "read_clock", "sounds",
]  # fmt: skip


class Call:
    """Alice, Bob, and the tracks that each has been told of, in their order."""

    def __init__(self, alice: RTCPeerConnection, bob: RTCPeerConnection) -> None:
        self.alice = alice
        self.bob = bob
        self.alices_tracks: list[RemoteStreamTrack] = []
        self.bobs_tracks: list[RemoteStreamTrack] = []
        alice.on("track", self.alices_tracks.append)
        bob.on("track", self.bobs_tracks.append)


@asynccontextmanager
async def call(
    *tracks: MediaStreamTrack,
    back: tuple[MediaStreamTrack, ...] = (),
    one: RTCConfiguration = LOOPBACK,
    other: RTCConfiguration = LOOPBACK,
) -> AsyncIterator[Call]:
    """Alice sends `tracks` to Bob, and Bob sends `back`."""
    async with pair(one, other) as (alice, bob):
        made = Call(alice, bob)
        for track in tracks:
            alice.addTrack(track)
        for track in back:
            bob.addTrack(track)
        await connect(alice, bob)
        yield made


async def negotiate(made: Call) -> None:
    """Alice offers again."""
    await exchange(made.alice, made.bob)


async def sounds(track: MediaStreamTrack, count: int, *, skip: int = 0) -> list[av.AudioFrame]:
    """So many frames behind those that are skipped."""
    async with asyncio.timeout(PATIENCE):
        frames = [await track.recv() for _ in range(skip + count)][skip:]
    return [frame for frame in frames if isinstance(frame, av.AudioFrame)]


async def hear(track: MediaStreamTrack, seconds: float = 0.3, *, skip: float = 0.2) -> ToneMeasurement:
    """The tone of so many seconds, when the beginning is over."""
    return measure_tone(await sounds(track, round(seconds * 50), skip=round(skip * 50)))


async def pictures(track: MediaStreamTrack, count: int, *, skip: int = 0) -> list[av.VideoFrame]:
    """So many pictures behind those that are skipped."""
    async with asyncio.timeout(PATIENCE):
        frames = [await track.recv() for _ in range(skip + count)][skip:]
    return [frame for frame in frames if isinstance(frame, av.VideoFrame)]


async def read_clock(track: MediaStreamTrack, count: int = 5) -> list[int]:
    """How many milliseconds ago each of the next pictures was drawn."""
    loop, late = asyncio.get_running_loop(), []
    for _ in range(count):
        (picture,) = await pictures(track, 1)
        number = read_card(picture)
        assert number is not None
        late.append(int(loop.time() * 1000) - number)
    return late
