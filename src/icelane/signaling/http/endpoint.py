"""Endpoints, and what stands around all of them.

1. Origin       a page of an origin that is not on the list gets 403, before anything else (CR-2)
2. passes       lists and rate limits
3. the endpoint, whose Problem becomes the answer
4. headers      no-store, nosniff, no framing, no referrer; CORS for the one origin that asked
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar
from urllib.parse import unquote_to_bytes

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from icelane.core.clock import Duration
from icelane.signaling.http.caller import Callers
from icelane.signaling.http.problem import Problem, bad_request, forbidden, not_found, problem_of, problem_response

MAX_BODY: Final = 64 * 1024
"""CR-7: no request to us needs more; the next byte gets 413."""

BODY_WITHIN: Final[Duration] = 10.0

# Of a page that a browser is made to show: nothing is loaded, and nobody frames it.
SECURITY_HEADERS: Final[Mapping[str, str]] = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
_ALLOWED_HEADERS: Final = "authorization, content-type, if-match, if-none-match, x-csrf-token"
_EXPOSED_HEADERS: Final = "etag, location, retry-after"
_PREFLIGHT_AGE: Final = "600"
_ESCAPED: Final = re.compile(rb"%2[Ff]")

Handler = Callable[[Request], Awaitable[Response]]
ProblemWriter = Callable[[Problem], Response]

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One method of one path, for the router and for the description of the interface.

    `caller` is `anybody`, `user`, `operator` or `both`. `request` and `answer` are the msgspec types of the bodies, or
    None. `write_problem` is for those who imitate somebody else's errors. What probers ask is not `screened`, since a
    rate limit would look to them like a dead server. Only where it says so, a `ticket` in the query counts.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    caller: str = "anybody"
    request: Any = None
    answer: Any = None
    status: int = 200
    write_problem: ProblemWriter = problem_response
    screened: bool = True
    ticket: bool = False
    tags: Sequence[str] = field(default=())


def routes(endpoints: Sequence[Endpoint], callers: Callers) -> list[Route]:
    """What Starlette routes to. Every path answers OPTIONS, and 405 for what it does not have."""
    by_path: dict[str, dict[str, Endpoint]] = {}
    for endpoint in endpoints:
        by_path.setdefault(endpoint.path, {})[endpoint.method] = endpoint
    return [
        _EndpointRoute(path, _Door(methods, callers), methods=[*methods, "OPTIONS", *_OTHER_METHODS])
        for path, methods in by_path.items()
    ]


class NothingHere:
    """An ASGI application for paths that nobody has: 404 like every other error. `otherwise` is for WebSockets."""

    def __init__(self, otherwise: ASGIApp) -> None:
        self._otherwise = otherwise

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI: one request."""
        if scope["type"] != "http":
            await self._otherwise(scope, receive, send)
            return
        response = problem_response(not_found("there is nothing at this path"))
        response.headers.update(SECURITY_HEADERS)
        await response(scope, receive, send)


# Answered here, so that 405 is a problem document like every other error.
_OTHER_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")


# Which no path has: what is escaped in one is decoded to characters, and this is none.
_ESCAPED_SLASH: Final = "\udc2f"


