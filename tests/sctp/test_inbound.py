"""What is received, in every order, and what a sender that plays foul gets."""

from __future__ import annotations

import gc
import random
import time
from collections import deque
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icelane.errors import AssociationError
from icelane.sctp.chunks import DataChunk
from icelane.sctp.event import MessageReceived, SctpEvent
from icelane.sctp.inbound import MAX_DUPLICATES, OVERHEAD, WINDOW_SLACK, Inbound

BEGIN, END, UNORDERED = 2, 1, 4
WHOLE = BEGIN | END
FIRST = 2**32 - 3  # so that every test wraps


def inbound(window: int = 1 << 20, largest: int = 65_536) -> tuple[Inbound, deque[SctpEvent]]:
    events: deque[SctpEvent] = deque()
    return Inbound(FIRST, window, largest, 100, events), events


def chunk(at: int, payload: bytes, flags: int = WHOLE, stream_id: int = 1, ssn: int = 0) -> DataChunk:
    return DataChunk(flags, (FIRST + at) & 0xFFFFFFFF, stream_id, ssn, 51, payload)


def texts(events: deque[SctpEvent]) -> list[bytes]:
    return [event.data for event in events if isinstance(event, MessageReceived)]


def fragments(message: bytes, at: int, size: int, flags: int = 0, ssn: int = 0) -> list[DataChunk]:
    pieces = [message[i : i + size] for i in range(0, len(message), size)]
    last = len(pieces) - 1
    return [
        chunk(at + i, piece, flags | (BEGIN if i == 0 else 0) | (END if i == last else 0), ssn=ssn)
        for i, piece in enumerate(pieces)
    ]


def accept_all(us: Inbound, chunks: Iterable[DataChunk]) -> None:
    """One after the other, a millisecond apart."""
    for n, one in enumerate(chunks):
        us.accept(one, n * 0.001)


@given(st.data())
@settings(max_examples=60)
def test_messages_come_out_whole_and_in_order_whatever_the_order_of_arrival(draw: st.DataObject) -> None:
    """SC-7: TSN and SSN wrap on the way."""
    sizes = draw.draw(st.lists(st.integers(1, 40), min_size=1, max_size=12))
    messages = [bytes([n]) * size for n, size in enumerate(sizes)]
    ordered = draw.draw(st.booleans())
    chunks: list[DataChunk] = []
    for ssn, message in enumerate(messages):
        chunks += fragments(message, len(chunks), 7, 0 if ordered else UNORDERED, ssn)
    us, events = inbound()
    for one in draw.draw(st.permutations(chunks)):
        us.accept(one, 0.0)
        us.accept(one, 0.0)
    assert us.empty
    assert us.cumulative == FIRST + len(chunks) - 1
    assert (texts(events) if ordered else sorted(texts(events))) == messages
    assert len(us.take_duplicates()) == min(len(chunks), MAX_DUPLICATES)
    assert us.unreleased == sum(sizes)


def test_sequence_numbers_wrap() -> None:
    """SC-7."""
    us, events = inbound()
    for n in range(65_540):
        us.accept(chunk(n, b"x", ssn=n & 0xFFFF), 0.0)
        us.release(1)
    assert len(events) == 65_540
    assert us.empty


def test_a_gap_on_one_stream_does_not_hold_up_another() -> None:
    us, events = inbound()
    us.accept(chunk(1, b"b", stream_id=2), 0.0)
    assert texts(events) == [b"b"]
    assert us.gaps(9) == [FIRST + 1, FIRST + 1]
    us.accept(chunk(0, b"a", stream_id=1), 0.0)
    assert texts(events) == [b"b", b"a"]
    assert not us.has_gaps


def test_what_is_not_released_narrows_the_window() -> None:
    us, _ = inbound(window=1000)
    us.accept(chunk(0, bytes(300)), 0.0)
    us.accept(chunk(2, bytes(200), BEGIN, ssn=2), 0.0)
    assert us.room() == 500 - 2 * OVERHEAD
    us.release(300)
    assert us.room() == 800 - OVERHEAD
    us.accept(chunk(1, bytes(10), ssn=1), 0.0)
    us.accept(chunk(3, bytes(10), END, ssn=2), 0.0)
    us.release(220, 2)
    assert us.room() == 1000


# -- SC-4


def test_fragments_that_never_end_are_bounded_and_end_the_association() -> None:
    """SC-4, SC-5: a message longer than we take is never put together."""
    us, _ = inbound(largest=10_000)
    us.accept(chunk(0, bytes(1000), BEGIN), 0.0)
    with pytest.raises(AssociationError, match="longer"):
        accept_all(us, (chunk(n, bytes(1000), 0) for n in range(1, 1_000_000)))
    assert us.held <= 11_000


