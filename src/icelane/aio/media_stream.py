"""MediaStream: tracks that belong together, such as the sound and the picture of one camera (W3C Media Capture 4.2)."""

from __future__ import annotations

from collections.abc import Iterable

from icelane.aio.event_target import EventTarget
from icelane.aio.media_stream_track import MediaStreamTrack
from icelane.core.entropy import random_uuid
from icelane.crypto.provider import SystemEntropy


class MediaStream(EventTarget):
    """Events: `addtrack` and `removetrack` (the track), when the peer has changed a stream of its own."""

    EVENTS = frozenset({"addtrack", "removetrack"})

    def __init__(self, tracks: Iterable[MediaStreamTrack] = (), *, identifier: str | None = None) -> None:
        super().__init__()
        self._id = identifier or random_uuid(SystemEntropy())
        self._tracks: dict[str, MediaStreamTrack] = {track.id: track for track in tracks}

    def __repr__(self) -> str:
        return f"MediaStream({self._id}, {len(self._tracks)} tracks)"

    @property
    def id(self) -> str:
        """What it is called in descriptions."""
        return self._id

    @property
    def active(self) -> bool:
        """Whether one of the tracks is live."""
        return any(track.readyState == "live" for track in self._tracks.values())

    def getTracks(self) -> list[MediaStreamTrack]:  # noqa: N802  (W3C names)
        """All tracks."""
        return list(self._tracks.values())

    def getAudioTracks(self) -> list[MediaStreamTrack]:  # noqa: N802
        """Those of sound."""
        return [track for track in self._tracks.values() if track.kind == "audio"]

    def getVideoTracks(self) -> list[MediaStreamTrack]:  # noqa: N802
        """Those of pictures."""
        return [track for track in self._tracks.values() if track.kind == "video"]

    def getTrackById(self, identifier: str) -> MediaStreamTrack | None:  # noqa: N802
        """The track of that name."""
        return self._tracks.get(identifier)

    def addTrack(self, track: MediaStreamTrack) -> None:  # noqa: N802
        """Let it belong to the stream; again is harmless."""
        self._tracks.setdefault(track.id, track)

    def removeTrack(self, track: MediaStreamTrack) -> None:  # noqa: N802
        """Let it belong no more; one that did not is harmless."""
        self._tracks.pop(track.id, None)

    def _peer_added(self, track: MediaStreamTrack) -> None:
        if track.id not in self._tracks:
            self.addTrack(track)
            self._emit("addtrack", track, track=track)

    def _peer_removed(self, track: MediaStreamTrack) -> None:
        if track.id in self._tracks:
            self.removeTrack(track)
            self._emit("removetrack", track, track=track)
