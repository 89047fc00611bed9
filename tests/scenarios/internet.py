"""An internet for two peers: a STUN and TURN server in the middle, NATs and firewalls at the edges."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from icelane.core.net import SocketAddress, Transport
from icelane.peer.connection_options import PeerOptions
from icelane.peer.relays import RelayServer
from icelane.testing.clock import VirtualClock
from icelane.testing.entropy import SeededEntropy
from icelane.testing.nat import ADDRESS_AND_PORT_DEPENDENT, Behaviour, Nat
from icelane.testing.network import Link, VirtualNetwork
from icelane.testing.peer import PeerHost, pass_candidates, signal
from icelane.testing.relay import RelayHost
from icelane.turn.credentials import CredentialStore, StaticUsers
from icelane.turn.peer_policy import PeerPolicy
from icelane.turn.server import TurnServer
from icelane.turn.server_config import TurnServerConfig

SERVER: Final = SocketAddress("198.41.0.4", 3478)
PORTS: Final = range(50_000, 50_200)
SIGNALING_DELAY: Final = 0.05
CONNECTED_WITHIN: Final = 10.0

RELAY: Final = RelayServer(
    address=SERVER,
    transport=Transport.UDP,
    host_name="turn.example.org",
    url="turn:turn.example.org",
    username="alice",
    password="secret",
)


class Internet:
    """Alice in 10.1.0.0/24, Bob in 10.2.0.0/24 where they are behind a NAT, otherwise at public addresses."""

    def __init__(self, *, seed: int = 1, link: Link | None = None, has_servers: bool = True) -> None:
        self.clock = VirtualClock()
        self.network = VirtualNetwork(self.clock, seed=seed, link=link or Link(delay=0.02))
        self._seed = seed
        self._has_servers = has_servers
        engine = TurnServer(
            TurnServerConfig(
                realm="example.org",
                relay_addresses=(SERVER.host,),
                relay_ports=PORTS,
                policy=PeerPolicy(relay_addresses=(SERVER.host,), relay_ports=PORTS),
            ),
            credentials=CredentialStore(StaticUsers({"alice": "secret"})),
            entropy=SeededEntropy(seed + 100),
            wall_clock=self.clock,
        )
        self.server = RelayHost(self.network, engine, SERVER, SeededEntropy(seed + 200))

    def peer(self, number: int, *hosts: str, options: PeerOptions | None = None) -> PeerHost:
        """A peer at public addresses, or at those given."""
        return PeerHost(
            self.network,
            *(hosts or (f"203.0.114.{number}",)),
            seed=10 * self._seed + number,
            stun=[SERVER] if self._has_servers else [],
            relays=[RELAY] if self._has_servers else [],
            options=options,
        )

    def behind_nat(
        self,
        number: int,
        mapping: Behaviour,
        filtering: Behaviour = ADDRESS_AND_PORT_DEPENDENT,
        options: PeerOptions | None = None,
    ) -> PeerHost:
        """A peer behind a NAT of its own."""
        inside = f"10.{number}.0.0/24"
        Nat(self.network, public=f"203.0.115.{number}", inside=inside, mapping=mapping, filtering=filtering)
        return self.peer(number, f"10.{number}.0.2", options=options)


def connect(alice: PeerHost, bob: PeerHost, *, within: float = CONNECTED_WITHIN) -> float:
    """Alice calls Bob, over signaling that takes its time; returns how long it took until both were connected."""
    begun = alice.network.clock.now
    if not alice.engine.negotiation.local_description:
        alice.create_channel("chat")
    signal(alice, bob)
    run_until(alice, bob, lambda: alice.is_connected and bob.is_connected, within)
    return alice.network.clock.now - begun


def run_until(alice: PeerHost, bob: PeerHost, condition: Callable[[], object], within: float) -> None:
    """Let time pass, with candidates going both ways, until `condition` holds; AssertionError when it does not."""
    network = alice.network
    end = network.clock.now + within
    while not condition():
        if network.clock.now >= end:
            raise AssertionError(f"not within {within} s: {alice.engine.ice_state}, {bob.engine.ice_state}")
        network.run_for(SIGNALING_DELAY)
        pass_candidates(alice, bob)


def assert_data_flows(alice: PeerHost, bob: PeerHost, *, within: float = 5.0) -> None:
    """What each sends on the first channel reaches the other."""
    run_until(alice, bob, lambda: alice.opened and bob.opened, within)
    before = len(alice.messages), len(bob.messages)
    alice.send(alice.opened[0], b"to bob")
    bob.send(bob.opened[0], b"to alice")
    run_until(alice, bob, lambda: len(alice.messages) > before[0] and len(bob.messages) > before[1], within)
    assert alice.messages[-1][1] == b"to alice"
    assert bob.messages[-1][1] == b"to bob"


def settle(alice: PeerHost, bob: PeerHost, *, within: float = 5.0) -> None:
    """Let both agree on a pair: before that, data goes along the first path that works."""
    run_until(alice, bob, lambda: has_selected(alice) and has_selected(bob), within)


def has_selected(peer: PeerHost) -> bool:
    """Whether ICE has come to its end."""
    return peer.engine.transport is not None and peer.engine.transport.ice.selected is not None


def is_relayed(peer: PeerHost) -> bool:
    """Whether the selected path leads over the TURN server, at either end."""
    assert peer.engine.transport is not None
    selected = peer.engine.transport.ice.selected
    assert selected is not None
    return selected.path.local.host == SERVER.host or selected.path.remote.host == SERVER.host


def assert_everything_is_given_back(internet: Internet, *peers: PeerHost) -> None:
    """After the end, no port is bound at the server and no timer runs at a peer."""
    for peer in peers:
        peer.run(peer.engine.abort)
    internet.network.run_for(2.0)
    for peer in peers:
        assert peer.engine.is_closed
        assert peer.engine.idle
        assert peer.engine.next_timeout() is None
    assert not internet.server.relays
