"""Two agents connect, choose a pair, keep it and lose it."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from icelane.core.net import Path, SocketAddress, Transport
from icelane.errors import InvalidStateError, LocalProtocolError
from icelane.ice.agent import LINGER, IceAgent
from icelane.ice.candidate import CandidateType, parse_candidate
from icelane.ice.credentials import Credentials
from icelane.ice.event import (
    IceRole,
    IceState,
    PairSelected,
    PairValidated,
    RemotePeerReflexive,
    RoleChanged,
)
from icelane.ice.options import IceOptions, NominationMode
from icelane.ice.pair import PairState, pair_priority
from icelane.testing.entropy import SeededEntropy
from icelane.testing.nat import Behaviour, Firewall, Nat
from icelane.testing.network import Link
from tests.ice.hosts import (
    ALICE,
    BOB,
    IceHost,
    assert_state,
    both,
    connect,
    connected_pair,
    introduce,
    make_network,
    make_pair,
)

CONTROLLING, CONTROLLED = IceRole.CONTROLLING, IceRole.CONTROLLED
STUN_SERVER = SocketAddress("198.41.0.4", 3478)
LOSSY = Link(delay=0.02, jitter=0.03, loss=0.3, duplication=0.1, reordering=0.1)
GONE = Link(loss=1.0)
THERE = Path(ALICE, BOB, Transport.UDP)
BACK = Path(BOB, ALICE, Transport.UDP)
NORMAL = [IceState.CHECKING, IceState.CONNECTED, IceState.COMPLETED]


def test_two_agents_connect_over_one_pair_and_tell_each_step() -> None:
    network = make_network()
    alice, bob = make_pair(network)
    assert_state(IceState.NEW, alice)
    start = network.clock.now
    connect(alice, bob)
    assert network.clock.now - start < 0.15
    for host, path in ((alice, THERE), (bob, BACK)):
        assert host.states == NORMAL
        assert host.engine.selected == host.engine.data_path == path
        assert host.told(PairValidated) == [PairValidated(path)]
        (selected,) = host.selections
        assert selected == PairSelected(path, selected.local, selected.remote)
        assert (selected.local.type, selected.remote.type) == (CandidateType.HOST, CandidateType.HOST)
        assert host.engine.accepts(path)
        assert not host.told(RoleChanged)
        assert not host.told(RemotePeerReflexive)
    assert (alice.engine.role, bob.engine.role) == (CONTROLLING, CONTROLLED)
    # A check and its repetition with USE-CANDIDATE; a check.
    assert (len(alice.requests()), len(bob.requests())) == (2, 1)


@pytest.mark.parametrize("seed", range(1, 21))
@pytest.mark.parametrize("loss", [0.0, 0.1, 0.3])
def test_two_agents_connect_within_10_seconds_whatever_the_link_loses(loss: float, seed: int) -> None:
    link = Link(delay=0.02, jitter=0.03, loss=loss, duplication=0.1, reordering=0.1)
    network = make_network(link, seed)
    alice, bob = make_pair(network, seed=seed)
    for number, host in enumerate((alice, bob), 1):
        host.add(address=SocketAddress(f"2001:db8::{number}", 5000), preference=65_534)
        host.add(address=SocketAddress(f"198.51.100.{10 * number}", 5000), preference=65_533)
    connect(alice, bob)
    network.run_for(1.0)
    assert alice.engine.selected is not None
    assert bob.engine.selected is not None
    assert (alice.engine.selected.local, alice.engine.selected.remote) == (
        bob.engine.selected.remote,
        bob.engine.selected.local,
    )
    assert alice.say(b"hello")


def test_checks_begin_with_the_first_pair_and_do_not_wait_for_gathering() -> None:
    """True trickle: each candidate travels when it is there, and nobody waits for the last one."""
    network = make_network()
    alice, bob = make_pair(network)
    both(IceHost.hear_credentials, alice, bob)
    assert not alice.requests()
    assert_state(IceState.NEW, alice)
    bob.hear_candidate(alice.candidates[0])
    assert [path for _, path in bob.requests()] == [BACK]
    network.run_until(lambda: alice.engine.selected and bob.engine.selected)
    # Alice never heard of Bob's candidate: she learned it from his check.
    (learned,) = alice.told(RemotePeerReflexive)
    assert learned.candidate.address == BOB
    assert alice.states == bob.states == NORMAL[:2]
    alice.finish()
    bob.finish()
    assert alice.states == bob.states == NORMAL


def test_candidates_may_come_before_the_credentials() -> None:
    network = make_network()
    alice, bob = make_pair(network)
    alice.hear_candidate(bob.candidates[0])
    assert_state(IceState.NEW, alice)
    assert not alice.requests()
    alice.hear_credentials(bob)
    assert_state(IceState.CHECKING, alice)
    assert len(alice.requests()) == 1


def test_checks_that_come_before_the_credentials_are_answered_and_take_effect_later() -> None:
    network = make_network()
    alice, bob = make_pair(network)
    bob.hear(alice)
    network.run_for(1.0)
    assert bob.engine.data_path == BACK
    assert alice.engine.data_path is None
    assert alice.engine.has_authenticated(THERE)
    assert not alice.engine.accepts(THERE)
    assert not alice.told(RemotePeerReflexive)
    alice.hear_credentials(bob)
    network.run_until(lambda: alice.engine.selected == THERE and bob.engine.selected == BACK, 1.0)


def test_data_may_flow_on_the_first_valid_pair_before_anything_is_nominated() -> None:
    alice, bob = dual(GONE, (IceOptions(nomination_wait=5.0), None))
    introduce(alice, bob)
    alice.network.run_for(1.0)
    assert alice.engine.selected is bob.engine.selected is None
    assert_state(IceState.CONNECTED, alice, bob)
    assert alice.say(b"early")
    alice.network.run_for(0.1)
    assert [data for data, _ in bob.arrived] == [b"early"]


# -- nomination


def dual(
    link: Link = GONE, options: tuple[IceOptions | None, IceOptions | None] = (None, None)
) -> tuple[IceHost, IceHost]:
    """Two agents with a good pair over `link`, and one that is worth less and works."""
    network = make_network()
    alice, bob = make_pair(network, options=options)
    network.connect(ALICE.host, BOB.host, link)
    for host, last in ((alice, 11), (bob, 12)):
        host.add(address=SocketAddress(f"2001:db8::{last}", 7000), preference=100)
    return alice, bob


def test_the_better_pair_is_waited_for_and_taken() -> None:
    alice, bob = dual(Link(delay=0.06))
    connect(alice, bob)
    assert alice.engine.selected == THERE
    assert bob.engine.selected == BACK
    assert len(alice.told(PairValidated)) == 2


def test_a_better_pair_that_does_not_answer_is_waited_for_only_briefly() -> None:
    alice, bob = dual(GONE)
    start = alice.network.clock.now
    connect(alice, bob)
    assert alice.network.clock.now - start < 0.5
    assert alice.engine.selected is not None
    assert alice.engine.selected.local.host == "2001:db8::11"


def test_a_relayed_pair_is_not_nominated_while_a_direct_one_may_come() -> None:
    for delay, direct in ((0.3, True), (2.0, False)):
        network = make_network()
        alice, bob = make_pair(network)
        network.connect(ALICE.host, BOB.host, Link(delay=delay))
        alice.add_relayed(SocketAddress("198.41.0.4", 50_000))
        connect(alice, bob)
        assert alice.engine.selected is not None
        assert (alice.engine.selected.local == ALICE) is direct


def test_a_relayed_pair_is_nominated_at_once_when_nothing_else_can_come() -> None:
    network = make_network()
    alice, bob = (
        IceHost(network, address, role, seed)
        for seed, (address, role) in enumerate(((ALICE, CONTROLLING), (BOB, CONTROLLED)))
    )
    for number, host in enumerate((alice, bob)):
        host.add_relayed(SocketAddress("198.41.0.4", 50_000 + number))
    start = network.clock.now
    connect(alice, bob)
    assert network.clock.now - start < 0.15


def test_the_controlled_side_follows_a_peer_with_aggressive_nomination_to_the_best_pair() -> None:
    aggressive = IceOptions(nomination=NominationMode.AGGRESSIVE)
    alice, bob = dual(Link(delay=0.2), (aggressive, None))
    introduce(alice, bob)
    alice.network.run_for(2.0)
    assert alice.engine.selected == THERE
    assert bob.engine.selected == BACK
    for host in (alice, bob):
        assert [selected.path.local.host[:4] for selected in host.selections] == ["2001", "198."]


def test_the_controlled_side_leaves_a_dead_pair_for_another_that_is_nominated() -> None:
    """A peer that nominates again, as browsers do, is followed when the first choice does not answer."""
    aggressive = IceOptions(nomination=NominationMode.AGGRESSIVE)
    alice, bob = dual(Link(delay=0.03), (aggressive, None))
    introduce(alice, bob)
    alice.network.run_for(2.0)
    assert bob.engine.selected == BACK
    alice.network.connect(ALICE.host, BOB.host, GONE)
    alice.network.run_for(9.0)
    for host in (alice, bob):
        assert host.engine.selected is not None
        assert host.engine.selected.local.host.startswith("2001")
        assert_state(IceState.CONNECTED, host)
    alice.network.run_for(60.0)
    assert_state(IceState.CONNECTED, alice, bob)


def test_once_a_pair_is_selected_the_others_are_left_alone() -> None:
    alice, bob = dual(GONE)
    connect(alice, bob)
    alice.network.run_for(0.5)
    seen = len(alice.requests()), len(bob.requests())
    alice.network.run_for(3.0)
    assert (len(alice.requests()), len(bob.requests())) == (seen[0], seen[1] + 6)  # Bob's better pair, twice a second
    other = SocketAddress("198.51.100.77", 9)
    alice.hear_candidate(parse_candidate(f"9 1 udp 2130706431 {other.host} {other.port} typ host"))
    alice.network.run_for(1.0)
    assert other not in {path.remote for _, path in alice.requests()}


def test_where_the_peer_sends_data_is_checked_after_another_pair_was_selected() -> None:
    """The better pair came to life late: for the peer, whose check we answer, it is valid, and it may send there."""
    alice, bob = dual(GONE)
    connect(alice, bob)
    selected = alice.engine.selected
    alice.network.connect(ALICE.host, BOB.host, Link())
    alice.network.run_until(lambda: alice.engine.has_authenticated(THERE), 2.0)
    alice.network.run_for(1.0)
    assert not alice.engine.accepts(THERE)
    alice.run(lambda now: alice.engine.handle_early_data(THERE, now))
    alice.network.run_until(lambda: alice.engine.accepts(THERE), 1.0)
    assert alice.engine.selected == alice.engine.data_path == selected


def test_data_of_a_stranger_brings_about_no_check() -> None:
    """IC-3: it must have proved itself, by a request that is signed."""
    network = make_network()
    alice, bob = make_pair(network)
    connect(alice, bob)
    seen = len(alice.requests())
    alice.run(
        lambda now: alice.engine.handle_early_data(Path(ALICE, SocketAddress("192.0.2.66", 9), Transport.UDP), now)
    )
    assert len(alice.requests()) == seen


# -- peer-reflexive candidates and NATs


class KindOfNat(NamedTuple):
    """How a NAT maps and filters."""

    mapping: Behaviour
    filtering: Behaviour

    def __str__(self) -> str:
        return f"{self.mapping.value}/{self.filtering.value}"


KINDS_OF_NAT = [KindOfNat(mapping, filtering) for mapping in Behaviour for filtering in Behaviour]
FRIENDLY = KindOfNat(Behaviour.ENDPOINT_INDEPENDENT, Behaviour.ADDRESS_AND_PORT_DEPENDENT)
STRICT = KindOfNat(Behaviour.ADDRESS_AND_PORT_DEPENDENT, Behaviour.ADDRESS_AND_PORT_DEPENDENT)


def behind_nats(mine: KindOfNat, yours: KindOfNat, link: Link, seed: int) -> tuple[IceHost, IceHost]:
    """Each behind a NAT, with a server-reflexive and a relayed candidate beside the host candidate."""
    network = make_network(link, seed)
    for inside in ("10.0.1.2", "10.0.2.2"):
        network.connect(inside, STUN_SERVER.host, Link(delay=0.02))
    addresses = SocketAddress("10.0.1.2", 5000), SocketAddress("10.0.2.2", 5000)
    nats = [
        Nat(network, public=f"203.0.113.{number}", inside=f"10.0.{number}.0/24", mapping=mapping, filtering=filtering)
        for number, (mapping, filtering) in enumerate((mine, yours), 1)
    ]
    hosts = make_pair(network, addresses=addresses, seed=seed)
    for number, (host, nat) in enumerate(zip(hosts, nats, strict=True)):
        network.send(b"which address is this?", host.address, STUN_SERVER)
        (mapped,) = nat.mappings
        host.add(CandidateType.SERVER_REFLEXIVE, mapped, host.address)
        host.add_relayed(SocketAddress(STUN_SERVER.host, 50_000 + number))
    return hosts


@pytest.mark.parametrize("loss", [0.0, 0.3])
@pytest.mark.parametrize("yours", KINDS_OF_NAT, ids=str)
@pytest.mark.parametrize("mine", KINDS_OF_NAT, ids=str)
def test_agents_behind_any_two_nats_connect_within_10_seconds(mine: KindOfNat, yours: KindOfNat, loss: float) -> None:
    alice, bob = behind_nats(mine, yours, Link(delay=0.02, jitter=0.01, loss=loss), 5)
    connect(alice, bob)
    while not bob.arrived:
        assert alice.say(b"through")
        alice.network.run_for(0.2)


def test_endpoint_independent_nats_are_crossed_directly() -> None:
    alice, bob = behind_nats(FRIENDLY, FRIENDLY, Link(delay=0.02), 1)
    connect(alice, bob)
    for host in (alice, bob):
        assert host.selections[-1].local.type is CandidateType.SERVER_REFLEXIVE
        assert host.selections[-1].remote.type is CandidateType.SERVER_REFLEXIVE


def test_two_strict_nats_leave_the_relay() -> None:
    alice, bob = behind_nats(STRICT, STRICT, Link(delay=0.02), 1)
    connect(alice, bob)
    kinds = {alice.selections[-1].local.type, alice.selections[-1].remote.type}
    assert CandidateType.RELAYED in kinds


def test_a_candidate_that_was_learned_becomes_what_is_announced_later() -> None:
    network = make_network()
    alice, bob = make_pair(network)
    both(IceHost.hear_credentials, alice, bob)
    bob.hear_candidate(alice.candidates[0])
    network.run_until(lambda: alice.engine.selected)
    assert alice.engine.pairs()[0].remote.type is CandidateType.PEER_REFLEXIVE
    alice.hear_candidate(bob.candidates[0])
    (pair,) = alice.engine.pairs()
    assert pair.remote == bob.candidates[0]


def test_an_address_that_only_the_peer_sees_becomes_a_local_candidate() -> None:
    network = make_network()
    Nat(network, public="203.0.113.1", inside="10.0.1.0/24")
    inside = SocketAddress("10.0.1.2", 5000)
    alice, bob = make_pair(network, addresses=(inside, BOB))
    connect(alice, bob)
    (selected,) = alice.selections
    assert selected.local.type is CandidateType.PEER_REFLEXIVE
    assert selected.local.host == "203.0.113.1"
    assert selected.local.related == inside
    assert selected.path.local == inside
    assert bob.selections[0].remote.type is CandidateType.PEER_REFLEXIVE
    assert bob.selections[0].remote.priority == selected.local.priority


def test_one_blocked_side_leaves_the_relay() -> None:
    network = make_network()
    Firewall(network, inside=f"{BOB.host}/32", except_for=[STUN_SERVER.host])
    alice, bob = make_pair(network)
    alice.add_relayed(SocketAddress(STUN_SERVER.host, 50_000))
    connect(alice, bob)
    assert alice.engine.selected is not None
    assert alice.engine.selected.local.host == STUN_SERVER.host


# -- roles


@pytest.mark.parametrize("role", list(IceRole))
@pytest.mark.parametrize("seed", range(1, 6))
def test_two_agents_of_the_same_role_settle_it(role: IceRole, seed: int) -> None:
    """IC-11: RFC 8445 section 7.3.1.1, over a link that loses 30 %."""
    network = make_network(LOSSY, seed)
    alice, bob = make_pair(network, roles=(role, role), seed=seed)
    connect(alice, bob)
    assert {alice.engine.role, bob.engine.role} == set(IceRole)
    changed = alice.told(RoleChanged) + bob.told(RoleChanged)
    assert [event.role for event in changed] == [role.other]


def test_the_role_can_be_set_until_checks_begin() -> None:
    alice, bob = make_pair(make_network())
    alice.engine.set_role(CONTROLLED)
    assert alice.engine.role is CONTROLLED
    bob.engine.set_role(CONTROLLING)
    connect(alice, bob)
    assert not alice.told(RoleChanged)
    with pytest.raises(InvalidStateError):
        alice.engine.set_role(CONTROLLING)


# -- lite


def test_a_lite_agent_answers_checks_and_takes_the_nomination() -> None:
    network = make_network()
    alice, bob = make_pair(network, roles=(CONTROLLED, CONTROLLED), options=(None, IceOptions(lite=True)))
    alice.hear_credentials(bob, lite=True)
    alice.hear_candidate(bob.candidates[0])
    bob.hear(alice)
    both(lambda host, _: host.finish(), alice, bob)
    network.run_until(lambda: alice.engine.selected and bob.engine.selected, 1.0)
    assert alice.told(RoleChanged) == [RoleChanged(CONTROLLING)]
    network.run_for(120.0)
    assert alice.states == bob.states == NORMAL
    assert not bob.requests()
    assert bob.engine.role is CONTROLLED
    bob.engine.set_role(CONTROLLING)
    assert bob.engine.role is CONTROLLED
    dead = network.clock.now
    network.connect(ALICE.host, BOB.host, GONE)
    network.run_until(lambda: bob.state_is(IceState.DISCONNECTED))
    assert network.clock.now - dead <= 7.0
    network.run_until(lambda: bob.state_is(IceState.FAILED) and alice.state_is(IceState.FAILED), 40.0)


# -- losing the path


@pytest.mark.parametrize("after", [0.0, 3.3, 20.0, 61.7])
def test_a_dead_path_is_noticed_within_7_seconds_and_given_up_after_30(after: float) -> None:
    alice, bob = connected_pair()
    network = alice.network
    network.run_for(after)
    died = network.clock.now
    network.connect(ALICE.host, BOB.host, GONE)
    network.run_until(lambda: alice.state_is(IceState.DISCONNECTED) and bob.state_is(IceState.DISCONNECTED))
    assert network.clock.now - died <= 7.0
    assert alice.engine.selected == THERE
    network.run_until(lambda: alice.state_is(IceState.FAILED) and bob.state_is(IceState.FAILED))
    assert 24.0 <= network.clock.now - died <= 31.0
    assert alice.states == [*NORMAL, IceState.DISCONNECTED, IceState.FAILED]


def test_a_path_that_returns_is_found_again() -> None:
    alice, bob = connected_pair()
    network = alice.network
    network.connect(ALICE.host, BOB.host, GONE)
    network.run_for(20.0)
    assert_state(IceState.DISCONNECTED, alice, bob)
    network.connect(ALICE.host, BOB.host, Link(delay=0.02))
    network.run_for(1.2)
    assert_state(IceState.CONNECTED, alice, bob)
    assert alice.engine.selected == THERE
    network.run_for(300.0)
    assert alice.states == bob.states == [*NORMAL, IceState.DISCONNECTED, IceState.CONNECTED]


def test_one_dead_direction_is_noticed_too() -> None:
    alice, bob = connected_pair()
    alice.network.set_link(ALICE.host, BOB.host, GONE)
    alice.network.run_for(7.0)
    assert_state(IceState.DISCONNECTED, alice, bob)


def test_data_that_stops_brings_the_next_check_forward() -> None:
    alice, _ = connected_pair()
    network = alice.network
    died = network.clock.now + 20.0
    while network.clock.now < died:
        alice.run(alice.engine.note_authenticated_data)
        network.run_for(0.02)
    network.connect(ALICE.host, BOB.host, GONE)
    network.run_until(lambda: alice.state_is(IceState.DISCONNECTED))
    assert network.clock.now - died <= 3.6


def test_a_socket_that_dies_takes_its_pairs_along() -> None:
    alice, bob = dual(Link(delay=0.02))
    connect(alice, bob)
    assert alice.engine.selected == THERE
    alice.run(lambda now: alice.engine.remove_base(ALICE, now))
    # The other pair is valid: it is nominated in its place.
    alice.network.run_for(1.0)
    assert alice.engine.selected is not None
    assert alice.engine.selected.local.host == "2001:db8::11"
    alice.run(lambda now: alice.engine.remove_base(SocketAddress("2001:db8::11", 7000), now))
    assert_state(IceState.DISCONNECTED, alice)
    assert alice.has_nowhere_to_send()
    alice.network.run_for(40.0)
    assert_state(IceState.FAILED, alice)


@pytest.mark.parametrize("patience", [5.0, 39.5, 3600.0])
@pytest.mark.parametrize("before", [0.0, 1.0, 3.5])
def test_without_its_socket_an_agent_has_failed_thirty_seconds_after_the_last_answer(
    patience: float, before: float
) -> None:
    """The patience of the beginning is for connections that there were not yet."""
    alice, bob = make_pair(make_network(), options=(IceOptions(patience=patience), None))
    connect(alice, bob)
    network = alice.network
    network.run_for(10.0 + before)
    answered = alice.engine._session._last_response
    assert answered is not None
    assert network.clock.now - answered <= 6.1
    alice.run(lambda now: alice.engine.remove_base(ALICE, now))
    assert_state(IceState.DISCONNECTED, alice)
    # What comes to light in between does not put it off.
    network.run_for(10.0)
    alice.hear_candidate(parse_candidate("9 1 udp 2130706431 198.51.100.77 9 typ host"))
    network.run_until(lambda: alice.state_is(IceState.FAILED))
    assert network.clock.now - answered == pytest.approx(30.0)
    assert alice.engine.next_timeout() is None


def test_a_socket_that_is_opened_again_is_checked_again() -> None:
    alice, _ = connected_pair()
    alice.run(lambda now: alice.engine.remove_base(ALICE, now))
    assert_state(IceState.DISCONNECTED, alice)
    alice.add()
    alice.network.run_for(1.0)
    assert alice.engine.selected == THERE
    assert_state(IceState.CONNECTED, alice)
    assert len(alice.selections) == 2


# -- never getting one


def test_an_agent_without_a_valid_pair_fails_when_its_patience_ends_and_not_before() -> None:
    """RFC 8863 section 4: a peer-reflexive candidate may still come, whoever said that there are no more."""
    alice, bob = make_pair(make_network(GONE))
    introduce(alice, bob)
    alice.network.run_for(39.4)
    assert alice.states == [IceState.CHECKING]
    alice.network.run_for(0.2)
    assert alice.states == [IceState.CHECKING, IceState.FAILED]
    assert alice.engine.next_timeout() is None


def test_patience_begins_anew_with_each_pair() -> None:
    alice, bob = make_pair(make_network(GONE), options=(IceOptions(patience=15.0), None))
    alice.hear(bob)
    alice.network.run_for(10.0)
    alice.hear_candidate(parse_candidate("9 1 udp 2130706431 198.51.100.77 9 typ host"))
    alice.network.run_for(14.0)
    assert alice.states == [IceState.CHECKING]
    alice.network.run_for(1.1)
    assert alice.states == [IceState.CHECKING, IceState.FAILED]


def test_an_agent_without_any_candidate_fails_at_once() -> None:
    agent = IceAgent(role=CONTROLLING, entropy=SeededEntropy(1))
    now = make_network().clock.now
    agent.set_remote_credentials(Credentials("abcd", "x" * 22), now)
    agent.remote_candidates_done(now)
    assert agent.poll_event() is None
    agent.local_candidates_done(now)
    assert agent.state is IceState.FAILED


def test_a_peer_that_never_sends_credentials_is_waited_for() -> None:
    alice, _ = make_pair(make_network())
    alice.finish()
    alice.network.run_for(600.0)
    assert_state(IceState.NEW, alice)
    assert alice.engine.next_timeout() is None


# -- restart and close


def restart(host: IceHost) -> Credentials:
    """Begin anew with the same socket."""
    made = host.run(host.engine.restart)
    host.candidates.clear()
    host.add()
    return made


def test_a_restart_keeps_the_old_pair_until_the_new_one_is_selected() -> None:
    """IC-10: new credentials; RFC 8445 section 9: data flows all the while."""
    alice, bob = connected_pair()
    network = alice.network
    old = alice.engine.credentials, bob.engine.credentials
    new = restart(alice)
    assert new == alice.engine.credentials
    assert new not in old
    assert new.password not in {one.password for one in old}
    # The offer travels for two minutes; the old pair lives on, with consent.
    network.run_for(120.0)
    assert_state(IceState.COMPLETED, bob)
    assert_state(IceState.CONNECTED, alice)
    assert alice.engine.selected == THERE
    assert alice.say(b"meanwhile")
    network.run_for(0.1)
    assert bob.arrived[-1][0] == b"meanwhile"
    restart(bob)
    both(IceHost.hear, alice, bob)
    both(lambda host, _: host.finish(), alice, bob)
    network.run_for(0.5)
    assert_state(IceState.COMPLETED, alice, bob)
    assert alice.engine.selected == THERE
    assert len(alice.selections) == len(bob.selections) == 2
    assert IceState.DISCONNECTED not in alice.states + bob.states


def test_a_restart_moves_to_another_address() -> None:
    alice, bob = connected_pair()
    network = alice.network
    moved = SocketAddress("198.51.100.50", 5050)
    alice.run(alice.engine.restart)
    alice.candidates.clear()
    alice.add(address=moved)
    network.connect(ALICE.host, BOB.host, GONE)
    network.run_for(10.0)
    assert_state(IceState.CHECKING, alice)  # W3C: a restart while the old path is lost
    restart(bob)
    connect(alice, bob)
    network.run_for(0.2)
    assert alice.engine.selected == Path(moved, BOB, Transport.UDP)
    assert bob.engine.selected == Path(BOB, moved, Transport.UDP)
    # What was sent on the old path before is still let in for a moment.
    assert bob.engine.accepts(BACK)
    network.run_for(LINGER)
    assert not bob.engine.accepts(BACK)


def test_a_restart_brings_a_failed_agent_back() -> None:
    """IC-5: revoked consent needs a restart."""
    alice, bob = connected_pair()
    alice.network.connect(ALICE.host, BOB.host, GONE)
    alice.network.run_for(40.0)
    alice.network.connect(ALICE.host, BOB.host, Link(delay=0.02))
    alice.network.run_for(60.0)
    assert_state(IceState.FAILED, alice, bob)
    for host in (alice, bob):
        restart(host)
        assert_state(IceState.CHECKING, host)
    both(IceHost.hear, alice, bob)
    both(lambda host, _: host.finish(), alice, bob)
    alice.network.run_for(0.5)
    assert_state(IceState.COMPLETED, alice, bob)


def test_a_restart_before_the_nomination_keeps_the_pair_that_carries_data() -> None:
    alice, bob = dual(GONE, (IceOptions(nomination_wait=50.0), None))
    introduce(alice, bob)
    alice.network.run_for(1.0)
    path = alice.engine.data_path
    assert path is not None
    restart(alice)
    assert alice.engine.data_path == path
    assert alice.engine.accepts(path)
    alice.network.run_for(45.0)
    assert alice.engine.data_path == path
    assert_state(IceState.CONNECTED, alice, bob)


def test_a_restart_can_be_taken_back() -> None:
    alice, bob = connected_pair()
    old = alice.engine.credentials
    restart(alice)
    restart(alice)
    alice.network.run_for(10.0)
    alice.run(alice.engine.undo_restart)
    assert alice.engine.credentials == old
    alice.network.run_for(60.0)
    assert alice.engine.state in (IceState.COMPLETED, IceState.CONNECTED)
    assert_state(IceState.COMPLETED, bob)
    assert len(alice.selections) == 1
    with pytest.raises(InvalidStateError):
        alice.engine.undo_restart(alice.network.clock.now)


def test_a_restart_that_leads_nowhere_ends_with_the_old_pair() -> None:
    alice, bob = connected_pair()
    network = alice.network
    restart(alice)
    alice.run(lambda now: alice.engine.set_remote_credentials(Credentials("none", "x" * 22), now))
    alice.hear_candidate(parse_candidate("9 1 udp 2130706431 198.51.100.77 9 typ host"))
    network.run_for(60.0)
    assert_state(IceState.CONNECTED, alice)
    bob.silent = True
    network.run_for(40.0)
    assert_state(IceState.FAILED, alice)
    assert alice.engine.selected is None


def test_a_closed_agent_is_silent_for_good() -> None:
    alice, bob = connected_pair()
    alice.run(alice.engine.close)
    alice.run(alice.engine.close)
    assert alice.states == [*NORMAL, IceState.CLOSED]
    seen = len(alice.sent)
    alice.network.run_for(60.0)
    assert len(alice.sent) == seen
    assert alice.engine.next_timeout() is None
    assert alice.has_nowhere_to_send()
    assert not alice.engine.accepts(THERE)
    assert_state(IceState.FAILED, bob)
    now = alice.network.clock.now
    for verb in (alice.engine.restart, alice.engine.local_candidates_done, alice.engine.remote_candidates_done):
        with pytest.raises(InvalidStateError):
            verb(now)


# -- what callers may do wrong, and statistics


def test_other_credentials_need_a_restart_and_the_same_ones_are_nothing_new() -> None:
    alice, bob = connected_pair()
    alice.hear_credentials(bob)
    with pytest.raises(InvalidStateError):
        alice.engine.set_remote_credentials(Credentials("other", "x" * 22), alice.network.clock.now)


def test_candidates_with_a_name_are_for_the_caller_to_resolve() -> None:
    """IC-7: the agent takes addresses only; nothing below it could ask a resolver."""
    alice, _ = make_pair(make_network())
    now = alice.network.clock.now
    name = parse_candidate("1 1 udp 1 1f4712db-ea17-4bcf-a596-105139dfd8bf.local 9 typ host")
    with pytest.raises(LocalProtocolError):
        alice.engine.add_remote_candidate(name, now)
    with pytest.raises(LocalProtocolError):
        alice.engine.add_local_candidate(name, ALICE, now)
    alice.engine.add_remote_candidate(name.resolved_to("192.0.2.1"), now)


def test_candidates_of_another_session_of_the_peer_are_passed_over() -> None:
    alice, bob = make_pair(make_network())
    alice.hear_candidate(parse_candidate("1 1 udp 1 192.0.2.1 9 typ host ufrag older"))
    alice.hear_credentials(bob)
    assert not alice.engine.pairs()
    alice.hear_candidate(parse_candidate("1 1 udp 1 192.0.2.1 9 typ host ufrag older"))
    alice.hear_candidate(parse_candidate("1 1 tcp 1 192.0.2.1 9 typ host tcptype passive"))
    alice.hear_candidate(parse_candidate("1 2 udp 1 192.0.2.1 9 typ host"))
    assert not alice.engine.pairs()
    alice.hear_candidate(parse_candidate(f"1 1 udp 1 192.0.2.1 9 typ host ufrag {bob.engine.credentials.ufrag}"))
    assert len(alice.engine.pairs()) == 1


def test_statistics_tell_what_went_over_a_pair() -> None:
    alice, bob = connected_pair()
    alice.network.run_for(60.0)
    (pair,) = alice.engine.pairs()
    assert (pair.path, pair.state, pair.nominated, pair.selected) == (THERE, PairState.SUCCEEDED, True, True)
    assert pair.round_trip == pytest.approx(0.04)
    assert pair.total_round_trip == pytest.approx(0.04 * pair.responses_received)
    assert 10 <= pair.consent_requests_sent <= 15
    assert pair.requests_sent == pair.responses_received == pair.consent_requests_sent + 2
    assert pair.requests_received == pair.responses_sent == len(bob.requests())
    assert pair.priority == bob.engine.pairs()[0].priority
    assert pair_priority(1, 2) == (1 << 32) + 4
    assert pair_priority(2, 1) == (1 << 32) + 5


def test_link_local_addresses_pair_with_each_other_only() -> None:
    alice, bob = make_pair(make_network())
    alice.add(address=SocketAddress("fe80::1", 5000))
    alice.add(address=SocketAddress("2001:db8::1", 5000))
    bob.add(address=SocketAddress("fe80::2", 5000))
    bob.add(address=SocketAddress("2001:db8::2", 5000))
    alice.hear(bob)
    assert {(pair.path.local.host, pair.path.remote.host) for pair in alice.engine.pairs()} == {
        (ALICE.host, BOB.host),
        ("fe80::1", "fe80::2"),
        ("2001:db8::1", "2001:db8::2"),
    }


@pytest.mark.parametrize("wrong", [{"ta": 0.001}, {"max_pairs": 0}, {"patience": 0.0}, {"nomination_wait": -1.0}])
def test_options_that_no_agent_could_work_with_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(LocalProtocolError):
        IceOptions(**wrong)  # type: ignore[arg-type]  # one of several names, each a number
