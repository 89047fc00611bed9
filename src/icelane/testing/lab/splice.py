"""What the middleboxes of the lab have in common: a server that ends with its lab, and two streams made one."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import sys
from collections.abc import Awaitable, Callable
from typing import Final

READY: Final = "ready"
MAX_HEAD: Final = 8192

_CHUNK: Final = 65_536

Connected = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Filter = Callable[[bytes], bytes]


class CutError(Exception):
    """What passes is not what may pass."""


async def serve(port: int, connected: Connected) -> None:
    """Serve every address until standard input ends, which it does when the lab does, however that ends."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await connected(reader, writer)
        except (OSError, CutError, asyncio.IncompleteReadError):
            reset(writer)
        finally:
            writer.close()

    server = await asyncio.start_server(handle, None, port, limit=MAX_HEAD)
    print(READY, flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    server.close()


async def splice(
    near: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    far: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    *,
    outward: Filter | None = None,
    inward: Filter | None = None,
) -> None:
    """Carry both directions until both have ended. Raises CutError when a filter does, OSError when an end breaks."""
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_carry(near[0], far[1], outward))
            group.create_task(_carry(far[0], near[1], inward))
    except* (OSError, CutError) as errors:
        reset(far[1])
        raise errors.exceptions[0] from None
    finally:
        far[1].close()


async def _carry(source: asyncio.StreamReader, target: asyncio.StreamWriter, passes: Filter | None) -> None:
    while data := await source.read(_CHUNK):
        target.write(data if passes is None else passes(data))
        await target.drain()
    with contextlib.suppress(OSError):
        target.write_eof()


def reset(writer: asyncio.StreamWriter) -> None:
    """End with a reset, which says that nothing was delivered for sure."""
    found: socket.socket | None = writer.get_extra_info("socket")
    if found is not None and found.fileno() >= 0:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
