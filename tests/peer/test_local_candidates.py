"""Candidates of ours: what ICE is given, and what is told of them."""

from __future__ import annotations

import pytest

from icelane.core.net import SocketAddress, Transport
from icelane.ice.candidate import Candidate, CandidateType
from icelane.peer.external_addresses import ExternalAddresses
from icelane.peer.host_names import HostNames
from icelane.peer.local_candidates import LocalCandidates
from icelane.testing.entropy import SeededEntropy

BASE = SocketAddress("10.0.0.5", 50_000)
PUBLIC = SocketAddress("203.0.113.5", 50_000)
SERVER = SocketAddress("198.51.100.1", 3478)
TRANSLATED = {BASE.host: PUBLIC.host}


def lines(make: LocalCandidates, *candidates: Candidate) -> list[str]:
    """What is told, from the address on."""
    return [str(make.shown(candidate)).split(" ", 4)[4] for candidate in candidates]


def test_an_address_that_nobody_translates_is_told() -> None:
    make = LocalCandidates(relay_only=False)
    assert lines(make, *make.direct(BASE, 1)) == ["10.0.0.5 50000 typ host"]


def test_the_public_address_replaces_ours_in_everything_that_is_told() -> None:
    make = LocalCandidates(relay_only=False, external=ExternalAddresses(by_host=TRANSLATED))
    (host,) = make.direct(BASE, 1)
    assert host.address == PUBLIC
    found = [
        host,
        make.reflexive(SocketAddress("192.0.2.99", 1234), BASE, SERVER, 1),
        make.relayed(SocketAddress("198.51.100.1", 40_000), BASE, SERVER, Transport.UDP, 0),
    ]
    assert lines(make, *found) == [
        "203.0.113.5 50000 typ host",
        "192.0.2.99 1234 typ srflx raddr 203.0.113.5 rport 50000",
        "198.51.100.1 40000 typ relay raddr 203.0.113.5 rport 50000",
    ]


def test_beside_ours_the_public_address_is_a_reflexive_candidate_that_asked_nobody() -> None:
    make = LocalCandidates(relay_only=False, external=ExternalAddresses(by_host=TRANSLATED, replaces=False))
    host, mapped = make.direct(BASE, 7)
    assert lines(make, host, mapped) == [
        "10.0.0.5 50000 typ host",
        "203.0.113.5 50000 typ srflx raddr 10.0.0.5 rport 50000",
    ]
    assert host.priority > mapped.priority
    assert host.foundation != mapped.foundation


def test_what_a_server_saw_elsewhere_is_not_taken_for_ours() -> None:
    make = LocalCandidates(relay_only=False, external=ExternalAddresses(by_host=TRANSLATED))
    make.direct(BASE, 1)
    elsewhere = make.relayed(SERVER, SocketAddress("10.0.0.6", 9), SERVER, Transport.UDP, 0)
    assert make.shown(elsewhere) is elsewhere


def test_one_that_a_check_taught_us_hides_its_base_too() -> None:
    make = LocalCandidates(relay_only=False, external=ExternalAddresses(by_host=TRANSLATED))
    make.direct(BASE, 1)
    learned = Candidate(
        type=CandidateType.PEER_REFLEXIVE, host="192.0.2.9", port=9, priority=1, foundation="p1", related=BASE
    )
    assert make.shown(learned).related == PUBLIC


@pytest.mark.parametrize("tcp_type", ["active", "passive"])
def test_with_names_a_candidate_of_tcp_hides_its_address_as_one_of_udp_does(tcp_type: str) -> None:
    """IC-9: and by the same name, which is asked for once."""
    names = HostNames(SeededEntropy(1))
    make = LocalCandidates(relay_only=False, names=names)
    (tcp,) = make.tcp(BASE, tcp_type, 1)
    (udp,) = make.direct(BASE, 1)
    assert make.shown(tcp).host == make.shown(udp).host == names.of(BASE.host)
    assert make.hidden([tcp, udp]) == {names.of(BASE.host): BASE.host}
    assert make.shown_base(BASE) == SocketAddress(names.of(BASE.host), BASE.port)
    assert make.shown_base(SERVER) == SERVER


def test_with_names_a_mapped_address_that_is_ours_is_not_told() -> None:
    """IC-9: a server in our own network sees what we hide."""
    make = LocalCandidates(relay_only=False, names=HostNames(SeededEntropy(1)))
    make.direct(BASE, 1)
    assert not make.may_tell(SocketAddress(BASE.host, 1234))
    assert make.may_tell(PUBLIC)
    assert LocalCandidates(relay_only=False).may_tell(BASE)
