"""What stands between an engine and asyncio: one drain for each mutation, and one timer.

driver = Driver(engine, transmit=lambda t: udp.send(t.data, server), on_event=react)
udp = UdpSocket.bind(local, lambda data, source: driver.handle_datagram(data, path))
driver.run(engine.close)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

from icelane.aio.system import monotonic
from icelane.aio.wakeup import Wakeup
from icelane.core.clock import Instant
from icelane.core.engine import Engine, Transmit
from icelane.core.net import Path

E = TypeVar("E")
T = TypeVar("T")


class Driver(Generic[E]):
    """Feeds `engine`, hands what it sends to `transmit` and what it tells to `on_event`.

    Both may call `run` again; what that causes is drained after them. An exception in one of them reaches whoever
    called; nothing that the engine has said by then is lost, the next drain goes on with it.
    """

    __slots__ = ("_closed", "_draining", "_engine", "_on_event", "_transmit", "_wakeup")

    def __init__(
        self,
        engine: Engine[E],
        *,
        transmit: Callable[[Transmit], object],
        on_event: Callable[[E], object],
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._engine = engine
        self._transmit = transmit
        self._on_event = on_event
        self._wakeup = Wakeup(self._wake, loop or asyncio.get_running_loop())
        self._draining = False
        self._closed = False

    def handle_datagram(self, data: bytes, path: Path) -> None:
        """Bytes came in on `path`."""
        if self._closed:
            return
        self._engine.handle_datagram(data, path, monotonic())
        self._drain()

    def run(self, verb: Callable[[Instant], T]) -> T:
        """Call a verb of the engine with the time, drain, and return what it returned."""
        try:
            return verb(monotonic())
        finally:
            self._drain()

    def close(self) -> None:
        """Never call the engine again; what it still has to say is not heard."""
        self._closed = True
        self._wakeup.set(None)

    def _drain(self) -> None:
        if self._draining or self._closed:
            return
        engine = self._engine
        self._draining = True
        try:
            while True:
                while (transmit := engine.poll_transmit()) is not None:
                    self._transmit(transmit)
                event = engine.poll_event()
                if event is None:
                    return
                self._on_event(event)
        finally:
            self._draining = False
            self._arm()

    def _arm(self) -> None:
        self._wakeup.set(None if self._closed else self._engine.next_timeout())

    def _wake(self) -> None:
        self._engine.handle_timeout(monotonic())
        self._drain()
