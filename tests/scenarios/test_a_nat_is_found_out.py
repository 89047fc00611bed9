"""What kind of NAT is in the way: our discovery and our server agree with the NAT that is there (RFC 5780).

Criterion: every combination of mapping and filtering is named as what it is, also where a tenth of the packets is lost.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from icelane.core.net import SocketAddress
from icelane.errors import TransactionTimeoutError
from icelane.stun.behavior import DEFAULT_TIMEOUT, Behavior, BehaviorDiscovered, BehaviorDiscovery, DiscoveryFailed
from icelane.testing.clock import VirtualClock
from icelane.testing.entropy import SeededEntropy
from icelane.testing.nat import (
    ADDRESS_AND_PORT_DEPENDENT,
    ADDRESS_DEPENDENT,
    ENDPOINT_INDEPENDENT,
    Behaviour,
    Firewall,
    Nat,
)
from icelane.testing.network import EngineHost, Link, VirtualNetwork
from icelane.testing.relay import RelayHost
from icelane.turn.behavior import BehaviorOrigins
from icelane.turn.credentials import CredentialStore, StaticUsers
from icelane.turn.peer_policy import PeerPolicy
from icelane.turn.server import TurnServer
from icelane.turn.server_config import TurnServerConfig

HOSTS = ("198.41.0.4", "198.41.0.5")
PORTS = (3478, 3479)
SERVER = SocketAddress(HOSTS[0], PORTS[0])
OUTSIDE = "203.0.115.1"
INSIDE = "10.1.0.0/24"
KINDS = list(itertools.product(Behaviour, Behaviour))


class World:
    """A server with two addresses, and whoever asks it."""

    def __init__(self, *, seed: int = 1, link: Link | None = None, with_second_address: bool = True) -> None:
        self.clock = VirtualClock()
        self.network = VirtualNetwork(self.clock, seed=seed, link=link or Link(delay=0.02))
        self._seed = seed
        origins = BehaviorOrigins(pairs=(HOSTS,), ports=PORTS) if with_second_address else None
        engine = TurnServer(
            TurnServerConfig(
                realm="example.org", relay_addresses=HOSTS, policy=PeerPolicy(relay_addresses=HOSTS), behavior=origins
            ),
            credentials=CredentialStore(StaticUsers({"alice": "secret"})),
            entropy=SeededEntropy(seed + 100),
            wall_clock=self.clock,
        )
        self.server = RelayHost(self.network, engine, SERVER, SeededEntropy(seed + 200))
        for host, port in itertools.product(HOSTS, PORTS):
            if (host, port) != SERVER:
                self.network.attach(SocketAddress(host, port), self.server.receive)

    def ask(self, host: str = "10.1.0.2") -> BehaviorDiscovered | DiscoveryFailed:
        """Find out what is between `host` and the server."""
        ports = [SocketAddress(host, port) for port in (5000, 5001)]
        engine = BehaviorDiscovery(SERVER, mapping=ports[0], filtering=ports[1], entropy=SeededEntropy(self._seed))
        asking: EngineHost[BehaviorDiscovered | DiscoveryFailed] = EngineHost(self.network, engine, ports[0])
        self.network.attach(ports[1], asking.receive)
        asking.run(engine.start)
        self.network.run_until(lambda: asking.events, DEFAULT_TIMEOUT)
        self.network.run_for(DEFAULT_TIMEOUT)  # what comes late is heard by nobody
        assert engine.next_timeout() is None
        (outcome,) = asking.events
        return outcome

    def found(self, host: str = "10.1.0.2") -> BehaviorDiscovered:
        outcome = self.ask(host)
        assert isinstance(outcome, BehaviorDiscovered), outcome
        return outcome


def same(ours: Behavior | None, theirs: Behaviour) -> bool:
    """Both say what RFC 4787 calls it."""
    return ours is not None and ours.value == theirs.value


def names(kind: tuple[Behaviour, Behaviour]) -> str:
    return f"{kind[0].value} mapping, {kind[1].value} filtering"


@pytest.mark.parametrize("kind", KINDS, ids=names)
def test_every_kind_of_nat_is_named_as_what_it_is(kind: tuple[Behaviour, Behaviour]) -> None:
    world = World()
    Nat(world.network, public=OUTSIDE, inside=INSIDE, mapping=kind[0], filtering=kind[1])
    found = world.found()
    assert same(found.mapping, kind[0])
    assert same(found.filtering, kind[1])
    assert found.translated
    assert found.mapped.host == OUTSIDE
    assert found.silent == ()
    assert found.hairpinning is False
    assert world.server.engine.idle


def lossy() -> Iterator[tuple[tuple[Behaviour, Behaviour], int]]:
    yield from itertools.product(KINDS, range(1, 6))


@pytest.mark.parametrize(
    ("kind", "seed"), list(lossy()), ids=lambda value: names(value) if isinstance(value, tuple) else None
)
def test_lost_packets_are_not_taken_for_a_filter(kind: tuple[Behaviour, Behaviour], seed: int) -> None:
    world = World(seed=seed, link=Link(delay=0.05, jitter=0.05, loss=0.1, duplication=0.05, reordering=0.1))
    Nat(world.network, public=OUTSIDE, inside=INSIDE, mapping=kind[0], filtering=kind[1])
    found = world.found()
    assert same(found.mapping, kind[0])
    assert same(found.filtering, kind[1])


@pytest.mark.parametrize("filtering", list(Behaviour))
def test_a_nat_that_hairpins_is_seen_to_do_so_whatever_its_filter(filtering: Behaviour) -> None:
    world = World()
    Nat(world.network, public=OUTSIDE, inside=INSIDE, mapping=ENDPOINT_INDEPENDENT, filtering=filtering, hairpin=True)
    found = world.found()
    assert found.hairpinning is True
    assert same(found.filtering, filtering), "its own hairpin test has not opened the filter"


def test_without_a_nat_and_a_firewall_everything_comes_in() -> None:
    found = World().found("203.0.114.1")
    assert not found.translated
    assert same(found.mapping, ENDPOINT_INDEPENDENT)
    assert same(found.filtering, ENDPOINT_INDEPENDENT)
    assert found.hairpinning is None


def test_of_two_nats_the_stricter_ones_are_seen() -> None:
    world = World()
    Nat(world.network, public="100.64.0.2", inside=INSIDE, filtering=ADDRESS_DEPENDENT)
    Nat(world.network, public=OUTSIDE, inside="100.64.0.0/10", mapping=ADDRESS_DEPENDENT,
        filtering=ENDPOINT_INDEPENDENT)  # fmt: skip
    found = world.found()
    assert same(found.mapping, ADDRESS_DEPENDENT)
    assert same(found.filtering, ADDRESS_DEPENDENT)


def test_a_firewall_that_lets_nothing_out_is_a_timeout() -> None:
    world = World()
    Firewall(world.network, inside=INSIDE)
    outcome = world.ask()
    assert isinstance(outcome, DiscoveryFailed)
    assert isinstance(outcome.error, TransactionTimeoutError)


def test_a_server_whose_second_address_is_unreachable_is_not_taken_for_a_filter() -> None:
    world = World()
    Firewall(world.network, inside=f"{HOSTS[1]}/32")
    found = world.found("203.0.114.1")
    assert found.filtering is None
    assert found.silent == ((HOSTS[1], PORTS[0]), (HOSTS[1], PORTS[1]))


def test_a_server_with_one_address_says_so() -> None:
    world = World(with_second_address=False)
    Nat(world.network, public=OUTSIDE, inside=INSIDE, mapping=ADDRESS_AND_PORT_DEPENDENT)
    found = world.found()
    assert (found.other, found.mapping, found.filtering) == (None, None, None)
    assert found.mapped.host == OUTSIDE