def test_a_whole_message_longer_than_we_take_is_refused() -> None:
    """SC-5."""
    us, events = inbound(largest=100)
    us.accept(chunk(0, bytes(100)), 0.0)
    with pytest.raises(AssociationError):
        us.accept(chunk(1, bytes(101), ssn=1), 0.0)
    assert len(events) == 1


def test_a_sender_that_ignores_the_window_is_bounded_and_cut_off() -> None:
    """SC-4: a gigabyte of beginnings, each in a gap of its own, into a window of 100,000 bytes."""
    us, _ = inbound(window=100_000)
    places = [*range(1, 200, 2), *range(1, 2_000_000, 2)]
    with pytest.raises(AssociationError, match="window"):
        accept_all(us, (chunk(place, bytes(1000), BEGIN) for place in places))
    assert us.held <= 100_000 + 65_536


def test_a_probe_into_a_closed_window_now_and_then_is_no_attack() -> None:
    us, _ = inbound(window=10_000)
    for n in range(70):
        us.accept(chunk(n, bytes(1000), ssn=n), 0.0)
    for seconds in range(10_000):
        us.accept(chunk(70, bytes(1000), ssn=70), float(seconds))
    assert us.unreleased <= 10_000 + 65_536


def test_tiny_pieces_are_bounded_by_their_number() -> None:
    """SC-4: a byte each costs more than a byte."""
    us, _ = inbound()
    for n in range(20_000):
        us.accept(chunk(n + 1, b"x", WHOLE, ssn=(n + 1) & 0xFFFF), 0.0)
    assert us.held == 16_384
    assert len(us.gaps(10)) == 2


