"""NATs map and filter as they were told, nobody gets past one, and firewalls stop what they should."""

from __future__ import annotations

import pytest

from icelane.core.net import SocketAddress
from icelane.testing.clock import VirtualClock
from icelane.testing.nat import MAPPING_LIFETIME, Behaviour, Firewall, Nat, OneToOneNat
from icelane.testing.network import Link, VirtualNetwork

INDEPENDENT, BY_ADDRESS, BY_PORT = Behaviour
PUBLIC = "203.0.113.1"
INSIDE = SocketAddress("10.0.1.2", 5000)
NEIGHBOUR = SocketAddress("10.0.1.3", 5000)
SERVER = SocketAddress("198.51.100.1", 3478)
SAME_HOST = SocketAddress(SERVER.host, 9999)
OTHER = SocketAddress("198.51.100.2", 3478)


class Host:
    """Hears, and sends."""

    def __init__(self, network: VirtualNetwork, address: SocketAddress) -> None:
        self.network = network
        self.address = address
        self.heard: list[SocketAddress] = []
        network.attach(address, lambda _data, source, _destination: self.heard.append(source))

    def send(self, destination: SocketAddress) -> None:
        self.network.send(b"data", self.address, destination)
        self.network.run_until_quiet()


class World:
    """A host behind a NAT, its neighbour, and two servers, one of which has two ports."""

    def __init__(self, **nat: object) -> None:
        self.network = VirtualNetwork(VirtualClock())
        self.nat = Nat(self.network, public=PUBLIC, inside="10.0.1.0/24", **nat)  # type: ignore[arg-type]  # keywords
        self.inside, self.neighbour, self.server, self.same_host, self.other = (
            Host(self.network, address) for address in (INSIDE, NEIGHBOUR, SERVER, SAME_HOST, OTHER)
        )

    def mapped(self, destination: Host) -> SocketAddress:
        """As whom the destination sees the inner host."""
        self.inside.send(destination.address)
        return destination.heard[-1]


def test_what_leaves_has_the_public_address_and_the_answer_comes_back() -> None:
    world = World()
    mapped = world.mapped(world.server)
    assert mapped.host == PUBLIC
    assert world.mapped(world.server) == mapped
    assert world.nat.mappings == {mapped: INSIDE}
    world.server.send(mapped)
    assert world.inside.heard == [SERVER]


@pytest.mark.parametrize(("mapping", "distinct"), [(INDEPENDENT, 1), (BY_ADDRESS, 2), (BY_PORT, 3)])
def test_a_mapping_depends_on_what_it_was_told(mapping: Behaviour, distinct: int) -> None:
    """RFC 4787 section 4.1."""
    world = World(mapping=mapping)
    assert len({world.mapped(host) for host in (world.server, world.same_host, world.other)}) == distinct


@pytest.mark.parametrize(
    ("filtering", "let_in"),
    [(INDEPENDENT, [SERVER, SAME_HOST, OTHER]), (BY_ADDRESS, [SERVER, SAME_HOST]), (BY_PORT, [SERVER])],
)
def test_a_filter_depends_on_what_it_was_told(filtering: Behaviour, let_in: list[SocketAddress]) -> None:
    """RFC 4787 section 5."""
    world = World(filtering=filtering)
    mapped = world.mapped(world.server)
    for host in (world.server, world.same_host, world.other):
        host.send(mapped)
    assert world.inside.heard == let_in
    assert world.network.traffic.blocked == 3 - len(let_in)


def test_nobody_outside_reaches_a_private_address_or_a_port_without_a_mapping() -> None:
    world = World(filtering=INDEPENDENT)
    world.mapped(world.server)
    world.server.send(INSIDE)
    world.server.send(SocketAddress(PUBLIC, 1))
    assert not world.inside.heard
    assert world.network.traffic.blocked == 2


def test_neighbours_reach_each_other_directly() -> None:
    world = World()
    world.inside.send(NEIGHBOUR)
    assert world.neighbour.heard == [INSIDE]
    assert not world.nat.mappings


