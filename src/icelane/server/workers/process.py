"""One worker as the supervisor sees it: a process, and a link to it."""

from __future__ import annotations

import asyncio
import enum
import itertools
from collections.abc import Callable, Sequence
from typing import Any, Final

from icelane.core.clock import Duration
from icelane.server.workers.link import Link
from icelane.server.workers.messages import Answer, Ask, GoBy, Ping, Question, Start, Stop
from icelane.server.workers.spare import Interpreter

# A question costs a worker some milliseconds; one that is silent for so long is asked again some other time.
ANSWER_TIMEOUT: Final[Duration] = 2.0
# But whoever does not answer a reload is ended, with all that it relays: it has as long as one may be silent at all.
RELOAD_TIMEOUT: Final[Duration] = 10.0
# What a worker has to end its connections by close_notify and to write what it has left to log.
STOP_TIMEOUT: Final[Duration] = 5.0


class WorkerState(enum.Enum):
    """STARTING until it serves, GONE from the end of its process on."""

    STARTING = "starting"
    RUNNING = "running"
    GONE = "gone"


class SilentError(Exception):
    """The worker is gone, or has not answered in time."""


class WorkerProcess:
    """What an interpreter becomes. `on_message` hears what it says unasked, `on_gone` of its end, with the worker."""

    def __init__(
        self,
        index: int,
        interpreter: Interpreter,
        start: Start,
        descriptors: Sequence[int],
        *,
        on_message: Callable[[WorkerProcess, object, list[int]], None],
        on_gone: Callable[[WorkerProcess], None],
    ) -> None:
        """The descriptors are closed here."""
        self.index = index
        self.start = start
        self.state = WorkerState.STARTING
        self.unanswered = 0
        self.drained = False
        self._on_message = on_message
        self._on_gone = on_gone
        self._numbers = itertools.count(1)
        self._questions: dict[int, asyncio.Future[Answer]] = {}
        self._interpreter = interpreter
        self.gone = interpreter.gone
        interpreter.on_exit = self._on_exit
        self._link = Link(interpreter.link, self._received, self.kill)
        self._link.send(start, descriptors)

    @property
    def pid(self) -> int:
        """The number of its process."""
        return self._interpreter.pid

    @property
    def exit_status(self) -> int | None:
        """As subprocess has it: negative for a signal. None while it lives."""
        return self._interpreter.exit_status

    def send(self, message: object, descriptors: Sequence[int] = ()) -> None:
        """Tell it something; what it does not hear any more is lost."""
        self._link.send(message, descriptors)

    @property
    def queued(self) -> int:
        """How many messages it has not taken yet."""
        return self._link.queued

    def ping(self) -> None:
        """Let it show that it lives: `unanswered` counts until it does."""
        self.unanswered += 1
        self._link.send(Ping())

    async def ask(self, question: Question) -> Answer:
        """Its answer. Raises SilentError."""
        number = next(self._numbers)
        timeout = RELOAD_TIMEOUT if isinstance(question, GoBy) else ANSWER_TIMEOUT
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._questions[number] = answer
        self._link.send(Ask(number, question))
        try:
            async with asyncio.timeout(timeout):
                return await answer
        except TimeoutError:
            raise SilentError from None
        finally:
            del self._questions[number]

    def kill(self) -> None:
        """End it at once."""
        self._interpreter.kill()

    async def stop(self) -> None:
        """Let it end, and wait until it has."""
        self._link.send(Stop())
        try:
            async with asyncio.timeout(STOP_TIMEOUT):
                await self.gone.wait()
        except TimeoutError:
            self.kill()
            await self.gone.wait()

    def _received(self, message: Any, descriptors: list[int]) -> None:
        self.unanswered = 0
        if isinstance(message, Answer):
            answer = self._questions.get(message.number)
            if answer is not None and not answer.done():
                answer.set_result(message)
        else:
            self._on_message(self, message, descriptors)

    def _on_exit(self) -> None:
        self.state = WorkerState.GONE
        self._link.close()
        for answer in self._questions.values():
            if not answer.done():
                answer.set_exception(SilentError())
        self._on_gone(self)
