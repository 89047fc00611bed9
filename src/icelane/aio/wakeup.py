"""The one timer of whoever drives an engine: it moves with the engine's next deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from icelane.aio.system import monotonic
from icelane.core.clock import Instant


class Wakeup:
    """Runs `wake` at the instant last `set`, or earlier; never after `set(None)`.

    Without `loop` it is the loop that runs when it is set.
    """

    __slots__ = ("_at", "_handle", "_loop", "_wake")

    def __init__(self, wake: Callable[[], object], loop: asyncio.AbstractEventLoop | None = None) -> None:
        self._wake = wake
        self._loop = loop
        self._handle: asyncio.TimerHandle | None = None
        self._at: Instant | None = None

    @property
    def armed(self) -> bool:
        """Whether `wake` is going to run."""
        return self._handle is not None

    def set(self, at: Instant | None) -> None:
        """Wake at `at`; None for no wake-up at all."""
        if at is not None and self._at is not None and self._at <= at:
            # Waking up once too often is cheaper than moving the timer with every packet.
            return
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        self._at = at
        if at is not None:
            self._handle = (self._loop or asyncio.get_running_loop()).call_later(max(0.0, at - monotonic()), self._run)

    def _run(self) -> None:
        self._handle = self._at = None
        self._wake()
