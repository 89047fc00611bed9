"""Pushes and their replay."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from icelane.signaling.messages import PeerUpdated, ServerMessage, encode_json
from icelane.signaling.push import MAX_REPLAY_BYTES, Replay, prepare

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(data=JSON, sender=st.text(min_size=1, max_size=20), sequence=st.integers(1, 2**50))
def test_a_push_has_its_number_wherever_else_one_stands(data: object, sender: str, sequence: int) -> None:
    push = prepare(ServerMessage(seq=0, data=encode_json(data), sender=sender, room='"seq":0', key='"seq":0'))
    read = json.loads(push.text(sequence))
    assert (read["seq"], read["data"], read["from"], read["room"]) == (sequence, data, sender, '"seq":0')


def test_a_replay_gives_what_came_after_a_number_and_nothing_when_that_is_gone() -> None:
    replay = Replay(limit=3)
    push = prepare(PeerUpdated(seq=0, room="r", peer="p"))
    assert replay.since(0) == []
    for _ in range(5):
        replay.add(push)
    assert [number for number, _ in replay.since(2) or ()] == [3, 4, 5]
    assert replay.since(5) == []
    assert replay.since(1) is None
    assert replay.since(6) is None
    replay.acknowledge(4)
    assert [number for number, _ in replay.since(4) or ()] == [5]
    assert replay.since(3) is None
    replay.acknowledge(99)
    assert len(replay) == 0
    assert replay.add(push) == 6


def test_a_replay_is_bounded_in_bytes_as_well() -> None:
    replay = Replay()
    push = prepare(ServerMessage(seq=0, data=encode_json("x" * 60_000)))
    for _ in range(100):
        replay.add(push)
    assert len(replay) == MAX_REPLAY_BYTES // push.size
    replay.clear()
    assert replay.since(100) == []
    assert replay.since(99) is None


@given(st.lists(st.one_of(st.just("add"), st.integers(0, 60)), max_size=80), st.integers(0, 60))
def test_a_replay_is_the_end_of_what_was_added(moves: list[str | int], asked: int) -> None:
    replay, added = Replay(limit=10), 0
    oldest = 0  # the highest number that may be gone
    push = prepare(PeerUpdated(seq=0, room="r", peer="p"))
    for move in moves:
        if move == "add":
            added = replay.add(push)
        else:
            oldest = max(oldest, min(int(move), added))
            replay.acknowledge(int(move))
        oldest = max(oldest, added - 10)
    found = replay.since(asked)
    if oldest <= asked <= added:
        assert [number for number, _ in found or ()] == list(range(asked + 1, added + 1))
    else:
        assert found is None
