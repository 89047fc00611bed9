"""The hooks of a program: what they are asked and answer, and what keeps one that fails from harming anybody.

A hook is whatever answers an event: a function or a webhook (`webhook`). `GuardedHook` is around it:

    no answer, an exception, another type, None, a cancellation    refused: admission fails closed
    more than a second                                             refused, and the call is cancelled
    MAX_RUNNING calls at once, or MAX_RUNNING_PER_ADDRESS          the next is refused until one has really ended
    BREAKER_FAILURES in a row, from several addresses              the hook looks down: those are not asked for again
                                                                   for BREAKER_PAUSE, others BREAKER_TRIALS at once
    the same question again within the cache time                  what was allowed is allowed again, unasked
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final, Generic, NamedTuple, TypeAlias, TypeVar

from icelane.aio.system import monotonic
from icelane.core.clock import Duration, Instant, later
from icelane.core.raised import frames_of
from icelane.errors import IcelaneError, MalformedError
from icelane.signaling.admission.answer import checked_allow, checked_answer
from icelane.signaling.admission.hook_times import ALLOWED, CIRCUIT_OPEN, DENIED, HookTimes
from icelane.signaling.admission.request import (
    Allow,
    Connected,
    ConnectRequest,
    Deny,
    IceRequest,
    JoinRequest,
    Left,
    MessageRequest,
)
from icelane.turn.limiter import source_key

LOGGER: Final = logging.getLogger("icelane.signaling")

TIMEOUT: Final[Duration] = 1.0
# Calls that have not ended; one that ignores its cancellation counts on. At the bound: refused, "busy".
MAX_RUNNING: Final = 256
# Of one address, so that whoever makes a hook hang leaves room for others.
MAX_RUNNING_PER_ADDRESS: Final = 16
# How long an answer may be remembered at most, whatever the configuration says.
MAX_CACHE_TIME: Final[Duration] = 60.0
# Answers that are remembered; the one that was not used for longest makes room.
MAX_CACHED: Final = 10_000
# The hook looks down when this many calls in a row have failed and they came from this many addresses.
BREAKER_FAILURES: Final = 5
BREAKER_SOURCES: Final = 3
BREAKER_PAUSE: Final[Duration] = 5.0
# While it looks down. A few addresses whose requests make it fail must not close it for all, and a hook that is really
# down must not be waited for by everybody; one answer opens it for all again.
BREAKER_TRIALS: Final = 64
# Addresses whose question was the last to fail; the one that failed longest ago makes room, and may be asked again.
MAX_FAILED_SOURCES: Final = 1024

Question: TypeAlias = ConnectRequest | JoinRequest | MessageRequest | IceRequest
Notice: TypeAlias = Connected | Left

Q = TypeVar("Q")

Hook: TypeAlias = Callable[[Q], Awaitable[object]]
"""Answers one kind of event with `Allow` or `Deny`; what it says to a notice does not count. Whatever goes wrong in it
is an exception."""


class HookFailedError(IcelaneError):
    """A hook gave no answer that counts. `reason` is a word for logs and metrics."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class _Cached(NamedTuple):
    allow: Allow
    until: Instant


class _Breaker:
    """Whether a hook is worth asking."""

    def __init__(self) -> None:
        self._failures = 0
        self._paused_until: OrderedDict[bytes, Instant] = OrderedDict()

    def admits(self, source: bytes, running: int, now: Instant) -> bool:
        """Whether to ask for `source` while `running` calls have not ended."""
        if self._failures < BREAKER_FAILURES or len(self._paused_until) < BREAKER_SOURCES:
            return True
        return now >= self._paused_until.get(source, now) and running < BREAKER_TRIALS

    def succeeded(self) -> None:
        self._failures = 0
        self._paused_until.clear()

    def failed(self, source: bytes, now: Instant) -> None:
        self._failures += 1
        self._paused_until[source] = later(now, BREAKER_PAUSE)
        self._paused_until.move_to_end(source)
        if len(self._paused_until) > MAX_FAILED_SOURCES:
            self._paused_until.popitem(last=False)


