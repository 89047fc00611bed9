"""The sound and pictures of our own peer: what `media.js` does in a browser."""
# ruff: noqa: N802, N803

from __future__ import annotations

import asyncio
import math
import time
from array import array
from collections.abc import AsyncIterator
from typing import Any

from icelane import MediaStream, MediaStreamTrack, TestCardTrack, ToneTrack
from icelane.media.pyav import av
from icelane.media.synthetic.clock_card import read_card
from icelane.media.synthetic.sound import measure_tone
from tests.interop.peers.programs.w3c import Json

_MODULUS = 2**32


def _clock() -> int:
    """Milliseconds since 1970, of them 32 bits: both ends are on one machine."""
    return int(time.time() * 1000) % _MODULUS


class Media:
    """To be derived from beside `Peer`, whose `connection` it uses."""

    connection: Any

    def __init__(self) -> None:
        super().__init__()
        self._keys: list[Any] = []

    async def capabilities(self, kind: str) -> Json:
        icelane = __import__("icelane")
        ends = {"send": icelane.RTCRtpSender, "receive": icelane.RTCRtpReceiver}
        return {name: [_codec(one) for one in end.getCapabilities(kind).codecs] for name, end in ends.items()}

    async def sendTone(self, frequency: float, level: float) -> None:
        track = ToneTrack(round(frequency), level=20 * math.log10(level / math.sqrt(2)))
        self.connection.addTrack(track, MediaStream())

    async def sendClock(self, width: int, height: int, frameRate: float) -> None:
        self.connection.addTrack(TestCardTrack(width, height, frameRate, number=_clock), MediaStream())

    async def addTransceiver(self, kind: str, direction: str) -> None:
        self.connection.addTransceiver(kind, direction)

    async def preferCodec(self, kind: str, mimeType: str, parameters: str) -> None:
        transceiver = self._transceiver(kind)
        codecs = __import__("icelane").RTCRtpReceiver.getCapabilities(kind).codecs
        wanted = [
            one for one in codecs if one.mimeType.lower() == mimeType.lower() and parameters in (one.sdpFmtpLine or "")
        ]
        transceiver.setCodecPreferences([*wanted, *(one for one in codecs if one not in wanted)])

    async def hearTone(self, seconds: float) -> Json:
        receiver = self._transceiver("audio").receiver
        if not receiver.has_listener("tone"):
            receiver.on("tone", self._keys.append)
        pieces: list[av.AudioFrame] = []
        async for frame in self._fresh("audio"):
            if isinstance(frame, av.AudioFrame) and (pieces or max(_samples(frame), default=0) > 100):
                pieces.append(frame)
            if sum(one.samples / one.sample_rate for one in pieces) >= seconds:
                break
        heard = measure_tone(pieces)
        samples = [value for one in pieces for value in _samples(one)]
        return {
            "frequency": heard.frequency,
            "level": 10 ** (heard.level / 20) * math.sqrt(2),
            "longestSilence": _longest_silence(samples, pieces[0].sample_rate),
        }

    async def seeClock(self, frames: int) -> list[Json]:
        seen: list[Json] = []
        async for frame in self._fresh("video"):
            if isinstance(frame, av.VideoFrame):
                seen.append(
                    {
                        "number": read_card(frame),
                        "at": _clock(),
                        "width": frame.width,
                        "height": frame.height,
                        "rtpTimestamp": frame.pts,
                    }
                )
            if len(seen) == frames:
                break
        return seen

    async def setDirection(self, kind: str, direction: str) -> None:
        self._transceiver(kind).direction = direction

    async def removeTrack(self, kind: str) -> None:
        sender = next(one for one in self.connection.getSenders() if one.track is not None and one.kind == kind)
        track = sender.track
        self.connection.removeTrack(sender)
        track.stop()

    async def stopTransceiver(self, kind: str) -> None:
        self._transceiver(kind).stop()

    async def sendTones(self, tones: str, duration: int, gap: int) -> None:
        dtmf = self._transceiver("audio").sender.dtmf
        done = asyncio.Event()
        dtmf.on("tonechange", lambda tone: None if tone else done.set())
        dtmf.insertDTMF(tones, duration, gap)
        await done.wait()

    async def heardTones(self, count: int) -> list[Json]:
        """Waits for so many tones of keys, from when sound was first heard."""
        while len(self._keys) < count:  # noqa: ASYNC110  (the test gives up)
            await asyncio.sleep(0.02)
        return [{"tone": one.tone, "duration": one.duration} for one in self._keys]

    async def transceivers(self) -> list[Json]:
        return [
            {
                "mid": one.mid,
                "kind": one.kind,
                "direction": one.direction,
                "currentDirection": one.currentDirection,
                "muted": one.receiver.track.muted,
            }
            for one in self.connection.getTransceivers()
        ]

    async def stats(self) -> list[Json]:
        return [dict(one) for one in (await self.connection.getStats()).values()]

    def _transceiver(self, kind: str) -> Any:
        return next(one for one in self.connection.getTransceivers() if one.kind == kind)

    async def _fresh(self, kind: str) -> AsyncIterator[object]:
        """What comes from now on: what waits already is passed over."""
        track = await self._track(kind)
        is_fresh = False
        while True:
            began_at = time.monotonic()
            frame = await track.recv()
            is_fresh = is_fresh or time.monotonic() - began_at > 0.004
            if is_fresh:
                yield frame

    async def _track(self, kind: str) -> MediaStreamTrack:
        while True:
            for one in self.connection.getReceivers():
                if one.kind == kind and one.track.readyState == "live" and not one.track.muted:
                    track: MediaStreamTrack = one.track
                    return track
            await asyncio.sleep(0.02)


def _codec(codec: Any) -> Json:
    return {
        "mimeType": codec.mimeType,
        "clockRate": codec.clockRate,
        "channels": codec.channels,
        "sdpFmtpLine": codec.sdpFmtpLine,
    }


def _samples(frame: av.AudioFrame) -> array[int]:
    channels = len(frame.layout.channels)
    return array("h", memoryview(frame.planes[0])[: frame.samples * channels * 2].cast("h")[::channels])


def _longest_silence(samples: list[int], rate: int) -> float:
    window = rate // 200
    floor = math.sqrt(sum(value * value for value in samples) / max(1, len(samples))) / 100
    longest = current = 0.0
    for start in range(0, len(samples) - window, window):
        piece = samples[start : start + window]
        is_silent = math.sqrt(sum(value * value for value in piece) / window) < floor
        current = current + 5 if is_silent else 0.0
        longest = max(longest, current)
    return longest
