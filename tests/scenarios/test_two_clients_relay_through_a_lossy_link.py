"""Two TURN clients talk through one server over links that lose, delay, double and reorder.

    client A  <- lossy ->  server  <- lossy ->  client B
              5-tuple A            5-tuple B
                 relay A  <- perfect ->  relay B

What must survive loss is the control: requests are retransmitted until they are answered. Payload is not: what is lost
stays lost, and what arrives is whole.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from icelane.core.net import Path, SocketAddress, Transport
from icelane.testing.clock import VirtualClock
from icelane.testing.entropy import SeededEntropy
from icelane.testing.network import EngineHost, Link, VirtualNetwork
from icelane.testing.relay import RelayHost
from icelane.turn.client import ClientState, TurnClient
from icelane.turn.client_event import (
    Allocated,
    AllocationReleased,
    ChannelBound,
    DataReceived,
    PermissionGranted,
    TurnClientEvent,
)
from icelane.turn.client_request import AllocateOptions
from icelane.turn.credentials import CredentialStore, StaticUsers
from icelane.turn.peer_policy import PeerPolicy
from icelane.turn.server import TurnServer
from icelane.turn.server_config import TurnServerConfig

SERVER = SocketAddress("198.41.0.4", 3478)
LOSSY = Link(delay=0.02, jitter=0.03, loss=0.2, duplication=0.1, reordering=0.1)
GONE = Link(loss=1.0)


@dataclass
class Call:
    """The whole arrangement: a server and clients with an allocation each."""

    network: VirtualNetwork
    server: RelayHost
    clients: list[Caller]


class Caller(EngineHost[TurnClientEvent]):
    """A client and what it has been granted."""

    def __init__(self, network: VirtualNetwork, address: SocketAddress, username: str, seed: int) -> None:
        path = Path(address, SERVER, Transport.UDP)
        self.engine = TurnClient(path, entropy=SeededEntropy(seed), username=username, password="secret")
        super().__init__(network, self.engine, address)

    def seen(self, kind: type[TurnClientEvent]) -> bool:
        """Whether such an event came."""
        return any(isinstance(event, kind) for event in self.events)

    @property
    def relayed(self) -> SocketAddress:
        """The relayed address."""
        return next(event.relayed[0] for event in self.events if isinstance(event, Allocated))

    @property
    def payloads(self) -> list[bytes]:
        """What came from the peer."""
        return [event.payload for event in self.events if isinstance(event, DataReceived)]

    def allocate(self) -> None:
        """Ask for a relayed address."""
        self.run(lambda now: self.engine.allocate(AllocateOptions(), now))

    def bind(self, peer: Caller) -> None:
        """Ask for a channel to the peer's relayed address."""
        self.run(lambda now: self.engine.bind_channel(peer.relayed, now))

    def permit(self, peer: Caller) -> None:
        """Let the peer's relayed address in."""
        self.run(lambda now: self.engine.create_permission([peer.relayed.host], now))

    def say(self, payload: bytes, peer: Caller) -> None:
        """Send to the peer's relayed address."""
        self.run(lambda _: self.engine.send(payload, peer.relayed))

    def send(self, data: bytes, path: Path) -> None:
        """Everything leaves by the 5-tuple."""
        assert path == self.engine.path
        super().send(data, path)


def start(seed: int, link: Link) -> Call:
    """A server and two callers, which both hold an allocation."""
    clock = VirtualClock()
    network = VirtualNetwork(clock, seed)
    policy = PeerPolicy(relay_addresses=(SERVER.host,), relay_ports=range(50_000, 50_100))
    config = TurnServerConfig(
        realm="example.org",
        relay_addresses=(SERVER.host,),
        relay_ports=range(50_000, 50_100),
        policy=policy,
    )
    engine = TurnServer(
        config,
        credentials=CredentialStore(StaticUsers({"alice": "secret", "bob": "secret"})),
        entropy=SeededEntropy(seed),
        wall_clock=clock,
    )
    server = RelayHost(network, engine, SERVER, SeededEntropy(seed + 1))
    callers = [
        Caller(network, SocketAddress(f"203.0.114.{number}", 40_000), name, seed + 10 * number)
        for number, name in ((1, "alice"), (2, "bob"))
    ]
    for caller in callers:
        network.connect(caller.address.host, SERVER.host, link)
        caller.allocate()
    network.run_until(lambda: all(caller.seen(Allocated) for caller in callers))
    return Call(network, server, callers)


