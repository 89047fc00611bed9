"""RTCPeerConnection: the peer connection as W3C WebRTC section 4.4 has it, on asyncio.

    pc = RTCPeerConnection(RTCConfiguration(iceServers=[RTCIceServer(urls="stun:stun.example.org")]))
    channel = pc.createDataChannel("chat")

    @pc.on("icecandidate")
    def found(candidate):                     # RTCIceCandidate, or None at the end
        signaling.send(candidate)

    await pc.setLocalDescription()            # an offer; returns when gathering has begun
    await pc.setRemoteDescription(answer)
    async with pc: ...

Names in camelCase are the W3C's, those in snake_case are ours. The module is long because the W3C's interface is: most
of it are properties and methods of a few lines, whose work is done below.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from types import TracebackType
from typing import Final, Self

from icelane.aio.arguments import channel_options, expect
from icelane.aio.certificate import RTCCertificate
from icelane.aio.channel_port import ChannelPort
from icelane.aio.configuration import RTCConfiguration, check_unchanged, names_other_paths
from icelane.aio.data_channel import RTCDataChannel
from icelane.aio.event_target import Event
from icelane.aio.media_port import MediaPort
from icelane.aio.peer_connection_media import MediaMethods
from icelane.aio.peer_driver import PeerDriver
from icelane.aio.peer_media import PeerMedia, Registry, RegistryCapabilities
from icelane.aio.session_description import RTCIceCandidate, RTCSessionDescription
from icelane.aio.system import SystemWallClock, monotonic
from icelane.aio.transports import RTCSctpTransport, Transports
from icelane.core.clock import Duration, Instant
from icelane.crypto.provider import SystemEntropy
from icelane.datachannel.event import (
    BufferedAmountLow,
    ChannelAnnounced,
    ChannelClosed,
    ChannelClosing,
    ChannelId,
    ChannelOpened,
    MessageReceived,
)
from icelane.dtls.options import DtlsOptions
from icelane.errors import InvalidAccessError, InvalidModificationError, InvalidStateError, TransportClosedError
from icelane.ice.event import PairSelected
from icelane.ice.options import IceOptions
from icelane.peer.connection import PeerConnection
from icelane.peer.connection_event import (
    ConnectionState,
    ConnectionStateChanged,
    IceConnectionStateChanged,
    LocalCandidate,
    NegotiationNeeded,
    PeerConnectionEvent,
    SignalingStateChanged,
)
from icelane.peer.connection_options import ChannelOptions, PeerOptions
from icelane.peer.description import Description
from icelane.peer.external_addresses import external_addresses
from icelane.peer.ice_transport_event import CandidateFailed, GatheringState, GatheringStateChanged
from icelane.peer.media_capabilities import MediaCapabilities
from icelane.peer.media_event import FramesReceived, MediaEvent
from icelane.peer.secure_transport import DtlsStateChanged
from icelane.peer.security_report import SecurityReport
from icelane.peer.signaling_state import DescriptionType

_log = logging.getLogger(__name__)

# How long the end may take: what is queued is delivered first.
CLOSE_TIMEOUT: Final[Duration] = 5.0
# How long TURN servers may take to hear that we give their addresses back; they would find out by themselves.
RELEASE_TIMEOUT: Final[Duration] = 1.0
# W3C section 4.4.1.5 resolves the promise of setLocalDescription before it tells of candidates, so that a program which
# sends its description when that is set sends it before them. Where it awaits through a task or a timeout, it goes on a
# few turns of the loop later.
TURNS_BEFORE_CANDIDATES: Final = 4


class RTCPeerConnection(MediaMethods):
    """One connection to one peer. Use it on the event loop that it was made on.

    Events: `negotiationneeded`, `icecandidate` (an RTCIceCandidate, or None at the end), `icecandidateerror` (the
    event, with `url`, `errorCode` and `errorText`), `datachannel` (the channel), `track` (the track; the event has
    `receiver`, `transceiver` and `streams` as well), and a change of each state.
    """

    EVENTS = frozenset({
        "negotiationneeded", "icecandidate", "icecandidateerror", "datachannel", "track", "signalingstatechange",
        "icegatheringstatechange", "iceconnectionstatechange", "connectionstatechange",
    })  # fmt: skip

    def __init__(self, configuration: RTCConfiguration | Mapping[str, object] | None = None) -> None:
        """Raises SyntaxError_, InvalidAccessError and TypeError for a configuration that cannot be used.

        Also InvalidStateError for a `udp_mux` that is closed.
        """
        super().__init__()
        if isinstance(configuration, Mapping):
            configuration = RTCConfiguration.from_json(configuration)
        given = RTCConfiguration() if configuration is None else expect(configuration, RTCConfiguration)
        self._configuration = given.copy()  # what the program changes later is not ours
        self._configuration.check()
        if self._configuration.udp_mux is not None:
            self._configuration.udp_mux._check_usable()
        self._loop = asyncio.get_running_loop()
        self._certificate = _certificate(self._configuration)
        registry = Registry(self._configuration.codecs)
        self._engine = PeerConnection(
            self._certificate.certificate,
            entropy=SystemEntropy(),
            options=_options(self._configuration, RegistryCapabilities(registry=registry)),
            wall=SystemWallClock(),
        )
        self._driver = PeerDriver(self._engine, self._configuration, self._handle_event)
        self._channels_by_number: dict[ChannelId, RTCDataChannel] = {}
        self._has_described = False
        self._operations = 0
        self._operation_lock = asyncio.Lock()
        self._transports = Transports(lambda: self._engine.negotiation.candidate_place)
        self._media = PeerMedia(
            MediaPort(self._engine, self._driver, self._transports, registry, self._stats_of),
            self._configuration,
            self._emit,
        )
        self._ask_when_idle = False
        self._creating = False
        self._gathering_events: deque[tuple[PeerConnectionEvent, str | None]] = deque()  # and the generation of each
        self._telling: asyncio.Handle | None = None
        self._gathering_state = GatheringState.NEW
        self._closed = asyncio.Event()
        self._gathered = asyncio.Event()
        self._gathered.set()
        self._changed = asyncio.Event()
        self._close_task: asyncio.Task[None] | None = None
        if self._configuration.iceCandidatePoolSize:
            self._driver.run(lambda _: self._engine.gather_in_advance())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"RTCPeerConnection({self.signalingState}, {self.connectionState})"

    @staticmethod
    async def generateCertificate(*, rsa_bits: int | None = None) -> RTCCertificate:  # noqa: N802
        """A certificate for `RTCConfiguration.certificates`: ECDSA on P-256, or RSA with so many bits."""
        return await asyncio.to_thread(RTCCertificate.generate, rsa_bits=rsa_bits)

    # Descriptions

    async def createOffer(self, *, iceRestart: bool = False) -> RTCSessionDescription:  # noqa: N802, N803  (W3C names)
        """An offer of what this connection wants. Raises InvalidStateError when it is closed."""
        async with self._operation():
            return _description(self._engine.negotiation.create_offer(ice_restart=iceRestart))

    async def createAnswer(self) -> RTCSessionDescription:  # noqa: N802
        """An answer to the offer that was set. Raises InvalidStateError when there is none."""
        async with self._operation():
            return _description(self._engine.negotiation.create_answer())

    async def setLocalDescription(  # noqa: N802
        self, description: RTCSessionDescription | Mapping[str, object] | None = None
    ) -> None:
        """Set our description, the one that fits the state without an argument. Gathering has begun when it returns.

        Raises InvalidStateError for a type that does not fit the state, InvalidAccessError for text that was changed.
        """
        wanted = None if description is None else _text(description)
        async with self._operation():
            queued, ufrag = len(self._gathering_events), self._local_ufrag
            self._driver.run(lambda now: self._engine.set_local_description(wanted, now))
            self._has_described = True
            if self._local_ufrag != ufrag:
                # The peer knows their generation no longer when it has the description that goes out next.
                self._tell_first(queued)
                self._tell_later(TURNS_BEFORE_CANDIDATES)

    async def setRemoteDescription(self, description: RTCSessionDescription | Mapping[str, object]) -> None:  # noqa: N802
        """Set the peer's description; our own offer is rolled back for one of the peer's.

        Raises InvalidStateError for a type that does not fit the state, OperationError for text that does not parse,
        InvalidAccessError for one that cannot be used, TypeError for what is none. Nothing has changed then.
        """
        wanted = _text(description)
        async with self._operation():
            self._driver.run(lambda now: self._engine.set_remote_description(wanted, now))

    async def addIceCandidate(  # noqa: N802
        self, candidate: RTCIceCandidate | Mapping[str, object] | None = None
    ) -> None:
        """A candidate of the peer's; None, or one with empty text, at the end of them.

        Raises InvalidStateError before the remote description is set, TypeError without a section, OperationError for
        a section or a generation that is not there and for text that does not parse.
        """
        if isinstance(candidate, Mapping):
            candidate = RTCIceCandidate.from_json(candidate)
        elif candidate is not None:
            expect(candidate, RTCIceCandidate)
        line = candidate.candidate if candidate is not None else ""
        if candidate is not None and line and candidate.sdpMid is None and candidate.sdpMLineIndex is None:
            raise TypeError("a candidate needs sdpMid or sdpMLineIndex")
        async with self._operation():
            given = candidate or RTCIceCandidate()
            self._driver.run(
                lambda now: self._engine.add_remote_candidate(
                    line, given.sdpMid, given.sdpMLineIndex, given.usernameFragment, now
                )
            )

    def restartIce(self) -> None:  # noqa: N802
        """Look for new paths with the next offer, for which `negotiationneeded` asks."""
        if not self._engine.is_closed:
            self._driver.run(lambda _: self._engine.restart_ice())

    # Configuration

    def getConfiguration(self) -> RTCConfiguration:  # noqa: N802
        """What counts now. To change it changes nothing; `setConfiguration` takes it."""
        return replace(self._configuration.copy(), certificates=[self._certificate])

    def setConfiguration(self, configuration: RTCConfiguration | Mapping[str, object]) -> None:  # noqa: N802
        """Other servers, another iceTransportPolicy or other addresses and ports, from the next gathering on.

        The next offer restarts ICE, and `restartIce` makes that soon. Sockets of ours on addresses and ports that are
        not to be used any more are closed then, and what went over them waits for the new path. Once that is found,
        TURN servers that are not named any more get their addresses back.

        A mapping holds what browsers take, and what it leaves out has W3C's default; our own settings stay. Raises
        InvalidStateError when closed, InvalidModificationError for what cannot change: certificates, policies of
        multiplexing, legacy_peers, patience, external addresses, hide_addresses, udp_mux, ice_tcp, ice_lite, and
        iceCandidatePoolSize after setLocalDescription; otherwise as the constructor.
        """
        if self._engine.is_closed:
            raise InvalidStateError("the peer connection is closed")
        old = self._configuration
        if isinstance(configuration, Mapping):
            configuration = RTCConfiguration.from_json(configuration).with_settings_of(old)
        configuration = expect(configuration, RTCConfiguration).copy()
        servers = configuration.check()
        check_unchanged(old, configuration, self._certificate)
        if self._has_described and configuration.iceCandidatePoolSize != old.iceCandidatePoolSize:
            raise InvalidModificationError("iceCandidatePoolSize does not change once a local description was set")
        self._configuration = configuration
        self._driver.configuration = configuration
        if names_other_paths(old, configuration):
            self._engine.change_ice_configuration(
                relay_only=configuration.relay_only,
                strict=configuration.relay_strict,
                urls=frozenset(str(uri) for _, uri in servers),
            )

    # Channels

    def createDataChannel(  # noqa: N802
        self,
        label: str,
        *,
        ordered: bool = True,
        maxPacketLifeTime: int | None = None,  # noqa: N803
        maxRetransmits: int | None = None,  # noqa: N803
        protocol: str = "",
        negotiated: bool = False,
        id: int | None = None,  # noqa: A002  (W3C name)
    ) -> RTCDataChannel:
        """A channel that opens as soon as the peers are connected.

        Where the peer has ended the connection, and no exchange is under way that may begin another, it is closed at
        once, and `opened` raises why. To begin anew, call `restartIce` first.

        Raises InvalidStateError when closed, TypeError for what does not go together, OperationError when no stream is
        left.
        """
        if self._engine.is_closed:
            raise InvalidStateError("the peer connection is closed")
        options = channel_options(label, ordered, maxPacketLifeTime, maxRetransmits, protocol, negotiated, id)

        def create(now: Instant) -> RTCDataChannel:
            return self._add_channel(self._engine.create_data_channel(options, now), options)

        self._creating = True
        try:
            return self._driver.run(create)
        finally:
            self._creating = False

    # The end

    async def close(self, timeout: Duration = CLOSE_TIMEOUT) -> None:
        """Deliver what was sent, tell the peer, give relayed addresses back. With `timeout` 0, what is queued is lost.

        Again is harmless. A peer that does not answer is waited for as long as `timeout` says.
        """
        if self._close_task is None:
            self._close_task = asyncio.ensure_future(self._close(timeout))
        await asyncio.shield(self._close_task)

    def close_threadsafe(self, timeout: Duration = CLOSE_TIMEOUT) -> None:
        """Begin `close` from another thread; returns at once."""
        self._loop.call_soon_threadsafe(lambda: asyncio.ensure_future(self.close(timeout)))

    async def _close(self, timeout: Duration) -> None:
        self._media.stop()
        if timeout > 0:
            self._driver.run(self._engine.close)
            try:
                async with asyncio.timeout(timeout):
                    await self._closed.wait()
            except TimeoutError:
                _log.debug("the peer did not confirm the end within %s s", timeout)
        if not self._engine.is_closed:
            self._driver.run(self._engine.abort)
        await self._driver.finish(RELEASE_TIMEOUT if timeout > 0 else 0.0)
        await self._media.close()

    # Extensions

    async def gathering_complete(self) -> None:
        """Wait until `localDescription` holds every candidate. Returns at once when nothing is being gathered."""
        await self._gathered.wait()

    async def connected(self, timeout: Duration | None = None) -> None:
        """Wait until the peers are connected. Raises TransportClosedError when that fails, TimeoutError."""
        async with asyncio.timeout(timeout):
            while self._engine.connection_state is not ConnectionState.CONNECTED:
                if self._engine.connection_state in (ConnectionState.FAILED, ConnectionState.CLOSED):
                    raise TransportClosedError(f"the peers are not connected: {self.connectionState}")
                self._changed.clear()
                await self._changed.wait()

    @asynccontextmanager
    async def until_failed(self) -> AsyncIterator[None]:
        """`async with`: ends what is done within by TransportClosedError when the connection becomes `failed`.

        For a program that does not restart: a channel stays open when ICE has failed, because `restartIce` may find
        another path, and whoever reads from it would wait for ever. What awaits within is cancelled, as by a timeout.
        """

        def look() -> None:
            if self._engine.connection_state is ConnectionState.FAILED:
                scope.reschedule(self._loop.time())

        try:
            async with asyncio.timeout(None) as scope:
                self.on("connectionstatechange", look)
                look()
                yield
        except TimeoutError:
            if not scope.expired():
                raise
            raise TransportClosedError("the connection has failed") from None
        finally:
            self.remove_listener("connectionstatechange", look)

    def security_report(self) -> SecurityReport:
        """How this connection is protected, and along which path it runs; `str()` of it is a table."""
        return SecurityReport.of(self._engine)

    # States

    @property
    def localDescription(self) -> RTCSessionDescription | None:  # noqa: N802
        return self.pendingLocalDescription or self.currentLocalDescription

    @property
    def remoteDescription(self) -> RTCSessionDescription | None:  # noqa: N802
        return self.pendingRemoteDescription or self.currentRemoteDescription

    @property
    def currentLocalDescription(self) -> RTCSessionDescription | None:  # noqa: N802
        return _maybe(self._engine.negotiation.current_local_description)

    @property
    def pendingLocalDescription(self) -> RTCSessionDescription | None:  # noqa: N802
        return _maybe(self._engine.negotiation.pending_local_description)

    @property
    def currentRemoteDescription(self) -> RTCSessionDescription | None:  # noqa: N802
        return _maybe(self._engine.negotiation.current_remote_description)

    @property
    def pendingRemoteDescription(self) -> RTCSessionDescription | None:  # noqa: N802
        return _maybe(self._engine.negotiation.pending_remote_description)

    @property
    def signalingState(self) -> str:  # noqa: N802
        return self._engine.negotiation.signaling_state.value

    @property
    def iceGatheringState(self) -> str:  # noqa: N802
        return self._gathering_state.value

    @property
    def iceConnectionState(self) -> str:  # noqa: N802
        return self._engine.ice_state.value

    @property
    def connectionState(self) -> str:  # noqa: N802
        return self._engine.connection_state.value

    @property
    def canTrickleIceCandidates(self) -> bool | None:  # noqa: N802
        """Whether the peer takes candidates one by one; None before it has said."""
        return self._engine.negotiation.can_trickle

    @property
    def sctp(self) -> RTCSctpTransport | None:
        """The transport of the channels, None while none was negotiated; at the end it is `closed`."""
        return self._transports.sctp

    # Events of the engine

    def _handle_event(self, event: PeerConnectionEvent) -> None:
        if type(event) is FramesReceived:
            self._media.handle_event(event)
            return
        if type(event) is not MessageReceived:
            self._transports.update(self._engine.transport, self._engine.channels)
            self._transports.tell_sctp()
        if isinstance(event, MessageReceived):
            channel = self._channels_by_number.get(event.channel)
            if channel is not None:
                size = len(event.data)
                channel._received(event.data.decode("utf-8", "replace") if event.is_text else event.data, size)
        elif isinstance(event, LocalCandidate | CandidateFailed | GatheringStateChanged):
            self._gathered.clear()
            self._gathering_events.append((event, self._local_ufrag))
            if self._telling is None:
                self._tell_later(TURNS_BEFORE_CANDIDATES)
        elif isinstance(event, SignalingStateChanged):
            self._media.update()
            self._emit("signalingstatechange")
        elif isinstance(event, PairSelected):
            self._transports.tell_ice("selectedcandidatepairchange")
        elif isinstance(event, IceConnectionStateChanged):
            self._transports.tell_ice("statechange")
            self._emit("iceconnectionstatechange")
        elif isinstance(event, ConnectionStateChanged):
            self._changed.set()
            if self._engine.is_closed:
                self._closed.set()
                self._gathered.set()
            self._emit("connectionstatechange")
        elif isinstance(event, NegotiationNeeded):
            self._loop.call_soon(self._ask_for_negotiation)
        elif isinstance(event, DtlsStateChanged):
            if event.error is not None:
                _log.warning("DTLS failed: %s", event.error)
            self._media.update()
            self._transports.tell_dtls(event.error)
        else:
            self._handle_channel(event)

    def _handle_channel(self, event: PeerConnectionEvent) -> None:
        if isinstance(event, MediaEvent):
            self._media.handle_event(event)
            return
        if isinstance(event, ChannelAnnounced):
            self._announce(event)
            return
        if not isinstance(event, ChannelOpened | BufferedAmountLow | ChannelClosing | ChannelClosed):
            return
        channel = self._channels_by_number.get(event.channel)
        if channel is None:
            return
        if isinstance(event, ChannelOpened):
            if self._creating:
                self._loop.call_soon(channel._opened)  # who creates it has had no chance to listen
            else:
                channel._opened()
        elif isinstance(event, BufferedAmountLow):
            channel._ran_low()
        elif isinstance(event, ChannelClosing):
            channel._closing()
        else:
            del self._channels_by_number[event.channel]
            if self._creating:
                self._loop.call_soon(channel._closed, event.error, event.unsent)
            else:
                channel._closed(event.error, event.unsent)

    def _tell_later(self, turns: int) -> None:
        """Tell what gathering has found, `turns` turns of the loop from now and not before."""
        if self._telling is not None:
            self._telling.cancel()
        self._telling = self._loop.call_soon(self._tell_gathering, turns)

    def _tell_gathering(self, turns: int) -> None:
        if turns:
            self._tell_later(turns - 1)
            return
        while self._gathering_events and not self._engine.is_closed:
            self._tell_first(len(self._gathering_events))
        self._telling = None
        self._gathering_events.clear()
        if self._engine.gathering_state is not GatheringState.GATHERING or self._engine.is_closed:
            self._gathered.set()

    def _tell_first(self, count: int) -> None:
        """Tell so many of what is queued; of a generation that was taken back meanwhile no candidate, nor their end."""
        while count and self._gathering_events and not self._engine.is_closed:
            event, ufrag = self._gathering_events.popleft()
            count -= 1
            is_known = ufrag is None or self._engine.negotiation.has_generation(ufrag)
            if isinstance(event, CandidateFailed):
                self._tell_candidate_error(event)
            elif isinstance(event, GatheringStateChanged):
                self._tell_gathering_state(event, is_known=is_known)
            elif isinstance(event, LocalCandidate) and is_known:
                self._tell_candidate(event)

    @property
    def _local_ufrag(self) -> str | None:
        """The generation that is being gathered."""
        transport = self._engine.transport
        return None if transport is None else transport.ice.agent.credentials.ufrag

    def _tell_gathering_state(self, event: GatheringStateChanged, *, is_known: bool) -> None:
        self._gathering_state = event.state
        self._transports.tell_ice("gatheringstatechange")
        self._emit("icegatheringstatechange")
        if event.state is GatheringState.COMPLETE and is_known:
            self._emit("icecandidate", None, candidate=None)

    def _tell_candidate(self, event: LocalCandidate) -> None:
        candidate = RTCIceCandidate(
            candidate=event.line,
            sdpMid=event.place.mid,
            sdpMLineIndex=event.place.index,
            usernameFragment=event.ufrag,
            url=event.url,
            relayProtocol=event.relay_protocol.value if event.relay_protocol is not None else None,
        )
        self._emit("icecandidate", candidate, candidate=candidate, url=event.url)

    def _tell_candidate_error(self, event: CandidateFailed) -> None:
        host, port = event.base if event.base is not None else (None, None)
        told = {"address": host, "port": port, "url": event.url, "errorCode": event.code, "errorText": event.reason}
        self._emit("icecandidateerror", Event("icecandidateerror", self, **told), **told)

    def _announce(self, event: ChannelAnnounced) -> None:
        options = ChannelOptions(
            label=event.label,
            protocol=event.protocol,
            ordered=event.ordered,
            max_retransmits=event.max_retransmits,
            max_packet_life_time=event.max_packet_life_time,
        )
        channel = self._add_channel(event.channel, options)
        channel._announced(lambda channel: self._emit("datachannel", channel, channel=channel))

    def _add_channel(self, number: ChannelId, options: ChannelOptions) -> RTCDataChannel:
        channel = RTCDataChannel(
            ChannelPort(self._engine, self._driver),
            number,
            label=options.label,
            protocol=options.protocol,
            ordered=options.ordered,
            max_packet_life_time=options.max_packet_life_time,
            max_retransmits=options.max_retransmits,
            negotiated=options.negotiated,
        )
        self._channels_by_number[number] = channel
        return channel

    # W3C section 4.4.1.2 and 4.7.3: one operation after the other, and asking for a negotiation when none is left

    @asynccontextmanager
    async def _operation(self) -> AsyncIterator[None]:
        if self._engine.is_closed:
            raise InvalidStateError("the peer connection is closed")
        self._operations += 1
        try:
            async with self._operation_lock:
                if self._engine.is_closed:
                    raise InvalidStateError("the peer connection is closed")
                yield
        finally:
            self._operations -= 1
            if self._operations == 0 and self._ask_when_idle:
                self._ask_when_idle = False
                self._loop.call_soon(self._ask_for_negotiation)

    def _ask_for_negotiation(self) -> None:
        if self._operations:
            self._ask_when_idle = True
        elif self._engine.negotiation.negotiation_needed and self.signalingState == "stable":
            self._emit("negotiationneeded")


def _certificate(configuration: RTCConfiguration) -> RTCCertificate:
    if not configuration.certificates:
        return RTCCertificate.generate()
    certificate = configuration.certificates[0]
    if certificate.expires <= SystemWallClock().unix_time(monotonic()) * 1000:
        raise InvalidAccessError("the certificate has expired")
    return certificate


def _options(configuration: RTCConfiguration, media: MediaCapabilities) -> PeerOptions:
    patience, dtls = configuration.patience, DtlsOptions(legacy_peers=configuration.legacy_peers)
    ice = IceOptions(lite=configuration.ice_lite)
    return PeerOptions(
        relay_only=configuration.relay_only,
        strict=configuration.relay_strict,
        external=external_addresses(configuration.external_addresses, configuration.external_address_type),
        hide_addresses=configuration.hide_addresses,
        bundle_policy=configuration.bundlePolicy,
        media=media,
        ice=ice if patience is None else replace(ice, patience=patience),
        dtls=dtls if patience is None else replace(dtls, handshake_timeout=patience),
    )


def _description(description: Description) -> RTCSessionDescription:
    return RTCSessionDescription(sdp=description.sdp, type=description.type.value)


def _maybe(description: Description | None) -> RTCSessionDescription | None:
    return None if description is None else _description(description)


def _text(description: RTCSessionDescription | Mapping[str, object]) -> Description:
    if isinstance(description, Mapping):
        description = RTCSessionDescription.from_json(description)
    expect(description, RTCSessionDescription)
    return Description(DescriptionType(description.type), description.sdp)
