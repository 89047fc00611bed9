"""The Unix socket of `icelane.server.admin`: whoever may open the file may do everything, and nobody else can."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from icelane.core.clock import Duration
from icelane.errors import ConfigurationError
from icelane.server.admin import MAX_LINE

# A person, a watch or two, and a script; more are closed at once.
MAX_CONNECTIONS: Final = 16
# Longer than a watch needs between two questions.
IDLE_TIMEOUT: Final[Duration] = 60.0
_BACKLOG: Final = 16
_OWNER_ONLY: Final = 0o600
_KEY: Final = "admin.socket"
_TOO_LONG: Final = b'{"ok": false, "error": "a request is one line with one JSON object"}\n'


class AdminSocket:
    """Listens on `path` and gives each line to `answer`."""

    def __init__(self, path: Path, answer: Callable[[bytes], Awaitable[bytes]]) -> None:
        self._path = path
        self._answer = answer
        self._server: asyncio.Server | None = None
        self._identity: tuple[int, int] | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        """Take the path over from a server that is gone. Raises ConfigurationError when one still answers there."""
        try:
            listening = _bound(self._path)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise ConfigurationError(f"{self._path}: {reason}", key=_KEY) from error
        found = self._path.stat()
        self._identity = (found.st_dev, found.st_ino)
        self._server = await asyncio.start_unix_server(self._serve, sock=listening, limit=MAX_LINE, backlog=_BACKLOG)

    async def close(self) -> None:
        """Stop, and take the file away unless another server has put its own there."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        await server.wait_closed()
        with suppress(OSError):
            found = self._path.stat()
            if (found.st_dev, found.st_ino) == self._identity:
                self._path.unlink()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._writers) >= MAX_CONNECTIONS:
            writer.close()
            return
        self._writers.add(writer)
        try:
            while await self._exchange(reader, writer):
                pass
        except (OSError, TimeoutError):
            pass  # whoever asked is gone, or does not read the answer
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one line; False at the end."""
        async with asyncio.timeout(IDLE_TIMEOUT):
            try:
                line = await reader.readuntil(b"\n")
            except asyncio.IncompleteReadError:
                return False
            except asyncio.LimitOverrunError:
                writer.write(_TOO_LONG)
                await writer.drain()
                return False
            writer.write(await self._answer(line))
            await writer.drain()
            return True


def _bound(path: Path) -> socket.socket:
    """A socket on `path` that only its owner can open. Raises OSError, or ConfigurationError when another answers."""
    if not hasattr(socket, "AF_UNIX"):
        raise ConfigurationError("this system has no Unix sockets; leave admin.socket out", key=_KEY)
    with suppress(FileNotFoundError):
        if stat.S_ISSOCK(path.lstat().st_mode):
            if _answers(path):
                raise ConfigurationError(f"another server answers on {path}", key=_KEY)
            path.unlink()
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # The file is made with these rights, not given them afterwards: in between others could open it.
    before = os.umask(0o777 & ~_OWNER_ONLY)
    try:
        listening.setblocking(False)
        listening.bind(str(path))
    except BaseException:
        listening.close()
        raise
    finally:
        os.umask(before)
    return listening


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return False
        except BlockingIOError:
            pass  # its queue is full: it lives
    return True
