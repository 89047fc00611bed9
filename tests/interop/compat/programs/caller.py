"""The other end of a call to a library that thinks that it runs on aiortc: icelane itself, with a tone and a clock.

Run in `.venv-compat`, so nothing here is imported by the tests.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field

from icelane.aio.media.synthetic import TestCardTrack, ToneTrack
from icelane.aio.media_stream_track import MediaStreamTrack
from icelane.aio.peer_connection import RTCPeerConnection
from icelane.media.pyav import av
from icelane.media.synthetic.clock_card import read_card
from icelane.media.synthetic.sound import measure_tone

FREQUENCY = 500
PATIENCE = 40.0  # seconds: libraries load models and start threads before they answer

# What is judged: so many stretches of sound with the tone in them, of so many frames of 20 ms, and so many pictures.
WINDOW = 10
GOOD_WINDOWS = 5
MAX_WINDOWS = 150
PICTURES = 30

Signal = Callable[[dict[str, str]], Awaitable[dict[str, str]]]


@dataclass
class Heard:
    """What came back."""

    frequency: float = 0.0
    level: float = 0.0
    windows: int = 0
    pictures: int = 0
    delays: list[int] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    states: list[str] = field(default_factory=list)


async def call(signal: Signal, *, audio: bool, video: bool, channel: bool = True, greeting: str = "") -> Heard:
    """Offer to `signal`, send a tone and a clock, and measure what comes back; then end the call."""
    pc, heard = RTCPeerConnection(), Heard()
    pc.on("connectionstatechange", lambda: heard.states.append(pc.connectionState))
    tasks: list[asyncio.Task[None]] = []

    @pc.on("track")
    def received(track: MediaStreamTrack) -> None:
        tasks.append(asyncio.ensure_future(listen(track, heard) if track.kind == "audio" else look(track, heard)))

    if channel:
        messages = pc.createDataChannel("text")
        messages.on("message", lambda message: heard.messages.append(str(message)))
        if greeting:
            messages.on("open", lambda: messages.send(greeting))
    if audio:
        pc.addTrack(ToneTrack(FREQUENCY))
    if video:
        pc.addTrack(TestCardTrack(320, 240, 15.0))
    await pc.setLocalDescription()
    await pc.gathering_complete()
    offer = pc.localDescription
    assert offer is not None
    answer = await signal({"sdp": offer.sdp, "type": offer.type})
    await pc.setRemoteDescription({"sdp": answer["sdp"], "type": answer["type"]})
    async with asyncio.timeout(PATIENCE):
        await pc.connected()
        while len(tasks) < audio + video:
            await asyncio.sleep(0.05)
        await asyncio.gather(*tasks)
    await pc.close()
    return heard


async def listen(track: MediaStreamTrack, heard: Heard) -> None:
    """Measure the tone, when it comes: on a busy machine libraries put silence in between, and sound comes late."""
    for _ in range(MAX_WINDOWS):
        frames: list[av.AudioFrame] = []
        while len(frames) < WINDOW:
            frame = await track.recv()
            assert isinstance(frame, av.AudioFrame)
            frames.append(frame)
        tone = measure_tone(frames)
        heard.frequency, heard.level = tone.frequency, tone.level
        if abs(tone.frequency - FREQUENCY) < 0.01 * FREQUENCY:
            heard.windows += 1
            if heard.windows == GOOD_WINDOWS:
                return


async def look(track: MediaStreamTrack, heard: Heard) -> None:
    """Read the clock in pictures, where one can be read."""
    loop = asyncio.get_running_loop()
    while len(heard.delays) < PICTURES:
        frame = await track.recv()
        assert isinstance(frame, av.VideoFrame)
        heard.pictures += 1
        number = read_card(frame)
        if number is not None:
            heard.delays.append(int(loop.time() * 1000) - number)


def report(heard: Heard, **more: object) -> None:
    """What the test reads."""
    aiortc = sys.modules["aiortc"]
    print("RESULT " + json.dumps(asdict(heard) | {"aiortc": aiortc.__file__} | more))
