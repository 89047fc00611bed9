"""A file is played, to its end and in a loop."""

import asyncio
import tempfile
from pathlib import Path

import av
from aiortc.contrib.media import MediaPlayer, PlayerStreamTrack
from aiortc.mediastreams import MediaStreamError

from media import frequency_of, luma_of, picture, tone_frame


def write(path):
    with av.open(str(path), "w") as file:
        sound, images = file.add_stream("pcm_s16le", rate=48000), file.add_stream("mpeg4", rate=30)
        sound.layout = "mono"
        images.width, images.height, images.pix_fmt = 320, 240, "yuv420p"
        for index in range(50):
            file.mux(sound.encode(tone_frame(index, 500)))
        for index in range(30):
            frame = picture(160)
            frame.pts = index
            file.mux(images.encode(frame))
        for stream in (sound, images):
            file.mux(stream.encode(None))


async def read(track):
    frames = []
    try:
        while True:
            frames.append(await track.recv())
    except MediaStreamError:
        return frames


async def main():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.mkv"
        write(path)
        player = MediaPlayer(str(path))
        frames, pictures = await asyncio.gather(read(player.audio), read(player.video))
        first = frames[0]
        found = [first.format.name, first.layout.name, first.sample_rate, first.samples, frequency_of(frames)]
        found += [len(frames), luma_of(pictures[0]), pictures[0].width]
        found += [player.audio.readyState, isinstance(player.audio, PlayerStreamTrack), player.audio.kind]
        looped = MediaPlayer(str(path), loop=True)
        again = [await looped.audio.recv() for _ in range(80)]
        looped.audio.stop()  # the last one that was read: aiortc fails to stop another one after it
        return [*found, len(again)]
