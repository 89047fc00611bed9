"""RTCRtpSender, as aiortc has it."""

from __future__ import annotations

from icelane.aio.media_stream_track import MediaStreamTrack
from icelane.aio.rtp_sender import RTCRtpSender as NativeSender
from icelane.compat.aiortc.codecs import get_capabilities
from icelane.compat.aiortc.rtcdtlstransport import RTCDtlsTransport
from icelane.compat.aiortc.rtcrtpparameters import RTCRtpCapabilities
from icelane.compat.aiortc.stats import RTCStatsReport, convert_report
from icelane.errors import NotSupportedError


class RTCRtpSender:
    """What goes out through one transceiver. Made by a connection."""

    _native: NativeSender
    _transport: RTCDtlsTransport
    _enabled: bool

    def __init__(self, trackOrKind: MediaStreamTrack | str, transport: RTCDtlsTransport) -> None:  # noqa: N803
        """Raises NotSupportedError: a sender is made by a RTCPeerConnection."""
        raise NotSupportedError("a sender is made by a RTCPeerConnection")

    @classmethod
    def _of(cls, native: NativeSender, transport: RTCDtlsTransport) -> RTCRtpSender:
        made = cls.__new__(cls)
        made._native = native
        made._transport = transport
        made._enabled = True
        return made

    @property
    def kind(self) -> str:
        """`audio` or `video`."""
        return self._native.kind

    @property
    def track(self) -> MediaStreamTrack | None:
        """What is sent."""
        return self._native.track

    @property
    def transport(self) -> RTCDtlsTransport:
        """What it is sent over."""
        return self._transport

    @classmethod
    def getCapabilities(cls, kind: str) -> RTCRtpCapabilities | None:  # noqa: N802  (W3C names)
        """What can be sent. Raises ValueError for a kind that there is not."""
        return get_capabilities(kind)

    async def getStats(self) -> RTCStatsReport:  # noqa: N802
        """What concerns this sender."""
        return convert_report(await self._native.getStats())

    def replaceTrack(self, track: MediaStreamTrack | None) -> None:  # noqa: N802
        """Send another track of the same kind, or nothing, without negotiation. Not a coroutine, as aiortc's is none.

        Raises TypeError for a track of the other kind, InvalidStateError when the transceiver is stopped.
        """
        self._native._replace(track)

    async def stop(self) -> None:
        """Send no more."""
        self.replaceTrack(None)
