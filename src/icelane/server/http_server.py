"""HTTP and WebSocket for an ASGI application, on connections that a listener has accepted.

uvicorn parses and writes; it opens no socket, takes no signal and keeps no log of requests. Its lifespan and its end
are run from here:

    server = HttpServer(app)
    await server.start()                        # the application's start
    transport.set_protocol(server.connection(client))
    server.begin_drain()                        # 503 from now on; the application is told by whoever drains it
    await server.close()                        # what is being answered, then the application's end
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any, Final, cast

import uvicorn
from uvicorn.lifespan.on import LifespanOn
from uvicorn.server import ServerState

from icelane.aio.system import SystemWallClock, monotonic
from icelane.core.clock import Duration
from icelane.core.net import SocketAddress
from icelane.errors import ConfigurationError
from icelane.server.http_connection import HttpConnection, InnerProtocol
from icelane.server.http_gate import (
    CONNECTION,
    MAX_HEAD_SIZE,
    UVICORN_LOG_LEVEL,
    AsgiApp,
    HttpGate,
    Message,
    Receive,
    Scope,
    Send,
)
from icelane.server.http_websocket import BoundedWebSocket

MAX_FRAME_SIZE: Final = 64 * 1024
"""A WebSocket message, all its frames together; longer ones are refused with 1009 before they are held."""

_KEY: Final = "server.listen"
# A WebSocket that has nothing to say is asked by the protocol above; this finds those that are gone.
_PING_EVERY: Final[Duration] = 30.0


@dataclass(frozen=True, kw_only=True)
class HttpDeadlines:
    """How long a client may take. Tests shorten them."""

    head: Duration = 10.0
    request: Duration = 60.0
    keep_alive: Duration = 15.0
    shutdown: Duration = 3.0


class HttpServer:
    """Carries `app`, or an application that has no page, on connections that others open."""

    def __init__(
        self, app: AsgiApp | None = None, *, hsts: Duration = 0.0, deadlines: HttpDeadlines | None = None
    ) -> None:
        self._deadlines = deadlines or HttpDeadlines()
        self._gate = HttpGate(app or nothing_here, request_within=self._deadlines.request, hsts=hsts)
        self._config = uvicorn.Config(
            cast(Any, self._gate),
            http="h11",
            ws=BoundedWebSocket,
            lifespan="on" if app is not None else "auto",
            interface="asgi3",
            log_config=None,
            log_level=UVICORN_LOG_LEVEL,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws_max_size=MAX_FRAME_SIZE,
            ws_per_message_deflate=False,
            ws_ping_interval=_PING_EVERY,
            ws_ping_timeout=_PING_EVERY,
            timeout_keep_alive=int(self._deadlines.keep_alive),
            h11_max_incomplete_event_size=MAX_HEAD_SIZE,
        )
        self._state = ServerState()
        self._lifespan: LifespanOn | None = None
        self._connections: set[HttpConnection] = set()
        self._all_gone = asyncio.Event()
        self._dating: asyncio.TimerHandle | None = None
        self._wall_clock = SystemWallClock()
        self._closing = False
        self.on_closing: Callable[[], Awaitable[None]] | None = None
        """Awaited once before any connection is ended, for what an application has to say in its own words."""
        self.on_close: Callable[[], Awaitable[None]] | None = None
        """Awaited once, behind the end of the application."""

    def __len__(self) -> int:
        """How many connections there are."""
        return len(self._connections)

    async def start(self) -> None:
        """Start the application. Raises ConfigurationError when that fails."""
        self._config.load()
        self._lifespan = LifespanOn(self._config)
        await self._lifespan.startup()
        if self._lifespan.should_exit:
            raise ConfigurationError("the application has failed to start; the log says why", key=_KEY)
        self._date()

    def connection(
        self,
        client: SocketAddress,
        *,
        closed: Callable[[HttpConnection], None],
        slow: Callable[[HttpConnection], None],
        redirect: str | None = None,
    ) -> HttpConnection:
        """A protocol for a transport of `client`; `closed` is told of its end, `slow` before it ends for that.

        With `redirect`, the URL of another place, it is only sent there.
        """

        def forget(connection: HttpConnection) -> None:
            self._connections.discard(connection)
            if not self._connections:
                self._all_gone.set()
            closed(connection)

        connection = HttpConnection(
            self._protocol,
            client,
            head_within=self._deadlines.head,
            closed=forget,
            slow=slow,
            redirect=redirect,
        )
        self._connections.add(connection)
        self._all_gone.clear()
        return connection

    def set_hsts(self, hsts: Duration) -> None:
        """What browsers are told from now on."""
        self._gate.hsts = hsts

    def begin_drain(self) -> None:
        """Answer 503 from now on, but to probes; open WebSockets are the application's. Again is harmless."""
        self._gate.draining = True

    async def close(self) -> None:
        """End every connection behind what it is being answered, then the application; again is harmless."""
        if self._closing:
            return
        self._closing = True
        self.begin_drain()
        if self.on_closing is not None:
            await self.on_closing()
        for connection in list(self._connections):
            connection.shut_down()
        await self._wait_for_connections()
        for task in list(self._state.tasks):
            task.cancel()
        await asyncio.gather(*self._state.tasks, return_exceptions=True)
        if self._lifespan is not None:
            await self._lifespan.shutdown()
        if self._dating is not None:
            self._dating.cancel()
        if self.on_close is not None:
            await self.on_close()

    async def _wait_for_connections(self) -> None:
        if not self._connections:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(self._deadlines.shutdown):
                await self._all_gone.wait()
                return
        for connection in list(self._connections):
            connection.abort()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._deadlines.shutdown):
                await self._all_gone.wait()

    def _protocol(self, connection: HttpConnection) -> InnerProtocol:
        assert self._lifespan is not None, "what is started takes connections"
        protocol = self._config.http_protocol_class  # the class itself, since `start` has loaded it
        assert isinstance(protocol, type)
        made: InnerProtocol = cast(Any, protocol)(
            config=self._config,
            server_state=self._state,
            app_state={**self._lifespan.state, CONNECTION: connection},
        )
        return made

    def _date(self) -> None:
        """RFC 9110 section 6.6.1: a server with a clock says what it shows."""
        now = self._wall_clock.unix_time(monotonic())
        self._state.default_headers = [(b"date", formatdate(now, usegmt=True).encode())]
        self._dating = asyncio.get_running_loop().call_later(1.0, self._date)


async def nothing_here(scope: Scope, receive: Receive, send: Send) -> None:
    """ASGI: 404 to everybody, for a server that has HTTPS listeners and no application."""
    del receive
    if scope["type"] == "lifespan":
        raise NotImplementedError  # which is how an application says that it has none
    kind = "http.response" if scope["type"] == "http" else "websocket.http.response"
    start: Message = {"type": f"{kind}.start", "status": 404, "headers": [(b"content-length", b"0")]}
    await send(start)
    await send({"type": f"{kind}.body", "body": b"", "more_body": False})
