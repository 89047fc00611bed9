"""Clients of a port that HTTPS, WebSocket and TURN share: sockets with a PROXY header, and an ASGI app."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Self

from icelane.core.net import SocketAddress
from icelane.stun.attributes import AttributeType, parse_xor_address
from icelane.stun.message import MessageBuilder, MessageClass, Method, parse_message
from tests.certificates import NAME, trusting
from tests.loops import close_later

TRANSACTION_ID = b"twelve bytes"
PATIENCE = 10.0

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


def binding_request() -> bytes:
    return MessageBuilder(Method.BINDING, MessageClass.REQUEST, TRANSACTION_ID).build()


def connected(address: SocketAddress, header: bytes = b"", source: str = "127.0.0.1") -> socket.socket:
    """A socket that is connected, with `header` sent."""
    opened = socket.create_connection(address, PATIENCE, source_address=(source, 0))
    opened.sendall(header)
    opened.setblocking(False)
    return opened


def context(*alpn: str) -> ssl.SSLContext:
    """A client's, which offers `alpn`."""
    made = trusting()
    if alpn:
        made.set_alpn_protocols(list(alpn))
    return made


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What HTTP answered; names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Wire:
    """A connection over TLS, or without."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        close_later(writer)

    @classmethod
    async def connect(
        cls, address: SocketAddress, *alpn: str, header: bytes = b"", secure: bool = True, source: str = "127.0.0.1"
    ) -> Self:
        """Behind `header`."""
        sock = connected(address, header, source)
        if not secure:
            return cls(*await asyncio.open_connection(sock=sock))
        return cls(*await asyncio.open_connection(sock=sock, ssl=context(*alpn), server_hostname=NAME))

    @property
    def own(self) -> SocketAddress:
        return SocketAddress(*self.writer.get_extra_info("sockname"))

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def ask_stun(self) -> SocketAddress:
        """Where the STUN server sees us."""
        self.send(binding_request())
        async with asyncio.timeout(PATIENCE):
            header = await self.reader.readexactly(20)
            message = parse_message(header + await self.reader.readexactly(int.from_bytes(header[2:4], "big")))
        assert message.transaction_id == TRANSACTION_ID
        value = message.get(AttributeType.XOR_MAPPED_ADDRESS)
        assert value is not None
        return parse_xor_address(value, message.transaction_id)

    async def ask(
        self, path: str = "/", *, method: str = "GET", body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request and its answer, on a connection that stays open."""
        lines = {"Host": NAME} | ({"Content-Length": str(len(body))} if body else {}) | dict(headers or {})
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self.send(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body)
        return await self.answer()

    async def answer(self) -> Answer:
        """The next answer."""
        async with asyncio.timeout(PATIENCE):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            status, *lines = head.strip().split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        return Answer(status=int(status.split()[1]), headers=headers, body=body)

    async def end(self) -> bytes:
        """What comes until the server closes; fails the test when it does not."""
        found = b""
        async with asyncio.timeout(PATIENCE):
            try:
                while data := await self.reader.read(65536):
                    found += data
            except (ConnectionError, ssl.SSLError):
                pass
        return found


@dataclass
class App:
    """An ASGI application: tells what it has seen of HTTP, and echoes WebSockets."""

    started: int = 0
    ended: int = 0
    scopes: list[Scope] = field(default_factory=list)
    release: asyncio.Event = field(default_factory=asyncio.Event)
    fail: bool = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        self.scopes.append(scope)
        if scope["type"] == "websocket":
            await self._echo(receive, send)
        elif scope["path"] == "/slow":
            await self.release.wait()
            await self._answer(send, b"late")
        elif scope["path"] == "/raises":
            raise RuntimeError("secret-token in an exception")
        elif scope["path"] == "/body":
            size = 0
            while (message := await receive())["type"] == "http.request":
                size += len(message["body"])
                if not message["more_body"]:
                    break
            await self._answer(send, str(size).encode())
        else:
            seen = {"client": scope["client"], "scheme": scope["scheme"], "tls": scope["extensions"]["tls"]["version"]}
            await self._answer(send, json.dumps(seen).encode())

    async def _live(self, receive: Receive, send: Send) -> None:
        assert (await receive())["type"] == "lifespan.startup"
        if self.fail:
            await send({"type": "lifespan.startup.failed", "message": "no"})
            return
        self.started += 1
        await send({"type": "lifespan.startup.complete"})
        assert (await receive())["type"] == "lifespan.shutdown"
        self.ended += 1
        await send({"type": "lifespan.shutdown.complete"})

    async def _echo(self, receive: Receive, send: Send) -> None:
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})

    async def _answer(self, send: Send, body: bytes) -> None:
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
