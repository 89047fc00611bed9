"""Streams that are reset, by us and by a peer that overdoes it."""

from __future__ import annotations

import itertools

import pytest

from icelane.core.net import Path
from icelane.errors import InvalidStateError
from icelane.sctp.chunks import ChunkType, encode_chunk, parse_chunk_spans
from icelane.sctp.control_chunks import (
    OutgoingResetRequest,
    ResetResponse,
    ResetResult,
    encode_parameter,
    encode_reset_request,
    parse_reconfiguration,
)
from icelane.sctp.event import ResetCompleted, ResetRefused, StreamsReset
from icelane.sctp.recovery import MAX_TIMEOUT
from icelane.sctp.reset import MAX_IGNORED
from icelane.testing.network import Link
from tests.sctp.pairs import A, B, End, Pair, inject


def reset(end: End, *stream_ids: int) -> None:
    end.run(lambda now: end.association.reset_streams(stream_ids, now))


def request(end: End, ahead: int, last_ahead: int, *stream_ids: int) -> bytes:
    """The chunk that the peer of `end` would send as its next request but `ahead`."""
    transfer = end.association._life.transfer
    assert transfer is not None
    number = (transfer.reset._expected + ahead) & 0xFFFFFFFF
    last_tsn = (transfer.inbound.cumulative + last_ahead) & 0xFFFFFFFF
    return encode_chunk(
        ChunkType.RE_CONFIG, 0, encode_reset_request(OutgoingResetRequest(number, 0, last_tsn, stream_ids))
    )


def results(end: End) -> list[int]:
    """What the last packet answered."""
    packet = end.last_sent[-1]
    assert packet[12] == ChunkType.RE_CONFIG
    length = int.from_bytes(packet[14:16], "big")
    return [one.result for one in parse_reconfiguration(packet[16 : 12 + length]) if isinstance(one, ResetResponse)]


@pytest.mark.parametrize("loss", [0.0, 0.1, 0.3])
def test_a_stream_is_reset_after_all_that_was_sent_on_it(loss: float) -> None:
    pair = Pair(Link(delay=0.02, loss=loss, reordering=loss), 3).connect(20.0)
    for n in range(5):
        pair.a.say(1, bytes([n]) * 20_000)
        pair.a.say(2, bytes([n]) * 10)
    reset(pair.a, 1)
    with pytest.raises(InvalidStateError):
        pair.a.say(1, b"more")
    pair.network.run_until(lambda: pair.a.told(ResetCompleted) and pair.b.told(StreamsReset))
    position = pair.b.events.index(StreamsReset((1,)))
    assert sum(len(event.data) for event in pair.b.messages if event.stream_id == 1) == 100_000
    assert all(getattr(event, "stream_id", 2) == 2 for event in pair.b.events[position:])
    pair.a.say(1, b"anew")
    pair.close()
    assert pair.b.messages[-1].data == b"anew"


def test_other_streams_need_not_wait_for_a_reset() -> None:
    """The request names the last TSN of its own streams, so a stream under load delays it by nothing."""
    pair = Pair(Link(delay=0.02)).connect()
    pair.a.say(2, bytes(250_000))
    pair.a.say(1, b"x")
    reset(pair.a, 1)
    pair.network.run_until(lambda: pair.a.told(ResetCompleted), 2.0)


def test_both_ends_may_reset_the_same_stream_at_once() -> None:
    pair = Pair(Link(delay=0.02, loss=0.1), 9).connect()
    for end in (pair.a, pair.b):
        reset(end, 5, 6)
    pair.network.run_until(lambda: pair.a.told(ResetCompleted) and pair.b.told(ResetCompleted))
    assert pair.a.told(StreamsReset) == pair.b.told(StreamsReset) == [StreamsReset((5, 6))]
    pair.close()


def test_many_streams_are_reset_in_several_requests() -> None:
    pair = Pair().connect()
    reset(pair.a, *range(250))
    pair.network.run_until(lambda: len(pair.a.told(ResetCompleted)) == 3)
    assert [one for told in pair.b.told(StreamsReset) for one in told.stream_ids] == list(range(250))
    pair.close()


def requests_of(end: End, duration: float) -> list[float]:
    """Let time pass; returns when `end` asked for a reset."""
    asked: list[float] = []
    send, network = end.send, end.network

    def see(data: bytes, path: Path) -> None:
        if ChunkType.RE_CONFIG in (data[start] for start in parse_chunk_spans(data)[::2]):
            asked.append(network.clock.now)
        send(data, path)

    end.send = see  # type: ignore[method-assign]
    network.run_for(duration)
    return asked


