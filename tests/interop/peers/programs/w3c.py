"""A peer over any library that has the W3C's names. What libraries differ in is in the methods to override.

The methods of `Peer` without an underscore are what `remote.py` calls, by the names that it calls them.
"""
# ruff: noqa: N802, N803

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Awaitable, Callable
from typing import Any

BUFFER = 1 << 20  # bytes that may wait to be sent

Json = dict[str, Any]


class End:
    """One end of a data channel, perhaps before there is one, and what came through it."""

    def __init__(self) -> None:
        self.adopted: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.opened = asyncio.Event()
        self.low = asyncio.Event()
        self.bytes: asyncio.Queue[bytes] = asyncio.Queue()
        self.texts: asyncio.Queue[str] = asyncio.Queue()

    def arrived(self, message: str | bytes) -> None:
        if isinstance(message, str):
            self.texts.put_nowait(message)
        else:
            self.bytes.put_nowait(message)

    async def open(self) -> Any:
        """The channel, once it is open."""
        await self.opened.wait()
        return await self.adopted


class Peer:
    """One peer connection."""

    connection: Any = None
    _deliver: Callable[[Json], Awaitable[None]]
    _signals_candidates = False

    def __init__(self) -> None:
        self._ends: dict[str, End] = {}
        self._candidates: asyncio.Queue[Json | None] = asyncio.Queue()
        self._signals: asyncio.Queue[Json] = asyncio.Queue()

    # -- what libraries differ in

    def _connect(self, servers: list[Json], policy: str) -> Any:
        """The library's RTCPeerConnection for `iceServers` and `iceTransportPolicy`."""
        raise NotImplementedError

    def _create_channel(self, label: str, options: Json) -> Any:
        return self.connection.createDataChannel(label, **options)

    def _description(self, description: Json) -> Any:
        """The library's form of a description."""
        raise NotImplementedError

    def _candidate(self, candidate: Json) -> Any:
        """The library's form of a candidate."""
        raise NotImplementedError

    def _of(self, event: Any, name: str) -> Any:
        """What an event brings: here the bare object."""
        return event

    async def _gathered(self) -> None:
        """Return when gathering is complete."""
        raise NotImplementedError

    def _receive(self, channel: Any, end: End) -> None:
        """Let what comes through a channel arrive at its end."""

        def handle_message(event: Any) -> None:
            end.arrived(self._of(event, "data"))

        channel.on("message")(handle_message)

    async def _send(self, channel: Any, end: End, message: bytes) -> None:
        """Send, and wait while much waits to be sent."""
        channel.send(message)
        while channel.bufferedAmount > BUFFER:
            end.low.clear()
            await end.low.wait()

    async def selectedPair(self) -> Json | None:
        report = dict((await self.connection.getStats()).items())
        transport = next((entry for entry in report.values() if _of_type(entry, "transport")), None)
        pair = report.get(_member(transport, "selectedCandidatePairId") or "")
        if pair is None:
            return None
        local = report[_member(pair, "localCandidateId")]
        remote = report[_member(pair, "remoteCandidateId")]
        return {
            "local": _text(_member(local, "candidateType")),
            "remote": _text(_member(remote, "candidateType")),
            "protocol": _member(local, "protocol"),
            "relayProtocol": _text(_member(local, "relayProtocol")),
            "localAddress": _member(local, "address"),
            "remoteAddress": _member(remote, "address"),
            "remoteUfrag": _member(remote, "usernameFragment"),
        }

    # -- negotiation

    async def start(self, iceServers: list[Json], iceTransportPolicy: str) -> None:
        self.connection = self._connect(iceServers, iceTransportPolicy)
        self.connection.on("icecandidate")(self._handle_candidate)
        self.connection.on("datachannel")(lambda event: self._adopt(self._of(event, "channel")))

    async def createChannel(self, label: str, options: Json) -> None:
        self._adopt(self._create_channel(label, options))

    async def offer(self) -> Json:
        await self.connection.setLocalDescription(await self.connection.createOffer())
        return self._local()

    async def acceptOffer(self, description: Json) -> Json:
        await self.connection.setRemoteDescription(self._description(description))
        await self.connection.setLocalDescription(await self.connection.createAnswer())
        return self._local()

    async def acceptAnswer(self, description: Json) -> None:
        await self.connection.setRemoteDescription(self._description(description))

    async def addCandidate(self, candidate: Json | None) -> None:
        await self.connection.addIceCandidate(candidate and self._candidate(candidate))

    async def nextLocalCandidate(self) -> Json | None:
        return await self._candidates.get()

    async def completeDescription(self) -> Json:
        await self._gathered()
        return self._local()

    async def restartIce(self) -> None:
        self.connection.restartIce()

    async def negotiateByItself(self, polite: bool) -> None:
        """As the W3C's example of perfect negotiation does."""
        making_offer = ignoring_offer = False

        async def handle_negotiation_needed(*_: Any) -> None:
            nonlocal making_offer
            try:
                making_offer = True
                await self.connection.setLocalDescription()
                self._signals.put_nowait({"description": self._local()})
            finally:
                making_offer = False

        async def deliver(signal: Json) -> None:
            nonlocal ignoring_offer
            description = signal.get("description")
            if description is None:
                try:
                    await self.addCandidate(signal["candidate"])
                except Exception:
                    if not ignoring_offer:
                        raise
                return
            is_offer = description["type"] == "offer"
            collision = is_offer and (making_offer or self.connection.signalingState != "stable")
            ignoring_offer = not polite and collision
            if ignoring_offer:
                return
            await self.connection.setRemoteDescription(self._description(description))
            if is_offer:
                await self.connection.setLocalDescription()
                self._signals.put_nowait({"description": self._local()})

        self._deliver = deliver
        self._signals_candidates = True
        self.connection.on("negotiationneeded")(handle_negotiation_needed)

    async def deliver(self, signal: Json) -> None:
        await self._deliver(signal)

    async def nextSignal(self) -> Json:
        return await self._signals.get()

    # -- data

    async def waitOpen(self, label: str) -> None:
        await self._end(label).open()

    async def sendBytes(self, label: str, total: int, seed: int, chunk: int) -> str:
        end = self._end(label)
        channel = await end.open()
        data = random.Random(seed).randbytes(total)
        for offset in range(0, total, chunk):
            await self._send(channel, end, data[offset : offset + chunk])
        return hashlib.sha256(data).hexdigest()

    async def receiveBytes(self, label: str, total: int) -> str:
        end, digest, size = self._end(label), hashlib.sha256(), 0
        while size < total:
            part = await end.bytes.get()
            digest.update(part)
            size += len(part)
        return digest.hexdigest()

    async def channelState(self, label: str) -> Any:
        return _text((await self._end(label).adopted).readyState)

    async def sendText(self, label: str, text: str) -> None:
        (await self._end(label).open()).send(text)

    async def receiveText(self, label: str) -> str:
        return await self._end(label).texts.get()

    # -- state

    async def states(self) -> Json:
        return {
            "connection": _text(self.connection.connectionState),
            "ice": _text(self.connection.iceConnectionState),
            "signaling": _text(self.connection.signalingState),
        }

    async def close(self) -> None:
        if self.connection is not None:
            await self._close()

    async def _close(self) -> None:
        await self.connection.close()

    def _end(self, label: str) -> End:
        return self._ends.setdefault(label, End())

    def _adopt(self, channel: Any) -> None:
        end = self._end(channel.label)
        self._receive(channel, end)
        channel.bufferedAmountLowThreshold = BUFFER // 4
        channel.on("bufferedamountlow")(lambda *_: end.low.set())
        channel.on("open")(lambda *_: end.opened.set())
        if channel.readyState == "open":
            end.opened.set()
        end.adopted.set_result(channel)

    def _handle_candidate(self, event: Any) -> None:
        found = self._of(event, "candidate")
        candidate = found and {
            "candidate": found.candidate,
            "sdpMid": found.sdpMid,
            "sdpMLineIndex": found.sdpMLineIndex,
            "usernameFragment": found.usernameFragment,
        }
        if self._signals_candidates:
            self._signals.put_nowait({"candidate": candidate})
        else:
            self._candidates.put_nowait(candidate)

    def _local(self) -> Json:
        description = self.connection.localDescription
        return {"type": _text(description.type), "sdp": description.sdp}


def _of_type(entry: Any, name: str) -> bool:
    return bool(_text(_member(entry, "type")) == name)


def _member(entry: Any, name: str) -> Any:
    """A member of an entry of statistics, which is a mapping in one library and an object in another."""
    return entry.get(name) if hasattr(entry, "get") else getattr(entry, name, None)


def _text(value: Any) -> Any:
    """The text of an enumeration's member, or what is text or None already."""
    return getattr(value, "value", value)
