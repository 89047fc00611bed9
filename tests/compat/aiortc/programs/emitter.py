"""The methods that programs subscribe with, on a track of their own."""

import asyncio

from aiortc import AudioStreamTrack


async def main():
    track, heard = AudioStreamTrack(), []

    @track.on("word")
    def on_word(*words):
        heard.append(["on", *words])

    @track.listens_to("word")
    async def listens(*words):
        await asyncio.sleep(0)
        heard.append(["async", *words])

    once = track.once("word", lambda *words: heard.append(["once", *words]))
    added = track.add_listener("word", lambda *words: heard.append(["added", *words]))
    found = [track.emit("word", "a", 1), track.emit("nothing")]
    await asyncio.sleep(0.05)
    track.remove_listener("word", added)
    found += [once in track.listeners("word"), len(track.listeners("word")), sorted(track.event_names())]
    track.emit("word", "b")
    await asyncio.sleep(0.05)
    track.remove_all_listeners("word")
    track.emit("word", "c")

    errors = []
    track.on("error", lambda error: errors.append(str(error)))

    @track.on("bad")
    def bad():
        raise ValueError("plain")

    @track.on("bad")
    async def bad_later():
        raise ValueError("later")

    track.emit("bad")
    await asyncio.sleep(0.05)
    track.on("ended", lambda: heard.append(["ended"]))
    track.stop()
    track.stop()
    return [found, heard, errors, track.readyState, sorted(track.event_names())]
