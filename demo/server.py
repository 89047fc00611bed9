"""Our server for the length of one demo."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import trustme

from icelane.server.config import parse_config
from icelane.server.turn_server import TurnServer

HOST = "127.0.0.1"
# TLS proves a name. Our clients find this one without DNS; the browser is told where the other one is.
LOCAL_NAME = "localhost"
BROWSER_NAME = "turn.demo.example"
USER = "demo"


@dataclass(frozen=True, kw_only=True)
class DemoServer:
    """Where the server listens, by transport, and who may use it."""

    ports_by_transport: dict[str, int]
    user: str
    password: str = field(repr=False)
    authority: Path
    """A PEM file with the authority that signed the server's certificate, and nothing else ever."""
    tls: Mapping[str, str] = field(default_factory=dict)
    """The section `[tls]`: the certificate and its key."""

    def url(self, transport: str, name: str = LOCAL_NAME) -> str:
        """The URI of the server over `udp`, `tcp` or, by one of its names, `tls`."""
        if transport == "tls":
            return f"turns:{name}:{self.ports_by_transport[transport]}?transport=tcp"
        return f"turn:{HOST}:{self.ports_by_transport[transport]}?transport={transport}"


@asynccontextmanager
async def demo_server() -> AsyncIterator[DemoServer]:
    """TURN over UDP, TCP and TLS on ports of loopback that the system chooses.

    The password, the authority and the certificate are made for this run and thrown away with it.
    """
    password = secrets.token_urlsafe(24)
    settings = {
        "realm": "demo.example",
        "hostname": HOST,
        "listen": [f"udp://{HOST}:0", f"tcp://{HOST}:0", f"tls://{HOST}:0"],
        "relay_addresses": [HOST],
        # Both ends of every path are on this machine, and nobody else knows the password.
        "dangerously_allow_loopback_peers": True,
        "users": {USER: password},
    }
    with TemporaryDirectory(prefix="icelane-demo-") as folder:
        authority, tls = _throw_away_certificate(Path(folder))
        async with TurnServer(parse_config({"turn": settings, "tls": tls})) as server:
            ports = {listener.transport.value: listener.port for listener in server.listening}
            yield DemoServer(ports_by_transport=ports, user=USER, password=password, authority=authority, tls=tls)


def _throw_away_certificate(folder: Path) -> tuple[Path, dict[str, str]]:
    """The authority's file, and the section `[tls]`."""
    authority = trustme.CA()
    leaf = authority.issue_cert(LOCAL_NAME, BROWSER_NAME)
    files = {name: folder / f"{name}.pem" for name in ("authority", "certificate", "key")}
    authority.cert_pem.write_to_path(str(files["authority"]))
    files["certificate"].write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
    leaf.private_key_pem.write_to_path(str(files["key"]))
    return files["authority"], {name: str(files[name]) for name in ("certificate", "key")}
