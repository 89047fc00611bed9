"""What is said of a NAT is what comes of it: the words hold against the theory that every pair of NATs is tried by."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from icelane.cli.nat_meaning import (
    Reach,
    filtering_words,
    hairpinning_words,
    mapping_words,
    meaning,
    reach,
    what_is_missing,
)
from icelane.core.net import SocketAddress
from icelane.stun.behavior import Behavior, BehaviorDiscovered
from icelane.testing.nat import ADDRESS_AND_PORT_DEPENDENT, ENDPOINT_INDEPENDENT, Behaviour
from tests.scenarios.test_peers_connect_through_nats import KINDS, can_be_direct, is_symmetric

SERVER = SocketAddress("198.51.100.1", 3478)
OTHER = SocketAddress("198.51.100.2", 3479)
LOCAL = SocketAddress("10.0.0.2", 5000)
MAPPED = SocketAddress("203.0.113.7", 6000)
FOUND = BehaviorDiscovered(
    server=SERVER,
    other=OTHER,
    local=LOCAL,
    mapped=MAPPED,
    mapping=Behavior.ENDPOINT_INDEPENDENT,
    filtering=Behavior.ENDPOINT_INDEPENDENT,
    hairpinning=False,
)


def found(kind: tuple[Behaviour, Behaviour]) -> BehaviorDiscovered:
    return replace(FOUND, mapping=Behavior(kind[0].value), filtering=Behavior(kind[1].value))


@pytest.mark.parametrize("kind", KINDS)
def test_whom_a_nat_lets_us_reach_is_what_theory_says(kind: tuple[Behaviour, Behaviour]) -> None:
    direct = [other for other in KINDS if can_be_direct(kind, other)]
    match reach(found(kind)):
        case Reach.EVERYBODY:
            assert direct == KINDS
        case Reach.UNLESS_SYMMETRIC:
            assert direct == [other for other in KINDS if not is_symmetric(other[0])]
        case Reach.FEW:
            promised = [
                other
                for other in KINDS
                if other[0] is ENDPOINT_INDEPENDENT and other[1] is not ADDRESS_AND_PORT_DEPENDENT
            ]
            assert set(promised) <= set(direct)
            assert not [other for other in direct if other[1] is ADDRESS_AND_PORT_DEPENDENT]
        case Reach.UNKNOWN:
            pytest.fail("both are known")


def test_of_a_filter_that_is_not_known_only_the_worst_is_promised() -> None:
    assert reach(replace(FOUND, filtering=None)) is Reach.UNLESS_SYMMETRIC
    assert reach(replace(FOUND, mapping=None)) is Reach.UNKNOWN


def test_every_kind_has_words_of_its_own() -> None:
    kinds = [replace(FOUND, mapping=mapping, filtering=filtering)
             for mapping, filtering in itertools.product([*Behavior, None], repeat=2)]  # fmt: skip
    assert len({mapping_words(one) for one in kinds}) == 4
    assert len({filtering_words(one) for one in kinds}) == 4
    assert len({meaning(one) for one in kinds}) == len(Reach)


def test_without_a_nat_there_is_no_mapping_to_speak_of() -> None:
    open_host = replace(FOUND, mapped=LOCAL, hairpinning=None)
    assert mapping_words(open_host).startswith("none")
    assert hairpinning_words(open_host).startswith("none")


def test_hairpinning_that_was_not_asked_about_is_not_denied() -> None:
    assert hairpinning_words(FOUND) == "no"
    assert hairpinning_words(replace(FOUND, hairpinning=True)) == "yes"
    assert hairpinning_words(replace(FOUND, hairpinning=None)) == "not asked"


def test_what_is_missing_is_named_with_the_address_that_is_to_blame() -> None:
    assert what_is_missing(FOUND) is None
    one_address = what_is_missing(replace(FOUND, other=None, mapping=None, filtering=None))
    assert one_address is not None
    assert "198.51.100.1:3478 names no second address" in one_address
    silent = what_is_missing(replace(FOUND, filtering=None, silent=(OTHER,)))
    assert silent is not None
    assert "198.51.100.2:3479 did not answer" in silent
    refused = what_is_missing(replace(FOUND, filtering=None, change_refused=True))
    assert refused is not None
    assert "does not answer from another address" in refused
