"""Every state with every description: the legal moves are those of RFC 9429, and no others."""

from __future__ import annotations

import itertools

import pytest

from icelane.errors import InvalidStateError
from icelane.peer.signaling_state import (
    MOVES,
    DescriptionType,
    Side,
    SignalingState,
    implied_type,
    next_state,
    rolls_back_first,
)

# Rows are states, columns are local offer, pranswer, answer, rollback, then the same four remote; `-` is illegal.
TABLE = """
stable                 have-local-offer - - -                      have-remote-offer - - -
have-local-offer       have-local-offer - - stable                 - have-remote-pranswer stable -
have-remote-offer      - have-local-pranswer stable -              have-remote-offer - - stable
have-local-pranswer    - have-local-pranswer stable -              - - - -
have-remote-pranswer   - - - -                                     - have-remote-pranswer stable -
closed                 - - - -                                     - - - -
"""
COLUMNS = list(itertools.product(Side, DescriptionType))
CELLS = [
    (SignalingState(row.split()[0]), side, description_type, cell)
    for row in TABLE.strip().splitlines()
    for (side, description_type), cell in zip(COLUMNS, row.split()[1:], strict=True)
]


@pytest.mark.parametrize(("state", "side", "description_type", "expected"), CELLS)
def test_each_move_is_legal_or_refused_as_the_figure_draws_it(
    state: SignalingState, side: Side, description_type: DescriptionType, expected: str
) -> None:
    if expected == "-":
        with pytest.raises(InvalidStateError, match=state.value):
            next_state(state, side, description_type)
    else:
        assert next_state(state, side, description_type) is SignalingState(expected)


def test_the_table_has_every_cell() -> None:
    assert len(CELLS) == len(SignalingState) * len(Side) * len(DescriptionType)
    assert len(MOVES) == sum(cell != "-" for *_, cell in CELLS)


def test_every_state_but_closed_leads_back_to_stable() -> None:
    for state in set(SignalingState) - {SignalingState.CLOSED, SignalingState.STABLE}:
        assert SignalingState.STABLE in {to for (at, *_), to in MOVES.items() if at is state}


def test_only_a_remote_offer_takes_our_own_offer_back() -> None:
    found = [move for move in itertools.product(SignalingState, Side, DescriptionType) if rolls_back_first(*move)]
    assert found == [(SignalingState.HAVE_LOCAL_OFFER, Side.REMOTE, DescriptionType.OFFER)]


def test_the_implied_type_is_an_answer_only_after_a_remote_offer() -> None:
    answers = {state for state in SignalingState if implied_type(state) is DescriptionType.ANSWER}
    assert answers == {
        SignalingState.HAVE_REMOTE_OFFER,
        SignalingState.HAVE_LOCAL_PRANSWER,
        SignalingState.CLOSED,
    }
