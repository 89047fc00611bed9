"""Where tracks come from and go to, by aiortc's names; the work is done by `icelane.aio.media`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import IO

from icelane.aio.media import player, relay
from icelane.aio.media.blackhole import MediaBlackhole
from icelane.aio.media.recorder import MediaRecorder
from icelane.aio.media_stream_track import MediaStreamTrack as NativeTrack
from icelane.compat.aiortc.mediastreams import AUDIO_PTIME, MediaStreamError, MediaStreamTrack
from icelane.media.pyav import av

__all__ = [
    "AUDIO_PTIME",
    "AudioFrame",
    "MediaBlackhole",
    "MediaPlayer",
    "MediaRecorder",
    "MediaRelay",
    "MediaStreamError",
    "MediaStreamTrack",
    "PlayerStreamTrack",
    "RelayStreamTrack",
    "VideoFrame",
    "blackhole_consume",
]

# PyAV's, which programs import from here.
AudioFrame = av.AudioFrame
VideoFrame = av.VideoFrame


class PlayerStreamTrack(player.PlayerStreamTrack, MediaStreamTrack):
    """One stream of what a MediaPlayer plays."""


class MediaPlayer(player.MediaPlayer):
    """Plays a file, a device or a URL, see `icelane.aio.media.player.MediaPlayer`."""

    def __init__(
        self,
        file: str | Path | IO[bytes],
        format: str | None = None,  # noqa: A002  (aiortc's name)
        options: Mapping[str, str] | None = None,
        timeout: float | tuple[float, float] | None = None,
        loop: bool = False,
        decode: bool = True,
    ) -> None:
        super().__init__(file, format, options, timeout, loop, decode)
        self._tracks = {kind: PlayerStreamTrack(self, kind, track.codec) for kind, track in self._tracks.items()}


class RelayStreamTrack(relay.RelayStreamTrack, MediaStreamTrack):
    """What one reader of a relayed track reads."""


class MediaRelay(relay.MediaRelay):
    """Gives what a track gives to everybody who has subscribed, see `icelane.aio.media.relay.MediaRelay`."""

    def subscribe(self, track: NativeTrack, buffered: bool = True) -> RelayStreamTrack:
        """A track that gives what `track` gives from when it is first read."""
        return RelayStreamTrack(self, track, buffered=buffered)


async def blackhole_consume(track: NativeTrack) -> None:
    """Read `track` to its end."""
    while True:
        try:
            await track.recv()
        except MediaStreamError:
            return
