"""An HTTP proxy on loopback, which does as it is told: connects well, or misbehaves in one way."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from icelane.core.net import SocketAddress

WELL: Final = "well"
SILENT: Final = "silent"
HANG_UP: Final = "hang up"
HANG_UP_LATER: Final = "hang up after the answer"
MAX_REQUEST: Final = 64 * 1024

OPENED: Final = b"HTTP/1.1 200 Connection established\r\nVia: fake\r\n\r\n"


@dataclass
class FakeProxy:
    """What it did. `behaviour` is one of the words above, or the bytes that it answers; it then says no more.

    `hosts` is its name service: no other name is found, so a test knows that nobody else has looked it up.
    """

    behaviour: str | bytes = WELL
    hosts: Mapping[str, str] = field(default_factory=dict)
    place: str = ""
    requests: list[str] = field(default_factory=list)
    carried: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://{self.place}"

    @property
    def secure_url(self) -> str:
        return f"https://localhost:{self.place.rpartition(':')[2]}"

    @property
    def targets(self) -> list[str]:
        """Whom it was asked for."""
        return [request.split(" ")[1] for request in self.requests]

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._tasks)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await self._serve(reader, writer)
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        self.requests.append(request.decode())
        if self.behaviour == HANG_UP:
            return
        if self.behaviour == SILENT:
            await reader.read()
            return
        if isinstance(self.behaviour, bytes):
            writer.write(self.behaviour)
            await reader.read()
            return
        host, _, port = self.targets[-1].rpartition(":")
        address = self.hosts.get(host, host.strip("[]"))
        try:
            there, back = await asyncio.open_connection(address, int(port))
        except OSError:
            writer.write(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
            return
        writer.write(OPENED)
        try:
            if self.behaviour != HANG_UP_LATER:
                await self._relay(reader, writer, there, back)
        finally:
            back.transport.abort()

    async def _relay(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        there: asyncio.StreamReader,
        back: asyncio.StreamWriter,
    ) -> None:
        async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while data := await source.read(65536):
                self.carried += len(data)
                sink.write(data)
                await sink.drain()

        copies = [asyncio.ensure_future(copy(reader, back)), asyncio.ensure_future(copy(there, writer))]
        try:
            await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in copies:
                one.cancel()
            await asyncio.gather(*copies, return_exceptions=True)

    async def end(self) -> None:
        """Let nothing of it be left."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def fake_proxy(
    behaviour: str | bytes = WELL,
    *,
    hosts: Mapping[str, str] | None = None,
    context: ssl.SSLContext | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
) -> AsyncIterator[FakeProxy]:
    """One that listens; over TLS with `context`."""
    proxy = FakeProxy(behaviour, hosts or {})
    server = await asyncio.start_server(proxy.serve, host, port, ssl=context, limit=MAX_REQUEST)
    proxy.place = str(SocketAddress(*server.sockets[0].getsockname()[:2]))
    try:
        yield proxy
    finally:
        server.close()
        await proxy.end()
        await server.wait_closed()
        await asyncio.sleep(0)
