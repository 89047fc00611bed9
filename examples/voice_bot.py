"""Listens to everybody who comes into the room, and answers when they pause. Your model goes into `answer`.

    python voice_bot.py https://call.example.org TOKEN ROOM

Needs `pip install 'icelane[media]'`. AUTHORITY in the environment names the PEM file of a private authority, such as
that of `icelane dev`; INTERFACES the only network interfaces to use, such as `lo`.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterable

from av import AudioFrame

from icelane import RTCConfiguration, SignalClient, SpeechTrack, utterances
from icelane.media.synthetic.sound import tone
from icelane.signaling.client_event import Peer

CONFIGURATION = RTCConfiguration(interfaces=os.environ.get("INTERFACES", "").split() or None)
AUTHORITY = os.environ.get("AUTHORITY")


async def answer(heard: bytes) -> Iterable[AudioFrame]:
    """What to say to what was heard, which is mono at 24 kHz, 16 bits a sample: here a tone that is as long."""
    return [tone(660, rate=24_000, channels=1).frame(start, 480) for start in range(0, len(heard) // 2, 480)]


async def converse(signal: SignalClient, peer: Peer) -> None:
    pc, voice = signal.connect_peer(peer), SpeechTrack()
    pc.addTrack(voice)
    async for heard in utterances(pc.getReceivers()[0].track, began=voice.hush):
        print(f"{peer.identity} spoke for {len(heard) / 48_000:.1f} s", flush=True)
        voice.say(await answer(heard))


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
