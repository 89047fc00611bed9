"""Events as Python's WebRTC programs subscribe to them, and as the W3C names them.

    @channel.on("message")
    def received(message):              # the bare object: str or bytes
        ...

    pc.oniceconnectionstatechange = f   # an attribute, called with the W3C event object

Handlers may be plain functions or coroutine functions. The latter run as tasks that are kept until they end, and what
stands before their first suspension runs at once, as in a browser: who subscribes there misses nothing. What a handler
raises is logged and counted in `handler_errors`; it reaches nobody else and closes nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import copy_context
from types import TracebackType
from typing import Final, NoReturn, TypeVar, cast, overload

from icelane.errors import LocalProtocolError

_log = logging.getLogger(__name__)

Handler = Callable[..., object]
F = TypeVar("F", bound=Handler)

# Tasks of asynchronous handlers that have not ended; beyond this something never ends, and new ones are refused.
MAX_HANDLER_TASKS: Final = 10_000


class Event:
    """A W3C event: `type`, `target`, and what the kind of event adds, as attributes."""

    def __init__(self, kind: str, target: object, **attributes: object) -> None:
        self.type = kind
        self.target = target
        self.__dict__.update(attributes)

    def __repr__(self) -> str:
        return f"Event({self.type!r})"

    def __getattr__(self, name: str) -> object:
        raise AttributeError(f"a {self.type!r} event has no {name}")


class EventTarget:
    """Whoever has events. `EVENTS` of a subclass names them all; subscribing to another name is an error."""

    EVENTS: frozenset[str] = frozenset()

    def __init__(self) -> None:
        self._handlers_by_event: dict[str, list[tuple[Handler, bool]]] = {}
        self._attributes_by_event: dict[str, Handler] = {}
        self._tasks: set[asyncio.Task[object]] = set()
        self.handler_errors = 0

    @overload
    def on(self, event: str) -> Callable[[F], F]: ...

    @overload
    def on(self, event: str, handler: F) -> F: ...

    def on(self, event: str, handler: F | None = None) -> F | Callable[[F], F]:
        """Call `handler` at each `event`; without a handler this is a decorator. Raises LocalProtocolError."""
        return self._subscribe(event, handler, once=False)

    @overload
    def once(self, event: str) -> Callable[[F], F]: ...

    @overload
    def once(self, event: str, handler: F) -> F: ...

    def once(self, event: str, handler: F | None = None) -> F | Callable[[F], F]:
        """As `on`, for the next `event` alone."""
        return self._subscribe(event, handler, once=True)

    def remove_listener(self, event: str, handler: Handler) -> None:
        """Do not call `handler` at `event` any more; one that was never there is harmless."""
        handlers = self._handlers_by_event.get(event, [])
        self._handlers_by_event[event] = [pair for pair in handlers if pair[0] != handler]

    def has_listener(self, event: str) -> bool:
        """Whether anybody wants to know of `event`."""
        return bool(self._handlers_by_event.get(event)) or event in self._attributes_by_event

    def __setattr__(self, name: str, value: object) -> None:
        if name.startswith("on") and name[2:] in self.EVENTS:
            if value is None:
                self._attributes_by_event.pop(name[2:], None)
            elif callable(value):
                self._attributes_by_event[name[2:]] = value
                self._gained_listener(name[2:])
            else:
                raise LocalProtocolError(f"{name} takes a function or None")
            return
        object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Handler | None:
        if name.startswith("on") and name[2:] in self.EVENTS:
            return self._attributes_by_event.get(name[2:])
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _subscribe(self, event: str, handler: F | None, *, once: bool) -> F | Callable[[F], F]:
        if event not in self.EVENTS:
            raise LocalProtocolError(f"{type(self).__name__} has no event {event!r}: {', '.join(sorted(self.EVENTS))}")

        def subscribe(wanted: F) -> F:
            self._handlers_by_event.setdefault(event, []).append((wanted, once))
            self._gained_listener(event)
            return wanted

        return subscribe if handler is None else subscribe(handler)

    def _gained_listener(self, event: str) -> None:
        """For a subclass that keeps what nobody has listened to."""

    def _emit(self, event: str, *bare: object, **attributes: object) -> list[asyncio.Task[object]]:
        """Tell everybody; `bare` is for `on`, `attributes` are those of the W3C event for `on...` attributes.

        Returns the tasks of asynchronous handlers.
        """
        started: list[asyncio.Task[object] | None] = []
        handlers = self._handlers_by_event.get(event)
        if handlers:
            if any(once for _, once in handlers):
                self._handlers_by_event[event] = [pair for pair in handlers if not pair[1]]
            started += [self._call(event, handler, *bare) for handler, _ in tuple(handlers)]
        attribute = self._attributes_by_event.get(event)
        if attribute is not None:
            started.append(self._call(event, attribute, Event(event, self, **attributes)))
        return [task for task in started if task is not None]

    def _call(self, event: str, handler: Handler, *arguments: object) -> asyncio.Task[object] | None:
        try:
            result = handler(*arguments)
        except Exception:
            self._count_error(event)
            return None
        if asyncio.iscoroutine(result) or isinstance(result, asyncio.Future):
            return self._run(event, cast(Awaitable[object], result))
        return None

    def _run(self, event: str, awaitable: Awaitable[object]) -> asyncio.Task[object] | None:
        if len(self._tasks) >= MAX_HANDLER_TASKS:
            if asyncio.iscoroutine(awaitable):
                awaitable.close()
            _log.error("a handler of %r was not run: %d have not ended", event, MAX_HANDLER_TASKS)
            self.handler_errors += 1
            return None

        async def watch() -> object:
            try:
                return await awaitable
            except Exception:
                self._count_error(event)
                return None

        task = _start_now(watch())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _count_error(self, event: str) -> None:
        self.handler_errors += 1
        _log.exception("a handler of %r failed", event)


class _Begun(Coroutine[object, object, object]):
    """A coroutine whose first step is taken by `begin`, and the others by the task that holds it."""

    def __init__(self, coroutine: Coroutine[object, object, object]) -> None:
        self.__qualname__: str = getattr(coroutine, "__qualname__", "handler")  # for the repr of the task
        self._coroutine = coroutine
        self._first: object = None
        self._is_first_due = False
        self._end: StopIteration | None = None

    def begin(self) -> None:
        """Run to the first suspension, or to the end."""
        try:
            self._first = self._coroutine.send(None)
            self._is_first_due = True
        except StopIteration as end:
            self._end = end

    def send(self, value: object) -> object:
        if self._end is not None:
            raise self._end
        if self._is_first_due:
            self._is_first_due = False
            return self._first
        return self._coroutine.send(value)

    def throw(
        self,
        kind: type[BaseException] | BaseException,
        value: BaseException | object = None,
        trace: TracebackType | None = None,  # noqa: ARG002  (the interface has it)
        /,
    ) -> object:
        self._is_first_due = False
        if self._end is not None:
            raise self._end
        error = kind if isinstance(kind, BaseException) else value
        return self._coroutine.throw(error if isinstance(error, BaseException) else cast(type[BaseException], kind)())

    def close(self) -> None:
        self._coroutine.close()

    def __await__(self) -> NoReturn:
        raise NotImplementedError  # a task drives it


def _start_now(coroutine: Coroutine[object, object, object]) -> asyncio.Task[object]:
    """A task that has come to its first suspension: Python 3.12 could do that by an eager task factory."""
    loop, context, begun = asyncio.get_running_loop(), copy_context(), _Begun(coroutine)
    task = loop.create_task(begun, context=context)
    # Timeouts and task groups in there are to find their own task. Whoever takes steps of a task instead of asyncio
    # says so by these functions ("Extending asyncio" in its documentation).
    around = asyncio.current_task(loop)
    if around is not None:
        asyncio.tasks._leave_task(loop, around)
    asyncio.tasks._enter_task(loop, task)
    try:
        context.run(begun.begin)
    finally:
        asyncio.tasks._leave_task(loop, task)
        if around is not None:
            asyncio.tasks._enter_task(loop, around)
    return task
