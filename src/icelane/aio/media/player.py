"""MediaPlayer: tracks from a file, a device or a URL."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, ParamSpec, Self

from icelane.aio.frame_queue import FrameQueue
from icelane.aio.media.packet_source import packet_codec
from icelane.aio.media.playback import Playback
from icelane.aio.media_stream_track import MediaStreamTrack, TrackFrame
from icelane.aio.media_worker import run_in_thread
from icelane.errors import MediaStreamError, NotSupportedError
from icelane.media.codec import MediaKind, RtpCodec
from icelane.media.pyav import av

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.video.stream import VideoStream

P = ParamSpec("P")

# FFmpeg's formats whose frames come when they are made, so that nothing paces them.
_LIVE_FORMATS: Final = frozenset(
    {"alsa", "android_camera", "avfoundation", "bktr", "decklink", "dshow", "fbdev", "gdigrab", "iec61883"}
    | {"jack", "kmsgrab", "openal", "oss", "pulse", "rtp", "rtsp", "sndio", "v4l2", "vfwcap", "x11grab"}
)

# Frames that wait for a reader: half a second is read ahead. Of more the oldest are gone.
_MAX_AHEAD: Final = 120


class MediaPlayer:
    """Plays `file`: a path, a URL, a device such as `/dev/video0`, or something to read bytes from.

    `format` and `options` are FFmpeg's, `timeout` is in seconds, for opening and for each read. With `loop` the end is
    followed by the beginning; that takes a file that can be sought in. With `decode=False` the tracks give
    EncodedFrames, where WebRTC has the codec.

    Opening waits for the file; `await MediaPlayer.open(...)` does it on a thread. Reading is done on another, which
    begins when a track is first read. Both tracks keep to one clock. While of a file's tracks one was stopped and no
    other is read, it stands still; it is closed when both were stopped, or when nobody has the player or its tracks.
    Raises NotSupportedError when `loop` is not possible, and what PyAV raises when a file does not open.
    """

    def __init__(
        self,
        file: str | Path | IO[bytes],
        format: str | None = None,  # noqa: A002  (aiortc's name)
        options: Mapping[str, str] | None = None,
        timeout: float | tuple[float, float] | None = None,
        loop: bool = False,
        decode: bool = True,
    ) -> None:
        name = str(file) if isinstance(file, Path) else file
        self._container = av.open(name, mode="r", format=format, options=dict(options or {}), timeout=timeout)
        if loop and self._container.duration is None:
            self._container.close()
            raise NotSupportedError("only what has an end and can be sought in is played in a loop")
        self._is_looped = loop
        self._is_live = not _LIVE_FORMATS.isdisjoint(self._container.format.name.split(","))
        self._playback: Playback | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._began: float | None = None
        self._paused_at: float | None = None
        self._streams: dict[MediaKind, AudioStream | VideoStream] = {}
        codecs: dict[MediaKind, RtpCodec] = {}
        streams: list[AudioStream | VideoStream] = [
            *self._container.streams.audio,
            *self._container.streams.video,
        ]
        for stream in streams:
            kind = MediaKind(stream.type)
            codec = None if decode else packet_codec(stream)
            if kind not in self._streams and (decode or codec is not None):
                self._streams[kind] = stream
                if codec is not None:
                    codecs[kind] = codec
        self._codecs = None if decode else codecs
        self._tracks = {kind: PlayerStreamTrack(self, kind, codecs.get(kind)) for kind in self._streams}
        self._read: set[MediaKind] = set()

    @classmethod
    async def open(
        cls,
        file: str | Path | IO[bytes],
        format: str | None = None,  # noqa: A002
        options: Mapping[str, str] | None = None,
        timeout: float | tuple[float, float] | None = None,
        loop: bool = False,
        decode: bool = True,
    ) -> Self:
        """A player whose file is opened on a thread, for URLs and devices that take their time."""
        return await run_in_thread(partial(cls, file, format, options, timeout, loop, decode), name="media-open")

    @property
    def audio(self) -> MediaStreamTrack | None:
        """The first stream of sound, None when there is none: s16, stereo, 48 kHz in frames of 20 ms."""
        return self._tracks.get(MediaKind.AUDIO)

    @property
    def video(self) -> MediaStreamTrack | None:
        """The first stream of pictures, None when there is none."""
        return self._tracks.get(MediaKind.VIDEO)

    def stop(self) -> None:
        """Stop both tracks, and close the file."""
        for track in self._tracks.values():
            track.stop()
        self._stop_reading()

    def _begin(self, kind: MediaKind) -> None:
        """A track is being read."""
        self._read.add(kind)
        if self._playback is not None:
            self._resume(self._playback)
            return
        self._loop = asyncio.get_running_loop()
        listener = _Listener(self)
        self._playback = Playback(
            self._container,
            self._streams,
            codecs=self._codecs,
            is_looped=self._is_looped,
            position=listener.position,
            deliver=listener.deliver,
            finished=listener.finished,
        )
        weakref.finalize(self, self._playback.stop)
        self._playback.start()

    def _end(self, kind: MediaKind) -> None:
        """A track was stopped."""
        self._read.discard(kind)
        if all(track.readyState == "ended" for track in self._tracks.values()):
            self._stop_reading()
        elif not self._read and not self._is_live:
            self._pause()

    def _pause(self) -> None:
        if self._playback is not None and self._loop is not None and self._paused_at is None:
            self._paused_at = self._loop.time()
            self._playback.pause()

    def _resume(self, playback: Playback) -> None:
        if self._paused_at is None or self._loop is None:
            return
        if self._began is not None:
            self._began += self._loop.time() - self._paused_at
        self._paused_at = None
        playback.resume()

    def _stop_reading(self) -> None:
        if self._playback is None:
            self._container.close()
        else:
            self._playback.stop()

    async def _reach(self, position: float) -> None:
        """Wait until it is time for what stands there."""
        if self._is_live or self._loop is None:
            return
        now = self._loop.time()
        if self._began is None:
            self._began = now - position
        await asyncio.sleep(max(0.0, self._began + position - now))

    def _put(self, kind: MediaKind, frame: TrackFrame, position: float) -> None:
        queue = self._tracks[kind]._queue
        queue.put_nowait((frame, position))
        now = self._position()
        if kind not in self._read and now is not None:
            # Somebody may begin to read it, from then on: what was to be played before is not kept.
            queue.drop_while(lambda entry: entry[1] < now)

    # On the thread

    def _position(self) -> float | None:
        if self._is_live:
            return None
        # Before the first frame is read nothing has been played, and a second ahead of that may be read.
        began, paused_at = self._began, self._paused_at
        if began is None or self._loop is None:
            return 0.0
        return (self._loop.time() if paused_at is None else paused_at) - began

    def _deliver(self, kind: MediaKind, frame: TrackFrame, position: float) -> None:
        self._in_loop(self._put, kind, frame, position)

    def _finished(self) -> None:
        for track in self._tracks.values():
            self._in_loop(track._finish)

    def _in_loop(self, function: Callable[P, object], *arguments: P.args, **keywords: P.kwargs) -> None:
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(partial(function, *arguments, **keywords))


class _Listener:
    """What the thread knows of a player: it does not keep one that nobody has any more."""

    def __init__(self, player: MediaPlayer) -> None:
        self._player = weakref.ref(player)

    def position(self) -> float | None:
        player = self._player()
        return None if player is None else player._position()

    def deliver(self, kind: MediaKind, frame: TrackFrame, position: float) -> None:
        if (player := self._player()) is not None:
            player._deliver(kind, frame, position)

    def finished(self) -> None:
        if (player := self._player()) is not None:
            player._finished()


class PlayerStreamTrack(MediaStreamTrack):
    """One stream of what a MediaPlayer plays."""

    def __init__(self, player: MediaPlayer, kind: MediaKind, codec: RtpCodec | None) -> None:
        super().__init__()
        self.kind = kind.value
        self.codec = codec
        self._media_kind = kind
        self._player = player
        self._queue: FrameQueue[tuple[TrackFrame, float]] = FrameQueue("drop-oldest", capacity=_MAX_AHEAD)

    async def recv(self) -> TrackFrame:
        self._require_live()
        self._player._begin(self._media_kind)
        try:
            frame, position = await self._queue.get()
        except MediaStreamError:
            self.stop()
            raise
        await self._player._reach(position)
        self._require_live()
        return frame

    def stop(self) -> None:
        if self.readyState == "live":
            super().stop()
            self._queue.close(discard=True)
            self._player._end(self._media_kind)

    def _finish(self) -> None:
        self._queue.close()
