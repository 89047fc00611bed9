"""Health, and what a broken reverse proxy does to requests."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from icelane.signaling.http.caller import Callers
from icelane.signaling.http.endpoint import Endpoint, json_response

# Names of headers that are told; who sends more learns enough from these.
MAX_NAMES: Final = 64
_LONGEST_NAME: Final = 64

Readiness = Callable[[], Awaitable[tuple[bool, Mapping[str, object]]]]
"""Whether new clients are welcome, and the document that says why."""


class Whoami(Struct, kw_only=True, rename="camel"):
    """What this server has seen of a request. `headersSeen` are names alone: values may be secret."""

    ip: str
    port: int
    tls: bool
    http_version: str
    headers_seen: tuple[str, ...]


class DiagnosticEndpoints:
    """For everybody."""

    def __init__(self, callers: Callers, readiness: Readiness) -> None:
        self._callers = callers
        self._readiness = readiness

    def endpoints(self) -> list[Endpoint]:
        """For the table."""
        return [
            Endpoint(
                method="GET",
                path="/healthz",
                handler=self._healthz,
                summary="Whether it lives",
                screened=False,
                tags=("health",),
            ),
            Endpoint(
                method="GET",
                path="/readyz",
                handler=self._readyz,
                summary="Whether new clients are welcome",
                screened=False,
                tags=("health",),
            ),
            Endpoint(
                method="GET",
                path="/v1/diag/whoami",
                handler=self._whoami,
                summary="What the server has seen of this request",
                answer=Whoami,
                tags=("diagnostics",),
            ),
        ]

    async def _healthz(self, request: Request) -> Response:
        del request
        return json_response({"status": "ok"})

    async def _readyz(self, request: Request) -> Response:
        del request
        ok, document = await self._readiness()
        return json_response(document, 200 if ok else 503)

    async def _whoami(self, request: Request) -> Response:
        names = dict.fromkeys(name.lower()[:_LONGEST_NAME] for name in request.headers)
        return json_response(
            Whoami(
                ip=self._callers.address(request),
                port=request.client.port if request.client is not None else 0,
                tls=request.url.scheme == "https",
                http_version=request.scope["http_version"],
                headers_seen=tuple(sorted(names))[:MAX_NAMES],
            )
        )
