"""Our whole node for the length of one demo: signaling, call page and TURN over TLS, all on one port."""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from demo.server import HOST, LOCAL_NAME, DemoServer
from icelane.core.clock import UnixSeconds
from icelane.crypto.provider import SystemEntropy
from icelane.node.program import PROGRAM
from icelane.server.config import parse_config
from icelane.server.workers.choice import serving
from icelane.signaling.admission.join_token import TokenSigner, create_token
from icelane.signaling.admitted import IceTransportPolicy

ROOM = "demo"
_ISSUER = "demo"


@dataclass(frozen=True, kw_only=True)
class DemoNode:
    """Where it is, whom to trust for it, and tokens for its room, in which traffic goes through the relay alone."""

    origin: str
    authority: Path
    signer: TokenSigner = field(repr=False)

    def token(self, identity: str) -> str:
        """A join token."""
        return create_token(
            self.signer,
            identity=identity,
            rooms=(ROOM,),
            unix_time=UnixSeconds(time.time()),
            entropy=SystemEntropy(),
            ice=IceTransportPolicy.RELAY,
        )

    def link(self, identity: str) -> str:
        """The call page, as somebody is sent it."""
        return f"{self.origin}/r/{ROOM}#token={self.token(identity)}"


@asynccontextmanager
async def demo_node(server: DemoServer) -> AsyncIterator[DemoNode]:
    """HTTPS, WebSocket and TURN over TLS on one port of loopback, with the certificate of `server`."""
    key, port = secrets.token_urlsafe(32), _free_port()
    origin = f"https://{LOCAL_NAME}:{port}"
    document = {
        "server": {"listen": [f"https://{HOST}:{port}"], "public_url": origin},
        "turn": {
            "realm": "demo.example",
            "hostname": LOCAL_NAME,
            "listen": [],
            "relay_addresses": [HOST],
            "dangerously_allow_loopback_peers": True,
            "secrets": [{"kid": "demo", "secret": secrets.token_urlsafe(32)}],
            "drain_deadline": "0s",
        },
        "tls": dict(server.tls),
        "auth": {"jwt": [{"issuer": _ISSUER, "algorithm": "HS256", "secret": key}]},
    }
    async with serving(parse_config(document), PROGRAM):
        signer = TokenSigner(issuer=_ISSUER, algorithm="HS256", key=key)
        yield DemoNode(origin=origin, authority=server.authority, signer=signer)


def _free_port() -> int:
    """The pages' origin has to be known before the node is there."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