def finish(call: Call) -> None:
    """Give everything up, over a link that loses nothing, and look for what is left."""
    for caller in call.clients:
        call.network.connect(caller.address.host, SERVER.host, Link())
        caller.run(caller.engine.close)
    call.network.run_until(lambda: all(caller.seen(AllocationReleased) for caller in call.clients))
    call.network.run_until_quiet()
    assert all(caller.engine.idle for caller in call.clients)
    assert call.server.engine.idle
    assert call.server.empty
    assert call.network.addresses == {SERVER, *(caller.address for caller in call.clients)}


@pytest.mark.parametrize("seed", range(1, 9))
@pytest.mark.parametrize("channels", [False, True])
def test_two_clients_relay_through_a_lossy_link(seed: int, channels: bool) -> None:
    """TR-5: relay to relay on own ports is allowed; every control request gets through, payload arrives whole."""
    call = start(seed, LOSSY)
    alice, bob = call.clients
    assert {alice.relayed, bob.relayed} == call.server.relays
    for caller, peer in ((alice, bob), (bob, alice)):
        if channels:
            caller.bind(peer)
        else:
            caller.permit(peer)
    granted = ChannelBound if channels else PermissionGranted
    call.network.run_until(lambda: alice.seen(granted) and bob.seen(granted))

    sent = {caller: [f"{caller.address} {number}".encode() for number in range(200)] for caller in call.clients}
    for number in range(200):
        for caller, peer in ((alice, bob), (bob, alice)):
            caller.say(sent[caller][number], peer)
        call.network.run_for(0.01)
    call.network.run_until_quiet()
    for caller, peer in ((alice, bob), (bob, alice)):
        arrived = caller.payloads
        assert set(arrived) <= set(sent[peer])
        # Each crosses two links that lose a fifth and double a tenth.
        assert 80 < len(set(arrived)) < 170
        assert arrived != sorted(arrived, key=sent[peer].index)
    finish(call)


def test_a_client_that_falls_silent_is_forgotten() -> None:
    """TQ-8: an allocation that nobody refreshes is gone at its lifetime, with its port and its routes."""
    call = start(3, Link(delay=0.02))
    alice, bob = call.clients
    alice.bind(bob)
    call.network.run_until(lambda: alice.seen(ChannelBound))
    call.network.connect(alice.address.host, SERVER.host, GONE)
    call.network.run_for(595.0)
    assert len(call.server.relays) == 2
    call.network.run_for(10.0)
    assert len(call.server.relays) == 1
    assert bob.engine.state is ClientState.HELD
    call.network.run_for(60.0)
    assert alice.engine.state is ClientState.ENDED
    assert alice.engine.idle
    bob.run(bob.engine.close)
    call.network.run_until(lambda: bob.seen(AllocationReleased))
    call.network.run_until_quiet()
    assert call.server.engine.idle
    assert call.server.empty


def test_a_long_call_keeps_its_allocations_permissions_and_channels() -> None:
    """TR-8 the other way round: two hours over a lossy link, and payload still arrives."""
    call = start(4, LOSSY)
    alice, bob = call.clients
    alice.bind(bob)
    bob.permit(alice)
    call.network.run_until(lambda: alice.seen(ChannelBound) and bob.seen(PermissionGranted))
    call.network.run_for(7200.0)
    assert {alice.engine.state, bob.engine.state} == {ClientState.HELD}
    for number in range(50):
        alice.say(b"a%d" % number, bob)
        bob.say(b"b%d" % number, alice)
    call.network.run_for(1.0)
    assert len(set(alice.payloads)) > 15
    assert len(set(bob.payloads)) > 15
    finish(call)


def test_a_wall_clock_that_jumps_changes_no_timer() -> None:
    """OP-7: an hour forward and two back during live allocations; only nonces notice, and they are renewed."""
    call = start(5, Link(delay=0.02))
    alice, bob = call.clients
    alice.bind(bob)
    call.network.run_until(lambda: alice.seen(ChannelBound))
    for step in (3600.0, -7200.0, 3600.0):
        call.network.clock.step_wall(step)
        call.network.run_for(1000.0)
        assert {alice.engine.state, bob.engine.state} == {ClientState.HELD}
        assert len(call.server.relays) == 2
    bob.permit(alice)
    call.network.run_until(lambda: bob.seen(PermissionGranted))
    alice.say(b"still here", bob)
    call.network.run_until(lambda: bob.payloads)
    finish(call)
