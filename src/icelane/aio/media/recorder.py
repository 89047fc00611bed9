"""MediaRecorder: tracks into a file."""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from icelane.aio.encoded_track import EncodedTrack
from icelane.aio.media.backlog import Backlog, WaitingFrame
from icelane.aio.media.recording import Recording
from icelane.aio.media_stream_track import MediaStreamTrack, TrackFrame
from icelane.aio.media_worker import MediaWorkers
from icelane.errors import IcelaneError, InvalidStateError, MediaStreamError, NotSupportedError, OperationError
from icelane.media.codec import MediaKind
from icelane.media.frame import EncodedFrame
from icelane.media.pyav import av

_log = logging.getLogger(__name__)

# A file with more streams than that is a mistake.
MAX_TRACKS: Final = 16


class MediaRecorder:
    """Records tracks into `file`: a path, or something to write bytes to. `format` and `options` are FFmpeg's.

    Tracks may begin late, and may be added until the header is written: when each track that was added has given a
    frame, or five seconds after the first one did. No format that FFmpeg writes takes a track after that, Matroska and
    WebM neither: one that comes later needs another file. Frames keep the distances that their times have, from where
    the first one of their track came in; where sound is missing there is silence. A disk or an encoder that stands
    still is waited for, with some seconds of frames in memory.

    What was recorded has a proper end after `stop`, and even when the program ends without: a recorder that is
    forgotten closes its file.
    """

    def __init__(
        self,
        file: str | Path | IO[bytes],
        format: str | None = None,  # noqa: A002  (aiortc's name)
        options: Mapping[str, str] | None = None,
    ) -> None:
        name = str(file) if isinstance(file, Path) else file
        self._recording = Recording(av.open(name, mode="w", format=format, options=dict(options or {})))
        self._backlog = Backlog(self._recording)
        self._workers = MediaWorkers(1)
        self._lane = self._workers.lane()
        self._tracks: dict[MediaStreamTrack, int] = {}
        self._tasks: dict[MediaStreamTrack, asyncio.Task[None]] = {}
        self._writing: asyncio.Task[None] | None = None
        self._written = asyncio.Event()
        self._is_started = False
        self._is_stopped = False
        weakref.finalize(self, self._backlog.close)

    def addTrack(self, track: MediaStreamTrack) -> None:  # noqa: N802  (aiortc's name)
        """Record `track` as well.

        A track of encoded frames is recorded as it is, pictures from the first key frame on: one of a MediaPlayer that
        does not decode, or a receiver's `encoded_track()`. Raises InvalidStateError when it is too late for that,
        NotSupportedError for a track that the format has no encoder for, or whose codec it does not take.
        """
        if self._is_stopped or len(self._tracks) >= MAX_TRACKS:
            raise InvalidStateError("the recorder takes no further track")
        if track in self._tracks:
            return
        if track.kind not in ("audio", "video"):
            raise NotSupportedError(f"a track of {track.kind!r} is not recorded")
        is_encoded = isinstance(track, EncodedTrack)
        self._tracks[track] = self._recording.expect(MediaKind(track.kind), track.codec, is_encoded=is_encoded)
        if self._is_started:
            self._begin(track)

    async def start(self) -> None:
        """Begin to read the tracks."""
        self._is_started = True
        for track in self._tracks:
            if track not in self._tasks:
                self._begin(track)

    async def stop(self) -> None:
        """Read no more, and finish the file; that goes on when this is cancelled. Raises OperationError. Idempotent."""
        if self._is_stopped:
            return
        self._is_stopped = True
        tasks = [*self._tasks.values(), *([] if self._writing is None else [self._writing])]
        for task in tasks:
            task.cancel()
        try:
            await self._lane.close(self._backlog.close)
        finally:
            await self._workers.close()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._tasks.clear()
            self._tracks.clear()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _begin(self, track: MediaStreamTrack) -> None:
        self._tasks[track] = asyncio.ensure_future(self._record(track, self._tracks[track]))

    async def _record(self, track: MediaStreamTrack, number: int) -> None:
        try:
            while (failure := self._backlog.failure(number)) is None:
                self._backlog.add(self._waiting(track, number, await track.recv()))
                self._write()
                while not self._backlog.has_room(number):
                    await self._wait_for_room()
            raise failure
        except MediaStreamError:
            await self._wait_until_written()
        except IcelaneError as error:
            _log.warning("recording a track of %s ended: %s", track.kind, error)
        except Exception:  # a track of the program's
            _log.exception("the %s track failed, and is recorded no more", track.kind)
            await self._wait_until_written()
        with suppress(IcelaneError):
            await self._lane.run(self._recording.withdraw, number)

    def _waiting(self, track: MediaStreamTrack, number: int, frame: TrackFrame) -> WaitingFrame:
        now = asyncio.get_running_loop().time()
        if not isinstance(frame, EncodedFrame):
            return WaitingFrame(number, frame, now)
        if track.codec is None:
            raise NotSupportedError("the track gives encoded frames and does not say by its `codec` of which")
        return WaitingFrame(number, frame, now, track.codec, track.cname if isinstance(track, EncodedTrack) else None)

    # Writing

    def _write(self) -> None:
        if self._writing is None or self._writing.done():
            self._writing = asyncio.ensure_future(self._write_all())

    async def _write_all(self) -> None:
        with suppress(OperationError):  # the lane is closed: `stop` writes the rest
            while self._backlog:
                await self._lane.run(self._backlog.write_one)
                self._written.set()
        self._written.set()

    async def _wait_until_written(self) -> None:
        while self._writing is not None and not self._writing.done():
            await asyncio.shield(self._writing)

    async def _wait_for_room(self) -> None:
        self._written.clear()
        await self._written.wait()
