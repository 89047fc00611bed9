"""What the programs of `peers.py` have in common: libraries behind one form, and an end that is asked by JSON.

Standard library and one of those libraries only: it runs in environments of other people's making.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import socket
import sys
from collections.abc import Callable
from typing import Any

Json = dict[str, Any]


class Library:
    """What libraries differ in; as it stands, icelane."""

    trickles = True

    def __init__(self) -> None:
        self._icelane: Any = importlib.import_module("icelane")

    def connect(self) -> Any:
        """A peer connection without servers."""
        interfaces = os.environ.get("BENCH_INTERFACES")
        names = interfaces.split() if interfaces else None
        return self._icelane.RTCPeerConnection(self._icelane.RTCConfiguration(interfaces=names))

    def description(self, given: Json) -> Any:
        return self._icelane.RTCSessionDescription(**given)

    def candidate(self, given: Json) -> Any:
        return self._icelane.RTCIceCandidate(**given)

    def of(self, event: Any, name: str) -> Any:
        """What an event brings: here the bare object."""
        del name
        return event

    async def close(self, connection: Any) -> None:
        await connection.close()


class Aiortc(Library):
    """Its candidates are in its descriptions."""

    trickles = False

    def __init__(self) -> None:
        self._aiortc: Any = importlib.import_module("aiortc")

    def connect(self) -> Any:
        return self._aiortc.RTCPeerConnection(self._aiortc.RTCConfiguration(iceServers=[]))

    def description(self, given: Json) -> Any:
        return self._aiortc.RTCSessionDescription(**given)


class Wrtc(Library):
    """libwebrtc."""

    def __init__(self) -> None:
        self._webrtc: Any = importlib.import_module("webrtc")

    def connect(self) -> Any:
        return self._webrtc.RTCPeerConnection(self._webrtc.RTCConfiguration(ice_servers=[]))

    def description(self, given: Json) -> Any:
        return self._webrtc.RTCSessionDescriptionInit(**given)

    def candidate(self, given: Json) -> Any:
        return self._webrtc.RTCIceCandidateInit(
            candidate=given["candidate"], sdp_mid=given["sdpMid"], sdp_m_line_index=given["sdpMLineIndex"]
        )

    def of(self, event: Any, name: str) -> Any:
        return getattr(event, name)

    async def close(self, connection: Any) -> None:
        connection.close()


class End:
    """One connection after the other. What it can be asked is in `_do_...` of who derives from it."""

    def __init__(self, library: Library, writer: asyncio.StreamWriter) -> None:
        self._library = library
        self._writer = writer
        self._connection: Any = None

    async def do(self, command: Json) -> Json:
        """What was asked on standard input, and the answer to it."""
        given = {name: value for name, value in command.items() if name != "do"}
        found: Json = await getattr(self, f"_do_{command['do']}")(**given)
        return found

    async def handle(self, signal: Json) -> None:
        """What the other end tells."""
        if "candidate" in signal:
            await self._add_candidate(signal["candidate"])
            return
        given = signal["description"]
        if given["type"] == "answer":
            await self._connection.setRemoteDescription(self._library.description(given))
            return
        self._connect()
        await self._connection.setRemoteDescription(self._library.description(given))
        await self._connection.setLocalDescription(await self._connection.createAnswer())
        self._tell_description()

    async def _offer(self) -> None:
        await self._connection.setLocalDescription(await self._connection.createOffer())
        self._tell_description()

    async def _add_candidate(self, given: Json) -> None:
        await self._connection.addIceCandidate(self._library.candidate(given))

    def _connect(self) -> None:
        self._connection = self._library.connect()
        if self._library.trickles:
            self._connection.on("icecandidate")(self._handle_candidate)

    def _handle_candidate(self, event: Any) -> None:
        found = self._library.of(event, "candidate")
        if found and found.candidate:
            given = {name: getattr(found, name) for name in ("candidate", "sdpMid", "sdpMLineIndex")}
            self._tell({"candidate": given})

    def _tell_description(self) -> None:
        local = self._connection.localDescription
        kind = getattr(local.type, "value", local.type)
        self._tell({"description": {"type": str(kind), "sdp": local.sdp}})

    def _tell(self, signal: Json) -> None:
        self._writer.write(json.dumps(signal).encode() + b"\n")


async def serve(make_end: Callable[[asyncio.StreamWriter], End], signaling: int) -> None:
    """Until standard input ends; `signaling` is the descriptor of the socket to the other end."""
    reader, writer = await asyncio.open_connection(sock=socket.socket(fileno=signaling), limit=1 << 20)
    end = make_end(writer)
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # a library that prints must not spoil an answer

    async def listen() -> None:
        async for line in reader:
            await end.handle(json.loads(line))

    listening = asyncio.create_task(listen())
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    answers.write('"ready"\n')
    async for line in commands:
        doing = asyncio.create_task(end.do(json.loads(line)))
        await asyncio.wait([doing, listening], return_when=asyncio.FIRST_COMPLETED)
        if listening.done():
            listening.result()  # what went wrong
            raise SystemExit("the other end is gone")
        answers.write(json.dumps(doing.result()) + "\n")
    listening.cancel()
