"""MediaBlackhole: tracks that somebody has to read, and nobody wants."""

from __future__ import annotations

import asyncio
from typing import Final

from icelane.aio.media_stream_track import MediaStreamTrack
from icelane.errors import InvalidStateError, MediaStreamError

MAX_TRACKS: Final = 10_000


class MediaBlackhole:
    """Reads tracks and throws away what it gets."""

    def __init__(self) -> None:
        self._tasks: dict[MediaStreamTrack, asyncio.Task[None] | None] = {}

    def addTrack(self, track: MediaStreamTrack) -> None:  # noqa: N802  (aiortc's name)
        """Read `track` as well, from `start` on. Raises InvalidStateError beyond MAX_TRACKS."""
        if len(self._tasks) >= MAX_TRACKS:
            raise InvalidStateError(f"{MAX_TRACKS} tracks are read at most")
        self._tasks.setdefault(track, None)

    async def start(self) -> None:
        """Begin to read."""
        for track, task in self._tasks.items():
            if task is None:
                self._tasks[track] = asyncio.ensure_future(_consume(track))

    async def stop(self) -> None:
        """Read no more. Idempotent."""
        tasks, self._tasks = [task for task in self._tasks.values() if task is not None], {}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _consume(track: MediaStreamTrack) -> None:
    try:
        while True:
            await track.recv()
    except MediaStreamError:
        return
