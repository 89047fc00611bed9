"""ICE restarts, and SD-4: what may change with one, and what must not change without."""

from __future__ import annotations

import re

import pytest

from icelane.dtls.options import DtlsRole
from icelane.errors import InvalidAccessError
from icelane.peer.description import Description
from icelane.peer.signaling_state import DescriptionType, SignalingState
from icelane.peer.transport_command import NewDtlsAssociation, RestartIce, SetRemoteTransport
from tests.peer.negotiating import CANDIDATE, OTHER_CANDIDATE, Peer, check_agreement, connected, exchange, typed

TLS_ID = "a=tls-id:" + "A" * 20
OTHER_TLS_ID = "a=tls-id:" + "B" * 20


def changed(description: Description, pattern: str, replacement: str) -> Description:
    """The description with one line changed on its way."""
    text, count = re.subn(pattern, replacement, description.sdp)
    assert count == 1
    return Description(description.type, text)


def other_fingerprint(description: Description) -> Description:
    return changed(description, r"sha-256 ..:", "sha-256 EE:")


def with_tls_id(description: Description, line: str) -> Description:
    return changed(description, "a=sctp-port", f"{line}\r\na=sctp-port")


def restart_offer(offerer: Peer) -> Description:
    offerer.set_local(offerer.negotiation.create_offer(ice_restart=True))
    return offerer.local


@pytest.mark.parametrize("by", ["option", "restartIce"])
def test_a_restart_gives_both_sides_new_credentials_and_keeps_the_dtls_association(by: str) -> None:
    offerer, answerer = connected()
    before = (offerer.transport.local, answerer.transport.local)
    if by == "restartIce":
        assert offerer.negotiation.restart_ice()
    exchange(offerer, answerer, ice_restart=by == "option")
    check_agreement(offerer, answerer)
    assert offerer.transport.local not in before
    assert answerer.transport.local not in before
    assert [type(command) for command in offerer.told] == [RestartIce, SetRemoteTransport]
    assert [type(command) for command in answerer.told] == [RestartIce, SetRemoteTransport]
    assert offerer.transport.associations == 1


def test_the_answerer_may_restart_too_and_roles_stay() -> None:
    offerer, answerer = connected()
    exchange(answerer, offerer, ice_restart=True)
    check_agreement(offerer, answerer)
    assert offerer.transport.dtls_role is DtlsRole.SERVER


def test_restart_ice_holds_until_an_offer_of_ours_went_through() -> None:
    """W3C: another side's offer in between cannot restart for us."""
    offerer, answerer = connected()
    old = answerer.transport.local
    assert answerer.negotiation.restart_ice()
    offerer.set_local()
    answerer.set_remote(offerer.local)
    assert answerer.set_local().negotiation_is_needed
    offerer.set_remote(answerer.local)
    assert answerer.transport.local == old
    exchange(answerer, offerer)
    assert answerer.transport.local != old
    assert not answerer.negotiation.negotiation_needed


def test_restart_ice_is_settled_by_answering_a_restart_of_the_peer() -> None:
    offerer, answerer = connected()
    assert answerer.negotiation.restart_ice()
    exchange(offerer, answerer, ice_restart=True)
    assert not answerer.negotiation.negotiation_needed


def test_restart_ice_before_anything_was_negotiated_asks_for_nothing() -> None:
    assert not Peer(1, wants_data=False).negotiation.restart_ice()


def test_a_changed_ice_configuration_restarts_with_the_next_offer_and_asks_for_none() -> None:
    """RFC 9429 section 5.2.2: other servers or another policy are for the next gathering."""
    offerer, answerer = connected()
    old = offerer.transport.local
    stale = offerer.negotiation.create_offer()
    offerer.negotiation.change_ice_configuration(relay_only=True)
    assert not offerer.negotiation.update_negotiation_needed()
    offerer.set_local()
    assert offerer.local != stale
    assert offerer.transport.local != old
    answerer.set_remote(offerer.local)
    answerer.set_local()
    offerer.set_remote(answerer.local)
    new = offerer.transport.local
    exchange(offerer, answerer)
    assert offerer.transport.local == new
    check_agreement(offerer, answerer)


def test_restart_ice_during_an_offer_makes_the_next_one_different() -> None:
    peer = Peer(1)
    peer.set_local()
    first = peer.transport.local
    peer.negotiation.restart_ice()
    peer.set_local()
    assert peer.transport.local != first


