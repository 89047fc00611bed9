"""aiortc as a peer. It gathers before setLocalDescription returns, so its candidates stand in its descriptions."""
# ruff: noqa: N802

from __future__ import annotations

import asyncio
import dataclasses
import math
import sys
import time
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCIceServer,
    RTCIceTransportPolicy,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.sdp import candidate_from_sdp

from tests.interop.peers.programs.media import MediaPeer, clock_now
from tests.interop.peers.programs.service import serve
from tests.interop.peers.programs.w3c import Json, Peer

# The pictures and tones are those of our own peer; nothing else of icelane is used.
sys.path.append(str(Path(__file__).parents[4] / "src"))

from icelane.media.synthetic.clock_card import draw_card, read_card
from icelane.media.synthetic.sound import tone

SAMPLE_RATE = 48_000
PACKET_TIME = Fraction(1, 50)
CLOCK_RATE = 90_000


class PacedTrack(MediaStreamTrack):  # type: ignore[misc]  # of no types here
    """Frames at their times, as aiortc's own sources do it."""

    def __init__(self, interval: Fraction) -> None:
        super().__init__()
        self._interval = interval
        self._index = 0
        self._began_at: float | None = None

    async def _next(self) -> Fraction:
        """Wait for the next frame's time, which is in seconds."""
        seconds = self._index * self._interval
        self._index += 1
        if self._began_at is None:
            self._began_at = time.monotonic()
        await asyncio.sleep(self._began_at + float(seconds) - time.monotonic())
        return seconds


class ToneTrack(PacedTrack):
    kind = "audio"

    def __init__(self, frequency: float, level: float) -> None:
        super().__init__(PACKET_TIME)
        decibels = 20 * math.log10(level / math.sqrt(2))
        self._sound = tone(round(frequency), level=decibels, rate=SAMPLE_RATE, channels=2)

    async def recv(self) -> Any:
        start = round(await self._next() * SAMPLE_RATE)
        return self._sound.frame(start, round(PACKET_TIME * SAMPLE_RATE))


class ClockTrack(PacedTrack):
    kind = "video"

    def __init__(self, width: int, height: int, frame_rate: int) -> None:
        super().__init__(Fraction(1, frame_rate))
        self._size = width, height

    async def recv(self) -> Any:
        seconds = await self._next()
        return draw_card(*self._size, clock_now(), pts=round(seconds * CLOCK_RATE))


class AiortcPeer(MediaPeer, Peer):
    def _connect(self, servers: list[Json], policy: str) -> Any:
        return RTCPeerConnection(
            RTCConfiguration(
                iceServers=[RTCIceServer(**server) for server in servers],
                iceTransportPolicy=RTCIceTransportPolicy(policy),
            )
        )

    def _description(self, description: Json) -> Any:
        return RTCSessionDescription(**description)

    async def addCandidate(self, candidate: Json | None) -> None:
        if not candidate or not candidate["candidate"]:
            await self.connection.addIceCandidate(None)
            return
        parsed = candidate_from_sdp(candidate["candidate"].removeprefix("candidate:"))
        parsed.sdpMid, parsed.sdpMLineIndex = candidate["sdpMid"], candidate["sdpMLineIndex"]
        await self.connection.addIceCandidate(parsed)

    async def nextLocalCandidate(self) -> Json | None:
        return None

    async def _gathered(self) -> None:
        return

    async def selectedPair(self) -> Json | None:
        """Its statistics tell nothing of candidates, so this looks inside."""
        pair = self.connection.sctp.transport.transport._connection._nominated.get(1)
        return pair and {
            "local": pair.local_candidate.type,
            "remote": pair.remote_candidate.type,
            "protocol": pair.local_candidate.transport,
            "relayProtocol": None,
            "localAddress": pair.local_candidate.host,
            "remoteAddress": pair.remote_candidate.host,
        }

    # -- sound and pictures

    def _tone_track(self, frequency: float, level: float) -> Any:
        return ToneTrack(frequency, level)

    def _clock_track(self, width: int, height: int, frame_rate: int) -> Any:
        return ClockTrack(width, height, frame_rate)

    def _read_clock(self, frame: Any) -> int | None:
        return read_card(frame)

    async def stats(self) -> list[Json]:
        report = await self.connection.getStats()
        return [_entry(one) for one in report.values()]


def _entry(entry: Any) -> Json:
    members = dataclasses.asdict(entry)
    return {name: one.timestamp() if isinstance(one, datetime) else one for name, one in members.items()}


if __name__ == "__main__":
    serve(AiortcPeer)
