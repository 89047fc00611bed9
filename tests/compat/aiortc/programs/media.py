"""Sound and pictures that can be recognised."""

from __future__ import annotations

import asyncio
import math
import time
from array import array
from fractions import Fraction

import av
from aiortc import MediaStreamTrack, VideoStreamTrack

RATE = 48000
SAMPLES = 960


def tone_frame(index, frequency, rate=RATE, samples=SAMPLES):
    """20 ms of a tone."""
    values = array(
        "h", [round(8000 * math.sin(2 * math.pi * frequency * (index * samples + i) / rate)) for i in range(samples)]
    )
    frame = av.AudioFrame(format="s16", layout="mono", samples=samples)
    frame.planes[0].update(values.tobytes())
    frame.sample_rate = rate
    frame.pts, frame.time_base = index * samples, Fraction(1, rate)
    return frame


class ToneTrack(MediaStreamTrack):
    """A tone, as programs write such tracks."""

    kind = "audio"

    def __init__(self, frequency=500):
        super().__init__()
        self.frequency = frequency
        self._index = 0
        self._start = None

    async def recv(self):
        if self._start is None:
            self._start = time.time()
        await asyncio.sleep(max(0, self._start + self._index * 0.02 - time.time()))
        self._index += 1
        return tone_frame(self._index - 1, self.frequency)


class ColourTrack(VideoStreamTrack):
    """Pictures in one colour."""

    def __init__(self, luma, width=320, height=240):
        super().__init__()
        self.luma, self.size = luma, (width, height)

    async def recv(self):
        pts, time_base = await self.next_timestamp()
        frame = picture(self.luma, *self.size)
        frame.pts, frame.time_base = pts, time_base
        return frame


def picture(luma, width=320, height=240):
    frame = av.VideoFrame(width, height, "yuv420p")
    for plane, value in zip(frame.planes, (luma, 128, 128), strict=True):
        plane.update(bytes([value]) * plane.buffer_size)
    return frame


def luma_of(frame):
    """The brightness in the middle, in steps of 10."""
    plane = frame.reformat(format="yuv420p").planes[0]
    return round(memoryview(plane)[plane.line_size * (frame.height // 2) + frame.width // 2] / 10) * 10


def frequency_of(frames):
    """In steps of 20 Hz, by where the first channel rises through zero."""
    samples = []
    for frame in frames:
        channels = len(frame.layout.channels)
        packed = memoryview(frame.planes[0])[: 2 * channels * frame.samples].cast("h")
        samples += packed.tolist()[::channels]
    rises = [i for i in range(1, len(samples)) if samples[i - 1] < 0 <= samples[i]]
    if len(rises) < 2:
        return 0
    return round((len(rises) - 1) * frames[0].sample_rate / (rises[-1] - rises[0]) / 20) * 20
