"""A server as a service: its signals, its admin socket, and an end that breaks no call.

SIGHUP            reads the configuration again
SIGTERM, SIGINT   drains: no new allocation, and the end when the last one is gone or after turn.drain_deadline
again             ends at once

A service manager that wants to be told is told of each step: see `icelane.server.service_manager`.

A service is the last thing that its process does: from its end on all three are ignored, so that none that comes while
the process is leaving makes a failure of it.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

from icelane.aio.system import monotonic
from icelane.errors import ConfigurationError
from icelane.server.admin import Admin
from icelane.server.admin_socket import AdminSocket
from icelane.server.config import Config, problems_of
from icelane.server.events import report
from icelane.server.reload import Reloaded
from icelane.server.service_manager import ServiceManager
from icelane.server.serving import Serving

_STOPPING: Final = (signal.SIGTERM, signal.SIGINT)


class Service:
    """Runs `server` until it is told to stop. `load` reads the configuration again and raises ConfigurationError.

    `reloaded` is called with the configuration that counts after each reload, for what is the program's: its logging.
    `manager` is who has started the process, and wants to be told.
    """

    def __init__(
        self,
        server: Serving,
        load: Callable[[], Config],
        *,
        reloaded: Callable[[Config], None] = lambda _: None,
        manager: ServiceManager | None = None,
    ) -> None:
        self._server = server
        self._load = load
        self._reloaded = reloaded
        self._manager = manager or ServiceManager()
        self._stopping = asyncio.Event()
        self._forced = asyncio.Event()
        self._serving = False
        self._hung_up = False
        self._reloading: set[asyncio.Task[None]] = set()
        admin = Admin(
            sessions=server.administer, reload=self.reload, drain=self._stop_and_count, commands=server.commands
        )
        path = server.config.admin.socket
        self._socket = AdminSocket(path, lambda line: admin.answer(line, monotonic())) if path is not None else None

    async def run(self, started: Callable[[], None] = lambda: None) -> None:
        """Start, call `started`, serve, drain and close. Raises ConfigurationError when it cannot start.

        Leaves SIGHUP, SIGTERM and SIGINT ignored for the rest of the process.
        """
        loop = asyncio.get_running_loop()
        for number in _STOPPING:
            loop.add_signal_handler(number, self.stop)
        loop.add_signal_handler(signal.SIGHUP, self._hang_up)
        try:
            async with self._server:
                if self._socket is not None:
                    await self._socket.start()
                self._serving = True
                started()
                self._manager.ready(self._describe)
                if self._hung_up:
                    self._hang_up()
                await self._stopping.wait()
                self._manager.stopping(self._server.config.turn.drain_deadline)
                await self._drain()
                self._serving = False
                await asyncio.gather(*self._reloading, return_exceptions=True)
        finally:
            self._serving = False
            self._manager.close()
            if self._socket is not None:
                await self._socket.close()
            _ignore(loop, (*_STOPPING, signal.SIGHUP))

    def stop(self) -> None:
        """Drain and end; called again, end at once."""
        if self._stopping.is_set():
            self._forced.set()
        self._stopping.set()
        self._server.begin_drain()

    async def reload(self) -> Reloaded:
        """Read the configuration again and go by it. Raises ConfigurationError, and then the old one still counts."""
        self._manager.reloading()
        try:
            result = await self._server.reload(self._load())
        except ConfigurationError as error:
            self._manager.reloaded(str(problems_of(error)[0]))
            for problem in problems_of(error):
                report("config.rejected", logging.ERROR, key=problem.key, file=problem.file, problem=problem.message)
            raise
        except BaseException:
            self._manager.reloaded("an error that the log has")
            raise
        self._manager.reloaded()
        report(
            "config.reloaded",
            logging.WARNING if result.restart else logging.INFO,
            changed=result.changed,
            restart=result.restart,
            ended=result.ended,
        )
        self._reloaded(self._server.config)
        return result

    def _hang_up(self) -> None:
        if not self._serving:
            self._hung_up = True  # what is changed while the server starts counts once it serves
            return
        task = asyncio.create_task(self._reload_by_signal(), name="reload")
        self._reloading.add(task)
        task.add_done_callback(self._reloading.discard)

    async def _reload_by_signal(self) -> None:
        if self._serving:
            with suppress(ConfigurationError):  # it has been reported
                await self.reload()

    def _describe(self) -> str:
        """What it does, in a line for `systemctl status`."""
        count = self._server.allocation_count
        relaying = f"relaying for {count} allocation{'' if count == 1 else 's'}"
        return f"draining, still {relaying}" if self._stopping.is_set() else relaying

    def _stop_and_count(self) -> int:
        self.stop()
        return self._server.allocation_count

    async def _drain(self) -> None:
        tasks = [asyncio.create_task(self._server.drain()), asyncio.create_task(self._forced.wait())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _ignore(loop: asyncio.AbstractEventLoop, numbers: Iterable[signal.Signals]) -> None:
    """Take `numbers` from the loop, and ignore them from then on.

    A loop gives a signal back to its default action, at the latest when it is closed, so what comes in between is held
    back. A handler of Python's would not do: the interpreter takes those back when it ends, and SIG_IGN it leaves.
    """
    numbers = tuple(numbers)
    held_back = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        for number in numbers:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held_back)
