"""Whether programs of this machine trust what a node shows them: tried, and not looked up in a list."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Final

from icelane.aio.client_tls import client_context
from icelane.errors import ConfigurationError

# A handshake in memory needs two turns.
_MAX_TURNS: Final = 8


def is_trusted_here(certificate: Path, key: Path, host: str, authority: Path | None = None) -> bool:
    """Shake hands in memory as a client of this machine does that asks for `host`, a name or an address.

    `authority` is a PEM file with what to trust instead of this machine's.
    """
    try:
        asking = client_context(authority, alpn=())
    except ConfigurationError:
        return False  # a machine without any authority
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(certificate, key)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = asking.wrap_bio(to_client, to_server, server_hostname=host)
    server = serving.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(_MAX_TURNS):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError:
                return False
            if side is client:
                return True
    return False
