"""A virtual network on which a test sees and stops what it likes, and somebody who is no peer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from icelane.core.net import Path, SocketAddress, Transport
from icelane.peer.connection_options import PeerOptions
from icelane.peer.secure_transport import SecureTransport
from icelane.stun.message import MessageClass, looks_like_stun, parse_message
from icelane.testing.clock import VirtualClock
from icelane.testing.network import Link, VirtualNetwork
from icelane.testing.peer import PeerHost, signal

Sight = Callable[[bytes, SocketAddress, SocketAddress], object]
"""Told of each datagram that is sent: data, source, destination."""

DELAY: Final = 0.02
ALICE: Final = "192.0.2.1"
BOB: Final = "198.51.100.1"
MALLORY: Final = SocketAddress("203.0.113.66", 6666)


class Wire(VirtualNetwork):
    """Where `stops` says so, a datagram is lost; `sees` is told of every one before that."""

    def __init__(self, seed: int = 1) -> None:
        super().__init__(VirtualClock(), seed=seed, link=Link(delay=DELAY))
        self.stops: Sight = lambda *_: False
        self.sees: Sight = lambda *_: None

    def send(self, data: bytes, source: SocketAddress, destination: SocketAddress) -> None:
        self.sees(data, source, destination)
        if not self.stops(data, source, destination):
            super().send(data, source, destination)


class Mallory:
    """Somebody who knows where everybody is, and no password. `heard` is what came back."""

    def __init__(self, network: VirtualNetwork, address: SocketAddress = MALLORY) -> None:
        self.network = network
        self.address = address
        self.heard: list[bytes] = []
        network.attach(address, lambda data, *_: self.heard.append(data))

    def send(self, data: bytes, victim: PeerHost) -> None:
        """A datagram to each socket of the victim."""
        for base in victim.bases:
            self.network.send(data, self.address, base)


def two_peers(wire: Wire, options: PeerOptions | None = None) -> tuple[PeerHost, PeerHost]:
    """Alice, who will call, and Bob, who will then be the client of DTLS."""
    alice = PeerHost(wire, ALICE, seed=1, options=options)
    bob = PeerHost(wire, BOB, seed=2, options=options)
    alice.create_channel("chat")
    return alice, bob


def connected_peers(wire: Wire, options: PeerOptions | None = None) -> tuple[PeerHost, PeerHost]:
    """Alice and Bob, who have a channel, and have agreed on their path."""
    alice, bob = two_peers(wire, options)
    signal(alice, bob)
    wire.run_until(lambda: alice.opened and bob.opened)
    wire.run_for(1.0)
    return alice, bob


def transport_of(peer: PeerHost) -> SecureTransport:
    """Its transport, which is there."""
    transport = peer.engine.transport
    assert transport is not None
    return transport


def path_to(peer: PeerHost, other: PeerHost) -> Path:
    """The path on which `peer` hears `other`."""
    return Path(peer.bases[0], other.bases[0], Transport.UDP)


def is_dtls(data: bytes) -> bool:
    """Whether it is DTLS by its first byte."""
    return 20 <= data[0] <= 63


def is_stun_answer(data: bytes) -> bool:
    """Whether it is a success response."""
    return looks_like_stun(data) and parse_message(data).message_class is MessageClass.SUCCESS
