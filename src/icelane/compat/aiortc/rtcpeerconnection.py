"""RTCPeerConnection, as aiortc has it.

It may be made before an event loop runs; the connection below is made when it is first needed, on the loop that runs
then.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final, cast

from icelane.aio.data_channel import RTCDataChannel as NativeDataChannel
from icelane.aio.event_target import Event
from icelane.aio.media_stream import MediaStream
from icelane.aio.media_stream_track import MediaStreamTrack
from icelane.aio.peer_connection import CLOSE_TIMEOUT
from icelane.aio.peer_connection import RTCPeerConnection as NativePeerConnection
from icelane.aio.rtp_transceiver import RTCRtpTransceiver as NativeTransceiver
from icelane.aio.rtp_transceiver import TransceiverDirection
from icelane.aio.session_description import RTCIceCandidate as NativeCandidate
from icelane.aio.session_description import RTCSessionDescription as NativeDescription
from icelane.aio.transports import RTCDtlsTransport as NativeDtlsTransport
from icelane.aio.transports import RTCIceTransport as NativeIceTransport
from icelane.aio.transports import RTCSctpTransport as NativeSctpTransport
from icelane.compat.aiortc import default_ice_servers
from icelane.compat.aiortc.emitter import Emitter
from icelane.compat.aiortc.exceptions import InternalError
from icelane.compat.aiortc.rtcconfiguration import RTCConfiguration, native_configuration
from icelane.compat.aiortc.rtcdatachannel import RTCDataChannel
from icelane.compat.aiortc.rtcdtlstransport import RTCCertificate, RTCDtlsTransport
from icelane.compat.aiortc.rtcicetransport import (
    RTCIceCandidate,
    RTCIceGatherer,
    RTCIceTransport,
    aiortc_ice_state,
)
from icelane.compat.aiortc.rtcrtpreceiver import RTCRtpReceiver
from icelane.compat.aiortc.rtcrtpsender import RTCRtpSender
from icelane.compat.aiortc.rtcrtptransceiver import RTCRtpTransceiver
from icelane.compat.aiortc.rtcsctptransport import RTCSctpTransport
from icelane.compat.aiortc.rtcsessiondescription import RTCSessionDescription
from icelane.compat.aiortc.sdp import DIRECTIONS, candidate_to_sdp
from icelane.compat.aiortc.stats import RTCStatsReport, convert_report
from icelane.core.clock import Duration
from icelane.errors import InvalidAccessError, InvalidStateError, OperationError
from icelane.sdp.session import parse_session

_log = logging.getLogger(__name__)

# How long setLocalDescription waits for candidates: a server that does not answer costs that. aiortc waits as long.
GATHERING_TIMEOUT: Final[Duration] = 5.0
# Candidates that came before the description that they belong to. Further ones are dropped; the peer may tell them
# again, and finds us without them where it can be reached.
MAX_EARLY_CANDIDATES: Final = 100
_KINDS: Final = ("audio", "video")


class RTCPeerConnection(Emitter):
    """One connection to one peer.

    Events: `track` (the track), `datachannel` (the channel, open), `signalingstatechange`, `icegatheringstatechange`,
    `iceconnectionstatechange`, `connectionstatechange`.
    """

    def __init__(self, configuration: RTCConfiguration | None = None) -> None:
        super().__init__()
        self._configuration = native_configuration(configuration, default_ice_servers.DEFAULT_ICE_SERVERS)
        certificate = RTCCertificate.generateCertificate()
        self._configuration.certificates = [certificate._native]
        self._native: NativePeerConnection | None = None
        self._transceivers: dict[NativeTransceiver, RTCRtpTransceiver] = {}
        self._stream = MediaStream()
        self._early_candidates: list[RTCIceCandidate | None] = []
        self._states = ("stable", "new", "new")
        self._has_channels = False
        self._closing: asyncio.Future[None] | None = None
        self._dtls = self._make_transports(certificate)
        self._sctp = RTCSctpTransport(self._dtls)
        self._sctp._find, self._sctp._find_mid = self._find_sctp, self._find_mid

    def __repr__(self) -> str:
        return f"RTCPeerConnection({self.signalingState}, {self.connectionState})"

    @property
    def connection(self) -> NativePeerConnection:
        """The connection below, with all that aiortc has no name for. Ours; needs a running loop."""
        if self._native is None:
            self._native = NativePeerConnection(self._configuration)
            self._listen(self._native)
        return self._native

    # States

    @property
    def connectionState(self) -> str:  # noqa: N802  (W3C names)
        """`new`, `connecting`, `connected`, `failed` or `closed`; the last also when the peer has ended it."""
        if self._closing is not None:
            return "closed"
        native = self._native
        if native is None:
            return "new"
        if self._was_ended:
            return "closed"
        # It is not called disconnected before it has failed.
        return "connected" if native.connectionState == "disconnected" else native.connectionState

    @property
    def iceConnectionState(self) -> str:  # noqa: N802
        """`new`, `checking`, `completed`, `failed` or `closed`; the last also when the peer has ended it."""
        if self._closing is not None or self._was_ended:
            return "closed"
        return "new" if self._native is None else aiortc_ice_state(self._native.iceConnectionState)

    @property
    def iceGatheringState(self) -> str:  # noqa: N802
        """`new`, `gathering` or `complete`."""
        return "new" if self._native is None else self._native.iceGatheringState

    @property
    def signalingState(self) -> str:  # noqa: N802
        """`stable`, `have-local-offer`, `have-remote-offer` or `closed`."""
        if self._closing is not None:
            return "closed"
        return "stable" if self._native is None else self._native.signalingState

    @property
    def localDescription(self) -> RTCSessionDescription | None:  # noqa: N802
        """Ours, with the candidates that were found."""
        return _wrap(self._native.localDescription) if self._native is not None else None

    @property
    def remoteDescription(self) -> RTCSessionDescription | None:  # noqa: N802
        """The peer's."""
        return _wrap(self._native.remoteDescription) if self._native is not None else None

    @property
    def sctp(self) -> RTCSctpTransport | None:
        """What carries channels, None without them."""
        has_any = self._has_channels or self._find_sctp() is not None
        return self._sctp if has_any else None

    # Descriptions

    async def createOffer(self) -> RTCSessionDescription:  # noqa: N802
        """An offer of what this connection wants. Raises InvalidStateError when it is closed."""
        self._require_open()
        self.getTransceivers()
        offer = await self.connection.createOffer()
        return RTCSessionDescription(sdp=offer.sdp, type=offer.type)

    async def createAnswer(self) -> RTCSessionDescription:  # noqa: N802
        """An answer to the offer that was set. Raises InvalidStateError when there is none."""
        self._require_open()
        self.getTransceivers()
        answer = await self.connection.createAnswer()
        return RTCSessionDescription(sdp=answer.sdp, type=answer.type)

    async def setLocalDescription(  # noqa: N802
        self,
        sessionDescription: RTCSessionDescription | None = None,  # noqa: N803
    ) -> None:
        """Set our description, and wait until `localDescription` holds every candidate, GATHERING_TIMEOUT at most.

        Raises InvalidStateError for a type that does not fit the state, InvalidAccessError for text that was changed.
        """
        self._require_open()
        wanted = None if sessionDescription is None else _unwrap(sessionDescription)
        self.getTransceivers()
        await self.connection.setLocalDescription(wanted)
        try:
            async with asyncio.timeout(GATHERING_TIMEOUT):
                await self.connection.gathering_complete()
        except TimeoutError:
            _log.warning("a STUN or TURN server has not answered in %.0f s: going on without it", GATHERING_TIMEOUT)

    async def setRemoteDescription(self, sessionDescription: RTCSessionDescription) -> None:  # noqa: N802, N803
        """Set the peer's description.

        Raises InvalidStateError for a type that does not fit the state, OperationError for text that does not parse,
        InvalidAccessError for one that cannot be used.
        """
        self._require_open()
        await self.connection.setRemoteDescription(_unwrap(sessionDescription))
        early, self._early_candidates = self._early_candidates, []
        for candidate in early:
            await self.addIceCandidate(candidate)

    async def addIceCandidate(self, candidate: RTCIceCandidate | None) -> None:  # noqa: N802
        """A candidate of the peer's, None at the end of them. One that comes before the description waits for it.

        Raises ValueError for one without a section.
        """
        if candidate is not None and candidate.sdpMid is None and candidate.sdpMLineIndex is None:
            raise ValueError("a candidate needs sdpMid or sdpMLineIndex")
        if self._closing is not None:
            return
        if self.remoteDescription is None:
            if len(self._early_candidates) < MAX_EARLY_CANDIDATES:
                self._early_candidates.append(candidate)
            return
        native = None if candidate is None else NativeCandidate(
            f"candidate:{candidate_to_sdp(candidate)}", candidate.sdpMid, candidate.sdpMLineIndex
        )  # fmt: skip
        try:
            await self.connection.addIceCandidate(native)
        except (OperationError, InvalidStateError) as error:
            _log.warning("a candidate of the peer's is not used: %s", error)

    # Tracks and channels

    def addTrack(self, track: MediaStreamTrack) -> RTCRtpSender:  # noqa: N802
        """Send `track`. Raises InternalError for another kind, InvalidAccessError for one that is sent already."""
        self._require_open()
        if track.kind not in _KINDS:
            raise InternalError(f"a track is of audio or video, not {track.kind!r}")
        self._require_unsent(track)
        sender = self.connection.addTrack(track, self._stream)
        return next(one.sender for one in self.getTransceivers() if one.sender._native is sender)

    def addTransceiver(  # noqa: N802
        self,
        trackOrKind: str | MediaStreamTrack,  # noqa: N803
        direction: str = "sendrecv",
    ) -> RTCRtpTransceiver:
        """A new pair of a sender and a receiver. Raises as `addTrack`, and InternalError for another direction."""
        self._require_open()
        kind = trackOrKind.kind if isinstance(trackOrKind, MediaStreamTrack) else trackOrKind
        if kind not in _KINDS:
            raise InternalError(f"a track is of audio or video, not {kind!r}")
        if direction not in DIRECTIONS:
            raise InternalError(f"a direction is one of {', '.join(DIRECTIONS)}, not {direction!r}")
        if isinstance(trackOrKind, MediaStreamTrack):
            self._require_unsent(trackOrKind)
        wanted = cast(TransceiverDirection, direction)
        return self._wrap_transceiver(self.connection.addTransceiver(trackOrKind, wanted))

    def createDataChannel(  # noqa: N802
        self,
        label: str,
        maxPacketLifeTime: int | None = None,  # noqa: N803
        maxRetransmits: int | None = None,  # noqa: N803
        ordered: bool = True,
        protocol: str = "",
        negotiated: bool = False,
        id: int | None = None,  # noqa: A002
    ) -> RTCDataChannel:
        """A channel that opens when the peers are connected. Raises ValueError for what does not go together."""
        self._require_open()
        try:
            channel = self.connection.createDataChannel(
                label,
                maxPacketLifeTime=maxPacketLifeTime,
                maxRetransmits=maxRetransmits,
                ordered=ordered,
                protocol=protocol,
                negotiated=negotiated,
                id=id,
            )
        except TypeError as error:
            raise ValueError(str(error)) from None
        self._has_channels = True
        return RTCDataChannel._of(self._sctp, channel)

    def getReceivers(self) -> list[RTCRtpReceiver]:  # noqa: N802
        """The receivers of all transceivers."""
        return [transceiver.receiver for transceiver in self.getTransceivers()]

    def getSenders(self) -> list[RTCRtpSender]:  # noqa: N802
        """The senders of all transceivers."""
        return [transceiver.sender for transceiver in self.getTransceivers()]

    def getTransceivers(self) -> list[RTCRtpTransceiver]:  # noqa: N802
        """All of them, in the order in which they were made."""
        if self._native is not None:
            for native in self._native.getTransceivers():
                self._wrap_transceiver(native)
        return list(self._transceivers.values())

    async def getStats(self) -> RTCStatsReport:  # noqa: N802
        """What there is about streams and the transport."""
        if self._native is None:
            return RTCStatsReport()
        return convert_report(await self._native.getStats())

    # The end

    async def close(self) -> None:
        """Deliver what was sent, and end everything. Again is harmless."""
        if self._closing is not None:
            await asyncio.shield(self._closing)
            return
        before = self._states
        self._closing = asyncio.get_running_loop().create_future()
        try:
            self._tell_states(before)
            if self._native is not None:
                has_failed = self._native.connectionState == "failed"
                await self._native.close(0.0 if has_failed else CLOSE_TIMEOUT)  # nobody is there to be waited for
            for transceiver in self._transceivers.values():
                await transceiver.receiver.stop()
        finally:
            self.remove_all_listeners()
            self._closing.set_result(None)

    # From the connection below

    def _listen(self, native: NativePeerConnection) -> None:
        native.on("datachannel", self._channel_announced)
        native.on("icegatheringstatechange", self._tell_gathering)
        for event in ("signalingstatechange", "iceconnectionstatechange", "connectionstatechange"):
            native.on(event, lambda: self._tell_states(self._states))
        native.ontrack = self._track_added  # the event, because it says which transceiver the track belongs to

    def _track_added(self, event: Event) -> None:
        native = event.transceiver
        if not isinstance(native, NativeTransceiver):
            return
        receiver = self._wrap_transceiver(native).receiver
        known = receiver.track
        if known is not None and known.readyState == "live":
            return  # aiortc tells of a track once, whatever its direction does
        self._tell("track", receiver._begin())

    def _channel_announced(self, channel: NativeDataChannel) -> None:
        self._tell("datachannel", RTCDataChannel._of(self._sctp, channel, is_announced=True))

    def _tell_gathering(self) -> None:
        self._dtls.transport.iceGatherer._tell("statechange")
        self._tell("icegatheringstatechange")

    def _tell_states(self, before: tuple[str, str, str]) -> None:
        """Tell what has changed, by the names that aiortc has for it."""
        self._watch_dtls()
        self._states = now = self.signalingState, self.iceConnectionState, self.connectionState
        if now[0] != before[0]:
            self._tell("signalingstatechange")
        if now[1] != before[1]:
            self._dtls.transport._tell("statechange")
            self._tell("iceconnectionstatechange")
        if now[2] != before[2]:
            self._tell("connectionstatechange")

    def _watch_dtls(self) -> None:
        """The end of DTLS is none of the connection's states, and one of aiortc's."""
        native = self._find_dtls()
        if native is not None and not native.has_listener("statechange"):
            native.on("statechange", self._dtls_changed)

    def _dtls_changed(self) -> None:
        self._dtls._tell("statechange")
        self._tell_states(self._states)

    # The layers

    @property
    def _was_ended(self) -> bool:
        """Whether the peer has said goodbye. In W3C's states that is no end, since an exchange may begin anew."""
        return self._dtls.state == "closed"

    def _make_transports(self, certificate: RTCCertificate) -> RTCDtlsTransport:
        gatherer = RTCIceGatherer()
        gatherer._find = self._find_ice
        dtls = RTCDtlsTransport(RTCIceTransport(gatherer), [certificate])
        dtls._find = self._find_dtls
        return dtls

    def _find_dtls(self) -> NativeDtlsTransport | None:
        return self._native._transports.dtls if self._native is not None else None

    def _find_ice(self) -> NativeIceTransport | None:
        return self._native._transports.ice if self._native is not None else None

    def _find_sctp(self) -> NativeSctpTransport | None:
        return self._native.sctp if self._native is not None else None

    def _find_mid(self) -> str | None:
        description = self.localDescription or self.remoteDescription
        if description is None:
            return None
        return next((one.mid for one in parse_session(description.sdp).media if one.is_data_channel), None)

    def _wrap_transceiver(self, native: NativeTransceiver) -> RTCRtpTransceiver:
        wrapped = self._transceivers.get(native)
        if wrapped is None:
            wrapped = self._transceivers[native] = RTCRtpTransceiver._of(native, self._dtls)
            native.sender.setStreams(self._stream)  # pages play the stream that a track is in
        return wrapped

    def _require_open(self) -> None:
        if self._closing is not None:
            raise InvalidStateError("the peer connection is closed")

    def _require_unsent(self, track: MediaStreamTrack) -> None:
        if any(sender.track is track for sender in self.getSenders()):
            raise InvalidAccessError("the track is sent already")


def _wrap(description: NativeDescription | None) -> RTCSessionDescription | None:
    return None if description is None else RTCSessionDescription(sdp=description.sdp, type=description.type)


def _unwrap(description: RTCSessionDescription) -> NativeDescription:
    return NativeDescription(sdp=description.sdp, type=description.type)