def test_during_a_restart_each_description_shows_its_own_candidates() -> None:
    offerer, _ = connected()
    old = offerer.transport.local
    assert old is not None
    offerer.negotiation.add_local_candidate(CANDIDATE)
    restart_offer(offerer)
    offerer.negotiation.add_local_candidate(OTHER_CANDIDATE)
    offerer.negotiation.local_candidates_done(old.ufrag)
    current = offerer.negotiation.current_local_description
    pending = offerer.negotiation.pending_local_description
    assert current is not None
    assert pending is not None
    assert CANDIDATE in current.sdp
    assert OTHER_CANDIDATE not in current.sdp
    assert OTHER_CANDIDATE in pending.sdp
    assert CANDIDATE not in pending.sdp
    assert "end-of-candidates" in current.sdp
    assert "end-of-candidates" not in pending.sdp


def test_half_a_restart_is_refused() -> None:
    offerer, answerer = connected()
    before = answerer.transport.remote
    assert before is not None
    offer = restart_offer(offerer)
    for name, value in (("ice-ufrag", before.ice.ufrag), ("ice-pwd", before.ice.password)):
        with pytest.raises(InvalidAccessError, match="restart"):
            answerer.set_remote(changed(offer, f"a={name}:[^\r]*", f"a={name}:{value}"))
    assert answerer.state is SignalingState.STABLE


def test_an_answer_that_restarts_ice_when_the_offer_did_not_is_refused_and_the_right_one_still_taken() -> None:
    offerer, answerer = connected()
    stranger = Peer(7)
    offerer.set_local()
    for peer in (answerer, stranger):
        peer.set_remote(offerer.local)
        peer.set_local()
    remote = offerer.negotiation.current_remote_description
    with pytest.raises(InvalidAccessError, match="restart"):
        offerer.set_remote(stranger.local)
    assert offerer.state is SignalingState.HAVE_LOCAL_OFFER
    assert offerer.negotiation.current_remote_description == remote
    assert offerer.negotiation.pending_remote_description is None
    assert offerer.told == []
    offerer.set_remote(answerer.local)
    check_agreement(offerer, answerer)


def test_who_answered_provisionally_is_the_one_whose_answer_counts() -> None:
    """Decision 0036: serial forking needs another offer."""
    offerer, first, second = Peer(1), Peer(2), Peer(3)
    offerer.set_local()
    for peer in (first, second):
        peer.set_remote(offerer.local)
        peer.set_local()
    offerer.set_remote(typed(first.local, DescriptionType.PRANSWER))
    for kind in (DescriptionType.PRANSWER, DescriptionType.ANSWER):
        with pytest.raises(InvalidAccessError, match="restart"):
            offerer.set_remote(typed(second.local, kind))
    assert offerer.state is SignalingState.HAVE_REMOTE_PRANSWER
    assert offerer.negotiation.pending_remote_description == typed(first.local, DescriptionType.PRANSWER)
    offerer.set_remote(first.local)
    check_agreement(offerer, first)
    # To go on with the other one takes an offer that restarts ICE.
    second = Peer(4)
    second.set_remote(restart_offer(offerer))
    second.set_local()
    offerer.set_remote(second.local)
    assert offerer.negotiation.current_remote_description == second.local
    assert offerer.transport.associations == 2
    assert offerer.transport.fingerprints == (("sha-256", second.digest),)
    assert offerer.transport.remote is not None
    assert offerer.transport.remote.ice == second.transport.local


# -- SD-4


def test_another_fingerprint_in_an_offer_without_a_restart_is_refused() -> None:
    """SD-4: RFC 9429 section 5.11 lets the fingerprint change with an ICE restart only; nothing changes by the try."""
    offerer, answerer = connected()
    offerer.set_local()
    with pytest.raises(InvalidAccessError, match="fingerprint"):
        answerer.set_remote(other_fingerprint(offerer.local))
    assert answerer.state is SignalingState.STABLE
    answerer.set_remote(offerer.local)
    answerer.set_local()
    offerer.set_remote(answerer.local)
    check_agreement(offerer, answerer)
    assert answerer.told == []


def test_another_fingerprint_in_an_answer_without_a_restart_is_refused() -> None:
    """SD-4: the same for the answer to our offer."""
    offerer, answerer = connected()
    offerer.set_local()
    answerer.set_remote(offerer.local)
    answerer.set_local()
    with pytest.raises(InvalidAccessError, match="fingerprint"):
        offerer.set_remote(other_fingerprint(answerer.local))
    assert offerer.state is SignalingState.HAVE_LOCAL_OFFER
    assert offerer.told == []
    offerer.set_remote(answerer.local)
    check_agreement(offerer, answerer)


