"""A program of ours in the demo's room: a test card, a beep, a file for the other one, and what it measures."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from demo.call import STATISTICS_INTERVAL, EndReport, Security
from demo.node import ROOM, DemoNode
from icelane import (
    MediaBlackhole,
    MediaStreamTrack,
    RTCConfiguration,
    RTCDataChannel,
    RTCPeerConnection,
    SignalClient,
    TestCardTrack,
)
from icelane.aio.event_target import Event
from icelane.aio.media.synthetic import BeepTrack
from icelane.cli.file_transfer import Transferred, receive_file, send_file
from icelane.peer.stats import Stats

# The call page's numbers and names: its chat is channel 0, each file a channel of its own.
CHAT = 0
FILE_LABEL = "file"


class RoomPeer:
    """One call with the next one who is in the room. Files lie in `folder`, a directory of its own."""

    def __init__(self, signal: SignalClient, folder: Path) -> None:
        self._signal = signal
        self._folder = folder
        self._problems: list[str] = []
        self._files: asyncio.Queue[RTCDataChannel] = asyncio.Queue()
        self._sink = MediaBlackhole()

    @classmethod
    @asynccontextmanager
    async def entered(cls, node: DemoNode, identity: str, folder: Path) -> AsyncIterator[RoomPeer]:
        """In the room, on loopback alone."""
        folder.mkdir()
        configuration = RTCConfiguration(interfaces=["lo"])
        async with SignalClient(
            node.origin,
            token=node.token(identity),
            room=ROOM,
            meta={"name": identity},
            configuration=configuration,
            authority=node.authority,
        ) as signal:
            peer = cls(signal, folder)
            yield peer
            await peer._sink.stop()

    async def call(self) -> None:
        """Call the other one, and wait until the channel is open."""
        other = await self._signal.next_peer()
        began = time.perf_counter()
        self.pc: RTCPeerConnection = self._signal.connect_peer(other)
        self.pc.onicecandidateerror = self._failed
        self.pc.on("datachannel", self._files.put_nowait)
        self.pc.on("track", self._watch)
        self.chat = self.pc.createDataChannel("chat", negotiated=True, id=CHAT)
        self.pc.addTrack(TestCardTrack(320, 240, 15))
        self.pc.addTrack(BeepTrack())
        await self.pc.connected()
        await self.chat.opened()
        self.set_up = time.perf_counter() - began

    async def send(self, name: str, size: int) -> Transferred:
        """Send a file of random bytes, and wait until the other one has it and its hash is right."""
        path = self._folder / f"{name} to send"
        path.write_bytes(secrets.token_bytes(size))
        path = path.rename(self._folder / name)
        channel = self.pc.createDataChannel(FILE_LABEL)
        await channel.opened()
        return await send_file(channel, path, _in_silence)

    async def take(self) -> Transferred:
        """Take the other one's file, whose hash is right."""
        return await receive_file(await self._files.get(), self._folder, _in_silence, replace=False)

    async def decoded(self, frames: int) -> None:
        """Wait for so many pictures."""
        while (await self._inbound("video"))[0] < frames:
            await asyncio.sleep(STATISTICS_INTERVAL)

    async def round_trip(self) -> float | None:
        """Of the selected pair, in seconds."""
        stats = await self.pc.getStats()
        pair = stats.get(str(stats["T"].get("selectedCandidatePairId"))) or Stats()
        value = pair.get("currentRoundTripTime")
        return None if value is None else float(value)

    async def report(self, *, sent: int, received: int, round_trip: float | None) -> EndReport:
        """What this end has measured; `sent` and `received` are the sizes of files whose hashes were right."""
        stats = await self.pc.getStats()
        transport = stats["T"]
        pair = stats.get(str(transport.get("selectedCandidatePairId"))) or Stats()
        local = stats.get(str(pair.get("localCandidateId"))) or Stats()
        remote = stats.get(str(pair.get("remoteCandidateId"))) or Stats()
        codecs = [stats.get(str(one.get("codecId"))) or Stats() for one in stats.of_type("inbound-rtp")]
        frames, packets, lost = await self._inbound("video")
        security = self.pc.security_report()
        return EndReport(
            connection_state=self.pc.connectionState,
            local_candidate=str(local.get("candidateType", "none")),
            remote_candidate=str(remote.get("candidateType", "none")),
            relay_protocol=str(local.get("relayProtocol", "none")),
            transport_bytes_sent=int(transport["bytesSent"]),
            transport_bytes_received=int(transport["bytesReceived"]),
            round_trip=round_trip,
            security=Security(
                protocol=security.protocol or "none",
                cipher_suite=security.cipher_suite or "none",
                srtp_profile=security.srtp_profile,
                local_fingerprint=security.local_fingerprint,
                remote_fingerprint=security.remote_fingerprint or "none",
            ),
            frames_decoded=frames,
            video_packets_received=packets,
            video_packets_lost=lost,
            codecs=tuple(dict.fromkeys(str(codec.get("mimeType", "")).rpartition("/")[2] for codec in codecs)),
            problems=self.problems,
            set_up=self.set_up,
            payload_sent=sent,
            payload_received=received,
            payload_intact=True,
        )

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong with its servers."""
        return tuple(self._problems)

    async def _inbound(self, kind: str) -> tuple[int, int, int]:
        """Frames decoded, packets received and lost."""
        streams = [one for one in (await self.pc.getStats()).of_type("inbound-rtp") if one.get("kind") == kind]
        names = ("framesDecoded", "packetsReceived", "packetsLost")
        frames, packets, lost = (sum(int(one.get(name) or 0) for one in streams) for name in names)
        return frames, packets, lost

    async def _watch(self, track: MediaStreamTrack) -> None:
        """It may come with a later negotiation than the others."""
        self._sink.addTrack(track)
        await self._sink.start()

    def _failed(self, event: Event) -> None:
        self._problems.append(f"{event.url}: {event.errorCode} {event.errorText}")


def _in_silence(name: str, done: int, size: int) -> None:
    """No bar."""
