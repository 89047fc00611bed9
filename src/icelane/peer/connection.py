"""The peer connection engine: descriptions, ICE, DTLS, SCTP and channels, wired together without sockets.

    descriptions -> Negotiation -> commands ---.
                                               v
    datagrams    -> SecureTransport (ICE, DTLS) -> records -> DataChannels (SCTP) -> messages
    bases, servers, names and streams of the machine -> IceTransport

    peer = PeerConnection(certificate, entropy=entropy, options=PeerOptions())
    channel = peer.create_data_channel(ChannelOptions(label="chat"), now)
    peer.set_local_description(None, now)           # an offer; gathering begins: see `poll_command`
    peer.set_remote_description(answer, now)
    peer.handle_batch([(data, path)], now)
    peer.send(channel, b"hello", now)

Every verb is one mutation: the driver drains `poll_transmit`, `poll_event` and `poll_command` after it.

What the machine tells is in `connection_sources`, what the application does with audio and video in `connection_media`.
The module is long all the same, because this is the one place where all parts meet.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final, assert_never

from icelane.core.clock import Instant, UnixSeconds, WallClock, earliest
from icelane.core.engine import Transmit
from icelane.core.entropy import Entropy
from icelane.core.net import Path
from icelane.crypto.certificate import Certificate
from icelane.datachannel.dcep import encode_text
from icelane.datachannel.event import NO_CHANNEL, ChannelId, MessageReceived
from icelane.datachannel.mux import DataChannels
from icelane.dtls.connection import DtlsState
from icelane.dtls.options import DtlsRole
from icelane.errors import IcelaneError, InvalidStateError, MalformedError, OperationError, TransportClosedError
from icelane.ice.credentials import Credentials, generate_credentials
from icelane.ice.event import IceRole, IceState, PairSelected, RoleChanged, StateChanged
from icelane.peer.channel_counts import ChannelCounts
from icelane.peer.connection_event import (
    ALIVE,
    ConnectionState,
    ConnectionStateChanged,
    FindSources,
    IceConnectionStateChanged,
    LocalCandidate,
    NegotiationNeeded,
    PeerConnectionCommand,
    PeerConnectionEvent,
    SignalingStateChanged,
    derive_state,
)
from icelane.peer.connection_media import ConnectionMedia
from icelane.peer.connection_options import ChannelOptions, PeerOptions
from icelane.peer.connection_sources import ConnectionSources
from icelane.peer.description import Description
from icelane.peer.ice_transport import IceTransport
from icelane.peer.ice_transport_event import (
    CandidateFailed,
    CandidateGathered,
    GatheringState,
    GatheringStateChanged,
)
from icelane.peer.media_plane import MediaPlane
from icelane.peer.negotiation import Negotiation
from icelane.peer.remote_candidate import RemoteCandidate
from icelane.peer.secure_transport import DtlsStateChanged, SecureTransport, SecureTransportEvent
from icelane.peer.signaling_state import SignalingState
from icelane.peer.stats_identifiers import StatsIdentifiers
from icelane.peer.transport_command import (
    DataChannelsNegotiated,
    DataChannelsRejected,
    DtlsRoleDecided,
    IceParameters,
    LocalApplied,
    MediaNegotiated,
    NewDtlsAssociation,
    RemoteApplied,
    RestartIce,
    RolledBack,
    SetRemoteTransport,
    StartGathering,
    TransportCommand,
)
from icelane.sctp.association import SctpAssociation

# RFC 8122 section 5: with which hash functions our certificate is described.
FINGERPRINTS: Final = ("sha-256",)

_DTLS_ENDED: Final = (DtlsState.CLOSED, DtlsState.FAILED)


class MonotonicClock:
    """Stands in where there is no wall clock: streams are synchronous all the same, for one has nothing else."""

    def unix_time(self, now: Instant) -> UnixSeconds:
        """The monotonic clock."""
        return UnixSeconds(now)


class PeerConnection(ConnectionSources, ConnectionMedia):
    """Both planes of one connection: what the application negotiates, and what goes over the wire."""

    def __init__(
        self,
        certificate: Certificate,
        *,
        entropy: Entropy,
        options: PeerOptions,
        wall: WallClock | None = None,
    ) -> None:
        self._certificate = certificate
        self._entropy = entropy
        self._options = options
        self.negotiation = Negotiation(
            entropy=entropy,
            fingerprints=[(algorithm, certificate.fingerprint(algorithm)) for algorithm in FINGERPRINTS],
            bundle_policy=options.bundle_policy,
            relay_only=options.relay_only or options.strict,
            strict=options.strict,
            is_lite=options.ice.lite,
            media=options.media,
        )
        self.media = MediaPlane(
            entropy=entropy, wall=wall or MonotonicClock(), cname=lambda: self.negotiation.media.cname
        )
        self.transport: SecureTransport | None = None
        self.channels: DataChannels | None = None
        self.connection_state = ConnectionState.NEW
        self.ice_state = IceState.NEW
        self.gathering_state = GatheringState.NEW
        self.counts = ChannelCounts()
        self.stats_identifiers = StatsIdentifiers()
        self.stray = 0
        self._associated = False
        self._has_data = False
        self._last_channel = NO_CHANNEL
        self._remote_ufrag: str | None = None
        self._agreed_ufrag: str | None = None
        self._server_urls: frozenset[str] | None = None
        self._closing = False
        self._events: deque[PeerConnectionEvent] = deque()
        self._commands: deque[PeerConnectionCommand] = deque()
        self._retired: IceTransport | None = None  # what the last transport has at its servers, until there is another

    # Inputs

    def handle_batch(self, batch: Iterable[tuple[bytes, Path]], now: Instant) -> None:
        """What one wake of a socket or a stream brought. SCTP answers it with one acknowledgement."""
        transport = self.transport
        if transport is None:
            self._handle_without_transport(batch, now)
            return
        transport.handle_batch(batch, now)
        self._settle(now)

    def handle_datagram(self, data: bytes, path: Path, now: Instant) -> None:
        """A datagram alone."""
        self.handle_batch(((data, path),), now)

    def handle_timeout(self, now: Instant) -> None:
        """A deadline passed."""
        if self.transport is not None:
            self.transport.handle_timeout(now)
        elif self._retired is not None:
            self._retired.handle_timeout(now)
        if self.channels is not None:
            self.channels.handle_timeout(now)
        self.media.handle_timeout(now)
        self._settle(now)

    # Commands: descriptions

    def gather_in_advance(self) -> None:
        """Find candidates before a description asks for them (W3C iceCandidatePoolSize); they are told then."""
        if self.transport is None and not self._closing:
            self._make_transport(IceRole.CONTROLLING, generate_credentials(self._entropy))

    def create_offer(self, *, ice_restart: bool = False) -> Description:
        """See `Negotiation.create_offer`."""
        return self.negotiation.create_offer(ice_restart=ice_restart)

    def create_answer(self) -> Description:
        """See `Negotiation.create_answer`."""
        return self.negotiation.create_answer()

    def set_local_description(self, description: Description | None, now: Instant) -> None:
        """Set a description of ours, the implied one for None.

        Raises what `Negotiation.set_local_description` does, and changes nothing then.
        """
        before = self.negotiation.signaling_state
        applied = self.negotiation.set_local_description(description)
        self._apply(applied, before, now)

    def set_remote_description(self, description: Description, now: Instant) -> None:
        """Set a description of the peer's. Raises what `Negotiation.set_remote_description` does."""
        before = self.negotiation.signaling_state
        applied = self.negotiation.set_remote_description(description)
        self._apply(applied, before, now)

    def add_remote_candidate(
        self, line: str, mid: str | None, index: int | None, ufrag: str | None, now: Instant
    ) -> None:
        """A candidate of the peer's, "" at the end of them. Raises what `Negotiation.add_remote_candidate` does."""
        added = self.negotiation.add_remote_candidate(line, mid, index, ufrag)
        if added is None or self.transport is None or added.username_fragment != self._remote_ufrag:
            return
        if isinstance(added, RemoteCandidate):
            self._add_remote_line(added.text, now)
        else:
            self.transport.ice.remote_candidates_done(now)
        self._settle(now)

    def restart_ice(self) -> None:
        """The next offer has new credentials."""
        self._need(self.negotiation.restart_ice())

    def change_ice_configuration(self, *, relay_only: bool, strict: bool = False, urls: frozenset[str]) -> None:
        """Servers or policy are others from the next gathering on, for which the next offer asks.

        Until then nothing changes for the path in use; but with `relay_only` no other candidate is told from now on.
        `urls` are those of all servers that are left, as `add_stun_server` and `add_relay_server` name them.
        """
        self._server_urls = urls
        self.negotiation.change_ice_configuration(relay_only=relay_only, strict=strict)

    # Commands: channels

    def create_data_channel(self, options: ChannelOptions, now: Instant) -> ChannelId:
        """Open a channel, as soon as there is a connection; returns its number, which is no stream id.

        Where DTLS has ended, and no exchange is under way or asked for, it is closed at once.
        """
        self._check_open()
        channels = self._data_channels()
        number = channels.open(
            options.label,
            now,
            protocol=options.protocol,
            ordered=options.ordered,
            max_retransmits=options.max_retransmits,
            max_packet_life_time=options.max_packet_life_time,
            negotiated=options.negotiated,
            stream_id=options.stream_id,
        )
        self.counts.add(number, options.label, options.protocol)
        self._need(self.negotiation.request_data_channels())
        self._settle(now)
        return number

    def send(self, channel: ChannelId, data: bytes | str, now: Instant, *, more: bool = False) -> None:
        """Queue a message; see `DataChannels.send`. With `more` it need not leave before the next verb."""
        self._data_channels().send(channel, data, now)
        self.counts.note_sent(channel, len(data) if isinstance(data, bytes) else len(encode_text(data)))
        if not more:
            self._settle(now)

    def close_channel(self, channel: ChannelId, now: Instant) -> None:
        """Deliver what was sent on it, then close it."""
        self._data_channels().close_channel(channel, now)
        self.counts.note_closing(channel)
        self._settle(now)

    def release(self, channel: ChannelId, size: int, now: Instant, *, more: bool = False) -> None:
        """The application has taken a message of `size` bytes: the peer may send more. `more` as for `send`."""
        if self.channels is None:
            return
        self.channels.release(channel, size, now)
        if not more:
            self._settle(now)

    def flush(self, now: Instant) -> None:
        """Let out what was done with `more`."""
        self._settle(now)

    def set_low_threshold(self, channel: ChannelId, amount: int) -> None:
        """Tell when no more than `amount` bytes of the channel are queued."""
        if self.channels is not None:
            self.channels.set_low_threshold(channel, amount)

    # Commands: the end

    def close(self, now: Instant) -> None:
        """Deliver what is queued, say goodbye, give everything back: `is_closed`, and later `idle`."""
        if self._closing:
            return
        self._closing = True
        before = self.negotiation.signaling_state
        self.negotiation.close()
        self.media.close(now)
        if self.negotiation.signaling_state is not before:
            self._events.append(SignalingStateChanged(self.negotiation.signaling_state))
        if self._associated and self.channels is not None and self.ice_state in ALIVE:
            self.channels.close(now)
            self._settle(now)
        else:
            self.abort(now)

    def abort(self, now: Instant) -> None:
        """End now; what is queued is lost."""
        self._closing = True
        if self.channels is not None:
            self.channels.abort(now)
        self._settle(now)
        self._end(now)

    # Outputs

    def poll_transmit(self) -> Transmit | None:
        """The next thing to send, or None."""
        ice = self._ice
        return ice.poll_transmit() if ice is not None else None

    def take_transmits(self) -> list[Transmit]:
        """Everything that `poll_transmit` would give, at once: for a driver that sends runs of datagrams together."""
        ice = self._ice
        return ice.take_transmits() if ice is not None else []

    def poll_event(self) -> PeerConnectionEvent | None:
        """The next thing that happened, or None."""
        return self._events.popleft() if self._events else None

    def poll_command(self) -> PeerConnectionCommand | None:
        """The next effect on the machine, or None."""
        if self._commands:
            return self._commands.popleft()
        ice = self._ice
        return ice.poll_command() if ice is not None else None

    def next_timeout(self) -> Instant | None:
        """When `handle_timeout` wants to be called, or None."""
        at = None
        if self.transport is not None:
            at = self.transport.next_timeout()
        elif self._retired is not None:
            at = self._retired.next_timeout()
        channels = self.channels.next_timeout() if self.channels is not None else None
        return earliest(at, channels, self.media.next_timeout())

    # Properties and privates

    @property
    def is_closed(self) -> bool:
        return self.connection_state is ConnectionState.CLOSED

    @property
    def idle(self) -> bool:
        """Whether no server holds anything for us any more."""
        return (ice := self._ice) is None or ice.idle

    def has_authenticated(self, path: Path) -> bool:
        """Whether whoever is at the other end of `path` has proved that it is the peer of this ICE session."""
        return self.transport is not None and self.transport.ice.agent.has_authenticated(path)

    def buffered_amount(self, channel: ChannelId) -> int:
        """How many bytes of the channel are queued."""
        return self.channels.buffered_amount(channel) if self.channels is not None else 0

    def stream_id(self, channel: ChannelId) -> int | None:
        """The SCTP stream of the channel, None before there is one."""
        return self.channels.stream_id(channel) if self.channels is not None else None

    @property
    def certificate(self) -> Certificate:
        return self._certificate

    @property
    def options(self) -> PeerOptions:
        return self._options

    def _check_open(self) -> None:
        if self._closing:
            raise InvalidStateError("the peer connection is closed")

    def _data_channels(self) -> DataChannels:
        if self.channels is None:
            association = SctpAssociation(entropy=self._entropy, options=self._options.sctp)
            self.channels = DataChannels(association, after=self._last_channel)
        return self.channels

    # What descriptions decide

    def _apply(self, applied: LocalApplied | RemoteApplied, before: SignalingState, now: Instant) -> None:
        state = self.negotiation.signaling_state
        if state is not before:
            self._events.append(SignalingStateChanged(state))
        self._events.extend(applied.media)
        for command in applied.commands:
            self._carry_out(command, now)
        if applied.media:
            self._follow_media(now)
        self._settle(now)
        self._need(applied.negotiation_is_needed)

    def _tell_media(self) -> None:
        self._events.extend(self.negotiation.media.take_events())

    def _need(self, needed: bool) -> None:
        if needed:
            self._events.append(NegotiationNeeded())

    def _carry_out(self, command: TransportCommand, now: Instant) -> None:
        if isinstance(command, StartGathering):
            self._start_gathering(command, now)
        elif isinstance(command, RestartIce):
            self._restart_ice(command.local, now)
        elif isinstance(command, SetRemoteTransport):
            self._set_remote(command, now)
        elif isinstance(command, DtlsRoleDecided):
            self._secure().set_remote(command.fingerprints, command.role, now)
        elif isinstance(command, NewDtlsAssociation):
            if self._secure().state not in _DTLS_ENDED:  # otherwise those of before have ended with it
                self._end_channels(OperationError("the peer began another DTLS association"), now)
            self.media.reset()
            self._secure().restart()
            self._secure().set_remote(command.fingerprints, command.role, now)
        elif isinstance(command, DataChannelsNegotiated):
            self._data_channels().set_remote(command.remote_port, command.max_message_size)
            self._has_data = True
            self._associate(now)
        elif isinstance(command, DataChannelsRejected):
            self._end_channels(OperationError("the peer takes no data channels"), now)
            self._has_data = False
            if not command.keeps_transport:
                self._retire(now)
        elif isinstance(command, MediaNegotiated):
            self._follow_media(now)
        elif isinstance(command, RolledBack):
            self._roll_back(command, now)
        else:
            assert_never(command)

    def _start_gathering(self, command: StartGathering, now: Instant) -> None:
        if self.transport is not None:
            # What was gathered in advance, or for an offer that was taken back, serves under the credentials of this
            # description: another allocation from the same port would be refused (RFC 8656 section 7.2).
            self.transport.ice.agent.set_role(command.role)
            self._restart_ice(command.local, now)
            return
        self._make_transport(command.role, _credentials(command.local)).ice.start_gathering(now)

    def _make_transport(self, role: IceRole, credentials: Credentials) -> SecureTransport:
        ice = IceTransport(
            role=role,
            credentials=credentials,
            entropy=self._entropy,
            relay_only=self.negotiation.relay_only,
            strict=self.negotiation.strict,
            external=self._options.external,
            hide_addresses=self._options.hide_addresses,
            options=self._options.ice,
        )
        if self._retired is not None:
            ice.take_over(self._retired)
            self._retired = None
        self.transport = SecureTransport(ice, self._certificate, options=self._options.dtls)
        self._commands.append(FindSources())
        return self.transport

    def _restart_ice(self, local: IceParameters, now: Instant) -> None:
        self._remote_ufrag = None
        ice, negotiation = self._secure().ice, self.negotiation
        ice.restart(
            _credentials(local),
            now,
            relay_only=negotiation.relay_only,
            strict=negotiation.strict,
            urls=self._server_urls,
        )
        self._commands.append(FindSources())

    def _set_remote(self, command: SetRemoteTransport, now: Instant) -> None:
        ice, remote = self._secure().ice, command.remote
        if ice.agent.state is IceState.NEW:
            ice.agent.set_role(command.role)
        if remote.ice.ufrag != self._remote_ufrag:
            self._remote_ufrag = remote.ice.ufrag
            ice.set_remote_credentials(_credentials(remote.ice), now, lite=remote.is_lite)
        for line in remote.candidates:
            self._add_remote_line(line, now)
        if remote.end_of_candidates or "trickle" not in remote.ice_options:
            ice.remote_candidates_done(now)
        self._agreed_ufrag = remote.ice.ufrag

    def _add_remote_line(self, line: str, now: Instant) -> None:
        try:
            self._secure().ice.add_remote_candidate(line, now)
        except MalformedError:
            self.stray += 1  # one of a kind that we do not know, such as a future transport

    def _roll_back(self, command: RolledBack, now: Instant) -> None:
        if command.restored is None:
            return  # the transport waits for the next description
        if command.restored != command.discarded:
            self._secure().ice.undo_restart(now)
            self._remote_ufrag = self._agreed_ufrag

    def _retire(self, now: Instant) -> None:
        """Let the transport go. Its relayed addresses are given back in the background, by the next one if need be."""
        if self.transport is None:
            return
        self.media.reset()
        self.transport.close(now)
        self._settle_transport(now)
        self._retired = self.transport.ice
        self.transport = None
        self._remote_ufrag = self._agreed_ufrag = None
        self._associated = False

    def _secure(self) -> SecureTransport:
        if self.transport is None:
            raise AssertionError("the negotiation makes a transport before it says anything about it")
        return self.transport

    # What happens below

    def _handle_without_transport(self, batch: Iterable[tuple[bytes, Path]], now: Instant) -> None:
        for data, path in batch:
            if self._retired is None or not self._retired.handle_from_server(data, path, now):
                self.stray += 1

    def _settle(self, now: Instant) -> None:
        """Carry records up and packets down until both have nothing to say, then tell what changed."""
        self._settle_transport(now)
        self._update_states()
        if self.channels is not None and self._is_beyond_dtls(self.channels):
            why = "DTLS has ended, and no exchange is under way that begins another"
            self._end_channels(TransportClosedError(why), now)
        if self._closing and not self.is_closed and (self.channels is None or self.channels.is_over):
            self._end(now)

    def _is_beyond_dtls(self, channels: DataChannels) -> bool:
        """Whether there are channels that came after the end of DTLS, and nothing that could open them (decision 0037).

        DTLS begins anew where an exchange with an ICE restart names another fingerprint or role.
        """
        if self.transport is None or self.transport.state not in _DTLS_ENDED:
            return False
        negotiation = self.negotiation
        is_quiet = negotiation.signaling_state is SignalingState.STABLE and not negotiation.negotiation_needed
        return len(channels) > 0 and is_quiet

    def _settle_transport(self, now: Instant) -> None:
        transport, channels = self.transport, self.channels
        if transport is None:
            if channels is not None:
                self._drain_channels(channels)
            return
        transport.settle(now)
        self._settle_media(transport, now)
        if self._associated and channels is not None and (records := transport.take_payloads()):
            channels.handle_batch(records, now)  # before the goodbye that may have come behind them
        while (event := transport.poll_event()) is not None:
            self._handle_transport(event, now)
        self._send_media(transport, now)
        if channels is None:
            channels = self.channels
        if channels is None:
            return
        self._deliver(now)
        packets = []
        while (packet := channels.poll_transmit()) is not None:
            packets.append(packet)
        if packets:
            transport.send(packets, now)
        self._drain_channels(channels)

    def _settle_media(self, transport: SecureTransport, now: Instant) -> None:
        """What came on the checked path and is no DTLS; without media it is nobody's."""
        packets = transport.take_media()
        if packets and self.media.handle_packets(packets, now):
            transport.note_authentic_media(now)

    def _send_from_media(self, now: Instant) -> None:
        if self.transport is not None:
            self._send_media(self.transport, now)

    def _send_media(self, transport: SecureTransport, now: Instant) -> None:
        transport.send_media(self.media.take_datagrams(), now)
        while (event := self.media.poll_event()) is not None:
            self._events.append(event)

    def _deliver(self, now: Instant) -> None:
        """What the peer has encrypted for us goes to SCTP."""
        records = self._secure().take_payloads()
        if records and self._associated and self.channels is not None:
            self.channels.handle_batch(records, now)

    def _drain_channels(self, channels: DataChannels) -> None:
        counts = self.counts
        while (event := channels.poll_event()) is not None:
            if type(event) is MessageReceived:
                counts.note_received(event.channel, len(event.data))
            else:
                counts.note(event)
            self._events.append(event)

    def _handle_transport(self, event: SecureTransportEvent, now: Instant) -> None:
        if isinstance(event, CandidateGathered):
            self._tell_candidate(event)
        elif isinstance(event, GatheringStateChanged):
            self._tell_gathering(event)
        elif isinstance(event, DtlsStateChanged):
            self._handle_dtls(event, now)
        elif isinstance(event, StateChanged | RoleChanged):
            return  # read from the agent by `_update_states`
        elif isinstance(event, CandidateFailed | PairSelected):
            self._events.append(event)

    def _tell_candidate(self, event: CandidateGathered) -> None:
        ice = self._secure().ice
        if self.negotiation.relay_only and not ice.relay_only:
            return  # gathered for a policy that holds no more
        ufrag = ice.agent.credentials.ufrag
        place = self.negotiation.add_local_candidate(event.line, ufrag)
        if place is not None:
            self._events.append(LocalCandidate(event.line, place, ufrag, event.url, event.relay_protocol))

    def _tell_gathering(self, event: GatheringStateChanged) -> None:
        if event.state is GatheringState.COMPLETE:
            self.negotiation.local_candidates_done(self._secure().ice.agent.credentials.ufrag)
        self.gathering_state = event.state
        self._events.append(event)

    def _handle_dtls(self, event: DtlsStateChanged, now: Instant) -> None:
        self._events.append(event)
        transport = self._secure()
        if event.state is DtlsState.CONNECTED:
            self._associate(now)
            if transport.srtp_keys is not None:
                self._learn_round_trip(transport)
                self.media.set_keys(transport.srtp_keys, now)
        elif event.state in _DTLS_ENDED:
            self.media.reset()
            self._deliver(now)  # what came in one wake with the peer's goodbye, and before it
            why = None if event.error is None else TransportClosedError(f"DTLS has failed: {event.error}")
            self._end_channels(why, now)

    def _learn_round_trip(self, transport: SecureTransport) -> None:
        for pair in transport.ice.agent.pairs():
            if pair.carries_data and pair.round_trip is not None:
                self.media.learn_round_trip(pair.round_trip)

    def _associate(self, now: Instant) -> None:
        """SCTP begins when DTLS is up, and there is a section for data: whichever comes last."""
        transport = self.transport
        if self._associated or not self._has_data or transport is None or transport.state is not DtlsState.CONNECTED:
            return
        if transport.role is None:
            return
        # SC-1: until here nothing of the peer's has reached SCTP.
        channels = self._data_channels()
        channels.set_role(transport.role is DtlsRole.CLIENT, now)
        channels.connect(now)
        self._associated = True

    def _end_channels(self, error: IcelaneError | None, now: Instant) -> None:
        """The association is over; channels that are created later belong to the next one."""
        channels, self.channels = self.channels, None
        self._associated = False
        if channels is not None:
            channels.abort(now, error)
            self._drain_channels(channels)
            self._last_channel = channels.last_number

    def _end(self, now: Instant) -> None:
        if self.transport is not None:
            self.media.close(now)
            self._send_media(self.transport, now)
            self.transport.close(now)
            while (event := self.transport.poll_event()) is not None:
                self._handle_transport(event, now)
        self._end_channels(None, now)
        self._update_states()

    def _update_states(self) -> None:
        ice = self._ice_state()
        if ice is not self.ice_state:
            self.ice_state = ice
            self._events.append(IceConnectionStateChanged(ice))
        state = derive_state(ice, self.transport.state if self.transport is not None else DtlsState.NEW)
        if state is not self.connection_state:
            self.connection_state = state
            self._events.append(ConnectionStateChanged(state))

    def _ice_state(self) -> IceState:
        if self._closing and (self.transport is None or self.transport.ice.agent.state is IceState.CLOSED):
            return IceState.CLOSED
        return self.transport.ice.agent.state if self.transport is not None else IceState.NEW


def _credentials(parameters: IceParameters) -> Credentials:
    return Credentials(parameters.ufrag, parameters.password)
