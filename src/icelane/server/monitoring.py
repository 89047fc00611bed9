"""What a monitoring system asks over HTTP: `/metrics`, `/healthz` and `/readyz`, on a port of its own.

Nothing here changes anything, and nothing names a user or an address. It is still for the inside: by default nobody
listens, and the example listens on loopback.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Final, Protocol

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from icelane.aio.tcp import bind_tcp
from icelane.core.net import SocketAddress
from icelane.server.health import Readiness
from icelane.server.http_gate import UVICORN_LOG_LEVEL

# A scraper and a few probers; more get 503 at once.
MAX_CONNECTIONS: Final = 32
_IDLE_SECONDS: Final = 15
_SHUTDOWN_SECONDS: Final = 1
_BACKLOG: Final = 64
_MAX_HEADER_BYTES: Final = 16_384
_UNCACHED: Final = {"cache-control": "no-store"}


class Figures(Protocol):
    """Who knows what the pages show."""

    async def page(self, accept: str | None) -> tuple[bytes, str]:
        """The figures and their content type, for what a header of HTTP accepts."""
        ...

    async def readiness(self) -> Readiness:
        """Every check of the server."""
        ...


class MonitoringServer:
    """An HTTP server in the running loop, which leaves signals and logging alone."""

    def __init__(self, address: SocketAddress, figures: Figures) -> None:
        """Bind `address`; raises OSError when that cannot be. `start` begins to answer."""
        self._socket = bind_tcp(address)
        name = self._socket.getsockname()
        self.local = SocketAddress(name[0], name[1])
        self._http = _Quiet(
            uvicorn.Config(
                application(figures),
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                log_level=UVICORN_LOG_LEVEL,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                backlog=_BACKLOG,
                limit_concurrency=MAX_CONNECTIONS,
                timeout_keep_alive=_IDLE_SECONDS,
                timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
                h11_max_incomplete_event_size=_MAX_HEADER_BYTES,
            )
        )
        self._running: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Answer from now on."""
        self._socket.listen(_BACKLOG)  # from here on the kernel takes connections, so nobody is refused any more
        self._running = asyncio.create_task(self._http.serve([self._socket]), name="monitoring")

    async def close(self) -> None:
        """Stop, after what is being answered; again is harmless."""
        running, self._running = self._running, None
        if running is not None:
            self._http.should_exit = True
            await running
        self._socket.close()


class _Quiet(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals belong to the program."""
        yield


def application(figures: Figures) -> Starlette:
    """The three pages as an ASGI application, for a program that has an HTTP server already."""

    async def page(request: Request) -> Response:
        body, content_type = await figures.page(request.headers.get("accept"))
        return Response(body, headers={"content-type": content_type} | _UNCACHED)

    async def healthz(request: Request) -> Response:
        del request
        return JSONResponse({"status": "ok"}, headers=_UNCACHED)

    async def readyz(request: Request) -> Response:
        del request
        readiness = await figures.readiness()
        return JSONResponse(readiness.document(), 200 if readiness.ok else 503, headers=_UNCACHED)

    return Starlette(routes=[Route("/metrics", page), Route("/healthz", healthz), Route("/readyz", readyz)])
