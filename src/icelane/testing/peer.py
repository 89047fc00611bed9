"""A peer connection at a host of a virtual network: the whole stack below the sockets.

    network = VirtualNetwork(VirtualClock(), link=Link(delay=0.02, loss=0.1))
    alice, bob = PeerHost(network, "192.0.2.1"), PeerHost(network, "198.51.100.1")
    channel = alice.create_channel("chat")
    signal(alice, bob)                                # offer, answer and every candidate, at once and without loss
    network.run_until(lambda: alice.is_connected and bob.is_connected, timeout=10)

It fails a test by the same rules as `EngineHost`. With `streams` and `tcp`, `active`, `passive` or `both`, it has
candidates of TCP too; without `udp` no others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from icelane.core.clock import Instant, UnixSeconds
from icelane.core.engine import Transmit
from icelane.core.net import Path, SocketAddress, Transport
from icelane.crypto.certificate import Certificate
from icelane.datachannel.event import ChannelAnnounced, ChannelId, ChannelOpened, MessageReceived
from icelane.errors import TransportClosedError
from icelane.ice.candidate import ACTIVE_PORT
from icelane.media.frame import EncodedFrame
from icelane.peer.connection import PeerConnection
from icelane.peer.connection_event import (
    ConnectionState,
    FindSources,
    LocalCandidate,
    PeerConnectionCommand,
    PeerConnectionEvent,
)
from icelane.peer.connection_options import ChannelOptions, PeerOptions
from icelane.peer.ice_transport_event import ConnectPeer, DisconnectPeer, PublishName, ResolveName, WithdrawName
from icelane.peer.media_event import FramesReceived
from icelane.peer.relays import OpenStream, RelayServer
from icelane.peer.transceiver import Transceiver
from icelane.testing.clock import DEFAULT_EPOCH
from icelane.testing.entropy import SeededEntropy
from icelane.testing.network import MAX_DRAIN, VirtualNetwork
from icelane.testing.streams import StreamEnd, VirtualStreams

T = TypeVar("T")

FIRST_PORT: Final = 40_000
# Where a host with passive candidates listens.
LISTENING_PORT: Final = 4_443


class PeerHost:
    """`engine` with a socket on each of `hosts`, which serves one transport after the other.

    `names` is what mDNS knows: peers on one link share it, and what their engines publish is in it. `stun` and `relays`
    are the servers. Messages are collected in `messages`, as pairs of the channel's number and the data, and released
    at once. `told` has every candidate, `events` those that `take_candidates` has not taken. `frames` has what media
    came, with its transceiver and when it was ready to be decoded.
    """

    def __init__(
        self,
        network: VirtualNetwork,
        *hosts: str,
        seed: int = 1,
        stun: Sequence[SocketAddress] = (),
        relays: Sequence[RelayServer] = (),
        options: PeerOptions | None = None,
        names: dict[str, str] | None = None,
        certificate: Certificate | None = None,
        streams: VirtualStreams | None = None,
        tcp: str = "",
        udp: bool = True,
    ) -> None:
        self.network = network
        self.ends: dict[Path, StreamEnd] = {}
        self._streams = streams
        self._tcp_types = {"active": ("active",), "passive": ("passive",), "both": ("active", "passive")}.get(tcp, ())
        self._udp = udp
        self.hosts = hosts
        self.events: list[PeerConnectionEvent] = []
        self.told: list[LocalCandidate] = []
        self.messages: list[tuple[ChannelId, bytes | str]] = []
        self.frames: list[tuple[Transceiver, EncodedFrame, Instant]] = []
        self.sent: list[tuple[Path, bytes]] = []
        self.keeps_sent = False
        self.engine = PeerConnection(
            certificate or Certificate.generate(now=UnixSeconds(DEFAULT_EPOCH)),
            entropy=SeededEntropy(seed),
            options=options or PeerOptions(),
            wall=network.clock,
        )
        self._stun = stun
        self._relays = relays
        self._names = names if names is not None else {}
        self._answers: list[Callable[[Instant], object]] = []
        self._next_port = FIRST_PORT + seed % 100 * 100
        self._bases_by_host: dict[str, SocketAddress] = {}
        self._draining = False
        network.add_timed(self)

    # What a test does

    def run(self, verb: Callable[[Instant], T]) -> T:
        """Mutate the engine once, drain it, and carry out what it asks for."""
        try:
            result = verb(self.network.clock.now)
        finally:
            self._drain()
        while self._answers and not self._draining:
            answer = self._answers.pop(0)
            self.run(answer)
        return result

    def create_channel(self, label: str = "chat", **options: object) -> ChannelId:
        """A channel, by its number; `options` are those of ChannelOptions."""
        made = ChannelOptions(label=label, **options)  # type: ignore[arg-type]  # a test says what it wants
        return self.run(lambda now: self.engine.create_data_channel(made, now))

    def send(self, channel: ChannelId, data: bytes | str) -> None:
        """Queue a message."""
        self.run(lambda now: self.engine.send(channel, data, now))

    def take_candidates(self) -> list[LocalCandidate]:
        """The candidates since last time."""
        found = [event for event in self.events if isinstance(event, LocalCandidate)]
        self.events = [event for event in self.events if not isinstance(event, LocalCandidate)]
        return found

    def move_to(self, *hosts: str) -> None:
        """Other addresses from now on, as after a change of network; the old sockets are gone at once."""
        self.hosts = hosts
        for base in self.bases:
            if base.host not in hosts:
                self.network.detach(base)
                self.run(lambda now, base=base: self.engine.remove_base(base, now))  # type: ignore[misc]

    @property
    def is_connected(self) -> bool:
        return self.engine.connection_state is ConnectionState.CONNECTED

    @property
    def opened(self) -> list[ChannelId]:
        """The numbers of the channels that are open, by order of opening."""
        return [event.channel for event in self.events if isinstance(event, ChannelOpened | ChannelAnnounced)]

    @property
    def bases(self) -> list[SocketAddress]:
        """Where its sockets are."""
        transport = self.engine.transport
        return [base for base in transport.ice.bases if base in self.network.addresses] if transport is not None else []

    # What the network calls

    def next_timeout(self) -> Instant | None:
        """When the engine wants to be called."""
        return self.engine.next_timeout()

    def handle_timeout(self) -> None:
        """That time has come."""
        self.run(self.engine.handle_timeout)

    def _arrived(self, data: bytes, source: SocketAddress, destination: SocketAddress) -> None:
        path = Path(destination, source, Transport.UDP)
        self.run(lambda now: self.engine.handle_batch([(data, path)], now))

    def _drain(self) -> None:
        if self._draining:
            return
        self._draining = True
        try:
            for _ in range(MAX_DRAIN):
                if (transmit := self.engine.poll_transmit()) is not None:
                    if self.keeps_sent:
                        self.sent.append((transmit.path, transmit.data))
                    self._send(transmit)
                elif (command := self.engine.poll_command()) is not None:
                    self._answers.append(self._answer(command))
                elif (event := self.engine.poll_event()) is not None:
                    self._handle_event(event)
                else:
                    return
            raise AssertionError("the engine does not come to an end")
        finally:
            self._draining = False

    def _handle_event(self, event: PeerConnectionEvent) -> None:
        if isinstance(event, FramesReceived):
            while (frame := self.engine.media.poll_frame(event.transceiver)) is not None:
                self.frames.append((event.transceiver, frame, self.network.clock.now))
        elif isinstance(event, MessageReceived):
            self.messages.append((event.channel, event.data.decode() if event.is_text else event.data))
            self._answers.append(lambda now: self.engine.release(event.channel, len(event.data), now))
        else:
            if isinstance(event, LocalCandidate):
                self.told.append(event)
            self.events.append(event)

    def _answer(self, command: PeerConnectionCommand) -> Callable[[Instant], object]:
        if isinstance(command, FindSources):
            return self._find_sources
        if isinstance(command, PublishName):
            self._names[command.name] = command.host
        if isinstance(command, WithdrawName):
            self._names.pop(command.name, None)
        if isinstance(command, ResolveName):
            return lambda now: self.engine.handle_name_resolved(command.name, self._names.get(command.name), now)
        if isinstance(command, OpenStream):
            error = TransportClosedError("the test network has no TCP")
            return lambda now: self.engine.handle_stream_failed(command.number, error, now)
        if isinstance(command, ConnectPeer):
            return lambda _: self._connect(command.planned)
        if isinstance(command, DisconnectPeer):
            return lambda _: self._disconnect(command.path)
        return _nothing

    # TCP

    def _send(self, transmit: Transmit) -> None:
        path = transmit.path
        if path.transport is Transport.UDP:
            self.network.send(transmit.data, path.local, path.remote)
        elif path in self.ends:
            self.ends[path].send(transmit.data)

    def _connect(self, planned: Path) -> None:
        if self._streams is None:
            raise AssertionError("a connection without streams")
        self._streams.connect(
            planned.local.host,
            planned.remote,
            lambda end: self._connected(planned, end),
            lambda: self.run(lambda now: self.engine.handle_peer_connect_failed(planned, now)),
        )

    def _connected(self, planned: Path, end: StreamEnd) -> None:
        self._hold(end)
        self.run(lambda now: self.engine.handle_peer_connected(planned, end.path, now))

    def _hold(self, end: StreamEnd) -> None:
        self.ends[end.path] = end
        end.on_message = lambda data: self.run(lambda now: self.engine.handle_batch([(data, end.path)], now))
        end.on_closed = lambda: self._disconnected(end.path)

    def _disconnected(self, path: Path) -> None:
        if self.ends.pop(path, None) is not None:
            self.run(lambda now: self.engine.handle_peer_disconnected(path, now))

    def _disconnect(self, path: Path) -> None:
        if (end := self.ends.pop(path, None)) is not None:
            end.close()

    def _add_tcp(self, host: str, preference: int, now: Instant) -> None:
        for tcp_type in self._tcp_types:
            base = SocketAddress(host, ACTIVE_PORT if tcp_type == "active" else LISTENING_PORT)
            if tcp_type == "passive" and self._streams is not None:
                self._streams.listen(base, self._hold)
            self.engine.add_tcp_base(base, tcp_type, preference, now)

    def _find_sources(self, now: Instant) -> None:
        for rank, host in enumerate(self.hosts):
            self._add_tcp(host, 65_535 - rank, now)
            if not self._udp:
                continue
            base = self._bases_by_host.get(host)
            if base is None or base not in self.network.addresses:
                base = self._bases_by_host[host] = SocketAddress(host, self._next_port)
                self._next_port += 1
                self.network.attach(base, self._arrived)
            self.engine.add_base(base, 65_535 - rank, now)
        for server in self._stun:
            self.engine.add_stun_server(server, f"stun:{server}", now)
        for relay in self._relays:
            self.engine.add_relay_server(relay, now)
        self.engine.sources_done(now)


def _nothing(now: Instant) -> None:
    """Carry nothing out."""


def signal(offerer: PeerHost, answerer: PeerHost, *, trickle: bool = True) -> None:
    """One exchange of descriptions, and of the candidates that are known by then; `pass_candidates` brings the rest."""
    offerer.run(lambda now: offerer.engine.set_local_description(None, now))
    offer = offerer.engine.negotiation.local_description
    if offer is None:
        raise AssertionError("there is no offer")
    answerer.run(lambda now: answerer.engine.set_remote_description(offer, now))
    answerer.run(lambda now: answerer.engine.set_local_description(None, now))
    answer = answerer.engine.negotiation.local_description
    if answer is None:
        raise AssertionError("there is no answer")
    offerer.run(lambda now: offerer.engine.set_remote_description(answer, now))
    if trickle:
        pass_candidates(offerer, answerer)


def pass_candidates(one: PeerHost, other: PeerHost) -> None:
    """Each gets the candidates of the other that were found since last time."""
    for sender, receiver in ((one, other), (other, one)):
        for candidate in sender.take_candidates():
            place = candidate.place
            receiver.run(
                lambda now, receiver=receiver, candidate=candidate, place=place: receiver.engine.add_remote_candidate(  # type: ignore[misc]
                    candidate.line, place.mid, place.index, candidate.ufrag, now
                )
            )
