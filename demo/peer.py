"""Our own peer connection as an end of a call that may only go through a relay."""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
import time
from pathlib import Path

from demo.call import Security, Statistics
from icelane import RTCConfiguration, RTCIceCandidate, RTCIceServer, RTCPeerConnection, RTCSessionDescription
from icelane.aio.event_target import Event
from icelane.peer.stats import Stats

CHUNK = 16384  # the message size that every browser accepts


class PeerEnd:
    """Speaks through one TURN server, and uses loopback alone. To be closed."""

    def __init__(self, server: RTCIceServer, authority: Path) -> None:
        self._configuration = RTCConfiguration(
            iceServers=[server], iceTransportPolicy="relay", authority=authority, interfaces=["lo"]
        )
        self._candidates: asyncio.Queue[str] = asyncio.Queue()
        self._remote = asyncio.Event()
        self._problems: list[str] = []

    async def begin(self, *, video: bool) -> None:
        if video:
            raise NotImplementedError("this end has data channels alone")
        self._pc = RTCPeerConnection(self._configuration)
        self._began = time.perf_counter()
        self._pc.on("icecandidate", self._found)
        self._pc.onicecandidateerror = self._failed
        # Both ends know the channel's number, so that either may begin.
        self._channel = self._pc.createDataChannel("payload", negotiated=True, id=0)

    async def offer(self) -> str:
        await self._pc.setLocalDescription()
        return self._local_sdp()

    async def answer(self, sdp: str) -> str:
        await self._pc.setRemoteDescription(RTCSessionDescription(sdp, "offer"))
        self._remote.set()
        await self._pc.setLocalDescription()
        return self._local_sdp()

    async def accept(self, sdp: str) -> None:
        await self._pc.setRemoteDescription(RTCSessionDescription(sdp, "answer"))
        self._remote.set()

    async def next_candidate(self) -> str:
        return await self._candidates.get()

    async def add_candidate(self, candidate: str) -> None:
        await self._remote.wait()
        await self._pc.addIceCandidate(RTCIceCandidate.from_json(json.loads(candidate)))

    async def opened(self) -> float:
        await self._pc.connected()  # raises as soon as there is no hope; the channel would stay as it is
        await self._channel.opened()
        return time.perf_counter() - self._began

    async def send(self, size: int) -> str:
        payload = secrets.token_bytes(size)
        for at in range(0, size, CHUNK):
            self._channel.send(payload[at : at + CHUNK])
            await self._channel.drain()
        return hashlib.sha256(payload).hexdigest()

    async def received(self, size: int) -> tuple[int, str]:
        count, digest = 0, hashlib.sha256()
        while count < size:
            message = await self._channel.receive()
            assert isinstance(message, bytes), "the other end sends bytes"
            count += len(message)
            digest.update(message)
        return count, digest.hexdigest()

    async def statistics(self) -> Statistics:
        stats = await self._pc.getStats()
        transport = stats["T"]
        pair = stats.get(str(transport.get("selectedCandidatePairId"))) or Stats()
        local = stats.get(str(pair.get("localCandidateId"))) or Stats()
        remote = stats.get(str(pair.get("remoteCandidateId"))) or Stats()
        round_trip = pair.get("currentRoundTripTime")
        report = self._pc.security_report()
        return Statistics(
            connection_state=self._pc.connectionState,
            local_candidate=str(local.get("candidateType", "none")),
            remote_candidate=str(remote.get("candidateType", "none")),
            relay_protocol=str(local.get("relayProtocol", "none")),
            transport_bytes_sent=int(transport["bytesSent"]),
            transport_bytes_received=int(transport["bytesReceived"]),
            round_trip=None if round_trip is None else float(round_trip),
            security=Security(
                protocol=report.protocol or "none",
                cipher_suite=report.cipher_suite or "none",
                srtp_profile=report.srtp_profile,
                local_fingerprint=report.local_fingerprint,
                remote_fingerprint=report.remote_fingerprint or "none",
            ),
            problems=await self.problems(),
        )

    async def problems(self) -> tuple[str, ...]:
        return tuple(self._problems)

    async def aclose(self) -> None:
        """End the call."""
        if hasattr(self, "_pc"):
            await self._pc.close()

    def _local_sdp(self) -> str:
        assert self._pc.localDescription is not None
        return self._pc.localDescription.sdp

    def _found(self, candidate: RTCIceCandidate | None) -> None:
        if candidate is not None:
            self._candidates.put_nowait(json.dumps(candidate.toJSON()))

    def _failed(self, event: Event) -> None:
        self._problems.append(f"{event.url}: {event.errorCode} {event.errorText}")
