"""Lines that a person types or pastes, read on the event loop.

A thread that waits for a line would keep the program alive after Ctrl-C, until somebody presses Enter.
"""

from __future__ import annotations

import asyncio
import os
from typing import Final

STANDARD_INPUT: Final = 0
# A description takes one or two kilobytes; of a longer line only the end is kept, which is then no description.
MAX_LINE: Final = 128 * 1024
_READ: Final = 64 * 1024


class LineReader:
    """Reads lines from a file descriptor, which stays as it is: a shared terminal must not become non-blocking."""

    def __init__(self, descriptor: int = STANDARD_INPUT) -> None:
        self._descriptor = descriptor
        self._buffer = b""

    async def line(self) -> str | None:
        """The next line without its end; None at the end of the input."""
        while b"\n" not in self._buffer:
            chunk = await self._chunk()
            if not chunk:
                rest, self._buffer = self._buffer, b""
                return _text(rest) if rest else None
            self._buffer = (self._buffer + chunk)[-MAX_LINE:]
        line, _, self._buffer = self._buffer.partition(b"\n")
        return _text(line)

    async def _chunk(self) -> bytes:
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        try:
            loop.add_reader(self._descriptor, readable.set)
        except PermissionError:  # what epoll says of a regular file, which keeps nobody waiting
            return os.read(self._descriptor, _READ)
        try:
            await readable.wait()
        finally:
            loop.remove_reader(self._descriptor)
        return os.read(self._descriptor, _READ)


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace")
