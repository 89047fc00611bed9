"""Offers, answers and states of one negotiation, and of two that talk to each other."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from icelane.dtls.options import DtlsRole
from icelane.errors import (
    InvalidAccessError,
    InvalidModificationError,
    InvalidStateError,
    LocalProtocolError,
    OperationError,
)
from icelane.ice.event import IceRole
from icelane.peer.description import Description
from icelane.peer.negotiation import Negotiation
from icelane.peer.signaling_state import MOVES, DescriptionType, Side, SignalingState
from icelane.peer.transport_command import (
    DataChannelsNegotiated,
    DtlsRoleDecided,
    SectionPlace,
    SetRemoteTransport,
    StartGathering,
)
from icelane.sdp.session import parse_session
from icelane.testing.entropy import SeededEntropy
from tests.peer.negotiating import (
    CANDIDATE,
    OTHER_CANDIDATE,
    RELAYED,
    Peer,
    check_agreement,
    connected,
    exchange,
    pair,
    rejecting_answer,
    rollback,
    typed,
)

OFFER, PRANSWER, ANSWER = DescriptionType.OFFER, DescriptionType.PRANSWER, DescriptionType.ANSWER


def test_two_agree_after_one_offer_and_one_answer() -> None:
    offerer, answerer = pair()
    exchange(offerer, answerer)
    check_agreement(offerer, answerer)
    assert [type(command) for command in offerer.told] == [
        StartGathering,
        SetRemoteTransport,
        DtlsRoleDecided,
        DataChannelsNegotiated,
    ]
    assert [type(command) for command in answerer.told] == [type(command) for command in offerer.told]
    assert offerer.transport.ice_role is IceRole.CONTROLLING
    # RFC 8842 section 5.3: the answerer is the client, so that DTLS begins half a round trip earlier.
    assert answerer.transport.dtls_role is DtlsRole.CLIENT


def test_an_offer_reads_as_rfc_9429_has_it() -> None:
    offerer, _ = pair()
    offer = offerer.negotiation.create_offer()
    pattern = r"""v=0
