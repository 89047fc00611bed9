"""Taking offers back: explicitly, implicitly, and glare with perfect negotiation as the W3C sample writes it."""

from __future__ import annotations

import pytest

from icelane.ice.event import IceRole
from icelane.peer.description import Description
from icelane.peer.signaling_state import DescriptionType, SignalingState
from icelane.peer.transport_command import RolledBack
from tests.peer.negotiating import (
    CANDIDATE,
    Peer,
    PerfectPeer,
    check_agreement,
    connected,
    deliver_all,
    exchange,
    pair,
    rollback,
)


@pytest.mark.parametrize("polite_speaks_first", [True, False])
def test_perfect_negotiation_survives_glare_of_first_offers(polite_speaks_first: bool) -> None:
    polite, impolite = PerfectPeer(1, polite=True), PerfectPeer(2, polite=False)
    for peer in (polite, impolite) if polite_speaks_first else (impolite, polite):
        peer.want_data()
    deliver_all(*((polite, impolite) if polite_speaks_first else (impolite, polite)))
    check_agreement(polite, impolite)
    assert impolite.negotiation.ice_role is IceRole.CONTROLLING
    assert [command for command in polite.told if isinstance(command, RolledBack)] != []


def test_perfect_negotiation_survives_glare_of_restarts() -> None:
    polite, impolite = PerfectPeer(1, polite=True), PerfectPeer(2, polite=False)
    polite.want_data()
    deliver_all(polite, impolite)
    check_agreement(polite, impolite)
    before = (polite.transport.local, impolite.transport.local)
    for peer in (polite, impolite):
        peer.restart()
    deliver_all(polite, impolite)
    check_agreement(polite, impolite)
    assert polite.transport.local not in before
    assert impolite.transport.local not in before
    assert not polite.negotiation.negotiation_needed
    assert not impolite.negotiation.negotiation_needed


def test_a_first_offer_that_is_taken_back_leaves_no_transport() -> None:
    offerer, _ = pair()
    offerer.set_local()
    discarded = offerer.transport.local
    assert discarded is not None
    applied = offerer.set_local(rollback())
    assert applied.commands == (RolledBack(discarded, None),)
    assert offerer.state is SignalingState.STABLE
    assert offerer.negotiation.local_description is None
    assert offerer.negotiation.ice_role is None
    assert offerer.negotiation.add_local_candidate(CANDIDATE) is None


def test_after_a_rollback_the_next_offer_has_other_credentials() -> None:
    offerer, answerer = pair()
    offerer.set_local()
    first = offerer.transport.local
    offerer.set_local(rollback())
    exchange(offerer, answerer)
    check_agreement(offerer, answerer)
    assert offerer.transport.local != first


def test_an_implicit_rollback_makes_the_offerer_an_answerer() -> None:
    one, other = Peer(1), Peer(2)
    one.set_local()
    other.set_local()
    applied = one.set_remote(other.local)
    assert [type(command) for command in applied.commands] == [RolledBack]
    assert one.state is SignalingState.HAVE_REMOTE_OFFER
    assert one.negotiation.pending_local_description is None
    one.set_local()
    other.set_remote(one.local)
    check_agreement(one, other)
    assert one.negotiation.ice_role is IceRole.CONTROLLED


def test_rolling_back_a_restart_returns_to_the_old_credentials_and_candidates() -> None:
    offerer, answerer = connected()
    offerer.negotiation.add_local_candidate(CANDIDATE)
    before = offerer.negotiation.current_local_description
    old = offerer.transport.local
    assert before is not None
    assert old is not None
    offerer.set_local(offerer.negotiation.create_offer(ice_restart=True))
    new = offerer.transport.local
    assert new is not None
    assert CANDIDATE not in offerer.local.sdp
    assert offerer.set_local(rollback()).commands == (RolledBack(new, old),)
    assert offerer.local == before
    exchange(answerer, offerer)
    check_agreement(offerer, answerer)
    assert offerer.transport.local == old


def test_rolling_back_an_offer_without_a_restart_touches_no_transport() -> None:
    offerer, answerer = connected()
    offerer.set_local()
    assert offerer.set_local(rollback()).commands == ()
    exchange(answerer, offerer)
    check_agreement(offerer, answerer)


def test_a_remote_offer_that_is_taken_back_was_never_there() -> None:
    offerer, answerer = connected()
    before = answerer.negotiation.remote_description
    offerer.set_local(offerer.negotiation.create_offer(ice_restart=True))
    answerer.set_remote(offerer.local)
    answerer.negotiation.create_answer()
    assert answerer.set_remote(rollback()).commands == ()
    assert answerer.negotiation.remote_description == before
    assert answerer.negotiation.pending_remote_description is None
    offerer.set_local(rollback())
    exchange(answerer, offerer)
    check_agreement(offerer, answerer)


def test_a_rollback_looks_at_no_text() -> None:
    offerer, _ = pair()
    offerer.set_local()
    offerer.set_local(Description(DescriptionType.ROLLBACK, "!<no description>"))
    assert offerer.state is SignalingState.STABLE


def test_a_restart_that_was_asked_for_outlives_a_rollback() -> None:
    offerer, answerer = connected()
    old = offerer.transport.local
    assert offerer.negotiation.restart_ice()
    offerer.set_local()
    assert offerer.set_local(rollback()).negotiation_is_needed
    exchange(offerer, answerer)
    assert offerer.transport.local != old
    check_agreement(offerer, answerer)
