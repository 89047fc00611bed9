"""Our server for the length of one demo."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from icelane.server.config import parse_config
from icelane.server.turn_server import TurnServer

HOST = "127.0.0.1"
USER = "demo"


@dataclass(frozen=True, kw_only=True)
class DemoServer:
    """Where the server listens, by transport, and who may use it."""

    ports_by_transport: dict[str, int]
    user: str
    password: str = field(repr=False)

    def url(self, transport: str) -> str:
        """The URI of the server over `udp` or `tcp`."""
        return f"turn:{HOST}:{self.ports_by_transport[transport]}?transport={transport}"


@asynccontextmanager
async def demo_server() -> AsyncIterator[DemoServer]:
    """TURN over UDP and TCP on ports of loopback that the system chooses, with a password made for this run."""
    password = secrets.token_urlsafe(24)
    settings = {
        "realm": "demo.example",
        "hostname": HOST,
        "listen": [f"udp://{HOST}:0", f"tcp://{HOST}:0"],
        "relay_addresses": [HOST],
        # Both ends of every path are on this machine, and nobody else knows the password.
        "dangerously_allow_loopback_peers": True,
        "users": {USER: password},
    }
    async with TurnServer(parse_config({"turn": settings})) as server:
        ports = {listener.transport.value: listener.port for listener in server.listening}
        yield DemoServer(ports_by_transport=ports, user=USER, password=password)
