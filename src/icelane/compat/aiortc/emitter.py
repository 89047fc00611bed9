"""Events as aiortc's users subscribe to them, which is how `pyee` does it.

Any name is an event. Handlers may be plain or coroutine functions; the latter run as tasks. What a handler raises goes
to the handlers of "error"; where there are none it is logged, and reaches nobody else.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar, overload

Handler = Callable[..., object]
F = TypeVar("F", bound=Handler)

_log = logging.getLogger(__name__)

# Tasks of handlers that have not ended; beyond this something never ends, and new ones are refused.
MAX_HANDLER_TASKS: Final = 10_000


class Emitter:
    """Whoever has events. Cooperates with other bases: `__init__` calls the next one's."""

    def __init__(self) -> None:
        super().__init__()
        # Names that a program's subclass does not take by chance: programs derive from tracks.
        self._emitter_handlers: dict[str, dict[Handler, bool]] = {}
        self._emitter_tasks: set[asyncio.Future[object]] = set()

    @overload
    def on(self, event: str, f: None = None) -> Callable[[F], F]: ...

    @overload
    def on(self, event: str, f: F) -> F: ...

    def on(self, event: str, f: F | None = None) -> F | Callable[[F], F]:
        """Call `f` at each `event`; without it this is a decorator."""
        return self.listens_to(event) if f is None else self.add_listener(event, f)

    def listens_to(self, event: str) -> Callable[[F], F]:
        """A decorator that calls what it decorates at each `event`."""

        def subscribe(f: F) -> F:
            return self.add_listener(event, f)

        return subscribe

    def add_listener(self, event: str, f: F) -> F:
        """Call `f` at each `event`."""
        self._add_handler(event, f, once=False)
        return f

    @overload
    def once(self, event: str, f: None = None) -> Callable[[F], F]: ...

    @overload
    def once(self, event: str, f: F) -> F: ...

    def once(self, event: str, f: F | None = None) -> F | Callable[[F], F]:
        """As `on`, for the next `event` alone."""

        def subscribe(wanted: F) -> F:
            self._add_handler(event, wanted, once=True)
            return wanted

        return subscribe if f is None else subscribe(f)

    def remove_listener(self, event: str, f: Handler) -> None:
        """Do not call `f` any more. Raises KeyError for one that is not there, while others are."""
        handlers = self._emitter_handlers.get(event)
        if handlers is None:
            return
        del handlers[f]
        if not handlers:
            del self._emitter_handlers[event]

    def remove_all_listeners(self, event: str | None = None) -> None:
        """Forget the handlers of `event`, without it those of all events."""
        if event is None:
            self._emitter_handlers.clear()
        else:
            self._emitter_handlers.pop(event, None)

    def listeners(self, event: str) -> list[Handler]:
        """Who is called at `event`, in order."""
        return list(self._emitter_handlers.get(event, ()))

    def event_names(self) -> set[str]:
        """What somebody listens to."""
        return set(self._emitter_handlers)

    def emit(self, event: str, *args: object, **kwargs: object) -> bool:
        """Call the handlers of `event`; whether there were any. Raises an "error" that nobody handles."""
        if event == "error" and event not in self._emitter_handlers:
            raise args[0] if args and isinstance(args[0], Exception) else RuntimeError(f"an error was emitted: {args}")
        has_any = event in self._emitter_handlers
        self._tell(event, *args, **kwargs)
        return has_any

    async def wait_for_complete(self) -> None:
        """Wait until the tasks of coroutine handlers that run now have ended."""
        if self._emitter_tasks:
            await asyncio.wait(self._emitter_tasks)

    def cancel(self) -> None:
        """Cancel the tasks of coroutine handlers."""
        for task in tuple(self._emitter_tasks):
            task.cancel()

    @property
    def complete(self) -> bool:
        """Whether no coroutine handler runs."""
        return not self._emitter_tasks

    def _gained_listener(self, event: str) -> None:
        """For a subclass that keeps what nobody has listened to."""

    def _add_handler(self, event: str, f: Handler, *, once: bool) -> None:
        self._tell("new_listener", event, f)
        self._emitter_handlers.setdefault(event, {})[f] = once
        self._gained_listener(event)

    def _tell(self, event: str, *args: object, **kwargs: object) -> list[asyncio.Future[object]]:
        """Call the handlers. Returns the tasks of those that are coroutines."""
        tasks: list[asyncio.Future[object]] = []
        for f, once in tuple(self._emitter_handlers.get(event, {}).items()):
            if once:
                if f not in self._emitter_handlers.get(event, {}):
                    continue  # another handler has taken it away
                self.remove_listener(event, f)
            try:
                result = f(*args, **kwargs)
            except Exception as error:
                self._failed(event, error)
                continue
            if asyncio.iscoroutine(result) or isinstance(result, asyncio.Future):
                task = self._start_task(event, result)
                tasks += [] if task is None else [task]
        return tasks

    def _start_task(self, event: str, awaitable: Awaitable[object]) -> asyncio.Future[object] | None:
        if len(self._emitter_tasks) >= MAX_HANDLER_TASKS:
            if asyncio.iscoroutine(awaitable):
                awaitable.close()
            _log.error("a handler of %r was not run: %d have not ended", event, MAX_HANDLER_TASKS)
            return None
        task: asyncio.Future[object] = asyncio.ensure_future(awaitable)
        self._emitter_tasks.add(task)

        def ended(task: asyncio.Future[object]) -> None:
            self._emitter_tasks.discard(task)
            error = None if task.cancelled() else task.exception()
            if isinstance(error, Exception):
                self._failed(event, error)

        task.add_done_callback(ended)
        return task

    def _failed(self, event: str, error: Exception) -> None:
        if event != "error" and "error" in self._emitter_handlers:
            self._tell("error", error)
        else:
            _log.error("a handler of %r failed", event, exc_info=error)
