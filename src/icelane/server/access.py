"""`[lists]` as one process goes by them: read at the start, on reload, and when one of their files changes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from icelane.aio.access_files import AccessSources, AccessWatch
from icelane.server.config import Config
from icelane.turn.access_list import AccessLists


def access_sources(config: Config) -> AccessSources:
    """What `[lists]` names."""
    lists = config.lists
    return AccessSources(
        allow=lists.allow,
        deny=lists.deny,
        allow_file=lists.allow_file,
        deny_file=lists.deny_file,
        countries=lists.countries,
    )


class WatchedLists:
    """The lists, and a task that looks at their files. Relay and signaling have them in common.

    They are empty, and refuse nobody, until `start`.
    """

    def __init__(self) -> None:
        self.lists = AccessLists()
        self._changed: list[Callable[[], None]] = []
        self._watch: AccessWatch | None = None
        self._task: asyncio.Task[None] | None = None

    def on_change(self, call: Callable[[], None]) -> None:
        """Call this when a file has changed, so that others count than before."""
        self._changed.append(call)

    def start(self, config: Config) -> None:
        """Read them, and go on looking. Raises ConfigurationError."""
        self._watch = AccessWatch(self.lists, access_sources(config))
        for call in self._changed:
            self._watch.on_change(call)
        self._task = asyncio.create_task(self._watch.run(), name="access lists")

    def reload(self, config: Config) -> None:
        """Read others. Raises ConfigurationError, and then the old ones count."""
        if self._watch is not None:
            self._watch.reload(access_sources(config))

    async def close(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
