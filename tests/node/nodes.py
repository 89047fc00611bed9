"""A whole node on loopback, and clients of it."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as connect_websocket

from icelane.core.net import SocketAddress
from icelane.node.program import PROGRAM
from icelane.server.config import Config, parse_config
from icelane.server.serving import Serving
from icelane.server.workers.choice import serving
from tests import certificates
from tests.certificates import NAME
from tests.server.web_clients import Answer, Wire, connected, context

KEY = "ik_0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
AS_OPERATOR = {"Authorization": f"Bearer {KEY}"}
JSON = {"Content-Type": "application/json"}
SECRET = "correct horse battery staple and so on"
ORIGIN = "https://app.example.org"


def free_port() -> int:
    """One that nobody has at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def document(folder: Path, port: int, **sections: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration; `sections` add to it or replace keys."""
    pair = certificates.good(folder)
    base: dict[str, dict[str, Any]] = {
        "turn": {
            "realm": "example.org",
            "hostname": NAME,
            "listen": ["udp://127.0.0.1:0"],
            "relay_addresses": ["127.0.0.1"],
            "dangerously_allow_loopback_peers": True,
            "secrets": [{"kid": "k1", "secret": SECRET}],
        },
        "server": {
            "listen": [f"https://127.0.0.1:{port}"],
            "public_url": f"https://{NAME}:{port}",
            "allowed_origins": [ORIGIN],
        },
        "tls": pair.section(),
        "auth": {
            "api_keys": {"backend": KEY},
            "jwt": [{"issuer": "example", "algorithm": "HS256", "secret": "a secret of forty bytes, which is enough!"}],
        },
    }
    for name, section in sections.items():
        base[name] = base.get(name, {}) | dict(section)
    return base


class Node:
    """A node that runs, from a client's side."""

    def __init__(self, server: Serving, config: Config, port: int) -> None:
        self.server = server
        self.config = config
        self.address = SocketAddress("127.0.0.1", port)

    async def ask(
        self, method: str, path: str, *headers: Mapping[str, str], body: Any = None, source: str = "127.0.0.1"
    ) -> Answer:
        """One request over a connection of its own."""
        merged = {name: value for one in headers for name, value in one.items()}
        wire = await Wire.connect(self.address, source=source)
        encoded = b"" if body is None else json.dumps(body).encode()
        answer = await wire.ask(path, method=method, body=encoded, headers=merged | (JSON if encoded else {}))
        wire.writer.close()
        return answer

    async def token(self, identity: str, room: str = "demo", **more: Any) -> str:
        """A join token that the node has made."""
        answer = await self.ask("POST", "/v1/tokens", AS_OPERATOR, body={"identity": identity, "room": room} | more)
        assert answer.status == 201, answer
        token: str = answer.json["token"]
        return token

    async def open(self, path: str = "/v1/signal", source: str = "127.0.0.1", **options: Any) -> ClientConnection:
        """A WebSocket that has not said anything."""
        uri = f"wss://{NAME}:{self.address.port}{path}"
        sock = connected(self.address, source=source)
        return await connect_websocket(uri, sock=sock, ssl=context(), server_hostname=NAME, **options)

    async def enter(self, identity: str, room: str = "demo", **more: Any) -> tuple[ClientConnection, dict[str, Any]]:
        """Somebody in a room, and his welcome."""
        websocket = await self.open()
        token = await self.token(identity, room, **more)
        welcome = await say(websocket, {"type": "hello", "id": 1, "token": token, "client": CLIENT})
        assert welcome["type"] == "welcome", welcome
        joined = await say(websocket, {"type": "join", "id": 2, "room": room})
        assert joined["type"] == "joined", joined
        return websocket, welcome


# What a program calls itself is its own words, which may be meant for an operator's terminal.
CLIENT: Final = {"name": "a\x1b[2Jprogram", "version": "7"}


async def say(websocket: ClientConnection, frame: Mapping[str, Any]) -> dict[str, Any]:
    """Send a frame and take the next one."""
    await websocket.send(json.dumps(frame))
    return await hear(websocket)


async def hear(websocket: ClientConnection) -> dict[str, Any]:
    """The next frame."""
    async with asyncio.timeout(10):
        found: dict[str, Any] = json.loads(await websocket.recv())
        return found


@asynccontextmanager
async def node(folder: Path, **sections: Mapping[str, Any]) -> AsyncIterator[Node]:
    """A node on a port of its own."""
    port = free_port()
    config = parse_config(document(folder, port, **sections))
    async with serving(config, PROGRAM) as server:
        yield Node(server, config, port)
