"""The little of WebDriver BiDi (W3C) that opens pages in a Firefox and calls functions in them."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import socket
from collections.abc import Mapping
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.interop.peers.remote import PeerError


class Session:
    """One session with a browser: commands go out, and each waits for the answer with its number."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def begin(cls, url: str, reached: socket.socket) -> Session:
        """Begin a session over `reached`, a connection to where the browser listens as `url` says."""
        # Nothing is compressed or kept alive: the other end is on this machine.
        connection = await connect(
            f"{url}/session", sock=reached, max_size=None, compression=None, ping_interval=None, proxy=None
        )
        session = cls(connection)
        await session.command("session.new", {"capabilities": {}})
        return session

    async def command(self, method: str, parameters: Mapping[str, object]) -> dict[str, Any]:
        """The result of a command; raises PeerError when the browser refuses it or is gone."""
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        try:
            await self._connection.send(json.dumps({"id": number, "method": method, "params": parameters}))
            result: dict[str, Any] = await answer
            return result
        except ConnectionClosed as error:
            raise PeerError(f"the browser is gone: {error}") from None
        finally:
            del self._answers[number]

    async def open_page(self, url: str) -> str:
        """Open `url` in a tab of its own; returns the tab's name, when the page is loaded."""
        context: str = (await self.command("browsingContext.create", {"type": "tab"}))["context"]
        await self.command("browsingContext.navigate", {"context": context, "url": url, "wait": "complete"})
        return context

    async def close_page(self, context: str) -> None:
        await self.command("browsingContext.close", {"context": context})

    async def call_function(self, context: str, function: str, *arguments: str) -> str:
        """Call a function, given as its source, that takes and returns texts, and await what it returns."""
        outcome = await self.command(
            "script.callFunction",
            {
                "functionDeclaration": function,
                "awaitPromise": True,
                "target": {"context": context},
                "arguments": [{"type": "string", "value": argument} for argument in arguments],
            },
        )
        if outcome["type"] == "exception":
            raise PeerError(outcome["exceptionDetails"]["text"])
        value: str = outcome["result"]["value"]
        return value

    async def close(self) -> None:
        """End the session and the browser with it."""
        with contextlib.suppress(PeerError):
            await self.command("browser.close", {})
        await self._connection.close()
        await self._reader

    async def _read(self) -> None:
        try:
            async for text in self._connection:
                self._handle(json.loads(text))
        except ConnectionClosed:
            pass  # a browser that is killed says no goodbye
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(PeerError("the browser is gone"))

    def _handle(self, message: dict[str, Any]) -> None:
        answer = self._answers.get(message.get("id") or 0)
        if answer is None or answer.done():
            return  # an event, or an answer that nobody waits for any more
        if message["type"] == "success":
            answer.set_result(message["result"])
        else:
            answer.set_exception(PeerError(f"{message['error']}: {message['message']}"))
