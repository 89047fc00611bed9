"""Listens to everybody who comes into the room, and answers when they pause. Your model goes into `answer`.

    python voice_bot.py https://call.example.org TOKEN ROOM

Needs `pip install 'icelane[media]'`. AUTHORITY in the environment names the PEM file of a private authority, such as
that of `icelane dev`; INTERFACES the only network interfaces to use, such as `lo`.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections import deque
from contextlib import suppress

from av import AudioFrame

from icelane import AudioStreamTrack, RTCConfiguration, SignalClient
from icelane.aio.media_stream_track import TrackFrame
from icelane.errors import MediaStreamError
from icelane.media.synthetic.sound import tone
from icelane.signaling.client_event import Peer

CONFIGURATION = RTCConfiguration(interfaces=os.environ.get("INTERFACES", "").split() or None)
AUTHORITY = os.environ.get("AUTHORITY")
LOUD, PAUSE = 0.01, 25  # of 1, and in frames of 20 ms


def answer(heard: list[TrackFrame]) -> list[AudioFrame]:
    """What to say to what was heard, in frames of 20 ms, 8 kHz, mono, s16: here a tone that is as long."""
    return [tone(660, rate=8000, channels=1).frame(index * 160, 160) for index in range(len(heard))]


class Voice(AudioStreamTrack):
    def __init__(self) -> None:
        super().__init__()
        self.words: deque[AudioFrame] = deque()

    async def recv(self) -> TrackFrame:
        silence = await super().recv()
        if not self.words or not isinstance(silence, AudioFrame):
            return silence
        frame = self.words.popleft()
        frame.pts = silence.pts
        return frame


async def converse(signal: SignalClient, peer: Peer) -> None:
    pc, voice = signal.connect_peer(peer), Voice()
    pc.addTrack(voice)
    heard: list[TrackFrame] = []
    quiet = 0
    receiver = pc.getReceivers()[0]
    with suppress(MediaStreamError):  # when the peer has gone
        while True:
            frame = await receiver.track.recv()
            source = next(iter(receiver.getSynchronizationSources()), None)
            if source and (source.audioLevel or 0) > LOUD:
                heard, quiet = [*heard, frame], 0
            elif heard and (quiet := quiet + 1) == PAUSE:
                print(f"{peer.identity} spoke for {len(heard) / 50:.1f} s", flush=True)
                voice.words.extend(answer(heard))
                heard = []


async def main(url: str, token: str, room: str) -> None:
    async with (
        SignalClient(url, token=token, room=room, configuration=CONFIGURATION, authority=AUTHORITY) as signal,
        asyncio.TaskGroup() as talks,
    ):
        print(f"in {room} as {signal.identity}", flush=True)
        async for peer in signal:
            talks.create_task(converse(signal, peer))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
