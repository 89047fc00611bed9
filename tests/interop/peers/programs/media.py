"""Sound and pictures of a peer in Python: what `media.py` beside `remote.py` calls, over PyAV's frames.

`MediaPeer` goes before a peer of `w3c.py`; the tracks that libraries differ in are methods to override.
"""
# ruff: noqa: N802, N803

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from array import array
from fractions import Fraction
from itertools import pairwise
from typing import Any

Json = dict[str, Any]

CLOCK_MODULUS = 2**32
QUIET = 1e-3  # of full scale
WINDOW = 240  # samples: 5 ms
MAX_HOLE = 10  # seconds; a step that is longer is another beginning
GRACE = 1.0  # seconds in which the other end may still look at what is sent here, before the processor is taken
WAITED = 0.01  # seconds: a frame that took so long was not there yet


def clock_now() -> int:
    """Milliseconds since 1970, as far as they go into a picture."""
    return time.time_ns() // 1_000_000 % CLOCK_MODULUS


class MediaPeer:
    """What a peer sends of sound and pictures, and finds in those that come."""

    connection: Any

    def _tone_track(self, frequency: float, level: float) -> Any:
        """A track with a tone of amplitude `level`."""
        raise NotImplementedError

    def _clock_track(self, width: int, height: int, frame_rate: int) -> Any:
        """A track with a test card that shows `clock_now`."""
        raise NotImplementedError

    def _streams(self) -> list[Any]:
        """What tracks are added to: sound and pictures of one stream are played together."""
        return []

    def _read_clock(self, frame: Any) -> int | None:
        """The number in a picture."""
        raise NotImplementedError

    # -- sending

    async def sendTone(self, frequency: float, level: float) -> None:
        self.connection.addTrack(self._tone_track(frequency, level), *self._streams())

    async def sendClock(self, width: int, height: int, frameRate: int) -> None:
        self.connection.addTrack(self._clock_track(width, height, frameRate), *self._streams())

    async def addTransceiver(self, kind: str, direction: str) -> None:
        self.connection.addTransceiver(kind, direction=direction)

    async def removeTrack(self, kind: str) -> None:
        sender = self._transceiver_that_sends(kind).sender
        track = sender.track
        self.connection.removeTrack(sender)
        track.stop()

    async def setDirection(self, kind: str, direction: str) -> None:
        self._transceiver(kind).direction = direction

    async def stopTransceiver(self, kind: str) -> None:
        self._transceiver(kind).stop()

    # -- receiving

    async def hearTone(self, seconds: float) -> Json:
        track = await self._newest(await self._remote_track("audio"))
        heard = Heard()
        while heard.seconds < seconds:
            heard.take(await track.recv())
        return heard.measured()

    async def seeClock(self, frames: int) -> list[Json]:
        track = await self._newest(await self._remote_track("video"))
        return [self._seen(await track.recv()) for _ in range(frames)]

    async def observe(self, seconds: float) -> Json:
        sound, pictures = await asyncio.gather(self._remote_track("audio"), self._remote_track("video"))
        heard, seen = Heard(), list[Json]()

        async def hear() -> None:
            await self._newest(sound)
            while True:
                heard.take(await sound.recv())

        async def see() -> None:
            await self._newest(pictures)
            while True:
                seen.append(self._seen(await pictures.recv()))

        before = await self.stats()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.gather(hear(), see())
        ended_at = clock_now()
        after = await self.stats()
        await asyncio.sleep(GRACE)
        tone = await asyncio.to_thread(heard.measured)
        return {"tone": tone, "pictures": seen, "endedAt": ended_at, "before": before, "after": after}

    def _seen(self, frame: Any) -> Json:
        at = clock_now()
        return {
            "number": self._read_clock(frame),
            "at": at,
            "width": frame.width,
            "height": frame.height,
            "rtpTimestamp": frame.pts,
        }

    async def stats(self) -> list[Json]:
        """The entries of `getStats`."""
        raise NotImplementedError

    # -- state

    async def transceivers(self) -> list[Json]:
        return [
            {
                "mid": one.mid,
                "kind": one.kind,
                "direction": one.direction,
                "currentDirection": one.currentDirection,
                "muted": getattr(one.receiver.track, "muted", None),
            }
            for one in self.connection.getTransceivers()
        ]

    def _transceiver(self, kind: str) -> Any:
        """The newest: a track that is added again gets another one."""
        return next(one for one in reversed(self.connection.getTransceivers()) if one.kind == kind)

    def _transceiver_that_sends(self, kind: str) -> Any:
        found = (one for one in self.connection.getTransceivers() if one.kind == kind and one.sender.track is not None)
        return next(found)

    async def _remote_track(self, kind: str) -> Any:
        """The first remote track of a kind, now or when it comes."""
        while True:
            for one in self.connection.getTransceivers():
                track = one.receiver.track
                if one.kind == kind and track is not None and not getattr(track, "muted", False):
                    return track
            await asyncio.sleep(0.02)

    async def _newest(self, track: Any) -> Any:
        """The track, when what has waited for a reader is read: what comes next is what comes now."""
        waited = 0.0
        while waited < WAITED:
            began = time.monotonic()
            await track.recv()
            waited = time.monotonic() - began
        return track


class Heard:
    """Sound from where it is not silent any more; where times leave something out, silence stands for it."""

    def __init__(self) -> None:
        self._samples = array("h")
        self._rate = 48_000
        self._ends_at: Any = None

    @property
    def seconds(self) -> float:
        return len(self._samples) / self._rate

    def take(self, frame: Any) -> None:
        self._rate = frame.sample_rate
        channels = len(frame.layout.channels)
        heard = array("h", bytes(frame.planes[0])[: frame.samples * channels * 2])[::channels]
        begins_at = frame.pts * frame.time_base
        if self._samples:
            hole = round((begins_at - self._ends_at) * self._rate)
            if 0 < hole < MAX_HOLE * self._rate:
                self._samples.extend(array("h", bytes(2 * hole)))
        if self._samples or max(map(abs, heard), default=0) > QUIET * 32_768:
            self._samples.extend(heard)
        self._ends_at = begins_at + Fraction(frame.samples, frame.sample_rate)

    def measured(self) -> Json:
        """What media.py calls a HeardTone."""
        return {
            "frequency": _frequency(self._samples, self._rate),
            "level": math.sqrt(2 * _power(self._samples)) / 32_768,
            "longestSilence": _longest_silence(self._samples),
        }


def _power(samples: array[int]) -> float:
    return sum(one * one for one in samples) / max(1, len(samples))


def _frequency(samples: array[int], rate: int) -> float:
    """By the positive-going zero crossings, of which most are a period apart also where some sound is missing."""
    crossings = [
        index - 1 + before / (before - after)
        for index, (before, after) in enumerate(pairwise(samples), 1)
        if before < 0 <= after
    ]
    periods = sorted(later - earlier for earlier, later in pairwise(crossings))
    middle = periods[len(periods) // 4 : -len(periods) // 4 or None]
    return rate * len(middle) / sum(middle) if middle else 0.0


def _longest_silence(samples: array[int]) -> int:
    """Milliseconds, in windows of 5 ms below a hundredth of the level of all."""
    floor = _power(samples) / 10_000
    longest = current = 0
    for start in range(0, len(samples) - WINDOW + 1, WINDOW):
        current = current + 5 if _power(samples[start : start + WINDOW]) < floor else 0
        longest = max(longest, current)
    return longest
