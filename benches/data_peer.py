"""One end of a data channel, over a library of somebody's: `python -m benches.data_peer LIBRARY SIGNALING_FD`.

`datachannel.py` starts two, and gives them a socket to tell each other descriptions and candidates. The one that is
asked something on standard input is the offerer; the other answers offers and messages by itself:

    {"do": "open"}                               -> {"seconds"}            from no connection to an open channel
    {"do": "send", "size", "seconds", "buffer"}  -> {"bytes", "seconds"}   as the receiver has seen it
    {"do": "echo", "size", "count"}              -> {"seconds": [...]}     of each round trip
    {"do": "close"}                              -> {}                     both ends

`buffer` bytes may wait to be sent; when a quarter of them is left sending goes on.

Nothing but that library and `peer_end.py` is imported: it runs in environments of other people's making.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable
from typing import Any

from benches.peer_end import Aiortc, End, Json, Library, Wrtc, serve

LIBRARIES: dict[str, Callable[[], Library]] = {"icelane": Library, "aiortc": Aiortc, "wrtc": Wrtc}


class ChannelEnd(End):
    """One connection after the other, and the one channel of the present one."""

    def __init__(self, library: Library, writer: asyncio.StreamWriter) -> None:
        super().__init__(library, writer)
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

    async def _do_open(self) -> Json:
        self._is_offerer = True
        self._opened.clear()
        began = time.perf_counter()
        self._connect()
        self._adopt(self._connection.createDataChannel("bench"))
        await self._offer()
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
        """What the other end tells: the end of the connection, too."""
        if "close" in signal:
            await self._library.close(self._connection)
            self._tell({"closed": True})
        elif "closed" in signal:
            self._closed.set()
        else:
            await super().handle(signal)

    async def _add_candidate(self, given: Json) -> None:
        try:
            await super()._add_candidate(given)
        except (Exception, asyncio.CancelledError):  # wrtc cancels what is under way when it is closed
            if not self._closing:
                raise

    def _connect(self) -> None:
        super()._connect()
        self._closing = False
        self._connection.on("datachannel")(lambda event: self._adopt(self._library.of(event, "channel")))

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


if __name__ == "__main__":
    open_library = LIBRARIES[sys.argv[1]]
    asyncio.run(serve(lambda writer: ChannelEnd(open_library(), writer), int(sys.argv[2])))
