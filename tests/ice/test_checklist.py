"""Pairs, their order and their bounds."""

from __future__ import annotations

import pytest

from icelane.core.net import Path, SocketAddress, Transport
from icelane.errors import LocalProtocolError
from icelane.ice.candidate import Candidate, CandidateType, compute_priority
from icelane.ice.checklist import (
    MAX_LOCAL_CANDIDATES,
    MAX_PEER_REFLEXIVE,
    MAX_REMOTE_CANDIDATES,
    MAX_TRIGGERED_IN_A_ROW,
    Checklist,
)
from icelane.ice.event import IceRole
from icelane.ice.pair import CandidatePair, PairState

ROLE = IceRole.CONTROLLING
BASE = SocketAddress("192.0.2.1", 5000)


def candidate(number: int, kind: CandidateType = CandidateType.HOST, host: str = "198.51.100.1") -> Candidate:
    """The lower the number, the better."""
    return Candidate(type=kind, host=host, port=1000 + number, priority=compute_priority(kind, 60_000 - number),
                     foundation=str(number))  # fmt: skip


def local(address: SocketAddress = BASE, kind: CandidateType = CandidateType.HOST) -> Candidate:
    return Candidate(type=kind, host=address.host, port=address.port, priority=compute_priority(kind), foundation="1")


def filled(count: int, max_pairs: int = 100) -> Checklist:
    """One base and that many candidates of the peer."""
    checklist = Checklist(max_pairs)
    checklist.add_local(local(), BASE, ROLE)
    for number in range(count):
        checklist.add_remote(candidate(number), ROLE)
    return checklist


def take(checklist: Checklist) -> CandidatePair | None:
    """The next pair, which is then in progress."""
    pair = checklist.next_pair(ROLE, lambda _: True)
    if pair is not None:
        pair.state = PairState.IN_PROGRESS
    return pair


def test_the_better_pair_is_checked_first() -> None:
    checklist = filled(3)
    taken = [pair.remote.port for pair in iter(lambda: take(checklist), None)]
    assert taken == [1000, 1001, 1002]
    assert not checklist.has_next(lambda _: True)


def test_triggered_pairs_go_first_and_let_one_other_through_after_two() -> None:
    checklist = filled(8)
    for pair in list(checklist)[4:]:
        checklist.trigger(pair)
        checklist.trigger(pair)  # once is enough
    taken = [pair.remote.port for pair in iter(lambda: take(checklist), None)]
    assert MAX_TRIGGERED_IN_A_ROW == 2
    assert taken == [1004, 1005, 1000, 1006, 1007, 1001, 1002, 1003]


def test_what_nobody_wants_is_not_checked() -> None:
    checklist = filled(2)
    assert checklist.next_pair(ROLE, lambda pair: pair.remote.port == 1001) is list(checklist)[1]
    assert not checklist.has_next(lambda _: False)
    assert checklist.next_pair(ROLE, lambda _: False) is None


def test_a_reflexive_candidate_makes_no_pair_beside_its_base() -> None:
    checklist = filled(2)
    mapped = SocketAddress("203.0.113.1", 7000)
    assert checklist.add_local(local(mapped, CandidateType.SERVER_REFLEXIVE), BASE, ROLE) == []
    assert len(checklist) == 2
    assert checklist.learn_local(local(mapped)).type is CandidateType.SERVER_REFLEXIVE


def test_a_base_takes_the_best_candidate_whichever_came_first() -> None:
    checklist = Checklist(100)
    checklist.add_remote(candidate(1), ROLE)
    mapped = SocketAddress("203.0.113.1", 7000)
    assert len(checklist.add_local(local(mapped, CandidateType.SERVER_REFLEXIVE), BASE, ROLE)) == 1
    checklist.add_local(local(), BASE, ROLE)
    assert [pair.local.type for pair in checklist] == [CandidateType.HOST]