def test_a_request_waits_for_a_peer_that_is_silent_as_long_as_it_takes_and_ever_more_seldom() -> None:
    """Decision 0016: an outage is for ICE to judge."""
    pair = Pair(Link(delay=0.01)).connect()
    pair.network.connect(A.host, B.host, Link(loss=1.0))
    reset(pair.a, 1)
    asked = requests_of(pair.a, 3600.0)
    pauses = [later - earlier for earlier, later in itertools.pairwise(asked)]
    assert pauses[:4] == sorted(pauses[:4])
    assert pauses[1] == pytest.approx(2 * pauses[0])
    assert pauses[5:] == pytest.approx([MAX_TIMEOUT] * len(pauses[5:]))
    assert not pair.a.told(ResetRefused)
    pair.network.connect(A.host, B.host, Link(delay=0.01))
    pair.network.run_until(lambda: pair.a.told(ResetCompleted), MAX_TIMEOUT + 0.1)
    assert pair.b.told(StreamsReset) == [StreamsReset((1,))]
    pair.close()


def test_a_request_that_a_living_peer_never_answers_is_given_up() -> None:
    pair = Pair(Link(delay=0.01)).connect()
    transfer = pair.b.association._life.transfer
    assert transfer is not None
    transfer.reset.handle = lambda *_: None  # type: ignore[method-assign]  # a peer that does not know RE-CONFIG
    reset(pair.a, 1)
    for _ in range(90):
        pair.b.say(2, b"I am here")
        pair.network.run_for(1.0)
    assert pair.a.told(ResetRefused) == [ResetRefused((1,))]
    assert MAX_IGNORED * MAX_TIMEOUT > 45.0  # longer than ICE bears with a path that is dead in one direction
    pair.a.say(1, b"as before")
    pair.close()


# -- SC-7


def test_a_request_ahead_of_its_data_waits_and_is_answered_when_it_comes() -> None:
    """RFC 6525 section 5.2.2 rule E2."""
    pair = Pair().connect()
    inject(pair.b, request(pair.b, 0, 1, 4))
    assert results(pair.b) == [ResetResult.IN_PROGRESS]
    assert not pair.b.told(StreamsReset)
    pair.a.say(4, b"x")
    pair.network.run_until(lambda: pair.b.told(StreamsReset))
    assert pair.b.messages[0].data == b"x"


def test_a_request_that_comes_again_is_answered_again_and_performed_once() -> None:
    """SC-7."""
    pair = Pair().connect()
    again = request(pair.b, 0, 0, 4)
    for _ in range(3):
        inject(pair.b, again)
        assert results(pair.b) == [ResetResult.PERFORMED]
    assert pair.b.told(StreamsReset) == [StreamsReset((4,))]


def test_a_flood_of_requests_leaves_one() -> None:
    """SC-7: more than a thousand that all wait for data that never comes."""
    pair = Pair().connect()
    for _ in range(1500):
        inject(pair.b, request(pair.b, 0, 1000, 1, 2, 3))
    transfer = pair.b.association._life.transfer
    assert transfer is not None
    assert len(transfer.reset._answers) <= 2
    assert not pair.b.told(StreamsReset)


@pytest.mark.parametrize("ahead", [1, 1000, 2**31, 2**32 - 2])
def test_a_request_out_of_order_is_refused(ahead: int) -> None:
    """SC-7."""
    pair = Pair().connect()
    inject(pair.b, request(pair.b, ahead, 0, 1))
    assert results(pair.b) == [ResetResult.BAD_SEQUENCE_NUMBER]
    assert not pair.b.told(StreamsReset)


def test_resetting_a_stream_that_was_never_used_is_done_and_one_that_there_is_not_is_refused() -> None:
    """SC-7."""
    pair = Pair().connect()
    inject(pair.b, request(pair.b, 0, 0, 40_000))
    assert results(pair.b) == [ResetResult.PERFORMED]
    inject(pair.b, request(pair.b, 0, 0, 65_535))
    assert results(pair.b) == [ResetResult.WRONG_SSN]


@pytest.mark.parametrize("kind", [14, 15, 17, 18, 999])
def test_other_requests_are_denied(kind: int) -> None:
    pair = Pair().connect()
    transfer = pair.b.association._life.transfer
    assert transfer is not None
    value = transfer.reset._expected.to_bytes(4, "big") + bytes(4)
    inject(pair.b, encode_chunk(ChunkType.RE_CONFIG, 0, encode_parameter(kind, value)))
    assert results(pair.b) == [ResetResult.DENIED]
