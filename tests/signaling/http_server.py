"""uvicorn on loopback, as `icelane serve` runs it: no signal handlers, no compression, our frame limit."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import uvicorn
import websockets
from websockets.asyncio.client import ClientConnection
from websockets.typing import Subprotocol

from icelane.signaling.limits import MAX_FRAME
from icelane.signaling.messages import SUBPROTOCOL, ClientFrame, ServerFrame, encode_frame, parse_server_frame


class _Quiet(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def serving(app: Any, lifespan: str = "on") -> AsyncIterator[str]:
    """`ws://127.0.0.1:port`, for as long as the context lasts."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)
        server = _Quiet(
            uvicorn.Config(
                app,
                ws="websockets-sansio",
                lifespan=lifespan,  # type: ignore[arg-type]  # one of its three words
                log_config=None,
                access_log=False,
                ws_max_size=MAX_FRAME,
                ws_per_message_deflate=False,
                ws_ping_interval=None,
                timeout_graceful_shutdown=1,
            )
        )
        running = asyncio.create_task(server.serve([listening]))
        try:
            yield f"ws://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            await running


class SignalSocket:
    """A WebSocket client that speaks in frames."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def say(self, frame: ClientFrame | str) -> None:
        await self.socket.send(frame if isinstance(frame, str) else encode_frame(frame))

    async def hear(self) -> ServerFrame:
        async with asyncio.timeout(5.0):
            return parse_server_frame(await self.socket.recv())

    async def until_closed(self) -> tuple[list[ServerFrame], int | None]:
        """Everything that comes, and the close code."""
        frames = []
        with contextlib.suppress(websockets.ConnectionClosed):
            while True:
                frames.append(await self.hear())
        return frames, self.socket.close_code


@contextlib.asynccontextmanager
async def connected(url: str, *subprotocols: str, **options: Any) -> AsyncIterator[SignalSocket]:
    """A client at `/v1/signal` of `url`, or at another path that `url` has."""
    where = url if "/v1/" in url else f"{url}/v1/signal"
    offered = [Subprotocol(one) for one in (SUBPROTOCOL, *subprotocols)]
    async with websockets.connect(where, subprotocols=offered, compression=None, **options) as socket:
        yield SignalSocket(socket)
