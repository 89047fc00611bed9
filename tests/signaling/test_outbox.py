"""What waits for one client."""

from __future__ import annotations

from icelane.signaling.messages import PeerUpdated, ServerMessage, encode_json
from icelane.signaling.outbox import CloseConnection, Outbox
from icelane.signaling.push import prepare

PUSH = prepare(PeerUpdated(seq=0, room="r", peer="p"))
CLOSE = CloseConnection(4413, "too_slow")


def test_frames_leave_in_their_order_and_then_the_close() -> None:
    outbox = Outbox()
    assert outbox.add("one")
    assert outbox.add((7, PUSH))
    outbox.finish(CLOSE, "goodbye")
    taken = [outbox.take() for _ in range(5)]
    assert taken == ["one", PUSH.text(7), "goodbye", CLOSE, None]
    assert not outbox.pending


def test_both_bounds_hold_and_what_was_taken_makes_room() -> None:
    """SG-10: frames and bytes."""
    frames = Outbox(max_frames=2)
    assert [frames.add("x") for _ in range(3)] == [True, True, False]
    frames.take()
    assert frames.add("x")
    big = prepare(ServerMessage(seq=0, data=encode_json("x" * 1000)))
    size = Outbox(max_bytes=2500)
    assert [size.add((number, big)) for number in range(3)] == [True, True, False]
    size.take()
    assert size.add((4, big))


def test_what_a_resume_replays_does_not_count() -> None:
    outbox = Outbox(max_frames=2, max_bytes=200)
    assert outbox.add("welcome")
    outbox.replay((number, PUSH) for number in range(1, 301))
    assert [outbox.add("x"), outbox.add("y"), outbox.add("z")] == [True, True, False]
    assert len(outbox) == 303
    while outbox.take() is not None:
        pass
    assert [outbox.add("x"), outbox.add("y"), outbox.add("z")] == [True, True, False]


def test_a_close_may_drop_what_waits() -> None:
    outbox = Outbox()
    outbox.add("x")
    outbox.finish(CLOSE, "goodbye", drop=True)
    assert [outbox.take(), outbox.take(), outbox.take()] == ["goodbye", CLOSE, None]
