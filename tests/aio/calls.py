"""Calls with sound and pictures between two connections of this process, and what is measured at their ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from icelane.aio.configuration import RTCConfiguration
from icelane.aio.media_stream_track import MediaStreamTrack, TrackFrame
from icelane.aio.peer_connection import RTCPeerConnection
from icelane.aio.remote_stream_track import RemoteStreamTrack
from icelane.errors import MediaStreamError
from icelane.media.codec import MediaKind, RtpCodec
from icelane.media.codecs.capability import PCMU, VP8
from icelane.media.codecs.default import default_registry
from icelane.media.codecs.interface import EncoderSettings
from icelane.media.frame import EncodedFrame
from icelane.media.pyav import av
from icelane.media.synthetic.clock_card import draw_card, read_card
from icelane.media.synthetic.sound import ToneMeasurement, measure_tone, tone
from icelane.rtp.packet import RtpPacket
from tests.aio.peers import LOOPBACK, PATIENCE, connect, exchange, pair


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


async def hear(track: MediaStreamTrack, frequency: int, *, level: float | None = None) -> ToneMeasurement:
    """Wait until the tone comes: 100 ms of it, within 2 % and 1.5 dB. Raises TimeoutError.

    On a machine that is busy sound comes late, and what is made up for it is of another length and level.
    """
    async with asyncio.timeout(PATIENCE):
        while True:
            heard = measure_tone(await sounds(track, 5))
            is_loud = level is None or abs(heard.level - level) < 1.5
            if abs(heard.frequency - frequency) < 0.02 * frequency and is_loud:
                return heard


async def pictures(track: MediaStreamTrack, count: int, *, skip: int = 0) -> list[av.VideoFrame]:
    """So many pictures behind those that are skipped."""
    async with asyncio.timeout(PATIENCE):
        frames = [await track.recv() for _ in range(skip + count)][skip:]
    return [frame for frame in frames if isinstance(frame, av.VideoFrame)]


class EncodedTrack(MediaStreamTrack):
    """Gives what it is told, 50 a second: frames are sent as they are, and none is left out by a busy encoder."""

    def __init__(self, frames: Sequence[EncodedFrame] | Sequence[RtpPacket], kind: MediaKind, codec: RtpCodec) -> None:
        super().__init__()
        self.kind = kind.value
        self.codec = codec
        self.asked = 0
        self._frames = iter(frames)

    async def recv(self) -> TrackFrame:
        await asyncio.sleep(0.02)
        frame = next(self._frames, None)
        if frame is None:
            self.stop()
            raise MediaStreamError("all were sent")
        return frame  # type: ignore[return-value]  # packets are for senders alone

    def request_key_frame(self) -> None:
        """Counted, and nothing else: they are there already."""
        self.asked += 1


def encoded_sound(count: int, frequency: int = 500) -> list[EncodedFrame]:
    """A tone in PCMU, 20 ms in each."""
    encoder, source = default_registry().encoder(PCMU), tone(frequency, rate=8_000, channels=1)
    return [one for index in range(count) for one in encoder.encode(source.frame(index * 160, 160))]


def encoded_pictures(count: int) -> list[EncodedFrame]:
    """Cards with the numbers from 0 on in VP8, of which the first is a key frame."""
    encoder = default_registry().encoder(VP8, EncoderSettings(bitrate=1_000_000))
    cards = (draw_card(160, 120, index, pts=index * 1_800) for index in range(count))
    return [one for card in cards for one in encoder.encode(card)]


async def read_clock(track: MediaStreamTrack, count: int = 5) -> list[int]:
    """How many milliseconds ago each of the next pictures was drawn."""
    loop, late = asyncio.get_running_loop(), []
    for _ in range(count):
        (picture,) = await pictures(track, 1)
        number = read_card(picture)
        assert number is not None
        late.append(int(loop.time() * 1000) - number)
    return late
