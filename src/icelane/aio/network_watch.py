"""Tells when addresses or links of this machine may have changed, and when it has slept.

    stop = watch_network(listener)      # listener.handle_network_change(), listener.handle_wake()
    stop()

Linux says by netlink (rtnetlink(7)) that something has changed; what that is the listener looks up himself, so that not
one byte of it has to be parsed. Elsewhere the addresses are looked at every POLL_INTERVAL seconds. A burst of changes
is told once it has been quiet for SETTLE_TIME. One watch serves all listeners of a loop and a network namespace.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Callable
from typing import Final, Protocol

from icelane.aio.interfaces import Interface, usable_interfaces
from icelane.aio.system import monotonic
from icelane.core.clock import Duration, Instant

_log = logging.getLogger(__name__)

# An interface that comes up brings its addresses within that time of each other; DHCP and IPv6 take longer, and are a
# change of their own.
SETTLE_TIME: Final[Duration] = 0.2
# The same, however long the burst goes on.
MAX_SETTLE_TIME: Final[Duration] = 1.0
POLL_INTERVAL: Final[Duration] = 5.0
# The clock runs on while the machine sleeps (`system`), the loop's timers do not: what is later than that has slept, or
# stood still for as long, which comes to the same.
TICK: Final[Duration] = 2.0
LATENESS: Final[Duration] = 3.0
# Messages of netlink that are taken off in one wake of the loop.
MAX_MESSAGES: Final = 64
_MESSAGE_SIZE: Final = 65_536

_NETLINK_ROUTE: Final = getattr(socket, "NETLINK_ROUTE", None)
# linux/rtnetlink.h: links, and addresses of both families.
_GROUPS: Final = 0x1 | 0x10 | 0x100


class NetworkListener(Protocol):
    """Who wants to know."""

    def handle_network_change(self) -> None:
        """Addresses or links may be others than before."""
        ...

    def handle_wake(self) -> None:
        """The machine has slept, or has stood still for some seconds."""
        ...


def watch_network(listener: NetworkListener) -> Callable[[], None]:
    """Tell `listener` on the running loop until what is returned is called; to call that again is harmless."""
    loop = asyncio.get_running_loop()
    key = (loop, network_namespace())
    watch = _watches.get(key)
    if watch is None:
        watch = _watches[key] = _Watch(loop)
    watch.listeners.append(listener)

    def stop() -> None:
        if listener in watch.listeners:
            watch.listeners.remove(listener)
        if not watch.listeners and _watches.get(key) is watch:
            del _watches[key]
            watch.close()

    return stop


def network_namespace() -> int:
    """Which network this thread sees, where a machine may have several: 0 where it has one."""
    try:
        return os.stat("/proc/thread-self/ns/net").st_ino
    except OSError:
        return 0


class _Watch:
    """One socket of netlink, or the poll, and one tick. Closed with its last listener."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.listeners: list[NetworkListener] = []
        self._loop = loop
        self._settling: asyncio.TimerHandle | None = None
        self._changed_at: Instant | None = None
        self._ticked_at = monotonic()
        self._tick_handle = loop.call_later(TICK, self._tick)
        self._seen: list[Interface] = []
        self._poll_handle: asyncio.TimerHandle | None = None
        self._netlink = _open_netlink()
        if self._netlink is not None:
            loop.add_reader(self._netlink.fileno(), self._drain)
        else:
            self._seen = usable_interfaces(include_loopback=True)
            self._poll_handle = loop.call_later(POLL_INTERVAL, self._poll)

    def close(self) -> None:
        """Let go of everything."""
        for handle in (self._settling, self._tick_handle, self._poll_handle):
            if handle is not None:
                handle.cancel()
        if self._netlink is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed already
                self._loop.remove_reader(self._netlink.fileno())
            self._netlink.close()

    def _drain(self) -> None:
        assert self._netlink is not None
        changed = False
        for _ in range(MAX_MESSAGES):
            try:
                _, (sender, _) = self._netlink.recvfrom(_MESSAGE_SIZE)
            except BlockingIOError:
                break
            except OSError:  # ENOBUFS: messages were lost, so there were changes
                changed = True
                break
            changed |= sender == 0  # the kernel, and no other process
        if changed:
            self._note_change()

    def _note_change(self) -> None:
        now = monotonic()
        if self._settling is not None:
            self._settling.cancel()
        self._changed_at = now if self._changed_at is None else self._changed_at
        left = self._changed_at + MAX_SETTLE_TIME - now
        self._settling = self._loop.call_later(max(0.0, min(SETTLE_TIME, left)), self._settle)

    def _settle(self) -> None:
        self._settling = self._changed_at = None
        self._tell(lambda listener: listener.handle_network_change())

    def _poll(self) -> None:
        self._poll_handle = self._loop.call_later(POLL_INTERVAL, self._poll)
        seen, self._seen = self._seen, usable_interfaces(include_loopback=True)
        if seen != self._seen:
            self._settle()

    def _tick(self) -> None:
        self._tick_handle = self._loop.call_later(TICK, self._tick)
        ticked_at, self._ticked_at = self._ticked_at, monotonic()
        if self._ticked_at - ticked_at > TICK + LATENESS:
            _log.debug("the machine stood still for %.1f s", self._ticked_at - ticked_at)
            self._tell(lambda listener: listener.handle_wake())

    def _tell(self, verb: Callable[[NetworkListener], None]) -> None:
        for listener in list(self.listeners):
            verb(listener)


_watches: dict[tuple[asyncio.AbstractEventLoop, int], _Watch] = {}


def _open_netlink() -> socket.socket | None:
    """A socket that hears of links and addresses, None where there is none to be had."""
    if not hasattr(socket, "AF_NETLINK") or _NETLINK_ROUTE is None:
        return None
    opened = None
    try:
        opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_ROUTE)
        opened.setblocking(False)
        opened.bind((0, _GROUPS))
    except OSError as error:
        _log.debug("no word of network changes: %s; addresses are polled", error)
        if opened is not None:
            opened.close()
        return None
    return opened
