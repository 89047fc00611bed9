"""MediaBlackhole: tracks that somebody has to read, and nobody wants."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from icelane.aio.media_stream_track import MediaStreamTrack
from icelane.errors import InvalidStateError, MediaStreamError

_log = logging.getLogger(__name__)

MAX_TRACKS: Final = 10_000


class MediaBlackhole:
    """Reads tracks and throws away what it gets; it lets go of those that have ended."""

    def __init__(self) -> None:
        self._tasks: dict[MediaStreamTrack, asyncio.Task[None] | None] = {}

    def addTrack(self, track: MediaStreamTrack) -> None:  # noqa: N802  (aiortc's name)
        """Read `track` as well, from `start` on. Raises InvalidStateError beyond MAX_TRACKS."""
        if len(self._tasks) >= MAX_TRACKS:
            raise InvalidStateError(f"{MAX_TRACKS} tracks are read at most")
        self._tasks.setdefault(track, None)

    async def start(self) -> None:
        """Begin to read."""
        for track, task in tuple(self._tasks.items()):
            if task is None:
                self._tasks[track] = asyncio.ensure_future(self._consume(track))

    async def stop(self) -> None:
        """Read no more. Idempotent."""
        tasks, self._tasks = [task for task in self._tasks.values() if task is not None], {}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _consume(self, track: MediaStreamTrack) -> None:
        try:
            while True:
                await track.recv()
        except MediaStreamError:
            pass
        except Exception:  # a track of the program's
            _log.exception("the %s track failed, and is read no more", track.kind)
        self._tasks.pop(track, None)
