"""MediaRelay: one track, read by several."""

from __future__ import annotations

import asyncio
from typing import Final

from icelane.aio.frame_queue import FrameQueue
from icelane.aio.media_stream_track import MediaStreamTrack, TrackFrame
from icelane.errors import InvalidStateError, MediaStreamError

# Readers of one track, and the frames that wait for a `buffered` one: two seconds of sound. Of more the oldest go.
MAX_READERS: Final = 10_000
_MAX_WAITING: Final = 100


class MediaRelay:
    """Gives what a track gives to everybody who has subscribed; the track is read while somebody reads."""

    def __init__(self) -> None:
        self._readers_by_source: dict[MediaStreamTrack, set[RelayStreamTrack]] = {}
        self._tasks_by_source: dict[MediaStreamTrack, asyncio.Task[None]] = {}

    def subscribe(self, track: MediaStreamTrack, buffered: bool = True) -> MediaStreamTrack:
        """A track that gives what `track` gives from when it is first read; without `buffered` always the newest frame.

        Stopping it does not stop `track`.
        """
        return RelayStreamTrack(self, track, buffered=buffered)

    def _start(self, reader: RelayStreamTrack, source: MediaStreamTrack) -> None:
        readers = self._readers_by_source.setdefault(source, set())
        if reader not in readers and len(readers) >= MAX_READERS:
            raise InvalidStateError(f"a track is relayed to {MAX_READERS} readers at most")
        readers.add(reader)
        if source not in self._tasks_by_source:
            self._tasks_by_source[source] = asyncio.ensure_future(self._read(source, readers))

    def _stop(self, reader: RelayStreamTrack, source: MediaStreamTrack) -> None:
        readers = self._readers_by_source.get(source)
        if readers is None:
            return
        readers.discard(reader)
        task = self._tasks_by_source.get(source)
        if not readers and task is not None and task is not asyncio.current_task():
            self._forget(source, task)
            task.cancel()

    async def _read(self, source: MediaStreamTrack, readers: set[RelayStreamTrack]) -> None:
        task = asyncio.current_task()
        try:
            while readers:
                frame = await source.recv()
                for reader in tuple(readers):
                    reader._queue.put_nowait(frame)
        except MediaStreamError:
            pass
        finally:
            self._forget(source, task)
            for reader in tuple(readers):
                reader._queue.close()

    def _forget(self, source: MediaStreamTrack, task: asyncio.Task[None] | None) -> None:
        if self._tasks_by_source.get(source) is task:
            del self._tasks_by_source[source]
            self._readers_by_source.pop(source, None)


class RelayStreamTrack(MediaStreamTrack):
    """What one reader of a relayed track reads."""

    def __init__(self, relay: MediaRelay, source: MediaStreamTrack, *, buffered: bool) -> None:
        super().__init__()
        self.kind = source.kind
        self.codec = source.codec
        self._relay = relay
        self._source: MediaStreamTrack | None = source
        self._queue: FrameQueue[TrackFrame] = FrameQueue("drop-oldest" if buffered else "latest", capacity=_MAX_WAITING)

    @property
    def dropped(self) -> int:
        """Frames that this reader was too slow for."""
        return self._queue.dropped

    async def recv(self) -> TrackFrame:
        self._require_live()
        if self._source is not None:
            self._relay._start(self, self._source)
        try:
            frame = await self._queue.get()
        except MediaStreamError:
            self.stop()
            raise
        if self._source is not None:
            self.codec = self._source.codec
        return frame

    def request_key_frame(self) -> None:
        """Have the source bring a key frame, where it is encoded already and can be asked."""
        request = getattr(self._source, "request_key_frame", None)
        if callable(request):
            request()

    def stop(self) -> None:
        super().stop()
        source, self._source = self._source, None
        self._queue.close(discard=True)
        if source is not None:
            self._relay._stop(self, source)