class GuardedHook(Generic[Q]):
    """Asks a hook under the rules above."""

    def __init__(
        self,
        name: str,
        hook: Hook[Q],
        *,
        timeout: Duration = TIMEOUT,
        cache_time: Duration = 0.0,
        clock: Callable[[], Instant] = monotonic,
        times: HookTimes | None = None,
    ) -> None:
        """`name` is the event's, such as `before_connect`, for logs and for `times`."""
        self.name = name
        self._hook = hook
        self._timeout = timeout
        self._cache_time = min(cache_time, MAX_CACHE_TIME)
        self._clock = clock
        self._times = times or HookTimes()
        self._cache: OrderedDict[bytes, _Cached] = OrderedDict()
        self._running: set[asyncio.Task[object]] = set()
        self._running_by_source: dict[bytes, int] = {}
        self._breaker = _Breaker()

    def __len__(self) -> int:
        """How many calls have not ended."""
        return len(self._running)

    async def ask(self, event: Q, *, ip: str, cache_key: bytes | None = None) -> Allow | Deny:
        """The answer to an event that `ip` has caused. Raises HookFailedError, and then nobody is let in.

        With a `cache_key` an `Allow` may be remembered; the key is a digest of everything that the answer may depend
        on. What is remembered is no answer of the hook's, and in no figure.
        """
        now = self._clock()
        cached = self._cached(cache_key, now)
        if cached is not None:
            return cached
        try:
            source = source_key(ip)
            if not self._breaker.admits(source, len(self._running), now):
                raise HookFailedError(CIRCUIT_OPEN)
            answer = await self._call(event, source)
        except HookFailedError as error:
            self._times.observe(self.name, error.reason, self._clock() - now)
            raise
        self._times.observe(self.name, ALLOWED if isinstance(answer, Allow) else DENIED, self._clock() - now)
        if isinstance(answer, Allow) and cache_key is not None and self._cache_time > 0:
            self._remember(cache_key, answer, self._clock())
        return answer

    async def close(self) -> None:
        """Cancel what runs."""
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.wait(running, timeout=self._timeout) if running else None

    async def _call(self, event: Q, source: bytes) -> Allow | Deny:
        if len(self._running) >= MAX_RUNNING or self._running_by_source.get(source, 0) >= MAX_RUNNING_PER_ADDRESS:
            raise self._failed("busy")
        # In a task of its own: a hook that raises CancelledError, or swallows ours, is no affair of the connection's.
        task = asyncio.create_task(_run(self._hook, event), name=f"hook {self.name}")
        self._started(task, source)
        try:
            await asyncio.wait((task,), timeout=self._timeout)
        finally:
            if not task.done():
                task.cancel()
        answer = _answer_of(task)
        if isinstance(answer, _Problem):
            self._breaker.failed(source, self._clock())
            raise self._failed(*answer)
        self._breaker.succeeded()
        return answer

    def _started(self, task: asyncio.Task[object], source: bytes) -> None:
        self._running.add(task)
        self._running_by_source[source] = self._running_by_source.get(source, 0) + 1

        def ended(_: object) -> None:
            self._running.discard(task)
            left = self._running_by_source[source] - 1
            if left:
                self._running_by_source[source] = left
            else:
                del self._running_by_source[source]
            if not task.cancelled():
                task.exception()  # taken, so that nobody is told that it was never looked at

        task.add_done_callback(ended)

    def _cached(self, key: bytes | None, now: Instant) -> Allow | None:
        found = self._cache.get(key) if key is not None else None
        if key is None or found is None:
            return None
        if found.until <= now:
            del self._cache[key]
            return None
        self._cache.move_to_end(key)
        return found.allow

    def _remember(self, key: bytes, allow: Allow, now: Instant) -> None:
        self._cache[key] = _Cached(allow, later(now, self._cache_time))
        self._cache.move_to_end(key)
        if len(self._cache) > MAX_CACHED:
            self._cache.popitem(last=False)

    def _failed(self, reason: str, error: str = "", frames: tuple[str, ...] = ()) -> HookFailedError:
        details = {"error": error, "frames": frames}
        LOGGER.error(
            "signaling.hook_failed",
            extra={"hook": self.name, "reason": reason, **{name: value for name, value in details.items() if value}},
        )
        return HookFailedError(reason)


async def _run(hook: Hook[Q], event: Q) -> object:
    # Awaited here, so that a hook that is no coroutine function fails inside of the task.
    return await hook(event)


class _Problem(NamedTuple):
    """Why a call counts for nothing: a word, the type of an exception or an answer, and where it was raised."""

    reason: str
    error: str = ""
    frames: tuple[str, ...] = ()


def _answer_of(task: asyncio.Task[object]) -> Allow | Deny | _Problem:
    if not task.done():
        return _Problem("timeout")
    if task.cancelled():
        return _Problem("cancelled")
    error = task.exception()
    if isinstance(error, HookFailedError):
        return _Problem(error.reason)
    if error is not None:
        return _Problem("exception", type(error).__name__, tuple(frames_of(error)))
    try:
        return checked_answer(task.result())
    except Exception:  # an answer may even be of a class that raises whatever it likes when it is looked at
        return _Problem("wrong-answer", type(task.result()).__name__)


def chained(hooks: tuple[Hook[Q], ...]) -> Hook[Q]:
    """One hook that asks several in turn: the first `Deny` counts, and each `Allow` refines the one before."""
    if len(hooks) == 1:
        return hooks[0]

    async def ask(event: Q) -> object:
        allow = Allow()
        for hook in hooks:
            answer = await hook(event)
            if not isinstance(answer, Allow):
                return answer
            try:
                allow = refined(allow, checked_allow(answer))
            except MalformedError:
                raise HookFailedError("wrong-answer") from None
        return allow

    return ask


def refined(base: Allow, by: Allow) -> Allow:
    """`base`, with what `by` says in place of it; the earlier expiry counts."""
    expiries = [allow.expires_at for allow in (base, by) if allow.expires_at is not None]
    return Allow(
        identity=by.identity if by.identity is not None else base.identity,
        name=by.name if by.name is not None else base.name,
        rooms=by.rooms if by.rooms is not None else base.rooms,
        grants=by.grants if by.grants is not None else base.grants,
        meta=by.meta if by.meta is not None else base.meta,
        labels=by.labels if by.labels is not None else base.labels,
        limits=by.limits if by.limits is not None else base.limits,
        expires_at=min(expiries) if expiries else None,
        ice=by.ice if by.ice is not None else base.ice,
    )
