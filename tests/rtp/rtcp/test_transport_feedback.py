from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.core.clock import Instant
from icelane.errors import InvalidAccessError, MalformedError
from icelane.rtp.rtcp import TransportFeedback, feedback_from_arrivals, parse_rtcp, serialize_rtcp
from icelane.rtp.rtcp.transport_feedback import MAX_STATUSES

HEAD = "00000001 00000002"


def packet(body: str) -> bytes:
    """A feedback packet of words in hexadecimal behind the two SSRCs."""
    content = bytes.fromhex(HEAD + body)
    assert len(content) % 4 == 0
    return bytes.fromhex("8fcd") + (len(content) // 4).to_bytes(2, "big") + content


def feedback(*deltas: int | None, base: int = 5, reference: int = 1, count: int = 7) -> TransportFeedback:
    return TransportFeedback(1, 2, base, reference, count, deltas)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param("0005 0003 000001 07 2003 040506 000000", feedback(4, 5, 6), id="a run of small deltas"),
        pytest.param("0005 0002 000001 07 4002 8000 7fff 0000", feedback(-0x8000, 0x7FFF), id="a run of large deltas"),
        pytest.param("0005 0004 000001 07 0003 2001 04 000000", feedback(None, None, None, 4), id="a run of losses"),
        pytest.param("0005 000e 000001 07 a001 04 05", feedback(4, *[None] * 12, 5), id="a vector of one bit"),
        pytest.param(
            "0005 0007 000001 07 d801 04 ffff 05 0000", feedback(4, -1, None, None, None, None, 5), id="of two bits"
        ),
        pytest.param(
            "ffff 0002 ffffff ff 2002 0001", feedback(0, 1, base=65_535, reference=-1, count=255), id="limits"
        ),
        pytest.param("0005 0001 000001 07 3fff 04 00", feedback(4), id="a run longer than the packets"),
    ],
)
def test_every_kind_of_chunk_is_read(body: str, expected: TransportFeedback) -> None:
    assert parse_rtcp(packet(body)) == [expected]
    assert parse_rtcp(serialize_rtcp([expected])) == [expected]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("", id="nothing"),
        pytest.param("0005 0000 000001 07", id="no packets"),
        pytest.param("0005 0001 000001 07", id="no chunk"),
        pytest.param("0005 0001 000001 07 0000 0000", id="a run of nothing"),
        pytest.param("0005 0002 000001 07 6002 0000", id="the reserved status in a run"),
        pytest.param("0005 0002 000001 07 f000 0000", id="the reserved status in a vector"),
        pytest.param("0005 0003 000001 07 2003 0405", id="a delta that is not there"),
        pytest.param("0005 0002 000001 07 4002 8000", id="a large delta that is not there"),
        pytest.param("0005 002b 000001 07 8000 8000", id="a chunk that is not there"),
        pytest.param("0005 ffff 000001 07" + "1fff" * 10, id="65,535 packets"),
        pytest.param(f"0005 {MAX_STATUSES + 1:04x} 000001 07 1fff 1fff", id="a packet more than are taken"),
    ],
)
def test_a_lie_is_malformed(body: str) -> None:
    """SR-5: TWCC lengths."""
    with pytest.raises(MalformedError):
        parse_rtcp(packet(body))


def test_as_many_packets_as_are_taken_are_read() -> None:
    longest = feedback(*[None] * (MAX_STATUSES - 1), 0)
    assert parse_rtcp(serialize_rtcp([longest])) == [longest]


deltas = st.lists(
    st.none() | st.just(0) | st.integers(0, 255) | st.integers(-0x8000, 0x7FFF), min_size=1, max_size=80
) | st.tuples(st.none() | st.integers(-3, 3), st.integers(1, 200)).map(lambda run: [run[0]] * run[1])


@given(st.lists(deltas, min_size=1, max_size=4), st.integers(0, 0xFFFF), st.integers(-(1 << 23), (1 << 23) - 1))
def test_feedback_comes_back(parts: list[list[int | None]], base: int, reference: int) -> None:
    told = feedback(*[delta for part in parts for delta in part], base=base, reference=reference)
    assert parse_rtcp(serialize_rtcp([told])) == [told]


def test_arrivals_are_counted_from_the_reference_time() -> None:
    told = feedback(4, None, -4, base=65_535, reference=2)
    assert told.arrivals() == [(65_535, 0.129), (0, None), (1, 0.128)]


@pytest.mark.parametrize(
    "wrong",
    [feedback(), feedback(0x8000), feedback(0, reference=1 << 23), feedback(*[0] * (MAX_STATUSES + 1))],
)
def test_what_does_not_fit_is_refused(wrong: TransportFeedback) -> None:
    with pytest.raises(InvalidAccessError):
        serialize_rtcp([wrong])


def told_of(arrivals: list[tuple[int, Instant]]) -> list[TransportFeedback]:
    told = feedback_from_arrivals(arrivals, sender_ssrc=1, media_ssrc=2, feedback_count=254)
    assert [one.feedback_count for one in told] == [(254 + number) & 0xFF for number in range(len(told))]
    assert all(parse_rtcp(serialize_rtcp([one])) == [one] for one in told)
    return told


def test_what_arrived_is_told_within_an_eighth_of_a_millisecond() -> None:
    draw = random.Random(7)
    number, time = 65_000, 1_000.0
    arrivals = []
    for _ in range(2_000):
        number += draw.choice((1, 1, 1, 2, 5))
        time += draw.choice((0.0, 0.0001, 0.02, 0.3, -0.001))
        arrivals.append((number, Instant(time)))
    heard = [(seen, at) for one in told_of(arrivals) for seen, at in one.arrivals() if at is not None]
    assert [seen for seen, _ in heard] == [seen & 0xFFFF for seen, _ in arrivals]
    for (_, at), (_, arrived) in zip(heard, arrivals, strict=True):
        assert at == pytest.approx(arrived, abs=0.000126)


def test_a_gap_in_time_or_in_numbers_begins_another_feedback() -> None:
    told = told_of([(1, Instant(0.0)), (2, Instant(9.0)), (3, Instant(9.1)), (3 + MAX_STATUSES, Instant(9.2))])
    assert [(one.base_sequence_number, len(one.deltas)) for one in told] == [(1, 1), (2, 2), (8195, 1)]
    assert told_of([]) == []


def test_reference_times_wrap() -> None:
    [told] = told_of([(1, Instant(0.064 * (1 << 23)))])
    assert told.reference_time == -(1 << 23)


def test_losses_in_runs_cost_next_to_nothing() -> None:
    assert len(serialize_rtcp([feedback(0, *[None] * 8_000, 0)])) <= 32
