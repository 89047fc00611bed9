"""Two associations on a virtual network, and what went through them."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from icelane.core.clock import Instant
from icelane.core.engine import Transmit
from icelane.core.net import Path, SocketAddress, Transport
from icelane.sctp.association import SctpAssociation
from icelane.sctp.checksum import seal
from icelane.sctp.chunks import encode_data_header, encode_header
from icelane.sctp.event import MessageReceived, SctpEvent, Terminated
from icelane.sctp.options import SctpOptions
from icelane.testing.clock import VirtualClock
from icelane.testing.entropy import SeededEntropy
from icelane.testing.network import EngineHost, Link, VirtualNetwork

A = SocketAddress("192.0.2.1", 5000)
B = SocketAddress("192.0.2.2", 5000)

E_co = TypeVar("E_co", covariant=True)
E = TypeVar("E")
T = TypeVar("T")


class PointToPoint(Protocol[E_co]):
    """An engine without a path: what runs over DTLS."""

    def handle_datagram(self, data: bytes, now: Instant) -> None: ...
    def handle_timeout(self, now: Instant) -> None: ...
    def poll_transmit(self) -> bytes | None: ...
    def poll_event(self) -> E_co | None: ...
    def next_timeout(self) -> Instant | None: ...


class OnPath(Generic[E]):
    """Gives such an engine the path that a virtual network wants."""

    def __init__(self, engine: PointToPoint[E], path: Path) -> None:
        self._engine = engine
        self._path = path

    def handle_datagram(self, data: bytes, path: Path, now: Instant) -> None:
        self._engine.handle_datagram(data, now)

    def handle_timeout(self, now: Instant) -> None:
        self._engine.handle_timeout(now)

    def poll_transmit(self) -> Transmit | None:
        data = self._engine.poll_transmit()
        return None if data is None else Transmit(self._path, data)

    def poll_event(self) -> E | None:
        return self._engine.poll_event()

    def next_timeout(self) -> Instant | None:
        return self._engine.next_timeout()


class End(EngineHost[SctpEvent]):
    """One association and what it was given. Messages are released as they come while `reading`.

    `received` is kept only as counts and hashes by stream, in the order of arrival; `messages` holds them while
    `keeping`.
    """

    def __init__(
        self, network: VirtualNetwork, here: SocketAddress, there: SocketAddress, seed: int, options: SctpOptions
    ) -> None:
        self.association = SctpAssociation(entropy=SeededEntropy(seed), options=options)
        self.association.set_max_message_size(0)
        super().__init__(network, OnPath(self.association, Path(here, there, Transport.UDP)), here)
        self.reading = True
        self.last_sent: deque[bytes] = deque(maxlen=8)
        self.messages: list[MessageReceived] = []
        self.received_bytes = 0
        self._owed: deque[int] = deque()
        self._hashes: dict[int, hashlib._Hash] = {}

    def handle_event(self, event: SctpEvent) -> None:
        super().handle_event(event)
        if isinstance(event, MessageReceived):
            self.messages.append(event)
            self.received_bytes += len(event.data)
            self._owed.append(len(event.data))
            self.digest_of(event.stream_id).update(event.data)

    def run(self, verb: Callable[[Instant], T]) -> T:
        result = super().run(verb)
        if self.reading:
            self.read()
        return result

    def read(self) -> None:
        """Release all that was received."""
        owed, messages = sum(self._owed), len(self._owed)
        if owed:
            self._owed.clear()
            super().run(lambda now: self.association.release(owed, now, messages=messages))

    def digest_of(self, stream_id: int) -> hashlib._Hash:
        """The hash of what arrived on a stream."""
        return self._hashes.setdefault(stream_id, hashlib.sha256())

    def send(self, data: bytes, path: Path) -> None:
        assert len(data) <= self.association._options.path_mtu
        self.last_sent.append(data)
        super().send(data, path)

    def say(self, stream_id: int, data: bytes, **how: bool | int | float | None) -> None:
        """Send a message."""
        self.run(lambda now: self.association.send(stream_id, 51, data, now, **how))  # type: ignore[arg-type]  # one of the keywords

    def end(self) -> Terminated | None:
        """How it ended, None while it lives."""
        return next((event for event in self.events if isinstance(event, Terminated)), None)

    def told(self, kind: type[E]) -> list[E]:
        """The events of that kind."""
        return [event for event in self.events if isinstance(event, kind)]


class Pair:
    """Two ends, connected by links of the same kind."""

    def __init__(
        self,
        link: Link | None = None,
        seed: int = 1,
        options: SctpOptions | None = None,
        other_options: SctpOptions | None = None,
    ) -> None:
        options = options or SctpOptions()
        self.clock = VirtualClock()
        self.network = VirtualNetwork(self.clock, seed=seed, link=link or Link(delay=0.025))
        self.a = End(self.network, A, B, 2 * seed, options)
        self.b = End(self.network, B, A, 2 * seed + 1, other_options or options)

    def connect(self, timeout: float = 30.0) -> Pair:
        """Both ends begin at once."""
        for end in (self.a, self.b):
            end.run(end.association.connect)
        self.network.run_until(lambda: all(end.events for end in (self.a, self.b)), timeout)
        self.network.run_until_quiet()
        return self

    def close(self, timeout: float = 60.0) -> None:
        """One end closes, both end in order, and nothing is left."""
        self.a.run(self.a.association.close)
        self.network.run_until(lambda: self.a.end() and self.b.end(), timeout)
        assert self.a.end() == self.b.end() == Terminated(None)
        self.check_empty()

    def check_empty(self) -> None:
        """Nothing waits any more, and nobody wants to be woken."""
        for end in (self.a, self.b):
            assert end.association.idle
            assert end.association.next_timeout() is None
            statistics = end.association.statistics
            assert statistics.buffered_amount == statistics.bytes_in_flight == 0


def packet_for(end: End, *chunks: bytes, tag: int | None = None) -> bytes:
    """A packet that the peer of `end` could have sent."""
    own = end.association._life.handshake.local_tag
    return seal(encode_header(5000, 5000, own if tag is None else tag) + b"".join(chunks))


def inject(end: End, *chunks: bytes, tag: int | None = None) -> None:
    """Let `end` receive a packet of these chunks."""
    end.run(lambda now: end.association.handle_datagram(packet_for(end, *chunks, tag=tag), now))


def data_chunk(
    end: End, ahead: int, payload: bytes, *, flags: int = 3, stream_id: int = 0, ssn: int = 0, ppid: int = 51
) -> bytes:
    """A DATA chunk with the TSN that is `ahead` of the last one that `end` has in order."""
    transfer = end.association._life.transfer
    assert transfer is not None
    head = encode_data_header(flags, len(payload), transfer.inbound.cumulative + ahead, stream_id, ssn, ppid)
    return head + payload + bytes(-len(payload) & 3)
