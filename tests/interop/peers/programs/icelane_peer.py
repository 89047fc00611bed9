"""Our own peer connection, as a program like the others, so that it can be on another machine."""

from __future__ import annotations

import asyncio
import dataclasses
import importlib
import json
import math
import os
from typing import Any

from tests.interop.peers.programs.media import MediaPeer, clock_now
from tests.interop.peers.programs.service import serve
from tests.interop.peers.programs.w3c import End, Json, Peer


class IcelanePeer(MediaPeer, Peer):
    def __init__(self) -> None:
        super().__init__()
        self._icelane: Any = importlib.import_module("icelane")
        self._receiving: set[asyncio.Task[None]] = set()

    def _connect(self, servers: list[Json], policy: str) -> Any:
        return self._icelane.RTCPeerConnection(
            self._icelane.RTCConfiguration(
                iceServers=[self._icelane.RTCIceServer(**server) for server in servers],
                iceTransportPolicy=policy,
                authority=os.environ.get("SSL_CERT_FILE"),  # the others read it by themselves
                **json.loads(os.environ.get("ICELANE_PEER_SETTINGS", "{}")),
            )
        )

    def _description(self, description: Json) -> Any:
        return self._icelane.RTCSessionDescription(**description)

    def _candidate(self, candidate: Json) -> Any:
        return self._icelane.RTCIceCandidate(**candidate)

    async def _gathered(self) -> None:
        await self.connection.gathering_complete()

    def _receive(self, channel: Any, end: End) -> None:
        async def receive() -> None:
            async for message in channel:
                end.arrived(message)

        task = asyncio.create_task(receive())
        self._receiving.add(task)
        task.add_done_callback(self._receiving.discard)

    async def _send(self, channel: Any, end: End, message: bytes) -> None:
        channel.send(message)
        await channel.drain()

    # -- sound and pictures

    def _tone_track(self, frequency: float, level: float) -> Any:
        # Our level is that of the power, of which a sine has half: its amplitude is 3 dB above.
        sources = importlib.import_module("icelane.aio.media.synthetic")
        return sources.ToneTrack(round(frequency), level=20 * math.log10(level / math.sqrt(2)))

    def _clock_track(self, width: int, height: int, frame_rate: int) -> Any:
        sources = importlib.import_module("icelane.aio.media.synthetic")
        return sources.TestCardTrack(width, height, frame_rate, number=clock_now)

    def _streams(self) -> list[Any]:
        self._stream = getattr(self, "_stream", None) or self._aio("media_stream").MediaStream()
        return [self._stream]

    def _read_clock(self, frame: Any) -> int | None:
        number: int | None = importlib.import_module("icelane.media.synthetic.clock_card").read_card(frame)
        return number

    def _aio(self, module: str) -> Any:
        return importlib.import_module(f"icelane.aio.{module}")

    async def capabilities(self, kind: str) -> Json:
        return {
            "send": [_codec(one) for one in self._aio("rtp_sender").RTCRtpSender.getCapabilities(kind).codecs],
            "receive": [_codec(one) for one in self._aio("rtp_receiver").RTCRtpReceiver.getCapabilities(kind).codecs],
        }

    async def preferCodec(self, kind: str, mimeType: str, parameters: str) -> None:  # noqa: N802, N803
        def fits(one: Any) -> bool:
            return one.mimeType.lower() == mimeType.lower() and parameters in (one.sdpFmtpLine or "")

        codecs = self._aio("rtp_receiver").RTCRtpReceiver.getCapabilities(kind).codecs
        ordered = sorted(codecs, key=lambda one: not fits(one))
        for one in self.connection.getTransceivers():
            if one.kind == kind:
                one.setCodecPreferences(ordered)

    async def sendTones(self, tones: str, duration: int, gap: int) -> None:  # noqa: N802
        dtmf = self._transceiver_that_sends("audio").sender.dtmf
        over = asyncio.Event()
        dtmf.on("tonechange", lambda tone: None if tone else over.set())
        dtmf.insertDTMF(tones, duration, gap)
        await over.wait()

    async def stats(self) -> list[Json]:
        report = await self.connection.getStats()
        return [_entry(one) for one in report.values()]


def _codec(codec: Any) -> Json:
    return {"mimeType": codec.mimeType, "clockRate": codec.clockRate, "sdpFmtpLine": codec.sdpFmtpLine}


def _entry(entry: Any) -> Json:
    return dict(entry) if isinstance(entry, dict) else dataclasses.asdict(entry)


if __name__ == "__main__":
    serve(IcelanePeer)
