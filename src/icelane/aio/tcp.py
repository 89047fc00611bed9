"""A TCP connection before anybody speaks on it."""

from __future__ import annotations

import asyncio
import socket

from icelane.core.net import AddressFamily, SocketAddress


async def connect_tcp(remote: SocketAddress, local: SocketAddress | None) -> socket.socket:
    """A non-blocking socket that is connected to `remote`, from `local` if that is given. Raises OSError."""
    is_ipv6 = remote.family is AddressFamily.IPV6
    opened = socket.socket(socket.AF_INET6 if is_ipv6 else socket.AF_INET, socket.SOCK_STREAM)
    try:
        opened.setblocking(False)
        if local is not None:
            opened.bind(tuple(local))
        await asyncio.get_running_loop().sock_connect(opened, tuple(remote))
    except BaseException:
        opened.close()
        raise
    return opened
