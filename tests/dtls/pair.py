"""Two DTLS connections and the network between them, driven by the contract."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Final, TypeVar

from icelane.core.clock import Instant, UnixSeconds
from icelane.core.net import SocketAddress
from icelane.crypto.certificate import Certificate, KeyType
from icelane.dtls.backend import Backend
from icelane.dtls.connection import DtlsConnection, DtlsEvent, DtlsState, HandshakeCompleted
from icelane.dtls.options import DtlsOptions, DtlsRole
from icelane.testing.clock import VirtualClock
from icelane.testing.network import PERFECT, Link, VirtualNetwork

T = TypeVar("T")

CLIENT_ADDRESS: Final = SocketAddress("192.0.2.1", 5000)
SERVER_ADDRESS: Final = SocketAddress("192.0.2.2", 5000)
WALL: Final = UnixSeconds(1_800_000_000.0)
NOW: Final = Instant(1000.0)
MAX_DRAIN: Final = 10_000


@functools.cache
def certificate(name: str, key_type: KeyType = KeyType.ECDSA_P256, rsa_bits: int = 2048) -> Certificate:
    """The certificate of a name in all tests of this process: keys take time to make."""
    assert name
    return Certificate.generate(key_type, rsa_bits=rsa_bits, now=WALL)


class Endpoint:
    """A connection at an address; keeps what it sent, told and received."""

    def __init__(self, network: VirtualNetwork, connection: DtlsConnection, here: SocketAddress, there: SocketAddress):
        self.network = network
        self.connection = connection
        self.sent: list[bytes] = []
        self.events: list[DtlsEvent] = []
        self.received: list[bytes] = []
        self.hold = False
        self._here, self._there = here, there
        network.attach(here, lambda data, *_: self.receive(data))
        network.add_timed(self)

    def run(self, verb: Callable[[Instant], T]) -> T:
        """Mutate once and drain."""
        assert self.connection.poll_transmit() is None
        assert self.connection.poll_event() is None
        try:
            return verb(self.network.clock.now)
        finally:
            self._drain()

    def receive(self, data: bytes) -> None:
        """A datagram came."""
        self.run(lambda now: self.connection.handle_datagram(data, now))

    def start(self) -> None:
        """Start the handshake."""
        self.run(self.connection.start)

    def send(self, data: bytes) -> None:
        """Send application data."""
        self.run(lambda now: self.connection.send(data, now))

    def expect(self, *fingerprints: tuple[str, bytes]) -> None:
        """Say who the peer has to be."""
        self.run(lambda now: self.connection.set_remote_fingerprints(fingerprints, now))

    def next_timeout(self) -> Instant | None:
        """The deadline of the connection."""
        return self.connection.next_timeout()

    def handle_timeout(self) -> None:
        """It has come."""
        self.run(self.connection.handle_timeout)

    @property
    def completed(self) -> HandshakeCompleted:
        """The one event of success, the first of all."""
        event = self.events[0]
        assert isinstance(event, HandshakeCompleted)
        assert not [other for other in self.events[1:] if isinstance(other, HandshakeCompleted)]
        return event

    def state(self) -> DtlsState:
        """Of the connection; a call, because mypy takes an attribute for what it was before."""
        return self.connection.state

    def _drain(self) -> None:
        for _ in range(MAX_DRAIN):
            if (datagram := self.connection.poll_transmit()) is None:
                break
            self.sent.append(datagram)
            if not self.hold:
                self.network.send(datagram, self._here, self._there)
        while (event := self.connection.poll_event()) is not None:
            self.events.append(event)
        while (payload := self.connection.poll_data()) is not None:
            self.received.append(payload)


class Pair:
    """A client and a server whose fingerprints are signalled, unless `signalled` is false; nothing has started."""

    def __init__(
        self,
        client_backend: Backend,
        server_backend: Backend | None = None,
        *,
        client_certificate: Certificate | None = None,
        server_certificate: Certificate | None = None,
        client_options: DtlsOptions | None = None,
        server_options: DtlsOptions | None = None,
        link: Link = PERFECT,
        seed: int = 1,
        signalled: bool = True,
    ) -> None:
        self.network = VirtualNetwork(VirtualClock(), seed=seed, link=link)
        self.client_certificate = client_certificate or certificate("client")
        self.server_certificate = server_certificate or certificate("server")
        self.client = self._endpoint(self.client_certificate, DtlsRole.CLIENT, client_options, client_backend)
        self.server = self._endpoint(
            self.server_certificate, DtlsRole.SERVER, server_options, server_backend or client_backend
        )
        if signalled:
            self.client.expect(("sha-256", self.server_certificate.fingerprint()))
            self.server.expect(("sha-256", self.client_certificate.fingerprint()))

    def start(self) -> None:
        """Both start."""
        self.server.start()
        self.client.start()

    def connect(self) -> None:
        """Both start, and connect."""
        self.start()
        self.network.run_until(lambda: self.both(DtlsState.CONNECTED), timeout=30)

    def both(self, state: DtlsState) -> bool:
        """Whether both ends are in a state."""
        return self.client.state() is state and self.server.state() is state

    def exchange(self) -> None:
        """Data goes through both ways."""
        for one, other in ((self.client, self.server), (self.server, self.client)):
            before = len(other.received)
            one.send(b"are you there?")
            self.network.run_until_quiet()
            assert other.received[before:] == [b"are you there?"]

    def _endpoint(self, own: Certificate, role: DtlsRole, options: DtlsOptions | None, backend: Backend) -> Endpoint:
        here, there = CLIENT_ADDRESS, SERVER_ADDRESS
        if role is DtlsRole.SERVER:
            here, there = there, here
        return Endpoint(self.network, DtlsConnection(own, role=role, options=options, backend=backend), here, there)
