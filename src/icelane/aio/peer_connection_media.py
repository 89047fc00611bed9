"""What RTCPeerConnection does with audio and video: the methods of W3C webrtc-pc section 5.1."""

from __future__ import annotations

from collections.abc import Sequence

from icelane.aio.arguments import expect
from icelane.aio.event_target import EventTarget
from icelane.aio.media_stats import add_media_stats, select_stats
from icelane.aio.media_stream import MediaStream
from icelane.aio.media_stream_track import MediaStreamTrack
from icelane.aio.peer_media import PeerMedia
from icelane.aio.rtp_parameters import RTCRtpEncodingParameters
from icelane.aio.rtp_receiver import RTCRtpReceiver
from icelane.aio.rtp_sender import RTCRtpSender, check_encoding
from icelane.aio.rtp_transceiver import RTCRtpTransceiver, TransceiverDirection, direction_named
from icelane.aio.system import SystemWallClock, monotonic
from icelane.errors import InvalidAccessError, NotSupportedError
from icelane.media.codec import MediaKind
from icelane.peer.connection import PeerConnection
from icelane.peer.media_capabilities import kind_of
from icelane.peer.stats import StatsReport, collect_stats
from icelane.peer.transceiver import Transceiver


class MediaMethods(EventTarget):
    """The part of a peer connection that is about tracks."""

    _engine: PeerConnection
    _media: PeerMedia

    def addTrack(self, track: MediaStreamTrack, *streams: MediaStream) -> RTCRtpSender:  # noqa: N802  (W3C names)
        """Send `track`, and tell the peer that it belongs to `streams`. Asks for a negotiation.

        Raises MissingExtraError without PyAV, InvalidAccessError for a track that is sent already, InvalidStateError
        when closed, TypeError for what is no track.
        """
        kind = _kind_of(expect(track, MediaStreamTrack).kind)
        identifiers = [expect(stream, MediaStream).id for stream in streams]
        media, port = self._media, self._media.port
        media.require_codecs(kind)
        transceiver = port.run(lambda _: self._engine.add_track(track.id, kind, identifiers))
        return media.send(transceiver, track).sender

    def removeTrack(self, sender: RTCRtpSender) -> None:  # noqa: N802
        """Send its track no more; asks for a negotiation. Raises InvalidAccessError for another connection's sender."""
        if expect(sender, RTCRtpSender)._port is not self._media.port:
            raise InvalidAccessError("the sender belongs to another connection")
        self._media.port.run(lambda _: self._engine.remove_track(sender._transceiver))
        sender._take(None)

    def addTransceiver(  # noqa: N802
        self,
        trackOrKind: MediaStreamTrack | str,  # noqa: N803
        direction: TransceiverDirection = "sendrecv",
        *,
        streams: Sequence[MediaStream] = (),
        sendEncodings: Sequence[RTCRtpEncodingParameters] = (),  # noqa: N803
    ) -> RTCRtpTransceiver:
        """A new pair of a sender and a receiver. Asks for a negotiation.

        Raises TypeError for another kind or direction, ValueError for encodings out of range, NotSupportedError for
        several of them, which is simulcast; otherwise as `addTrack`.
        """
        track = trackOrKind if isinstance(trackOrKind, MediaStreamTrack) else None
        kind = _kind_of(track.kind if track is not None else trackOrKind)
        wanted = direction_named(direction)
        identifiers = [expect(stream, MediaStream).id for stream in streams]
        encodings = [check_encoding(encoding) for encoding in sendEncodings]
        if len(encodings) > 1:
            raise NotSupportedError("simulcast is not supported yet: one encoding")
        media, port = self._media, self._media.port
        media.require_codecs(kind)
        identifier = None if track is None else track.id
        transceiver = media.of(
            port.run(lambda _: self._engine.add_transceiver(kind, wanted, track_id=identifier, stream_ids=identifiers))
        )
        transceiver.sender._begin(track, encodings[0] if encodings else None)
        return transceiver

    def getTransceivers(self) -> list[RTCRtpTransceiver]:  # noqa: N802
        """All that are not stopped, in the order in which they were made."""
        return self._media.transceivers

    def getSenders(self) -> list[RTCRtpSender]:  # noqa: N802
        """The senders of all transceivers."""
        return [transceiver.sender for transceiver in self._media.transceivers]

    def getReceivers(self) -> list[RTCRtpReceiver]:  # noqa: N802
        """The receivers of all transceivers."""
        return [transceiver.receiver for transceiver in self._media.transceivers]

    async def getStats(self, selector: MediaStreamTrack | None = None) -> StatsReport:  # noqa: N802
        """The statistics of W3C webrtc-stats, by id; those about one track with a `selector`.

        Raises InvalidAccessError for a track that nothing, or more than one transceiver, sends or receives.
        """
        report = self._collect_stats()
        if selector is None:
            return report
        found = [
            kind + str(one._transceiver.number)
            for one in self._media.transceivers
            for kind, track in (("OT", one.sender.track), ("IT", one.receiver.track))
            if track is selector
        ]
        if len(found) != 1:
            raise InvalidAccessError("the track is not sent or received once by this connection")
        return select_stats(report, found[0])

    def _stats_of(self, transceiver: Transceiver, sends: bool) -> StatsReport:
        return select_stats(self._collect_stats(), f"{'OT' if sends else 'IT'}{transceiver.number}")

    def _collect_stats(self) -> StatsReport:
        now = monotonic()
        report = collect_stats(self._engine, SystemWallClock().unix_time(now), now)
        add_media_stats(report, self._media.transceivers, now)
        return report


def _kind_of(name: object) -> MediaKind:
    found = kind_of(name)
    if found is None:
        raise TypeError(f"a track is of audio or video, not {name!r}")
    return found