o=- \d+ 0 IN IP4 127\.0\.0\.1
s=-
t=0 0
a=group:BUNDLE 0
a=ice-options:trickle ice2
m=application 9 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 0\.0\.0\.0
a=ice-ufrag:[A-Za-z0-9+/]{8}
a=ice-pwd:[A-Za-z0-9+/]{24}
a=fingerprint:sha-256 (?:01:){31}01
a=setup:actpass
a=mid:0
a=sctp-port:5000
a=max-message-size:262144
""".replace("\n", "\r\n")
    assert re.fullmatch(pattern, offer.sdp)


def test_without_channels_an_offer_has_no_section_and_the_answer_neither() -> None:
    offerer, answerer = Peer(1, wants_data=False), Peer(2, wants_data=False)
    exchange(offerer, answerer)
    assert parse_session(offerer.local.sdp).media == parse_session(answerer.local.sdp).media == []
    assert offerer.told == answerer.told == []
    check_agreement(offerer, answerer)


def test_the_offerer_of_a_first_exchange_without_transport_controls_nothing_yet() -> None:
    """The role belongs to the transport: who offers the exchange that makes it controls."""
    first, second = Peer(1, wants_data=False), Peer(2, wants_data=False)
    exchange(first, second)
    second.negotiation.request_data_channels()
    exchange(second, first)
    check_agreement(first, second)
    assert second.negotiation.ice_role is IceRole.CONTROLLING


def test_nothing_reaches_the_answerer_s_transport_before_the_answer() -> None:
    offerer, answerer = pair()
    offerer.set_local()
    answerer.set_remote(offerer.local)
    answerer.negotiation.create_answer()
    assert answerer.told == []


# -- every state with every description


def _stable() -> Peer:
    return pair()[0]


def _have_local_offer() -> Peer:
    peer = _stable()
    peer.set_local()
    return peer


def _have_remote_offer() -> Peer:
    peer = Peer(9)
    peer.set_remote(_have_local_offer().local)
    return peer


def _have_local_pranswer() -> Peer:
    peer = _have_remote_offer()
    peer.set_local(typed(peer.negotiation.create_answer(), PRANSWER))
    return peer


def _have_remote_pranswer() -> Peer:
    peer = _have_local_offer()
    answerer = Peer(9)
    answerer.set_remote(peer.local)
    peer.set_remote(typed(answerer.negotiation.create_answer(), PRANSWER))
    return peer


def _closed() -> Peer:
    peer = _stable()
    peer.negotiation.close()
    return peer


REACHING: dict[SignalingState, Callable[[], Peer]] = {
    SignalingState.STABLE: _stable,
    SignalingState.HAVE_LOCAL_OFFER: _have_local_offer,
    SignalingState.HAVE_REMOTE_OFFER: _have_remote_offer,
    SignalingState.HAVE_LOCAL_PRANSWER: _have_local_pranswer,
    SignalingState.HAVE_REMOTE_PRANSWER: _have_remote_pranswer,
    SignalingState.CLOSED: _closed,
}


def _remote(peer: Peer, kind: DescriptionType) -> Description:
    """A remote description of this type that fits, if any can."""
    if kind is DescriptionType.ROLLBACK:
        return rollback()
    if kind is OFFER or peer.negotiation.local_description is None:
        return typed(Peer(10).negotiation.create_offer(), kind)
    other = Peer(9)  # who has answered provisionally, if anybody has
    other.set_remote(typed(peer.local, OFFER))
    return typed(other.negotiation.create_answer(), kind)


@pytest.mark.parametrize("state", SignalingState)
@pytest.mark.parametrize("kind", DescriptionType)
@pytest.mark.parametrize("side", Side)
def test_each_state_takes_the_descriptions_of_the_table_and_refuses_the_others(
    state: SignalingState, side: Side, kind: DescriptionType
) -> None:
    peer = REACHING[state]()
    assert peer.state is state
    before = (peer.negotiation.local_description, peer.negotiation.remote_description)

    def apply() -> None:
        if side is Side.LOCAL:
            peer.set_local(Description(kind))
        else:
            peer.set_remote(_remote(peer, kind))

    glare = (state, side, kind) == (SignalingState.HAVE_LOCAL_OFFER, Side.REMOTE, OFFER)
    reached = SignalingState.HAVE_REMOTE_OFFER if glare else MOVES.get((state, side, kind))
    if reached is not None:
        apply()
        assert peer.state is reached
        return
    with pytest.raises(InvalidStateError):
        apply()
    assert peer.state is state
    assert (peer.negotiation.local_description, peer.negotiation.remote_description) == before


@pytest.mark.parametrize("state", SignalingState)
def test_offers_and_answers_are_made_only_where_they_can_be_set(state: SignalingState) -> None:
    negotiation = REACHING[state]().negotiation
    for make, states in (
        (negotiation.create_offer, (SignalingState.STABLE, SignalingState.HAVE_LOCAL_OFFER)),
        (negotiation.create_answer, (SignalingState.HAVE_REMOTE_OFFER, SignalingState.HAVE_LOCAL_PRANSWER)),
    ):
        if state in states:
            assert make().sdp
        else:
            with pytest.raises(InvalidStateError):
                make()


def test_a_closed_negotiation_refuses_everything_and_shows_what_was() -> None:
    offerer, answerer = connected()
    offerer.negotiation.close()
    for command in (
        offerer.negotiation.create_offer,
        offerer.negotiation.create_answer,
        offerer.negotiation.set_local_description,
        offerer.negotiation.request_data_channels,
        offerer.negotiation.restart_ice,
        lambda: offerer.negotiation.set_remote_description(answerer.local),
        lambda: offerer.negotiation.add_remote_candidate(CANDIDATE, "0"),
    ):
        with pytest.raises(InvalidStateError):
            command()
    assert offerer.state is SignalingState.CLOSED
    assert offerer.negotiation.current_local_description is not None
    assert not offerer.negotiation.update_negotiation_needed()
    offerer.negotiation.close()


# -- what is set is what was made


def test_an_offer_may_come_back_with_other_line_ends_and_with_candidates() -> None:
    offerer, _ = pair()
    offer = offerer.negotiation.create_offer()
    text = offer.sdp.replace("\r\n", "\n") + f"a={CANDIDATE}\na=end-of-candidates\n\n"
    offerer.set_local(Description(OFFER, text))
    assert "a=candidate" not in offerer.local.sdp


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("a=setup:actpass", "a=setup:passive"),
        ("a=max-message-size:262144", "a=max-message-size:0"),
        ("a=mid:0", "a=mid:1"),
        ("127.0.0.1", "192.0.2.1"),
        ("a=fingerprint:sha-256 01", "a=fingerprint:sha-256 02"),
        ("m=application 9", "m=application 0"),
        ("s=-", "!"),
    ],
)
def test_an_offer_that_was_changed_is_refused_and_can_still_be_set_unchanged(old: str, new: str) -> None:
    offerer, _ = pair()
    offer = offerer.negotiation.create_offer()
    assert old in offer.sdp
    with pytest.raises(InvalidModificationError):
        offerer.set_local(Description(OFFER, offer.sdp.replace(old, new)))
    assert offerer.state is SignalingState.STABLE
    offerer.set_local(offer)


def test_only_the_offer_made_last_can_be_set() -> None:
    offerer, _ = pair()
    first = offerer.negotiation.create_offer(ice_restart=True)
    second = offerer.negotiation.create_offer(ice_restart=True)
    assert first != second
    with pytest.raises(InvalidModificationError):
        offerer.set_local(first)
    offerer.set_local(second)


def test_an_answer_that_was_changed_or_never_made_is_refused() -> None:
    offerer, answerer = pair()
    offerer.set_local()
    answerer.set_remote(offerer.local)
    with pytest.raises(InvalidModificationError):
        answerer.set_local(typed(offerer.local, ANSWER))
    answer = answerer.negotiation.create_answer()
    with pytest.raises(InvalidModificationError):
        answerer.set_local(Description(ANSWER, answer.sdp.replace("active", "passive")))
    assert answerer.told == []
    answerer.set_local(answer)


def test_an_offer_of_before_an_exchange_cannot_be_set_after_it() -> None:
    first, second = pair()
    stale = first.negotiation.create_offer()
    exchange(second, first)
    with pytest.raises(InvalidModificationError):
        first.set_local(stale)


def test_setting_nothing_takes_the_offer_made_last_while_it_is_up_to_date() -> None:
    offerer, _ = pair()
    offer = offerer.negotiation.create_offer()
    offerer.set_local()
    assert offerer.local == offer


def test_setting_nothing_makes_another_offer_when_more_is_wanted_since() -> None:
    offerer = Peer(1, wants_data=False)
    offerer.negotiation.create_offer()
    offerer.negotiation.request_data_channels()
    offerer.set_local()
    assert len(parse_session(offerer.local.sdp).media) == 1


def test_an_empty_text_is_as_none() -> None:
    offerer, answerer = pair()
    offerer.set_local(Description(OFFER))
    answerer.set_remote(offerer.local)
    answerer.set_local(Description(ANSWER))
    offerer.set_remote(answerer.local)
    check_agreement(offerer, answerer)


def test_the_offer_out_may_be_replaced_by_another() -> None:
    offerer, answerer = pair()
    offerer.set_local()
    first = offerer.local
    offerer.set_local(offerer.negotiation.create_offer(ice_restart=True))
    answerer.set_remote(first)
    answerer.set_remote(offerer.local)
    answerer.set_local()
    offerer.set_remote(answerer.local)
    check_agreement(offerer, answerer)


def test_making_an_answer_again_changes_nothing() -> None:
    offerer, answerer = pair()
    offerer.set_local()
    answerer.set_remote(offerer.local)
    assert answerer.negotiation.create_answer() == answerer.negotiation.create_answer()


def test_the_session_version_grows_with_each_description_that_is_set() -> None:
    offerer, answerer = connected()
    origins = [parse_session(offerer.local.sdp).origin]
    exchange(answerer, offerer)
    origins.append(parse_session(offerer.local.sdp).origin)
    exchange(offerer, answerer)
    origins.append(parse_session(offerer.local.sdp).origin)
    assert [origin.session_version for origin in origins] == [0, 1, 2]
    assert len({origin.session_id for origin in origins}) == 1


# -- re-offers and provisional answers


def test_a_re_offer_from_either_side_keeps_transport_roles_and_credentials() -> None:
    offerer, answerer = connected()
    before = (offerer.transport.local, answerer.transport.local, answerer.transport.dtls_role)
    exchange(answerer, offerer)
    exchange(offerer, answerer)
    check_agreement(offerer, answerer)
    assert (offerer.transport.local, answerer.transport.local, answerer.transport.dtls_role) == before
    assert offerer.negotiation.ice_role is IceRole.CONTROLLING
    assert offerer.told == answerer.told == []


@pytest.mark.parametrize("restarts", [False, True])
def test_a_re_offer_names_the_role_that_is_in_use_so_that_nobody_answers_with_another(restarts: bool) -> None:
    """RFC 8842 section 5.5 lets it; Firefox answers `actpass` with `active`, whatever it is, and keeps what it was."""
    offerer, answerer = connected()
    assert "a=setup:actpass" in offerer.local.sdp
    exchange(offerer, answerer, ice_restart=restarts)
    assert "a=setup:passive" in offerer.local.sdp
    assert "a=setup:active" in answerer.local.sdp
    exchange(answerer, offerer, ice_restart=restarts)
    assert "a=setup:active" in answerer.local.sdp
    assert "a=setup:passive" in offerer.local.sdp
    assert offerer.transport.associations == answerer.transport.associations == 1


def test_an_offer_of_a_new_transport_leaves_the_role_open() -> None:
    offerer, _ = connected()
    offerer.set_local()
    offerer.set_remote(rejecting_answer(offerer.local))
    offerer.negotiation.request_data_channels()
    offerer.set_local()
    assert "a=setup:actpass" in offerer.local.sdp


def test_after_a_re_offer_the_answer_keeps_the_role_that_is_in_use() -> None:
    offerer, answerer = connected()
    exchange(answerer, offerer)
    assert "a=setup:passive" in offerer.local.sdp


def test_a_provisional_answer_starts_the_transports_and_the_final_one_changes_nothing() -> None:
    offerer, answerer = pair()
    offerer.set_local()
    answerer.set_remote(offerer.local)
    answer = answerer.negotiation.create_answer()
    answerer.set_local(typed(answer, PRANSWER))
    offerer.set_remote(answerer.local)
    assert offerer.state is SignalingState.HAVE_REMOTE_PRANSWER
    assert answerer.state is SignalingState.HAVE_LOCAL_PRANSWER
    assert len(offerer.told) == len(answerer.told) == 4
    assert offerer.negotiation.pending_remote_description == typed(answer, PRANSWER)
    answerer.set_local()
    offerer.set_remote(answerer.local)
    check_agreement(offerer, answerer)
    assert len(offerer.told) == len(answerer.told) == 4


# -- what the peer sends


@pytest.mark.parametrize("text", ["", "hello", "v=0\r\n", "v=0\r\no=-\r\n", "\0"])
def test_a_text_that_is_no_description_is_an_operation_error(text: str) -> None:
    peer = _have_local_offer()
    for kind in (OFFER, ANSWER):
        with pytest.raises(OperationError):
            peer.set_remote(Description(kind, text))
    assert peer.state is SignalingState.HAVE_LOCAL_OFFER
    assert peer.negotiation.remote_description is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("a=ice-pwd:", "a=x-ice-pwd:"),
        ("a=fingerprint:", "a=x-fingerprint:"),
        ("a=setup:actpass", "a=setup:holdconn"),
        ("a=setup:actpass", "a=x:y"),
    ],
)
def test_an_offer_that_cannot_be_secured_is_an_invalid_access_error_and_our_own_stays(old: str, new: str) -> None:
    """SD-3, seen from the connection: what cannot be used takes nothing back either."""
    peer = _have_local_offer()
    ours = peer.local
    offer = Peer(9).negotiation.create_offer()
    with pytest.raises(InvalidAccessError):
        peer.set_remote(Description(OFFER, offer.sdp.replace(old, new)))
    assert peer.state is SignalingState.HAVE_LOCAL_OFFER
    assert peer.local == ours
    assert len(peer.told) == 1


def test_an_answer_to_something_else_is_refused_and_the_right_one_still_taken() -> None:
    offerer, answerer = pair()
    offerer.set_local()
    answerer.set_remote(offerer.local)
    answerer.set_local()
    with pytest.raises(InvalidAccessError):
        offerer.set_remote(Description(ANSWER, answerer.local.sdp.replace("a=mid:0", "a=mid:7").replace("E 0", "E 7")))
    with pytest.raises(InvalidAccessError):
        offerer.set_remote(Description(ANSWER, answerer.local.sdp.replace("active", "actpass")))
    assert offerer.state is SignalingState.HAVE_LOCAL_OFFER
    offerer.set_remote(answerer.local)
    check_agreement(offerer, answerer)


def test_over_a_lite_peer_we_control_whoever_offered() -> None:
    for we_answer in (True, False):
        ours, lite = pair()
        first, second = (lite, ours) if we_answer else (ours, lite)
        first.negotiation.request_data_channels()
        first.set_local()
        second.set_remote(_lite(first.local) if we_answer else first.local)
        second.set_local()
        first.set_remote(second.local if we_answer else _lite(second.local))
        assert ours.negotiation.ice_role is IceRole.CONTROLLING
        assert ours.transport.ice_role is IceRole.CONTROLLING
        assert ours.transport.remote is not None
        assert ours.transport.remote.is_lite


def _lite(description: Description) -> Description:
    return Description(description.type, description.sdp.replace("t=0 0\r\n", "t=0 0\r\na=ice-lite\r\n"))


# -- negotiation needed


def test_negotiation_is_needed_from_the_first_channel_until_a_section_is_negotiated() -> None:
    offerer, answerer = Peer(1, wants_data=False), Peer(2, wants_data=False)
    assert not offerer.negotiation.update_negotiation_needed()
    assert offerer.negotiation.request_data_channels()
    assert not offerer.negotiation.request_data_channels()
    exchange(offerer, answerer)
    assert not offerer.negotiation.negotiation_needed
    assert not answerer.negotiation.request_data_channels()


def test_a_channel_that_comes_during_an_exchange_without_one_is_announced_when_it_ends() -> None:
    offerer, answerer = Peer(1, wants_data=False), Peer(2, wants_data=False)
    offerer.set_local()
    assert not offerer.negotiation.request_data_channels()
    answerer.set_remote(offerer.local)
    assert not answerer.set_local().negotiation_is_needed
    assert offerer.set_remote(answerer.local).negotiation_is_needed


def test_after_a_rollback_what_was_wanted_is_announced_again() -> None:
    peer = _have_local_offer()
    assert peer.set_local(rollback()).negotiation_is_needed


# -- local candidates


def test_descriptions_show_the_candidates_that_are_known() -> None:
    offerer, answerer = pair()
    offer = offerer.negotiation.create_offer()
    offerer.set_local(offer)
    assert offerer.negotiation.add_local_candidate(CANDIDATE) == SectionPlace("0", 0)
    assert offerer.local.sdp == offer.sdp + f"a={CANDIDATE}\r\n"
    offerer.negotiation.add_local_candidate(f"a={CANDIDATE}")
    assert offerer.negotiation.local_candidates_done() == SectionPlace("0", 0)
    assert offerer.local.sdp == offer.sdp + f"a={CANDIDATE}\r\na=end-of-candidates\r\n"
    answerer.set_remote(offerer.local)
    answerer.set_local()
    assert answerer.transport.remote is not None
    assert answerer.transport.remote.candidates == (CANDIDATE,)
    assert answerer.transport.remote.end_of_candidates
    offerer.set_remote(answerer.local)
    assert CANDIDATE in offerer.local.sdp


def test_a_candidate_before_any_description_belongs_nowhere() -> None:
    offerer, _ = pair()
    assert offerer.negotiation.add_local_candidate(CANDIDATE) is None
    assert offerer.negotiation.local_candidates_done() is None


def test_relay_only_shows_no_address_of_this_machine() -> None:
    """IC-8, the descriptions: only relayed candidates without a related address, and neutral `o=` and `c=`."""
    peer = Peer(1, relay_only=True)
    peer.set_local()
    for text in (CANDIDATE, RELAYED.replace("0.0.0.0", "192.0.2.10"), RELAYED.replace("relay", "srflx")):
        with pytest.raises(LocalProtocolError):
            peer.negotiation.add_local_candidate(text)
    peer.negotiation.add_local_candidate(RELAYED)
    addresses = set(re.findall(r"\d+\.\d+\.\d+\.\d+", peer.local.sdp))
    assert addresses == {"127.0.0.1", "0.0.0.0", "203.0.113.9"}


# -- remote candidates are in test_remote_candidate.py


def test_a_negotiation_needs_a_fingerprint() -> None:
    with pytest.raises(LocalProtocolError):
        Negotiation(entropy=SeededEntropy(), fingerprints=[])


def test_the_peer_s_trickling_is_unknown_until_it_speaks() -> None:
    offerer, answerer = pair()
    assert answerer.negotiation.can_trickle is None
    offerer.set_local()
    answerer.set_remote(Description(OFFER, offerer.local.sdp.replace("a=ice-options:trickle ice2\r\n", "")))
    assert not answerer.negotiation.can_trickle
    answerer.set_remote(Description(OFFER, offerer.local.sdp.replace("trickle ice2", "ice2,trickle")))
    assert answerer.negotiation.can_trickle


def test_secrets_are_not_in_repr() -> None:
    offerer, answerer = connected()
    assert offerer.transport.local is not None
    password = offerer.transport.local.password
    offerer.forget()
    answerer.forget()
    exchange(offerer, answerer, ice_restart=True)
    for thing in (offerer.local, offerer.told, answerer.told, offerer.transport.local):
        assert password not in repr(thing)
        assert offerer.transport.local.password not in repr(thing)
    assert OTHER_CANDIDATE not in repr(offerer.local)
