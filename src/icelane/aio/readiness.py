"""Watches sockets on which the kernel may report errors, whatever the loop makes of errors.

libuv, and so uvloop, stops reading a descriptor for good once the kernel flags an error on it; for a UDP socket that is
one ICMP message from anywhere. So these sockets are in an epoll set of ours, and the loop watches the set, which is
never in error itself. One set serves a loop, and is there while it has anything to watch.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable
from typing import Final

from icelane.errors import NotSupportedError

# A wake calls this many sockets at most; the others keep the set readable.
MAX_SOCKETS_PER_WAKE: Final = 64

_READABLE: Final = getattr(select, "EPOLLIN", 0)


class ReadySet:
    """The sockets of one loop. Linux only: elsewhere `watch` uses the loop's own readers."""

    __slots__ = ("_epoll", "_loop", "_readers_by_descriptor")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        assert hasattr(select, "epoll"), "`watch` makes a set only where there are any"
        self._loop = loop
        self._epoll = select.epoll()
        self._readers_by_descriptor: dict[int, Callable[[], None]] = {}
        loop.add_reader(self._epoll.fileno(), self._on_ready)

    def __len__(self) -> int:
        return len(self._readers_by_descriptor)

    def add(self, descriptor: int, reader: Callable[[], None]) -> None:
        """Call `reader` when there is something to read, or an error."""
        self._epoll.register(descriptor, _READABLE)
        self._readers_by_descriptor[descriptor] = reader

    def remove(self, descriptor: int) -> None:
        """Do not call any more; the descriptor is still open."""
        del self._readers_by_descriptor[descriptor]
        self._epoll.unregister(descriptor)

    def close(self) -> None:
        """Leave the loop."""
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()

    def _on_ready(self) -> None:
        for descriptor, _ in self._epoll.poll(0, MAX_SOCKETS_PER_WAKE):
            # One reader may close the socket of another that is ready in the same wake.
            reader = self._readers_by_descriptor.get(descriptor)
            if reader is not None:
                reader()


def check_loop(loop: asyncio.AbstractEventLoop) -> None:
    """Raises NotSupportedError for a loop that cannot watch sockets, as the one that Windows has by default."""
    if type(loop).add_reader is asyncio.AbstractEventLoop.add_reader:
        raise NotSupportedError(
            f"{type(loop).__name__} cannot watch sockets; run this on another event loop, such as"
            " asyncio.SelectorEventLoop"
        )


_sets_by_loop: dict[asyncio.AbstractEventLoop, ReadySet] = {}


def watch(loop: asyncio.AbstractEventLoop, descriptor: int, reader: Callable[[], None]) -> None:
    """Call `reader` on `loop` whenever the socket is readable or in error."""
    if not hasattr(select, "epoll"):
        loop.add_reader(descriptor, reader)
        return
    ready = _sets_by_loop.get(loop)
    if ready is None:
        ready = _sets_by_loop[loop] = ReadySet(loop)
    ready.add(descriptor, reader)


def unwatch(loop: asyncio.AbstractEventLoop, descriptor: int) -> None:
    """Undo `watch`, before the descriptor is closed."""
    ready = _sets_by_loop.get(loop)
    if ready is None:
        loop.remove_reader(descriptor)
        return
    ready.remove(descriptor)
    if not len(ready):
        del _sets_by_loop[loop]
        ready.close()
