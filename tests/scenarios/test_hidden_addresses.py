"""hide_addresses: names of multicast DNS stand in place of our addresses in everything that is told."""

from __future__ import annotations

import logging

import pytest

from icelane.core.clock import Instant, UnixSeconds
from icelane.core.net import SocketAddress
from icelane.ice.candidate import Candidate, is_mdns_name, parse_candidate
from icelane.peer.connection_options import PeerOptions
from icelane.peer.external_addresses import external_addresses
from icelane.peer.stats import collect_stats
from icelane.testing.nat import ENDPOINT_INDEPENDENT, Nat
from icelane.testing.network import Link
from icelane.testing.peer import PeerHost
from tests.scenarios.internet import (
    RELAY,
    SERVER,
    Internet,
    assert_data_flows,
    assert_everything_is_given_back,
    connect,
    run_until,
    settle,
)
from tests.scenarios.test_relay_only import URLS, everything_told

HIDDEN = PeerOptions(hide_addresses=True)
HOSTS = ("192.0.2.7", "2001:db8::7")


def on_a_link(internet: Internet, number: int, *hosts: str, names: dict[str, str], options: PeerOptions) -> PeerHost:
    """A peer whose link knows these names."""
    return PeerHost(internet.network, *hosts, seed=number, stun=[SERVER], relays=[RELAY], options=options, names=names)


def said_by(peer: PeerHost) -> str:
    """All that leaves the engine for the peer or the program, as text; paths of sockets are for the driver."""
    return everything_told(peer, selected=False)


def told_by(peer: PeerHost) -> list[Candidate]:
    return [parse_candidate(told.line) for told in peer.told]


def hosts_told_by(peer: PeerHost) -> list[str]:
    """The host candidates' addresses or names."""
    return [one.host for one in told_by(peer) if one.type.value == "host"]


