"""RTCRtpReceiver and the tracks that it gives, as aiortc has them."""

from __future__ import annotations

import asyncio
import datetime
from dataclasses import dataclass
from typing import TYPE_CHECKING

from icelane.aio.media_stream_track import MediaStreamTrack as NativeTrack
from icelane.aio.media_stream_track import TrackFrame
from icelane.aio.remote_stream_track import RemoteStreamTrack as NativeRemoteTrack
from icelane.aio.rtp_receiver import RTCRtpReceiver as NativeReceiver
from icelane.aio.system import SystemWallClock
from icelane.compat.aiortc.codecs import get_capabilities
from icelane.compat.aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from icelane.compat.aiortc.rtcdtlstransport import RTCDtlsTransport
from icelane.compat.aiortc.rtcrtpparameters import RTCRtpCapabilities
from icelane.compat.aiortc.stats import RTCStatsReport, convert_report
from icelane.core.clock import Instant
from icelane.errors import NotSupportedError

if TYPE_CHECKING:
    from icelane.aio.frame_queue import FrameQueue


@dataclass
class RTCRtpContributingSource:
    """Whose sound a mixer has put in."""

    timestamp: datetime.datetime
    source: int


@dataclass
class RTCRtpSynchronizationSource:
    """Whom something came from."""

    timestamp: datetime.datetime
    source: int


class WaitingFrames(asyncio.Queue[TrackFrame]):
    """What waits in a track, for programs that look there in order to skip what is old. Nothing is put in."""

    def __init__(self, frames: FrameQueue[TrackFrame]) -> None:
        super().__init__()
        self._waiting = frames

    def qsize(self) -> int:
        """How many frames wait."""
        return len(self._waiting)

    def empty(self) -> bool:
        """Whether none does."""
        return not len(self._waiting)

    def get_nowait(self) -> TrackFrame:
        """The oldest one. Raises asyncio.QueueEmpty."""
        taken: list[TrackFrame] = []

        def take_first(frame: TrackFrame) -> bool:
            taken.append(frame)
            return len(taken) == 1

        self._waiting.drop_while(take_first)
        if not taken:
            raise asyncio.QueueEmpty
        return taken[0]

    def task_done(self) -> None:
        """Nobody counts."""


class RemoteStreamTrack(MediaStreamTrack):
    """What the peer sends, decoded: s16, stereo, 48 kHz in frames of 20 ms where it is Opus; yuv420p."""

    def __init__(self, kind: str, id: str | None = None) -> None:  # noqa: A002  (aiortc's name)
        super().__init__()
        self.kind = kind
        if id is not None:
            self._id = id
        self._source: NativeTrack | None = None
        self._queue: asyncio.Queue[TrackFrame] = asyncio.Queue()

    @classmethod
    def _of(cls, source: NativeRemoteTrack) -> RemoteStreamTrack:
        made = cls(source.kind, source.id)
        made._source = source
        made._queue = WaitingFrames(source._queue)
        source.on("ended", made.stop)
        return made

    async def recv(self) -> TrackFrame:
        self._require_live()
        if self._source is None:
            return await self._queue.get()
        try:
            return await self._source.recv()
        except MediaStreamError:
            self.stop()
            raise

    def stop(self) -> None:
        super().stop()
        if self._source is not None:
            self._source.stop()


class RTCRtpReceiver:
    """What comes in through one transceiver. Made by a connection."""

    _native: NativeReceiver
    _transport: RTCDtlsTransport
    _track: MediaStreamTrack | None
    _enabled: bool

    def __init__(self, kind: str, transport: RTCDtlsTransport) -> None:
        """Raises NotSupportedError: a receiver is made by a RTCPeerConnection."""
        raise NotSupportedError("a receiver is made by a RTCPeerConnection")

    @classmethod
    def _of(cls, native: NativeReceiver, transport: RTCDtlsTransport) -> RTCRtpReceiver:
        made = cls.__new__(cls)
        made._native = native
        made._transport = transport
        made._track = None
        # Programs switch aiortc's receivers off by it, so that what nobody reads does not pile up. Here it does not.
        made._enabled = True
        return made

    @property
    def track(self) -> MediaStreamTrack | None:
        """What comes, None before the peer was to send something."""
        return self._track

    @property
    def transport(self) -> RTCDtlsTransport:
        """What it comes over."""
        return self._transport

    @classmethod
    def getCapabilities(cls, kind: str) -> RTCRtpCapabilities | None:  # noqa: N802  (W3C names)
        """What can be received. Raises ValueError for a kind that there is not."""
        return get_capabilities(kind)

    async def getStats(self) -> RTCStatsReport:  # noqa: N802
        """What concerns this receiver."""
        return convert_report(await self._native.getStats())

    def getSynchronizationSources(self) -> list[RTCRtpSynchronizationSource]:  # noqa: N802
        """Whom something came from within the last ten seconds."""
        return [
            RTCRtpSynchronizationSource(_moment(one.timestamp), one.source)
            for one in self._native.getSynchronizationSources()
        ]

    async def stop(self) -> None:
        """End the track."""
        if self._track is not None:
            self._track.stop()

    def _begin(self) -> RemoteStreamTrack:
        """The peer is to send something."""
        track = RemoteStreamTrack._of(self._native.track)
        self._track = track
        return track


def _moment(instant: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(SystemWallClock().unix_time(Instant(instant)), datetime.UTC)
