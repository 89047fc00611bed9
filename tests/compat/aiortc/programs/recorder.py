"""Tracks are recorded."""

import asyncio
import tempfile
from pathlib import Path

import av
from aiortc.contrib.media import MediaBlackhole, MediaRecorder

from media import ColourTrack, ToneTrack, frequency_of, luma_of


async def main():
    with tempfile.TemporaryDirectory() as folder:
        found = []
        for name in ("call.mp4", "sound.wav"):
            path = Path(folder) / name
            recorder, hole = MediaRecorder(str(path)), MediaBlackhole()
            tracks = [ToneTrack(500)] + ([ColourTrack(100)] if name == "call.mp4" else [])
            for track in tracks:
                recorder.addTrack(track)
            hole.addTrack(ToneTrack())
            await recorder.start()
            await hole.start()
            await asyncio.sleep(2.5)
            await recorder.stop()
            await hole.stop()
            with av.open(str(path)) as file:
                kinds = sorted(stream.type for stream in file.streams)
                sound = next(stream for stream in file.streams if stream.type == "audio")
                found.append([name, kinds, sound.codec_context.name, file.duration > 1_000_000])
            if name == "call.mp4":
                with av.open(str(path)) as file:
                    pictures = list(file.decode(video=0))
                    found.append([pictures[0].width, luma_of(pictures[-1]), len(pictures) > 20])
            else:
                with av.open(str(path)) as file:
                    found.append(frequency_of(list(file.decode(audio=0))))
        return found
