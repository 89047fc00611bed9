"""One end of a data channel, over a library of somebody's: `python -m benches.data_peer LIBRARY SIGNALING_FD`.

`datachannel.py` starts two, and gives them a socket to tell each other descriptions and candidates. The one that is
asked something on standard input is the offerer; the other answers offers and messages by itself:

    {"do": "open"}                               -> {"seconds"}            from no connection to an open channel
    {"do": "send", "size", "seconds", "buffer"}  -> {"bytes", "seconds"}   as the receiver has seen it
    {"do": "echo", "size", "count"}              -> {"seconds": [...]}     of each round trip
    {"do": "close"}                              -> {}                     both ends

`buffer` bytes may wait to be sent; when a quarter of them is left sending goes on.

Standard library and that one library only: it runs in environments of other people's making.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import socket
import sys
import time
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


LIBRARIES: dict[str, Callable[[], Library]] = {"icelane": Library, "aiortc": Aiortc, "wrtc": Wrtc}


class End:
    """One connection after the other, and the one channel of the present one."""

    def __init__(self, library: Library, writer: asyncio.StreamWriter) -> None:
        self._library = library
        self._writer = writer
        self._connection: Any = None
        self._channel: Any = None
        self._opened = asyncio.Event()
        self._closed = asyncio.Event()
        self._low = asyncio.Event()
        self._answers: asyncio.Queue[str] = asyncio.Queue()
        self._echoes: asyncio.Queue[bytes] = asyncio.Queue()
        self._is_offerer = self._closing = False
        self._echoing = False
        self._received = 0
        self._first = self._last = 0.0

    # What is asked of the offerer

    async def do(self, command: Json) -> Json:
        given = {name: value for name, value in command.items() if name != "do"}
        found: Json = await getattr(self, f"_do_{command['do']}")(**given)
        return found

    async def _do_open(self) -> Json:
        self._is_offerer = True
        self._opened.clear()
        began = time.perf_counter()
        self._connect()
        self._adopt(self._connection.createDataChannel("bench"))
        await self._connection.setLocalDescription(await self._connection.createOffer())
        self._tell_description()
        await self._opened.wait()
        return {"seconds": time.perf_counter() - began}

    async def _do_send(self, size: int, seconds: float, buffer: int) -> Json:
        channel, message, low = self._channel, bytes(size), self._low
        channel.bufferedAmountLowThreshold = buffer // 4
        channel.send("begin")
        ends_at = time.perf_counter() + seconds
        while time.perf_counter() < ends_at:
            channel.send(message)
            if channel.bufferedAmount > buffer:
                low.clear()
                await low.wait()
        channel.send("end")
        found: Json = json.loads(await self._answers.get())
        return found

    async def _do_echo(self, size: int, count: int) -> Json:
        channel, message, taken = self._channel, bytes(size), []
        channel.send("echo")
        for _ in range(count):
            began = time.perf_counter()
            channel.send(message)
            await self._echoes.get()
            taken.append(time.perf_counter() - began)
        channel.send("begin")
        return {"seconds": taken}

    async def _do_close(self) -> Json:
        self._closed.clear()
        self._closing = True
        await self._library.close(self._connection)
        self._tell({"close": True})
        await self._closed.wait()
        return {}

    # What the other end tells

    async def handle(self, signal: Json) -> None:
        if "description" in signal:
            await self._handle_description(signal["description"])
        elif "candidate" in signal:
            await self._add_candidate(signal["candidate"])
        elif "close" in signal:
            await self._library.close(self._connection)
            self._tell({"closed": True})
        else:
            self._closed.set()

    async def _handle_description(self, given: Json) -> None:
        if given["type"] == "answer":
            await self._connection.setRemoteDescription(self._library.description(given))
            return
        self._connect()
        await self._connection.setRemoteDescription(self._library.description(given))
        await self._connection.setLocalDescription(await self._connection.createAnswer())
        self._tell_description()

    async def _add_candidate(self, given: Json) -> None:
        try:
            await self._connection.addIceCandidate(self._library.candidate(given))
        except (Exception, asyncio.CancelledError):  # wrtc cancels what is under way when it is closed
            if not self._closing:
                raise

    def _connect(self) -> None:
        self._closing = False
        self._connection = self._library.connect()
        self._connection.on("datachannel")(lambda event: self._adopt(self._library.of(event, "channel")))
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

    # The channel

    def _adopt(self, channel: Any) -> None:
        self._channel = channel
        channel.on("bufferedamountlow")(lambda *_: self._low.set())
        channel.on("open")(lambda *_: self._opened.set())
        handle = self._handle_answer if self._is_offerer else self._handle_message
        of = self._library.of
        if type(self._library) is Wrtc:
            channel.on("message")(lambda event: handle(of(event, "data")))
        else:
            channel.on("message")(handle)

    def _handle_answer(self, message: str | bytes) -> None:
        if isinstance(message, str):
            self._answers.put_nowait(message)
        else:
            self._echoes.put_nowait(message)

    def _handle_message(self, message: str | bytes) -> None:
        if isinstance(message, str):
            self._handle_word(message)
        elif self._echoing:
            self._channel.send(message)
        else:
            self._last = time.perf_counter()
            self._first = self._first or self._last
            self._received += len(message)

    def _handle_word(self, word: str) -> None:
        if word == "end":
            self._channel.send(json.dumps({"bytes": self._received, "seconds": self._last - self._first}))
        self._echoing = word == "echo"
        self._received = 0
        self._first = 0.0


async def serve(name: str, signaling: int) -> None:
    """Until standard input ends."""
    reader, writer = await asyncio.open_connection(sock=socket.socket(fileno=signaling), limit=1 << 20)
    end = End(LIBRARIES[name](), writer)
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


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2])))
