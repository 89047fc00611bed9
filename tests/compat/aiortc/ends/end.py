"""`end.py offer|answer SOCKET [ours]`: one end of a call by the signaling of aiortc's examples.

Who offers sends a tone, pictures and words, and reports what comes back; who answers sends back what it gets.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "programs"))
if sys.argv[3:] == ["ours"]:
    names = importlib.import_module("icelane.compat.aiortc")
    names.install()
    names.DEFAULT_ICE_SERVERS.clear()

from aiortc import RTCIceCandidate, RTCSessionDescription
from aiortc.contrib.media import MediaRelay
from aiortc.contrib.signaling import BYE, UnixSocketSignaling
from calling import connection

from media import ColourTrack, ToneTrack, frequency_of, luma_of

FREQUENCY, LUMA = 500, 160


async def consume(pc, signaling):
    """The loop of aiortc's examples."""
    while True:
        message = await signaling.receive()
        if isinstance(message, RTCSessionDescription):
            await pc.setRemoteDescription(message)
            if message.type == "offer":
                await pc.setLocalDescription(await pc.createAnswer())
                await signaling.send(pc.localDescription)
        elif isinstance(message, RTCIceCandidate):
            await pc.addIceCandidate(message)
        elif message is BYE or message is None:
            return


async def offer(pc, signaling):
    heard, tracks, done = {"messages": []}, [], asyncio.Event()
    channel = pc.createDataChannel("chat")
    pc.addTrack(ToneTrack(FREQUENCY))
    pc.addTrack(ColourTrack(LUMA))

    async def listen(track):
        for _ in range(200):
            frames = [await track.recv() for _ in range(10)]
            if frequency_of(frames) == FREQUENCY:
                heard["frequency"] = FREQUENCY
                return

    async def look(track):
        for _ in range(300):
            if luma_of(await track.recv()) == LUMA:
                heard["luma"] = LUMA
                return

    @pc.on("track")
    def on_track(track):
        tracks.append(asyncio.ensure_future(listen(track) if track.kind == "audio" else look(track)))

    @channel.on("open")
    def on_open():
        channel.send("hello")

    @channel.on("message")
    def on_message(message):
        heard["messages"].append(message)
        done.set()

    await pc.setLocalDescription(await pc.createOffer())
    await signaling.send(pc.localDescription)
    consuming = asyncio.ensure_future(consume(pc, signaling))
    await done.wait()
    while len(tracks) < 2:
        await asyncio.sleep(0.05)
    await asyncio.gather(*tracks)
    consuming.cancel()
    await pc.close()
    await signaling.close()
    print("RESULT " + json.dumps(heard))


async def answer(pc, signaling):
    relay = MediaRelay()

    @pc.on("datachannel")
    def on_datachannel(channel):
        channel.on("message", lambda message: channel.send(f"echo {message}"))

    @pc.on("track")
    def on_track(track):
        pc.addTrack(relay.subscribe(track))

    await consume(pc, signaling)
    await pc.close()
    await signaling.close()
    print("RESULT null")


async def main():
    role = {"offer": offer, "answer": answer}[sys.argv[1]]
    signaling = UnixSocketSignaling(sys.argv[2])
    await signaling.connect()
    async with asyncio.timeout(60):
        await role(connection(), signaling)


asyncio.run(main())
