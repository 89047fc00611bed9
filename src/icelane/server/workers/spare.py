"""A process that has been started before it is needed, so that a worker that dies is replaced in no time.

An interpreter with all that a worker imports takes most of the time that a worker needs to start. So one waits, for
whichever worker is the first to die, and the next is started when that one serves. It knows nothing yet: neither the
configuration nor any socket. It is executed and not forked, so that it is a process with memory laid out anew: whoever
makes workers crash must not learn from one what helps against the next.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import Final

from icelane.core.clock import Duration
from icelane.server.events import report
from icelane.server.workers.worker import SUPERVISED_SIGNALS

PROGRAM: Final = "icelane.server.workers.worker"
"""What a worker runs, unless something else runs beside the relay."""

# After one that has ended by itself, or could not be started: so long a worker that dies meanwhile starts from nothing.
SPARE_PAUSE: Final[Duration] = 30.0


class Interpreter:
    """A process that runs `worker` and waits for Start, over the socket whose other end `link` is.

    `on_exit` is called when it has ended. Both are for whoever makes a worker of it.
    """

    def __init__(self, on_exit: Callable[[], None], program: str = PROGRAM) -> None:
        """`program` is the module that it runs. Raises OSError when there can be no process more."""
        self.on_exit = on_exit
        self.link, self._process, self._pidfd = _spawn(program)
        self.gone = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._pidfd, self._ended)

    @property
    def pid(self) -> int:
        """The number of its process."""
        return self._process.pid

    @property
    def exit_status(self) -> int | None:
        """As subprocess has it: negative for a signal. None while it lives."""
        return self._process.returncode

    @property
    def ready(self) -> bool:
        """Whether it has said its first word, which stays in the link: its imports are behind it."""
        try:
            return bool(self.link.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except BlockingIOError:
            return False

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def _ended(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._process.wait()
        self.gone.set()
        self.on_exit()


class Spares:
    """Keeps one process waiting."""

    def __init__(self, program: str = PROGRAM) -> None:
        self._program = program
        self._waiting: Interpreter | None = None
        self._pause: asyncio.TimerHandle | None = None
        self._closed = False
        self._dismissed: Interpreter | None = None

    @property
    def waiting(self) -> Interpreter | None:
        """Who would be the next worker."""
        return self._waiting

    def keep(self) -> None:
        """Start one, unless one waits or its start does."""
        if self._waiting is not None or self._pause is not None or self._closed:
            return
        try:
            self._waiting = Interpreter(self._lost, self._program)
        except OSError as error:
            report("worker.no_spare", logging.WARNING, problem=error.strerror)
            self._keep_later()

    def take(self) -> Interpreter:
        """The one that waits, else a new one. Raises OSError when there can be none."""
        taken, self._waiting = self._waiting, None
        return taken if taken is not None else Interpreter(_nothing, self._program)

    def dismiss(self) -> None:
        """Let nobody wait any more; again is harmless."""
        self._closed = True
        if self._pause is not None:
            self._pause.cancel()
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            self._dismissed = waiting
            waiting.on_exit = waiting.link.close
            waiting.kill()

    async def close(self) -> None:
        """`dismiss`, and wait until it has ended; again is harmless."""
        self.dismiss()
        if self._dismissed is not None:
            await self._dismissed.gone.wait()

    def _lost(self) -> None:
        waiting, self._waiting = self._waiting, None
        assert waiting is not None, "whoever takes it listens to its end"
        waiting.link.close()
        report("worker.no_spare", logging.WARNING, pid=waiting.pid, status=waiting.exit_status)
        self._keep_later()

    def _keep_later(self) -> None:
        self._pause = asyncio.get_running_loop().call_later(SPARE_PAUSE, self._keep_again)

    def _keep_again(self) -> None:
        self._pause = None
        self.keep()


def _nothing() -> None:
    """Its end is nobody's business yet, or any more."""


def _spawn(program: str) -> tuple[socket.socket, subprocess.Popen[bytes], int]:
    """A new interpreter that runs `program`: our end of the link, the process, and a descriptor that tells of its end.

    The signals that are the supervisor's are held back in it until it has said that it ignores them: one that comes
    between would end it.
    """
    ours, theirs = socket.socketpair()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SUPERVISED_SIGNALS)
    try:
        process = subprocess.Popen(  # noqa: S603  # ourselves
            # -P: nothing is imported from the directory that we happen to be in.
            [sys.executable, "-P", "-m", program, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
    except BaseException:
        ours.close()
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
    try:
        return ours, process, os.pidfd_open(process.pid)
    except BaseException:
        ours.close()
        process.kill()
        process.wait()
        raise