class _EndpointRoute(Route):
    """An escaped slash is part of a name and no border (RFC 3986 section 2.2), so that `a/b` is a room like others."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, child = super().matches({**scope, "path": _segmented_path(scope)})
        params: dict[str, Any] = child.get("path_params", {})
        for name, value in params.items():
            if isinstance(value, str):
                params[name] = value.replace(_ESCAPED_SLASH, "/")
        return match, child


def _segmented_path(scope: Scope) -> str:
    """The path with its escaped slashes marked, where the server tells how it was written."""
    path: str = scope["path"]
    raw: bytes = scope.get("raw_path") or b""
    if b"%2f" not in raw.lower():
        return path
    parts = [unquote_to_bytes(part).decode("utf-8", "replace") for part in _ESCAPED.split(raw)]
    # A server that has taken a prefix off one and not off the other is not asked to tell.
    return _ESCAPED_SLASH.join(parts) if "/".join(parts) == path else path


class _Door:
    """An ASGI application in front of the endpoints of one path."""

    def __init__(self, endpoints: Mapping[str, Endpoint], callers: Callers) -> None:
        self._endpoints = endpoints
        self._callers = callers

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        response = await self._answer(request)
        for name, value in SECURITY_HEADERS.items():
            response.headers.setdefault(name, value)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        endpoint = self._endpoints.get(method)
        write = (endpoint or next(iter(self._endpoints.values()))).write_problem
        origins = request.headers.getlist("origin")
        if origins and (len(origins) > 1 or not self._callers.allows_origin(origins[0])):
            return write(forbidden("origin_not_allowed", "this page's origin is not in server.allowed_origins"))
        response = await self._within_origin(request, endpoint, write)
        response.headers.add_vary_header("Origin")
        if origins:
            response.headers["access-control-allow-origin"] = origins[0]
            response.headers["access-control-allow-credentials"] = "true"
            response.headers["access-control-expose-headers"] = _EXPOSED_HEADERS
            response.headers["cross-origin-resource-policy"] = "cross-origin"
        return response

    async def _within_origin(self, request: Request, endpoint: Endpoint | None, write: ProblemWriter) -> Response:
        allowed = ", ".join((*self._endpoints, "OPTIONS"))
        if request.method == "OPTIONS":
            headers = {
                "allow": allowed,
                "access-control-allow-methods": allowed,
                "access-control-allow-headers": _ALLOWED_HEADERS,
                "access-control-max-age": _PREFLIGHT_AGE,
            }
            return Response(status_code=204, headers=headers)
        request.state.takes_ticket = endpoint is not None and endpoint.ticket
        refusal = self._callers.passes(request) if endpoint is None or endpoint.screened else None
        if refusal is not None:
            return write(problem_of(refusal))
        if endpoint is None:
            problem = Problem(status=405, code="method_not_allowed", title="method not allowed")
            response = write(problem)
            response.headers["allow"] = allowed
            return response
        try:
            return await endpoint.handler(request)
        except Problem as problem:
            return write(problem)
        except ClientDisconnect:
            return Response(status_code=400)


def json_response(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """`value` in JSON; msgspec structs leave out what has its default, so that nothing is null."""
    return Response(msgspec.json.encode(value), status, headers=dict(headers or {}), media_type="application/json")


async def body_of(request: Request) -> bytes:
    """The whole body. Raises Problem: 413 above MAX_BODY, 408 when it does not come."""
    length = request.headers.get("content-length", "0")
    if not length.isascii() or not length.isdigit():
        raise bad_request("Content-Length is not a number")
    found = bytearray()
    try:
        async with asyncio.timeout(BODY_WITHIN):
            if int(length[:12]) > MAX_BODY:
                raise _too_large()
            async for chunk in request.stream():
                found += chunk
                if len(found) > MAX_BODY:
                    raise _too_large()
    except TimeoutError:
        raise Problem(status=408, code="timeout", title="the body did not come", headers=_CLOSE) from None
    return bytes(found)


async def json_of(request: Request, kind: type[T]) -> T:
    """The body as `kind`; none at all is an empty object. Raises Problem."""
    body = await body_of(request)
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if body.strip() and content_type not in ("application/json", ""):
        raise Problem(status=415, code="unsupported_media_type", title="send application/json")
    # A page of anywhere may send what looks like a form; with cookies alone that must not do anything (CR-2).
    if content_type == "" and body.strip() and "origin" in request.headers:
        raise Problem(status=415, code="unsupported_media_type", title="send application/json")
    try:
        return msgspec.json.decode(body.strip() or b"{}", type=kind)
    except (msgspec.DecodeError, UnicodeError, RecursionError, ValueError) as error:
        detail = "nested too deeply" if isinstance(error, RecursionError) else str(error)
    raise bad_request(detail)


_CLOSE: Final = {"connection": "close"}


def _too_large() -> Problem:
    return Problem(
        status=413, code="too_large", title="too large", detail=f"a body has {MAX_BODY} bytes at most", headers=_CLOSE
    )
