"""A peer behind a 1:1 NAT that says so is reached without a STUN server, and does not tell its own address."""

from __future__ import annotations

import pytest

from icelane.core.clock import Instant, UnixSeconds
from icelane.ice.candidate import CandidateType, parse_candidate
from icelane.peer.connection_options import PeerOptions
from icelane.peer.external_addresses import external_addresses
from icelane.peer.stats import collect_stats
from icelane.testing.nat import ADDRESS_AND_PORT_DEPENDENT, OneToOneNat
from icelane.testing.peer import PeerHost
from tests.scenarios.internet import Internet, assert_data_flows, connect, settle

INSIDE, PUBLIC = "10.9.0.5", "203.0.113.5"


def cloud(internet: Internet, kind: str = "host", *, says: bool = True) -> PeerHost:
    """A peer behind a NAT of its own, which it knows if it `says` so."""
    OneToOneNat(internet.network, public=PUBLIC, inside=INSIDE)
    known = external_addresses({INSIDE: PUBLIC} if says else None, kind)
    return internet.peer(1, INSIDE, options=PeerOptions(external=known))


def candidates_of(peer: PeerHost) -> list[tuple[str, str]]:
    """Type and address of each that was told."""
    return [(one.type.value, one.host) for one in (parse_candidate(told.line) for told in peer.told)]


def selected_type(peer: PeerHost) -> CandidateType:
    assert peer.engine.transport is not None
    assert peer.engine.transport.ice.in_use is not None
    return peer.engine.transport.ice.in_use.local.type


def test_the_public_address_is_a_host_candidate_to_which_a_stranger_comes_straight() -> None:
    internet = Internet(seed=31, has_servers=False)
    alice, bob = cloud(internet), internet.behind_nat(2, ADDRESS_AND_PORT_DEPENDENT)
    connect(alice, bob)
    settle(alice, bob)
    assert_data_flows(alice, bob)
    assert candidates_of(alice) == [("host", PUBLIC)]
    assert selected_type(alice) is CandidateType.HOST
    told = [description.sdp for description in (alice.engine.negotiation.local_description,) if description is not None]
    told += [candidate.line for candidate in alice.told]
    told += [
        repr(one) for one in collect_stats(alice.engine, UnixSeconds(0.0), Instant(0.0)).of_type("local-candidate")
    ]
    assert len(told) > 2
    assert INSIDE not in "\n".join(told)


def test_with_a_stun_server_the_same_address_is_not_told_twice() -> None:
    internet = Internet(seed=32)
    alice, bob = cloud(internet), internet.peer(2)
    connect(alice, bob)
    settle(alice, bob)
    assert candidates_of(alice)[0] == ("host", PUBLIC)
    assert {kind for kind, _ in candidates_of(alice)} == {"host", "relay"}
    assert INSIDE not in "\n".join(candidate.line for candidate in alice.told)


def test_beside_its_own_address_it_is_a_reflexive_candidate() -> None:
    internet = Internet(seed=33, has_servers=False)
    alice, bob = cloud(internet, "srflx"), internet.behind_nat(2, ADDRESS_AND_PORT_DEPENDENT)
    connect(alice, bob)
    settle(alice, bob)
    assert_data_flows(alice, bob)
    assert candidates_of(alice) == [("host", INSIDE), ("srflx", PUBLIC)]


def test_a_peer_that_does_not_say_so_is_not_found() -> None:
    internet = Internet(seed=34, has_servers=False)
    alice, bob = cloud(internet, says=False), internet.behind_nat(2, ADDRESS_AND_PORT_DEPENDENT)
    alice.keeps_sent = True
    with pytest.raises(AssertionError, match="not within"):
        connect(alice, bob)
