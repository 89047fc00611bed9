"""Messages and descriptors between two processes of ours, over a Unix socket that only they have.

    5 bytes: length, how many descriptors    the message, pickled

Both ends are this program in one version, started by the same user, so the bytes are trusted as the program's own are.
Nothing waits: what the other end does not read is queued, and the end is near when that is too much.
"""

from __future__ import annotations

import array
import asyncio
import copyreg
import os
import pickle
import socket
import struct
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import Any, Final

# A worker that runs reads its messages at once; one that has so many left is stuck, and is ended by the supervisor.
MAX_QUEUED: Final = 4096
# What may be dropped is dropped long before: nobody is to fill a link by connecting again and again.
MAX_QUEUED_CONNECTIONS: Final = 64
# The kernel's SCM_MAX_FD: no message can carry more descriptors.
MAX_DESCRIPTORS: Final = 253

_HEADER: Final = struct.Struct("!IB")
_READ_SIZE: Final = 256 * 1024


# A configuration has read-only tables, which pickle does not know.
def _read_only(table: dict[Any, Any]) -> MappingProxyType[Any, Any]:
    return MappingProxyType(table)


copyreg.pickle(MappingProxyType, lambda table: (_read_only, (dict(table),)))

OnMessage = Callable[[Any, list[int]], None]
"""The message, and the descriptors that came with it, which are the receiver's."""


class Link:
    """One end. `on_closed()` runs once, when the other end is gone or has stopped reading."""

    def __init__(self, connected: socket.socket, on_message: OnMessage, on_closed: Callable[[], None]) -> None:
        """Take over the socket, and read it in the running loop."""
        connected.setblocking(False)
        self._socket = connected
        self._on_message = on_message
        self._on_closed = on_closed
        self._loop = asyncio.get_running_loop()
        self._received = bytearray()
        self._descriptors: deque[int] = deque()
        self._queue: deque[tuple[memoryview, list[int]]] = deque()
        self._closed = False
        self._loop.add_reader(connected.fileno(), self._read)

    def send(self, message: object, descriptors: Sequence[int] = ()) -> None:
        """Send a message with descriptors, which are closed here whatever becomes of it."""
        given = list(descriptors)
        if self._closed or len(self._queue) >= MAX_QUEUED:
            _close_all(given)
            if not self._closed:
                self._end()
            return
        data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        frame = memoryview(_HEADER.pack(len(data), len(given)) + data)
        self._queue.append((frame, given))
        if len(self._queue) == 1:
            self._write()

    @property
    def queued(self) -> int:
        """How many messages the other end has not taken yet."""
        return len(self._queue)

    def close(self) -> None:
        """Close this end; `on_closed` is not called. Again is harmless."""
        if self._closed:
            return
        self._closed = True
        self._loop.remove_reader(self._socket.fileno())
        self._loop.remove_writer(self._socket.fileno())
        self._socket.close()
        _close_all(self._descriptors)
        for _, descriptors in self._queue:
            _close_all(descriptors)
        self._queue.clear()

    def _end(self) -> None:
        self.close()
        self._on_closed()

    def _write(self) -> None:
        while self._queue:
            data, descriptors = self._queue[0]
            ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
            try:
                sent = self._socket.sendmsg([data], ancillary)
            except BlockingIOError:
                self._loop.add_writer(self._socket.fileno(), self._write)
                return
            except OSError:
                self._end()
                return
            _close_all(descriptors)  # they go with the first byte
            if sent < len(data):
                self._queue[0] = (data[sent:], [])
            else:
                self._queue.popleft()
        self._loop.remove_writer(self._socket.fileno())

    def _read(self) -> None:
        try:
            data, descriptors, _, _ = socket.recv_fds(
                self._socket, _READ_SIZE, MAX_DESCRIPTORS, socket.MSG_CMSG_CLOEXEC
            )
        except BlockingIOError:
            return
        except OSError:
            self._end()
            return
        self._descriptors.extend(descriptors)
        if not data:
            self._end()
            return
        self._received += data
        while not self._closed and len(self._received) >= _HEADER.size:
            size, count = _HEADER.unpack_from(self._received)
            end = _HEADER.size + size
            if len(self._received) < end:
                return
            # Without a descriptor to spare here the kernel has dropped them: the receiver sees that they are missing.
            complete = len(self._descriptors) >= count
            given = [self._descriptors.popleft() for _ in range(count)] if complete else []
            if not complete:
                _close_all(self._descriptors)
            message = pickle.loads(bytes(self._received[_HEADER.size : end]))  # noqa: S301  # our own, see above
            del self._received[:end]
            self._on_message(message, given)


def _close_all(descriptors: list[int] | deque[int]) -> None:
    while descriptors:
        with suppress(OSError):
            os.close(descriptors.pop())
