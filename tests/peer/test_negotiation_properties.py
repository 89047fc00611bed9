"""Random programs: whatever two sides do, they agree in the end; and what is refused changes nothing."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from icelane.errors import InvalidStateError, LocalProtocolError, OperationError
from icelane.peer.description import Description
from icelane.peer.signaling_state import MOVES, DescriptionType, SignalingState
from icelane.sdp.session import parse_session
from tests.peer.descriptions import DATA_ANSWERS, OFFERS
from tests.peer.negotiating import CANDIDATE, Peer, PerfectPeer, check_agreement, deliver_all, typed

ACTIONS = st.lists(
    st.tuples(st.sampled_from(["want", "restart", "renegotiate", "deliver", "deliver", "give up"]), st.booleans()),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(ACTIONS, st.integers(0, 200))
def test_with_perfect_negotiation_both_sides_agree_whatever_they_do(actions: list[tuple[str, bool]], seed: int) -> None:
    peers = [PerfectPeer(seed, polite=True), PerfectPeer(seed + 1, polite=False)]
    for action, is_first in actions:
        peer, other = peers if is_first else peers[::-1]
        if action == "want":
            peer.want_data()
        elif action == "restart":
            peer.restart()
        elif action == "renegotiate" and peer.state is SignalingState.STABLE:
            peer.negotiate()
        elif action == "deliver" and peer.sent:
            other.receive(peer.sent.pop(0))
        elif action == "give up":
            _give_up(peer)
    deliver_all(*peers)
    for peer in peers:
        assert not peer.negotiation.negotiation_needed
    if peers[0].negotiation.current_local_description is not None:
        check_agreement(*peers)
        _check_descriptions(*peers)


def _give_up(peer: PerfectPeer) -> None:
    """Take back an offer that has not begun to leave."""
    if peer.state is SignalingState.HAVE_LOCAL_OFFER and peer.local in peer.sent[:1]:
        peer.give_up()


def _check_descriptions(one: PerfectPeer, other: PerfectPeer) -> None:
    ours, theirs = one.negotiation.current_local_description, other.negotiation.current_local_description
    assert ours is not None
    assert theirs is not None
    sessions = [parse_session(description.sdp) for description in (ours, theirs)]
    assert [section.mid for section in sessions[0].media] == [section.mid for section in sessions[1].media]
    assert {ours.type, theirs.type} == {DescriptionType.OFFER, DescriptionType.ANSWER}


TEXTS = sorted([*OFFERS.values(), *DATA_ANSWERS.values(), "", "v=0\r\n"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("local"), st.sampled_from(DescriptionType), st.just("")),
        st.tuples(st.just("remote"), st.sampled_from(DescriptionType), st.sampled_from(TEXTS)),
        st.tuples(st.sampled_from(["offer", "answer", "restart", "want", "candidate"]), st.none(), st.just("")),
        st.tuples(st.sampled_from(["peer's offer", "peer's answer"]), st.none(), st.just("")),
    ),
    max_size=25,
)


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_a_command_moves_as_the_table_says_or_changes_nothing(
    steps: list[tuple[str, DescriptionType | None, str]],
) -> None:
    """The fake transport checks besides that each command makes sense where it is."""
    peer, other = Peer(1, wants_data=False), Peer(2)
    for step, kind, text in steps:
        before = _snapshot(peer)
        try:
            _take(peer, other, step, kind, text)
        except (LocalProtocolError, OperationError):
            assert _snapshot(peer) == before
        state = peer.state
        assert state is before[0] or state in _reachable(before[0])
        assert (peer.negotiation.pending_local_description is None) == (
            state in (SignalingState.STABLE, SignalingState.HAVE_REMOTE_OFFER)
        )
        assert (peer.negotiation.pending_remote_description is None) == (
            state in (SignalingState.STABLE, SignalingState.HAVE_LOCAL_OFFER)
        )


def _take(peer: Peer, other: Peer, step: str, kind: DescriptionType | None, text: str) -> None:
    if step == "local":
        assert kind is not None
        peer.set_local(Description(kind))
    elif step == "remote":
        assert kind is not None
        peer.set_remote(Description(kind, text))
    elif step == "offer":
        peer.negotiation.create_offer(ice_restart=True)
    elif step == "answer":
        peer.negotiation.create_answer()
    elif step == "restart":
        peer.negotiation.restart_ice()
    elif step == "want":
        peer.negotiation.request_data_channels()
    elif step == "candidate":
        peer.negotiation.add_remote_candidate(CANDIDATE, "0")
    elif step == "peer's offer":
        peer.set_remote(other.negotiation.create_offer())
    elif peer.negotiation.pending_local_description is None:
        raise InvalidStateError("nothing to answer")
    else:
        answerer = Peer(3)
        answerer.set_remote(typed(peer.local, DescriptionType.OFFER))
        peer.set_remote(answerer.negotiation.create_answer())


def _snapshot(peer: Peer) -> tuple[SignalingState, object]:
    negotiation = peer.negotiation
    return peer.state, (
        negotiation.current_local_description,
        negotiation.current_remote_description,
        negotiation.pending_local_description,
        negotiation.pending_remote_description,
        negotiation.negotiation_needed,
        negotiation.ice_role,
        tuple(peer.told),
    )


def _reachable(state: SignalingState) -> set[SignalingState]:
    glare = {SignalingState.HAVE_REMOTE_OFFER} if state is SignalingState.HAVE_LOCAL_OFFER else set()
    return {reached for (at, *_), reached in MOVES.items() if at is state} | glare
