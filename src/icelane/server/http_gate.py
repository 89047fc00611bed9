"""What stands around every application that the server carries: deadlines, framing, the drain, and HSTS.

It is an ASGI application itself, and knows the connection of each request: uvicorn hands that through in `state`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from icelane.aio.system import monotonic
from icelane.core.clock import Duration
from icelane.core.raised import frames_of
from icelane.server.events import RepeatGate, report
from icelane.server.http_connection import HttpConnection, TlsFacts

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]

CONNECTION: Final = "icelane.connection"
"""The key of `state` under which uvicorn carries the connection to here, and no further."""

UVICORN_LOG_LEVEL: Final = "critical"
"""Its records are about what clients send: one prints the target with its token, one a traceback for bad UTF-8. What an
application raises is reported here instead."""

MAX_HEAD_SIZE: Final = 32 * 1024
"""A request line and all its headers; above it 431, or 400 where the end does not come."""

# What no request to us needs: tokens have 8 KiB at most, and one cookie header carries several.
MAX_HEADERS: Final = 100
# Of what raised an exception, the innermost.
MAX_FRAMES: Final = 6
# Health is asked for during the drain as well: that is how a balancer hears of it.
ALWAYS_OPEN: Final = frozenset({"/healthz", "/readyz"})

_RETRY_AFTER: Final = b"1"
_TLS_VERSIONS: Final = {"TLSv1.2": 0x0303, "TLSv1.3": 0x0304}


class HttpGate:
    """`app` behind the gate."""

    def __init__(self, app: AsgiApp, *, request_within: Duration, hsts: Duration = 0.0) -> None:
        self.hsts = hsts
        self.draining = False
        self._app = app
        self._request_within = request_within
        self._failures: RepeatGate[str] = RepeatGate()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI: one request, one WebSocket, or the life of the application."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        connection: HttpConnection = scope["state"].pop(CONNECTION)
        if connection.tls is not None:
            scope.setdefault("extensions", {})["tls"] = _tls_extension(connection.tls)
            send = _with_hsts(send, self.hsts)
        connection.begin_request()
        sent = _Sent(send)
        send = sent.send
        try:
            if connection.redirect is not None:
                await _redirect(scope, send, connection.redirect)
            elif scope["type"] == "http":
                await self._answer(scope, receive, send, connection)
            else:
                await self._open(scope, receive, send)
        except Exception as error:
            self._report(error, scope["type"])
            if sent.anything:
                connection.abort()
            else:
                await _refuse(scope, sent.send, 500, b"Internal Server Error")
        finally:
            connection.end_request()

    async def _open(self, scope: Scope, receive: Receive, send: Send) -> None:
        status = _framing_problem(scope) or (400 if _has_body(scope) else None)
        if status is not None:
            await _refuse(scope, send, status, b"This request is not taken")
        elif self.draining:
            await _refuse(scope, send, 503, b"Draining")
        else:
            await self._app(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, connection: HttpConnection) -> None:
        status = _framing_problem(scope)
        if status is not None:
            await _refuse(scope, send, status, b"This request is not taken")
        elif self.draining and scope["path"] not in ALWAYS_OPEN:
            await _refuse(scope, send, 503, b"Draining")
        else:
            try:
                async with asyncio.timeout(self._request_within) as limit:
                    await self._app(scope, receive, send)
            except TimeoutError:
                if not limit.expired():
                    raise
                connection.abort()

    def _report(self, error: Exception, kind: str) -> None:
        """SG-7: what it is, never what it says: that may hold a token."""
        now = monotonic()
        name = type(error).__name__
        repeats = dict(self._failures.ended(now)).get(name, 0)
        if repeats or self._failures.admit(name, now):
            details = {"repeats": repeats} if repeats else {}
            report("http.failed", logging.ERROR, error=name, frames=frames_of(error, MAX_FRAMES), kind=kind, **details)


class _Sent:
    """Whether anything has been sent."""

    def __init__(self, send: Send) -> None:
        self.anything = False
        self._send = send

    async def send(self, message: Message) -> None:
        self.anything = True
        await self._send(message)


def _framing_problem(scope: Scope) -> int | None:
    """CR-7: two ways to say where a body ends are how one request is smuggled inside another."""
    if scope["http_version"] not in ("1.0", "1.1"):
        return 505
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    names = [name.lower() for name, _ in headers]
    if len(headers) > MAX_HEADERS or _head_size(scope) > MAX_HEAD_SIZE:
        return 431
    if b"transfer-encoding" in names and b"content-length" in names:
        return 400
    return 400 if names.count(b"host") != 1 and scope["http_version"] != "1.0" else None


def _head_size(scope: Scope) -> int:
    """What h11 counts while it waits for the end only: a head that comes in one piece may have any size."""
    target: int = len(scope["raw_path"]) + len(scope["query_string"])
    return target + sum(len(name) + len(value) + 4 for name, value in scope["headers"])


def _has_body(scope: Scope) -> bool:
    """RFC 6455 section 4.1: the handshake is a GET; what would follow it is taken for frames."""
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
        for name, value in scope["headers"]
    )


async def _redirect(scope: Scope, send: Send, place: str) -> None:
    """SG-17: to HTTPS, whatever `Host` says; 308 keeps the method. A WebSocket without TLS is refused."""
    if scope["type"] != "http":
        await _refuse(scope, send, 403, b"TLS only")
        return
    path: bytes = scope["raw_path"]
    target = path if path.startswith(b"/") else b"/"
    query: bytes = scope["query_string"]
    location = place.encode() + target + (b"?" + query if query else b"")
    headers = [(b"location", location), (b"content-length", b"0"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 308, "headers": headers})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _refuse(scope: Scope, send: Send, status: int, text: bytes) -> None:
    """Answer with a few words and close. A WebSocket is refused before it is one, which browsers show as 1006."""
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(text)).encode()),
        (b"cache-control", b"no-store"),
        (b"connection", b"close"),
    ]
    if status == 503:
        headers.append((b"retry-after", _RETRY_AFTER))
    kind = "http.response" if scope["type"] == "http" else "websocket.http.response"
    await send({"type": f"{kind}.start", "status": status, "headers": headers})
    await send({"type": f"{kind}.body", "body": text, "more_body": False})


def _with_hsts(send: Send, hsts: Duration) -> Send:
    if hsts < 1:
        return send
    header = (b"strict-transport-security", f"max-age={int(hsts)}".encode())

    async def send_with_header(message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.http.response.start"):
            message["headers"] = [*message.get("headers", ()), header]
        await send(message)

    return send_with_header


def _tls_extension(facts: TlsFacts) -> dict[str, Any]:
    """The extension of ASGI for TLS, with OpenSSL's name of the cipher beside it."""
    return {
        "server_cert": None,
        "client_cert_chain": (),
        "client_cert_name": None,
        "client_cert_error": None,
        "tls_version": _TLS_VERSIONS.get(facts.version),
        "cipher_suite": None,
        "version": facts.version,
        "cipher": facts.cipher,
        "alpn": facts.alpn,
    }