@pytest.mark.parametrize("hairpin", [True, False])
def test_neighbours_reach_each_other_by_public_address_only_where_the_nat_turns_them_around(hairpin: bool) -> None:
    world = World(filtering=INDEPENDENT, hairpin=hairpin)
    mapped = world.mapped(world.server)
    world.neighbour.send(mapped)
    assert [source.host for source in world.inside.heard] == ([PUBLIC] if hairpin else [])


def test_a_mapping_that_nothing_leaves_by_expires() -> None:
    world = World(filtering=INDEPENDENT)
    mapped = world.mapped(world.server)
    world.network.run_for(MAPPING_LIFETIME - 1)
    assert world.mapped(world.server) == mapped  # refreshed
    for _ in range(3):
        world.network.run_for(MAPPING_LIFETIME / 2)
        world.server.send(mapped)  # what comes in refreshes nothing
    assert len(world.inside.heard) == 1
    assert world.mapped(world.server) != mapped


def test_a_nat_that_is_switched_off_and_on_forgets() -> None:
    world = World(filtering=INDEPENDENT)
    mapped = world.mapped(world.server)
    world.nat.forget()
    world.server.send(mapped)
    assert not world.inside.heard
    assert world.mapped(world.server) != mapped


def test_a_nat_behind_a_nat_translates_twice() -> None:
    network = VirtualNetwork(VirtualClock())
    outer = Nat(network, public=PUBLIC, inside="100.64.0.0/10")
    inner = Nat(network, public="100.64.0.2", inside="10.0.1.0/24")
    home, server = Host(network, INSIDE), Host(network, SERVER)
    customer = Host(network, SocketAddress("100.64.0.3", 1))
    home.send(SERVER)
    mapped = server.heard[-1]
    assert mapped.host == PUBLIC
    assert [source.host for source in outer.mappings.values()] == ["100.64.0.2"]
    assert list(inner.mappings.values()) == [INSIDE]
    server.send(mapped)
    assert home.heard == [SERVER]
    home.send(customer.address)
    assert customer.heard[-1].host == "100.64.0.2"
    customer.send(customer.heard[-1])
    assert home.heard[-1] == customer.address


def test_a_link_is_found_by_the_inner_address_and_by_the_public_one() -> None:
    for name in (INSIDE.host, PUBLIC):
        world = World()
        world.network.set_link(name, SERVER.host, Link(loss=1.0))
        world.inside.send(SERVER)
        world.inside.send(OTHER)
        assert not world.server.heard
        assert world.other.heard


def test_a_firewall_stops_each_direction_that_it_was_told_to() -> None:
    network = VirtualNetwork(VirtualClock())
    firewall = Firewall(network, inside=f"{OTHER.host}/32", except_for=[PUBLIC])
    server, other, friend = Host(network, SERVER), Host(network, OTHER), Host(network, SocketAddress(PUBLIC, 1))
    server.send(OTHER)
    other.send(SERVER)
    assert not server.heard + other.heard
    friend.send(OTHER)
    other.send(friend.address)
    assert (other.heard, friend.heard) == ([friend.address], [OTHER])
    firewall.outgoing = False
    server.send(OTHER)
    other.send(SERVER)
    assert server.heard == [OTHER]
    assert other.heard == [friend.address]
    firewall.incoming = False
    server.send(OTHER)
    assert other.heard[-1] == SERVER


def test_a_nat_may_stand_behind_a_firewall() -> None:
    world = World()
    Firewall(world.network, inside=f"{PUBLIC}/32", except_for=[OTHER.host])
    world.inside.send(SERVER)
    assert not world.server.heard
    mapped = world.mapped(world.other)
    world.other.send(mapped)
    assert world.inside.heard == [OTHER]


def test_a_one_to_one_nat_keeps_ports_and_lets_everybody_in() -> None:
    network = VirtualNetwork(VirtualClock())
    OneToOneNat(network, public=PUBLIC, inside=INSIDE.host)
    inside, server, other = (Host(network, address) for address in (INSIDE, SERVER, OTHER))
    inside.send(SERVER)
    assert server.heard == [SocketAddress(PUBLIC, INSIDE.port)]
    other.send(SocketAddress(PUBLIC, INSIDE.port))
    assert inside.heard == [OTHER]
    other.send(INSIDE)
    assert inside.heard == [OTHER], "nobody outside reaches the private address"
