"""DTLS over ICE: who may speak to OpenSSL, and when (RFC 5764 section 5.1, RFC 8827 section 6.5).

    datagram -> a TURN server's? -> its client, and what was relayed comes here again
             -> STUN (0..3)      -> ICE
             -> DTLS (20..63)    -> from a valid pair, and the fingerprint is known:  DTLS
                                    from a source that has proved the ICE password:   held, at most MAX_HELD
                                    from anybody else:                                dropped and counted
             -> RTP (128..191)   -> from a valid pair, and DTLS agrees on SRTP:       protected, for MediaTransport
                                    from anybody else:                                dropped and counted
             -> anything else    -> dropped and counted

So an attacker who can send datagrams to us, and who sends a ClientHello before the peer does, reaches nobody (DT-1,
DT-2); and an honest peer whose ClientHello overtakes our own check does not lose the second that OpenSSL would wait.

    transport = SecureTransport(ice, certificate, options=DtlsOptions())
    transport.set_remote(fingerprints, DtlsRole.CLIENT, now)      # from the descriptions
    transport.handle_batch([(data, path)], now)
    for record in transport.take_payloads(): ...                  # what the peer encrypted for us
    for packet in transport.take_media(): ...                     # what is not DTLS, still protected
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from icelane.core.clock import Instant
from icelane.core.demux import PacketKind, classify
from icelane.core.engine import Transmit
from icelane.core.net import Path
from icelane.crypto.certificate import Certificate
from icelane.dtls.connection import Closed, DtlsConnection, DtlsState, HandshakeCompleted, HandshakeFailed
from icelane.dtls.options import DtlsOptions, DtlsRole
from icelane.dtls.security import SecurityParameters
from icelane.errors import HandshakeError
from icelane.ice.event import PairValidated
from icelane.peer.ice_transport import IceTransport
from icelane.peer.ice_transport_event import IceTransportCommand, IceTransportEvent
from icelane.peer.media_transport import SrtpKeys

# DT-2: what an honest peer sends before our check of its pair is answered is one flight.
MAX_HELD: Final = 8
MAX_HELD_BYTES: Final = 16 * 1024


@dataclass(frozen=True, slots=True)
class DtlsStateChanged:
    """DTLS has come further, or to its end; `error` says why it failed."""

    state: DtlsState
    error: HandshakeError | None = None


SecureTransportEvent: TypeAlias = IceTransportEvent | DtlsStateChanged


class SecureTransport:
    """An ICE transport and the DTLS connection over it."""

    def __init__(self, ice: IceTransport, certificate: Certificate, *, options: DtlsOptions) -> None:
        self.ice = ice
        self.state = DtlsState.NEW
        self.security: SecurityParameters | None = None
        self.srtp_keys: SrtpKeys | None = None
        self.discarded = 0
        self.packets_sent = self.bytes_sent = 0
        self.packets_received = self.bytes_received = 0
        self._certificate = certificate
        self._options = options
        self._dtls: DtlsConnection | None = None
        self._started = False
        self._held: deque[tuple[bytes, Path]] = deque()
        self._held_bytes = 0
        # Where our part of the handshake went, one path or two of them: one that has seen all of it is reached there.
        self._handshake_paths: set[Path] = set()
        self._events: deque[SecureTransportEvent] = deque()
        self._payloads: list[bytes] = []
        self._media: list[bytes] = []

    # Inputs

    def handle_batch(self, batch: Iterable[tuple[bytes, Path]], now: Instant) -> None:
        """Datagrams, or framed messages of a stream, came at once.

        Of records and packets of media that follow one another on one path, only the first is asked where it comes
        from.
        """
        # What came on it last was the peer's: no server is there, and it was checked.
        trusted: Path | None = None
        packets = size = trusted_packets = trusted_size = 0
        for data, path in batch:
            packets += 1
            size += len(data)
            if path == trusted and data and self._dtls is not None:
                kind = classify(data[0])
                if kind is PacketKind.RTP:
                    self._media.append(data)
                    continue
                if kind is PacketKind.DTLS:
                    self._dtls.handle_datagram(data, now)
                    continue
            if trusted is not None:
                if behind := packets - 1 - trusted_packets:
                    self.ice.agent.note_received(trusted, behind, size - len(data) - trusted_size, now)
                self._drain_dtls(now)
            trusted = path if self._handle(data, path, now) else None
            trusted_packets, trusted_size = packets, size
        if packets > trusted_packets and trusted is not None:
            self.ice.agent.note_received(trusted, packets - trusted_packets, size - trusted_size, now)
        self.packets_received += packets
        self.bytes_received += size
        self._drain_dtls(now)

    def handle_datagram(self, data: bytes, path: Path, now: Instant) -> None:
        """One alone."""
        self.handle_batch(((data, path),), now)

    def handle_timeout(self, now: Instant) -> None:
        """A deadline passed."""
        self.ice.handle_timeout(now)
        if self._dtls is not None:
            self._dtls.handle_timeout(now)
        self.settle(now)

    # Commands

    def set_remote(self, fingerprints: Sequence[tuple[str, bytes]], role: DtlsRole, now: Instant) -> None:
        """The descriptions have been exchanged: whom to believe, and which end we are."""
        if self.state in (DtlsState.CLOSED, DtlsState.FAILED):
            return
        if self._dtls is None:
            self._dtls = DtlsConnection(self._certificate, role=role, options=self._options)
        self._dtls.set_remote_fingerprints(fingerprints, now)
        self.settle(now)

    def restart(self) -> None:
        """The peer is somebody else from now on (RFC 8842 section 5.5): the old DTLS connection is forgotten."""
        self._dtls = None
        self._started = False
        self.security = self.srtp_keys = None
        self._media.clear()
        self._handshake_paths.clear()
        self.ice.agent.note_reached(None)
        self.state = DtlsState.NEW

    def send(self, batch: Iterable[bytes], now: Instant) -> None:
        """Encrypt each of `batch` for the peer; dropped before there is a connection."""
        dtls = self._dtls
        if dtls is not None:
            for data in batch:
                if self.state is DtlsState.CONNECTED and dtls.state is DtlsState.CONNECTED:
                    dtls.send(data, now)
            self._drain_records(now)

    def send_media(self, datagrams: list[bytes], now: Instant) -> None:
        """Send what SRTP has protected."""
        if datagrams and self.state is DtlsState.CONNECTED:
            self._send(datagrams, now)

    def note_authentic_media(self, now: Instant) -> None:
        """Among what `take_media` gave was something that the peer has sent: its path is alive."""
        self.ice.agent.note_authenticated_data(now)

    def close(self, now: Instant) -> None:
        """Say goodbye to the peer, then stop ICE."""
        if self._dtls is not None and self.state is DtlsState.CONNECTED:
            self._dtls.close(now)
            self._drain_records(now)
        self._change(DtlsState.CLOSED)
        self._release_held()
        self.ice.close(now)

    def settle(self, now: Instant) -> None:
        """Pass on what ICE and DTLS have said; to be called after any verb of `ice`."""
        while (event := self.ice.poll_event()) is not None:
            self._events.append(event)
            if type(event) is PairValidated:
                self._start(now)
                self._hand_over_held(now)
        if self._dtls is not None:
            self._start(now)
            self._drain_dtls(now)

    # Outputs

    def poll_transmit(self) -> Transmit | None:
        """The next thing to send, or None."""
        return self.ice.poll_transmit()

    def take_transmits(self) -> list[Transmit]:
        """Everything that there is to send."""
        return self.ice.take_transmits()

    def poll_event(self) -> SecureTransportEvent | None:
        """The next thing that happened, or None."""
        return self._events.popleft() if self._events else None

    def take_media(self) -> list[bytes]:
        """Everything that came on the checked path since last time and looks like SRTP or SRTCP."""
        media, self._media = self._media, []
        return media

    def take_payloads(self) -> list[bytes]:
        """All records that the peer encrypted for us since last time."""
        payloads, self._payloads = self._payloads, []
        return payloads

    def poll_command(self) -> IceTransportCommand | None:
        """The next effect that is no datagram, or None."""
        return self.ice.poll_command()

    def next_timeout(self) -> Instant | None:
        """When `handle_timeout` wants to be called, or None."""
        at, other = self.ice.next_timeout(), self._dtls.next_timeout() if self._dtls is not None else None
        if at is None or other is None:
            return at if other is None else other
        return min(at, other)

    # Properties and privates

    @property
    def role(self) -> DtlsRole | None:
        """Which end of DTLS we are, None before that is decided."""
        return self._dtls.role if self._dtls is not None else None

    @property
    def certificate(self) -> Certificate:
        return self._certificate

    def _handle(self, data: bytes, path: Path, now: Instant) -> bool:
        """Whether it was a record for a connected DTLS, from no server and on a path that was checked."""
        ice = self.ice
        if ice.has_servers and ice.handle_from_server(data, path, now):
            while (relayed := ice.poll_relayed()) is not None:
                self._handle_packet(*relayed, now)
            return False
        return self._handle_packet(data, path, now)

    def _handle_packet(self, data: bytes, path: Path, now: Instant) -> bool:
        kind = classify(data[0]) if data else PacketKind.UNKNOWN
        if kind is PacketKind.DTLS:
            return self._handle_record(data, path, now)
        if kind is PacketKind.RTP:
            return self._handle_media(data, path, now)
        if kind is PacketKind.STUN:
            self.ice.handle_stun(data, path, now)
            self.settle(now)
        else:
            self.discarded += 1
        return False

    def _handle_record(self, data: bytes, path: Path, now: Instant) -> bool:
        dtls = self._dtls
        agent = self.ice.agent
        if not agent.accepts(path):
            if agent.has_authenticated(path):
                self._hold(data, path)
                self.ice.handle_early_data(path, now)
            else:
                self.discarded += 1
        elif dtls is None:
            self._hold(data, path)
        else:
            agent.note_received(path, 1, len(data), now)
            dtls.handle_datagram(data, now)
            if self.state is DtlsState.CONNECTED:
                return True
            self._drain_dtls(now)
        return False

    def _handle_media(self, data: bytes, path: Path, now: Instant) -> bool:
        if self._dtls is None or not self.ice.agent.accepts(path):
            self.discarded += 1
            return False
        self.ice.agent.note_received(path, 1, len(data), now)
        self._media.append(data)
        return self.state is DtlsState.CONNECTED

    def _hold(self, data: bytes, path: Path) -> None:
        if len(self._held) >= MAX_HELD or self._held_bytes + len(data) > MAX_HELD_BYTES:
            self.discarded += 1
            return
        self._held.append((data, path))
        self._held_bytes += len(data)

    def _release_held(self) -> list[tuple[bytes, Path]]:
        held = list(self._held)
        self._held.clear()
        self._held_bytes = 0
        return held

    def _hand_over_held(self, now: Instant) -> None:
        """What was held is looked at once more; what still must wait is held again."""
        if self._dtls is not None:
            for data, path in self._release_held():
                self._handle_record(data, path, now)

    def _start(self, now: Instant) -> None:
        """DTLS begins with the first valid pair, when it is known who the peer is."""
        if self._started or self._dtls is None or self.ice.agent.data_path is None:
            return
        if self._dtls.state is not DtlsState.NEW:
            return  # it has failed already: the description names our own certificate
        self._started = True
        self._change(DtlsState.CONNECTING)
        self._dtls.start(now)
        self._drain_dtls(now)
        self._hand_over_held(now)

    def _drain_dtls(self, now: Instant) -> None:
        dtls = self._dtls
        if dtls is None:
            return
        payloads = self._payloads
        before = len(payloads)
        while (payload := dtls.poll_data()) is not None:
            payloads.append(payload)
        if len(payloads) > before:
            self.ice.agent.note_authenticated_data(now)
        while (event := dtls.poll_event()) is not None:
            if isinstance(event, HandshakeCompleted):
                self.security = event.security
                self._keep_keys(event, dtls.role)
                if len(self._handshake_paths) == 1:
                    self.ice.agent.note_reached(next(iter(self._handshake_paths)))
                self._change(DtlsState.CONNECTED)
            elif isinstance(event, HandshakeFailed):
                self._change(DtlsState.FAILED, event.error)
            elif isinstance(event, Closed):
                self._change(DtlsState.CLOSED)
        self._drain_records(now)

    def _keep_keys(self, event: HandshakeCompleted, role: DtlsRole) -> None:
        profile, material = event.security.srtp_profile, event.keying_material
        if profile is not None and material is not None:
            self.srtp_keys = SrtpKeys(profile, material, role)

    def _drain_records(self, now: Instant) -> None:
        dtls = self._dtls
        if dtls is None:
            return
        records = []
        while (record := dtls.poll_transmit()) is not None:
            records.append(record)
        if records:
            path = self.ice.agent.data_path
            if self.state is DtlsState.CONNECTING and path is not None and len(self._handshake_paths) < 2:
                self._handshake_paths.add(path)
            self._send(records, now)

    def _send(self, datagrams: list[bytes], now: Instant) -> None:
        if self.ice.send(datagrams, now):
            size = sum(map(len, datagrams))
            self.packets_sent += len(datagrams)
            self.bytes_sent += size
            self.ice.agent.note_sent(len(datagrams), size, now)

    def _change(self, state: DtlsState, error: HandshakeError | None = None) -> None:
        if state is not self.state and self.state not in (DtlsState.CLOSED, DtlsState.FAILED):
            self.state = state
            self._events.append(DtlsStateChanged(state, error))