def test_another_fingerprint_with_a_restart_makes_a_new_dtls_association() -> None:
    """SD-4: with an ICE restart the old association ends, and the new one has the new fingerprint."""
    offerer, answerer = connected()
    answerer.set_remote(other_fingerprint(restart_offer(offerer)))
    answerer.set_local()
    assert [type(command) for command in answerer.told[:3]] == [RestartIce, SetRemoteTransport, NewDtlsAssociation]
    assert answerer.transport.fingerprints == (("sha-256", bytes([0xEE, *offerer.digest[1:]])),)
    assert answerer.transport.associations == 2
    assert answerer.transport.channels is not None


def test_another_fingerprint_in_the_answer_to_our_restart_makes_a_new_dtls_association() -> None:
    """SD-4: the same, when the peer answers."""
    offerer, answerer = connected()
    answerer.set_remote(restart_offer(offerer))
    answerer.set_local()
    offerer.set_remote(other_fingerprint(answerer.local))
    assert offerer.transport.associations == 2
    assert offerer.transport.fingerprints == (("sha-256", bytes([0xEE, *answerer.digest[1:]])),)


def test_another_fingerprint_after_a_provisional_answer_is_refused() -> None:
    """SD-4: a provisional answer has started DTLS; the final one may not name somebody else under the same ICE."""
    offerer, answerer = Peer(1), Peer(2)
    offerer.set_local()
    answerer.set_remote(offerer.local)
    answer = answerer.negotiation.create_answer()
    offerer.set_remote(typed(answer, DescriptionType.PRANSWER))
    with pytest.raises(InvalidAccessError, match="fingerprint"):
        offerer.set_remote(other_fingerprint(answer))
    assert offerer.state is SignalingState.HAVE_REMOTE_PRANSWER
    offerer.set_remote(answer)
    assert offerer.transport.associations == 1


def test_an_additional_fingerprint_is_another_set_and_refused() -> None:
    """SD-4: RFC 8842 section 4: added or removed counts as changed."""
    offerer, answerer = connected()
    offerer.set_local()
    more = changed(offerer.local, "a=setup", "a=fingerprint:sha-256 " + ":".join(["AB"] * 32) + "\r\na=setup")
    with pytest.raises(InvalidAccessError):
        answerer.set_remote(more)


def test_another_tls_id_is_refused_without_a_restart_and_a_new_association_with_one() -> None:
    """SD-4: the same rule for `a=tls-id`, which tells associations with one certificate apart."""
    offerer, answerer = Peer(1), Peer(2, wants_data=False)
    offerer.set_local()
    answerer.set_remote(with_tls_id(offerer.local, TLS_ID))
    answerer.set_local()
    offerer.set_remote(answerer.local)
    offerer.set_local()
    with pytest.raises(InvalidAccessError, match="tls-id"):
        answerer.set_remote(with_tls_id(offerer.local, OTHER_TLS_ID))
    answerer.set_remote(with_tls_id(restart_offer(offerer), OTHER_TLS_ID))
    answerer.set_local()
    assert answerer.transport.associations == 2


def test_a_tls_id_that_an_answer_leaves_out_is_remembered() -> None:
    """SD-4: our offers have none, so the answers to them have none; that neither changes nor forgets it."""
    offerer, answerer = Peer(1), Peer(2, wants_data=False)
    offerer.set_local()
    answerer.set_remote(with_tls_id(offerer.local, TLS_ID))
    answerer.set_local()
    offerer.set_remote(answerer.local)
    exchange(answerer, offerer)
    assert answerer.transport.associations == 1
    offerer.set_local()
    with pytest.raises(InvalidAccessError, match="tls-id"):
        answerer.set_remote(with_tls_id(offerer.local, OTHER_TLS_ID))


def test_another_dtls_role_is_refused_without_a_restart_and_a_new_association_with_one() -> None:
    """SD-4: RFC 8842 section 4: the roles belong to the association."""
    offerer, answerer = connected()
    offerer.set_local()
    with pytest.raises(InvalidAccessError, match="role"):
        answerer.set_remote(changed(offerer.local, "setup:passive", "setup:active"))
    answerer.set_remote(changed(restart_offer(offerer), "setup:passive", "setup:active"))
    answerer.set_local()
    assert answerer.transport.associations == 2
    assert answerer.transport.dtls_role is DtlsRole.SERVER
    assert "a=setup:passive" in answerer.local.sdp


def test_an_answer_that_turns_the_roles_round_is_refused() -> None:
    """SD-4: the same in an answer, whose offer has named the roles that are in use."""
    offerer, answerer = connected()
    offerer.set_local()
    answerer.set_remote(offerer.local)
    answerer.set_local()
    with pytest.raises(InvalidAccessError, match="a=setup:passive is no answer to a=setup:passive"):
        offerer.set_remote(changed(answerer.local, "a=setup:active", "a=setup:passive"))
    assert offerer.negotiation.signaling_state is SignalingState.HAVE_LOCAL_OFFER