@pytest.mark.parametrize("we_offer", [True, False])
def test_no_address_of_this_machine_is_told_and_a_neighbour_finds_us_by_name(
    we_offer: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """IC-9: neither in descriptions, candidates, related addresses, statistics and reports, nor in the log at info."""
    caplog.set_level(logging.INFO)
    internet = Internet(seed=51)
    link: dict[str, str] = {}
    alice = on_a_link(internet, 1, *HOSTS, names=link, options=HIDDEN)
    bob = on_a_link(internet, 2, "192.0.2.8", "2001:db8::8", names=link, options=PeerOptions())
    offerer, answerer = (alice, bob) if we_offer else (bob, alice)
    connect(offerer, answerer)
    settle(offerer, answerer)
    assert_data_flows(alice, bob)
    names = hosts_told_by(alice)
    assert len(names) == len(HOSTS)
    assert all(is_mdns_name(name) for name in names)
    assert {link[name] for name in names} == set(HOSTS)
    told = said_by(alice)
    assert names[0] in told
    for host in HOSTS:
        assert host not in told
        assert host not in caplog.text
    assert_everything_is_given_back(internet, alice, bob)
    assert not link, "at the end the names mean nothing"


def test_both_may_hide() -> None:
    internet = Internet(seed=52, has_servers=False)
    link: dict[str, str] = {}
    alice = on_a_link(internet, 1, HOSTS[0], names=link, options=HIDDEN)
    bob = on_a_link(internet, 2, "192.0.2.8", names=link, options=HIDDEN)
    alice._relays = bob._relays = []
    alice._stun = bob._stun = []
    connect(alice, bob)
    settle(alice, bob)
    assert_data_flows(alice, bob)
    assert len(link) == 2


def test_each_connection_has_a_name_of_its_own_and_keeps_it_over_a_restart() -> None:
    """IC-9: fresh for each session."""
    internet = Internet(seed=53)
    link: dict[str, str] = {}
    alice = on_a_link(internet, 1, HOSTS[0], names=link, options=HIDDEN)
    another = on_a_link(internet, 3, HOSTS[0], names=link, options=HIDDEN)
    bob = on_a_link(internet, 2, "192.0.2.8", names=link, options=PeerOptions())
    connect(alice, bob)
    settle(alice, bob)
    before = hosts_told_by(alice)
    another.create_channel("any")
    another.run(lambda now: another.engine.set_local_description(None, now))
    assert hosts_told_by(another)[0] not in before
    alice.told.clear()
    alice.run(lambda _: alice.engine.restart_ice())
    connect(alice, bob)
    settle(alice, bob)
    assert hosts_told_by(alice) == before
    assert_data_flows(alice, bob)


def test_behind_a_nat_the_reflexive_candidate_does_not_say_what_is_behind_it() -> None:
    """IC-9: the mapped address is told, the address it stands for is not."""
    internet = Internet(seed=54)
    alice, bob = (
        internet.behind_nat(1, ENDPOINT_INDEPENDENT, options=HIDDEN),
        internet.behind_nat(2, ENDPOINT_INDEPENDENT),
    )
    connect(alice, bob)
    settle(alice, bob)
    assert_data_flows(alice, bob)
    by_type = {one.type.value: one for one in told_by(alice)}
    assert by_type["srflx"].host == "203.0.115.1"
    assert by_type["srflx"].related == SocketAddress("0.0.0.0", 9)
    assert by_type["relay"].related == SocketAddress("0.0.0.0", 9)
    assert by_type["host"].related is None
    assert alice.hosts[0] not in said_by(alice)


def test_a_server_in_our_own_network_does_not_give_us_away() -> None:
    """IC-9: it sees the address that is hidden, on this socket or on another one of ours."""
    internet = Internet(seed=55)
    link: dict[str, str] = {}
    alice = on_a_link(internet, 1, *HOSTS[:1], "192.0.2.9", names=link, options=HIDDEN)
    Nat(internet.network, public="192.0.2.9", inside="192.0.2.7/32")  # as if packets left from the other interface
    alice.create_channel("any")
    alice.run(lambda now: alice.engine.set_local_description(None, now))
    internet.network.run_for(5.0)
    assert "srflx" not in {one.type.value for one in told_by(alice)}
    assert "relay" in {one.type.value for one in told_by(alice)}
    for host in alice.hosts:
        assert host not in said_by(alice)


def test_a_public_address_that_replaces_ours_is_told_and_needs_no_name() -> None:
    internet = Internet(seed=56)
    link: dict[str, str] = {}
    options = PeerOptions(hide_addresses=True, external=external_addresses("203.0.113.5", "host"))
    alice = on_a_link(internet, 1, HOSTS[0], names=link, options=options)
    alice.create_channel("any")
    alice.run(lambda now: alice.engine.set_local_description(None, now))
    assert hosts_told_by(alice) == ["203.0.113.5"]
    assert not link
    assert HOSTS[0] not in said_by(alice)


def test_names_go_with_their_addresses_and_with_the_policy() -> None:
    internet = Internet(seed=57)
    link: dict[str, str] = {}
    alice = on_a_link(internet, 1, HOSTS[0], names=link, options=HIDDEN)
    bob = on_a_link(internet, 2, "192.0.2.8", names=link, options=PeerOptions())
    connect(alice, bob)
    settle(alice, bob)
    assert set(link.values()) == {HOSTS[0]}
    alice.move_to("192.0.2.10")
    assert not link
    alice.run(lambda _: alice.engine.restart_ice())
    connect(alice, bob)
    settle(alice, bob)
    assert set(link.values()) == {"192.0.2.10"}
    alice.run(lambda _: alice.engine.change_ice_configuration(relay_only=True, urls=URLS))
    connect(alice, bob)
    run_until(alice, bob, lambda: not link, 10.0)
    assert "192.0.2.10" not in said_by(alice)


def test_an_error_does_not_say_where_the_server_was_asked_from() -> None:
    """IC-9: as with relay-only."""
    internet = Internet(seed=58)
    link: dict[str, str] = {}
    alice = on_a_link(internet, 1, HOSTS[0], names=link, options=HIDDEN)
    internet.network.set_link(HOSTS[0], SERVER.host, Link(loss=1.0))
    alice.create_channel("any")
    alice.run(lambda now: alice.engine.set_local_description(None, now))
    alice.run(lambda now: alice.engine.fail_base(SocketAddress(HOSTS[0], 0), "no free port", now))
    internet.network.run_for(30.0)
    told = said_by(alice)
    assert "CandidateFailed(base=None" in told
    assert "base=Socket" not in told
    assert HOSTS[0] not in told
    locals_ = collect_stats(alice.engine, UnixSeconds(0.0), Instant(0.0)).of_type("local-candidate")
    assert [one.candidateType for one in locals_] == ["host"]
