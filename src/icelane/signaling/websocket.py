"""`GET /v1/signal`: a WebSocket of ASGI on one side, the service on the other.

    1. lists, rates, Origin, caps      refused by a status of HTTP, before the upgrade
    2. accept, with our sub-protocol
    3. hello                           everything from here on is answered by frames, so that a page sees it

Works with any ASGI server. uvicorn does not tell a connection that broke from one that was closed without a code, but
for a `reason`, which only the latter has.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import Any, Final

import msgspec

from icelane.core.clock import Duration
from icelane.errors import MalformedError
from icelane.signaling.admission.request import ConnectRequest, tls_facts_of
from icelane.signaling.admitted import Refusal
from icelane.signaling.gate import Gate
from icelane.signaling.http.problem import CONTENT_TYPE, Problem, bad_request, problem_of
from icelane.signaling.messages import SUBPROTOCOL
from icelane.signaling.outbox import CloseConnection
from icelane.signaling.service import SignalService

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

# How long a client may take to answer a close.
CLOSE_TIMEOUT: Final[Duration] = 5.0

_NO_CODE: Final = 1005
_BROKEN: Final = 1006
_NORMAL: Final = 1000


class SignalEndpoint:
    """An ASGI application of WebSockets. `gate` says who may connect, `service` does the rest."""

    def __init__(self, service: SignalService, gate: Gate) -> None:
        self._service = service
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI: one connection, from `websocket.connect` on."""
        await receive()
        try:
            request = _request(self._gate, scope)
        except MalformedError:
            self._service.handle_refused("bad_request")
            await _refuse(scope, send, bad_request("the request does not parse"))
            return
        offered = scope.get("subprotocols") or []
        if offered and SUBPROTOCOL not in offered:
            self._service.handle_refused("bad_subprotocol")
            await _refuse(scope, send, bad_request(f"the sub-protocol here is {SUBPROTOCOL}", "bad_subprotocol"))
            return
        refusal = self._gate.screen(request)
        place = refusal if refusal is not None else self._gate.open_connection(request)
        if isinstance(place, Refusal):
            self._service.handle_refused(place.error)
            await _refuse(scope, send, problem_of(place))
            return
        try:
            await send({"type": "websocket.accept", "subprotocol": SUBPROTOCOL if offered else None, "headers": []})
            await self._serve(request, receive, send)
        finally:
            place.close()

    async def _serve(self, request: ConnectRequest, receive: Receive, send: Send) -> None:
        connection = self._service.connect(request, _writer(send))
        code = _BROKEN
        try:
            async with asyncio.timeout(None) as patience:
                connection.finished.add_done_callback(partial(_limit, patience))
                while (message := await receive())["type"] != "websocket.disconnect":
                    # A binary frame is none of ours, and says so like any other text that is not.
                    connection.receive(message.get("text") or "")
                code = _code(message)
        except (OSError, TimeoutError):
            return
        finally:
            connection.closed(code)


def _limit(patience: asyncio.Timeout, finished: asyncio.Future[bool]) -> None:
    """How long the client may take to answer our close; who does not read will not."""
    wait = CLOSE_TIMEOUT if finished.result() else 0.0
    with contextlib.suppress(RuntimeError):  # the connection has ended in the meantime
        patience.reschedule(asyncio.get_running_loop().time() + wait)


def _writer(send: Send) -> Callable[[str | CloseConnection], Awaitable[None]]:
    async def write(item: str | CloseConnection) -> None:
        if isinstance(item, CloseConnection):
            await send({"type": "websocket.close", "code": item.code, "reason": item.reason})
        else:
            await send({"type": "websocket.send", "text": item})

    return write


def _code(message: Message) -> int:
    code = message.get("code")
    if not isinstance(code, int):
        return _BROKEN
    if code == _NO_CODE:
        return _NORMAL if "reason" in message else _BROKEN
    return code


def _request(gate: Gate, scope: Scope) -> ConnectRequest:
    client = scope.get("client")
    return gate.request(
        peer=client[0] if client else "0.0.0.0",
        raw_headers=scope["headers"],
        query=scope.get("query_string", b""),
        path=scope["path"],
        tls=tls_facts_of(scope),
    )


async def _refuse(scope: Scope, send: Send, problem: Problem) -> None:
    """An answer of HTTP in place of the upgrade, where the server can do that."""
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": 1008, "reason": problem.code})  # becomes a 403
        return
    headers = {"content-type": CONTENT_TYPE, "cache-control": "no-store", **problem.all_headers()}
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "websocket.http.response.start", "status": problem.status, "headers": raw})
    await send({"type": "websocket.http.response.body", "body": msgspec.json.encode(problem.document())})