def test_a_full_list_drops_what_failed_then_what_is_worth_less() -> None:
    checklist = Checklist(3)
    checklist.add_local(local(), BASE, ROLE)
    for number in (10, 20, 30):
        checklist.add_remote(candidate(number), ROLE)
    assert checklist.add_remote(candidate(40), ROLE) == []
    assert len(checklist.add_remote(candidate(5), ROLE)) == 1
    assert sorted(pair.remote.port for pair in checklist) == [1005, 1010, 1020]
    next(pair for pair in checklist if pair.remote.port == 1005).state = PairState.FAILED
    assert len(checklist.add_remote(candidate(50), ROLE)) == 1
    assert sorted(pair.remote.port for pair in checklist) == [1010, 1020, 1050]
    for pair in checklist:
        pair.state = PairState.SUCCEEDED
    assert checklist.add_remote(candidate(0), ROLE) == []


def test_candidates_of_both_sides_are_bounded() -> None:
    checklist = filled(MAX_REMOTE_CANDIDATES + 50, max_pairs=1000)
    assert len(checklist) == MAX_REMOTE_CANDIDATES
    for number in range(MAX_LOCAL_CANDIDATES - 1):
        checklist.add_local(local(SocketAddress("192.0.2.2", 1 + number)), SocketAddress("192.0.2.2", 1), ROLE)
    with pytest.raises(LocalProtocolError):
        checklist.add_local(local(SocketAddress("192.0.2.3", 1)), BASE, ROLE)
    beyond = local(SocketAddress("192.0.2.4", 1), CandidateType.PEER_REFLEXIVE)
    assert checklist.learn_local(beyond) is beyond


def learn(checklist: Checklist, number: int, *, nominated: bool = False) -> bool:
    learned = candidate(number, CandidateType.PEER_REFLEXIVE, "203.0.113.9")
    return checklist.learn_remote(learned, nominated=nominated) and checklist.form(BASE, learned, ROLE) is not None


def test_a_learned_candidate_whose_checks_failed_gives_way() -> None:
    checklist = filled(0)
    assert all(learn(checklist, number) for number in range(MAX_PEER_REFLEXIVE))
    assert not learn(checklist, 100)
    list(checklist)[3].state = PairState.FAILED
    assert learn(checklist, 101)
    assert not learn(checklist, 102)
    assert learn(checklist, 103, nominated=True)
    for pair in checklist:
        pair.state = PairState.SUCCEEDED
    assert not learn(checklist, 104, nominated=True)
    assert len(checklist) == MAX_PEER_REFLEXIVE


def test_a_learned_candidate_that_is_announced_is_paired_with_every_base() -> None:
    checklist = filled(0)
    other = SocketAddress("192.0.2.1", 5001)
    checklist.add_local(local(other), other, ROLE)
    assert learn(checklist, 1)
    assert len(checklist) == 1
    announced = candidate(1, host="203.0.113.9")
    assert [pair.path.local for pair in checklist.add_remote(announced, ROLE)] == [other]
    assert {pair.remote for pair in checklist} == {announced}
    assert checklist.add_remote(announced, ROLE) == []


def test_a_base_that_is_gone_leaves_failed_pairs_and_may_come_back() -> None:
    checklist = filled(2)
    checklist.remove_base(BASE)
    assert [pair.state for pair in checklist] == [PairState.FAILED] * 2
    assert not checklist.has_base(BASE)
    assert checklist.form(BASE, candidate(1), ROLE) is None
    assert len(checklist.add_local(local(), BASE, ROLE)) == 2
    assert len(checklist.live()) == 2


def test_forgotten_candidates_take_their_pairs_along() -> None:
    checklist = filled(3)
    checklist.drop_remotes(lambda one: one.port == 1001)
    assert [pair.remote.port for pair in checklist] == [1000, 1002]
    assert checklist.pair_at(Path(BASE, SocketAddress("198.51.100.1", 1001), Transport.UDP)) is None