@pytest.mark.parametrize("flags", [WHOLE, WHOLE | UNORDERED])
def test_tiny_messages_that_nobody_reads_close_the_window_by_their_number(flags: int) -> None:
    """SC-4: what keeping a message costs counts, so that no window full of them takes more than it says."""
    us, events = inbound(window=1 << 20)
    fits = -(-(1 << 20) // (1 + OVERHEAD))
    for n in range(100_000):
        us.accept(chunk(n, b"x", flags, ssn=n & 0xFFFF), 0.0)
        assert (us.room() > 0) is (n < fits - 1)
    assert len(events) <= ((1 << 20) + WINDOW_SLACK) // (1 + OVERHEAD) + 1
    while events:
        events.popleft()
        us.release(1)
    assert us.room() == 1 << 20
    assert us.empty


def test_what_fills_a_gap_is_taken_however_many_small_messages_wait_for_it() -> None:
    us, events = inbound(window=100_000)
    for n in range(1, 16_000):
        us.accept(chunk(n, b"x", ssn=n), 0.0)
    assert us.room() == 0
    us.accept(chunk(0, bytes(1000)), 0.0)
    assert len(events) == 16_000
    assert us.empty


def test_a_message_of_tiny_pieces_is_kept_in_few() -> None:
    """SC-4: pieces that come in order leave no gap, and are counted by no bound."""
    us, events = inbound(window=1 << 20, largest=200_000)
    message = random.Random(1).randbytes(150_000)
    chunks = fragments(message, 0, 1)
    most = 0
    for one in chunks:
        us.accept(one, 0.0)
        most = max(most, (1 << 20) - us.room() - us.held)
    assert most <= 2_048 * OVERHEAD + len(message)
    assert texts(events) == [message]
    us.release(len(message))
    assert us.room() == 1 << 20


def test_gaps_are_bounded() -> None:
    """SC-4."""
    us, _ = inbound()
    for n in range(6_000):
        us.accept(chunk(2 * n + 1, b"x", UNORDERED | WHOLE), 0.0)
    assert len(us.gaps(10**6)) == 2 * 2_048
    for n in range(6_000):  # the gaps are filled, and all goes on
        us.accept(chunk(2 * n, b"x", UNORDERED | WHOLE), 0.0)
        us.accept(chunk(2 * n + 1, b"x", UNORDERED | WHOLE), 0.0)
    assert us.empty


@pytest.mark.parametrize("size", [1, OVERHEAD], ids=["joined early", "kept as they come"])
@pytest.mark.parametrize("order", ["forwards", "backwards", "middle out", "shuffled", "odd then even"])
def test_no_order_of_arrival_makes_putting_together_expensive(order: str, size: int) -> None:
    """SC-4: the time for twice as many pieces is about twice as long."""

    def seconds(count: int) -> float:
        numbers = list(range(count))
        if order == "backwards":
            numbers.reverse()
        elif order == "middle out":
            numbers = [count // 2 + (n // 2 if n % 2 else -(n // 2) - 1) for n in range(count)]
        elif order == "shuffled":
            random.Random(1).shuffle(numbers)
        elif order == "odd then even":
            numbers = numbers[1::2] + numbers[::2]
        us, _ = inbound(window=1 << 23, largest=1 << 22)
        pieces = fragments(bytes(count * size), 0, size)
        gc.disable()  # one collection of all that a suite holds takes longer than this
        try:
            start = time.process_time()
            for n in numbers:
                us.accept(pieces[n], 0.0)
            return time.process_time() - start
        finally:
            gc.enable()

    few, many = 2_000, 16_000
    assert seconds(many) < 40 * max(seconds(few), 0.002)  # eight times as many; square time would be 64 times


# -- fragments that contradict each other


@pytest.mark.parametrize(
    "story",
    [
        [chunk(0, b"a", END)],
        [chunk(0, b"a", 0)],
        [chunk(0, b"a"), chunk(1, b"b", END)],
        [chunk(0, b"a", BEGIN), chunk(1, b"b", BEGIN)],
        [chunk(0, b"a", BEGIN), chunk(1, b"b", WHOLE)],
        [chunk(0, b"a", BEGIN), chunk(1, b"b", 0, stream_id=2)],
        [chunk(0, b"a", BEGIN), chunk(1, b"b", END | UNORDERED)],
        [chunk(0, b"a", BEGIN), chunk(1, b"b", END, ssn=3)],
        [chunk(1, b"a", END), chunk(0, b"b", WHOLE)],
        [chunk(1, b"a", WHOLE), chunk(0, b"b", BEGIN)],
        [chunk(2, b"a", 0), chunk(1, b"a", END)],
        [chunk(0, b"")],
        [chunk(1, b"a", ssn=5), chunk(2, b"a", ssn=5)],
        [chunk(0, b"a", ssn=0), chunk(1, b"a", ssn=0)],
    ],
)
def test_a_story_that_cannot_be_true_ends_the_association(story: list[DataChunk]) -> None:
    """SC-2: by the error that the association turns into an ABORT, never by another exception."""
    us, _ = inbound()
    with pytest.raises(AssociationError):
        accept_all(us, story)


def test_a_stream_that_there_is_not_is_reported_and_not_kept() -> None:
    """SC-5."""
    us, events = inbound()
    us.accept(chunk(0, b"a", stream_id=100), 0.0)
    assert us.invalid_stream == 100
    assert us.cumulative == FIRST
    assert us.empty
    assert not events


# -- FORWARD-TSN and resets


def test_a_forward_tsn_gives_up_what_is_missing_and_delivers_what_waited() -> None:
    us, events = inbound()
    us.accept(chunk(1, b"b", ssn=1), 0.0)
    us.accept(chunk(2, b"c", BEGIN, ssn=2), 0.0)
    us.accept(chunk(4, b"e", ssn=3), 0.0)
    us.forward(FIRST + 3, {1: 2})
    assert texts(events) == [b"b", b"e"]
    assert us.cumulative == FIRST + 4
    assert us.empty


@pytest.mark.parametrize("by", [1, 5, 65_535, 2**31 - 1])
def test_a_forward_tsn_may_jump_as_far_as_it_likes(by: int) -> None:
    """SC-7."""
    us, events = inbound()
    for n in range(1, 50):
        us.accept(chunk(2 * n, b"x", WHOLE, ssn=n), 0.0)
    us.forward((FIRST - 1 + by) & 0xFFFFFFFF, dict.fromkeys(range(65_536), 40_000))
    assert us.cumulative >= FIRST - 1 + by
    us.forward((FIRST - 1) & 0xFFFFFFFF, {1: 3})  # backwards: ignored
    assert us.cumulative >= FIRST - 1 + by
    assert len(events) <= 49


def test_the_rest_of_a_message_that_was_given_up_is_passed_over() -> None:
    us, events = inbound()
    us.accept(chunk(0, b"a", BEGIN), 0.0)
    us.forward(FIRST + 1, {1: 0})
    us.accept(chunk(2, b"c", 0), 0.0)
    us.accept(chunk(3, b"d", END), 0.0)
    us.accept(chunk(4, b"e", ssn=1), 0.0)
    assert texts(events) == [b"e"]
    assert us.empty


def test_a_reset_stream_counts_from_zero_again() -> None:
    us, events = inbound()
    us.accept(chunk(0, b"a", ssn=0), 0.0)
    us.reset_streams((1,))
    us.accept(chunk(1, b"b", ssn=0), 0.0)
    us.reset_streams(())
    us.accept(chunk(2, b"c", ssn=0), 0.0)
    assert texts(events) == [b"a", b"b", b"c"]
