from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.errors import InvalidAccessError, MalformedError
from icelane.rtp.rtcp import (
    FullIntraRequest,
    Nack,
    PictureLossIndication,
    ReceiverEstimatedMaximumBitrate,
    RtcpPacket,
    parse_rtcp,
    serialize_rtcp,
)
from icelane.rtp.rtcp.feedback import MAX_BITRATE_SSRCS, MAX_INTRA_REQUESTS, MAX_NACK_PAIRS

ssrcs = st.integers(0, 0xFFFFFFFF)


@pytest.mark.parametrize(
    ("packet", "data"),
    [
        (Nack(1, 2, (10, 11, 26, 27)), "81cd0004 00000001 00000002 000a8001 001b0000"),
        (Nack(1, 2, (65_535, 0, 15)), "81cd0003 00000001 00000002 ffff8001"),
        (Nack(1, 2, (21, 22, 37, 27)), "81cd0004 00000001 00000002 00158001 001b0000"),
        (PictureLossIndication(1, 2), "81ce0002 00000001 00000002"),
        (FullIntraRequest(1, ((2, 7),)), "84ce0004 00000001 00000000 00000002 07000000"),
        (
            ReceiverEstimatedMaximumBitrate(1, 0x3FFFF << 3, (2,)),
            "8fce0005 00000001 00000000 52454d42 010fffff 00000002",
        ),
        (ReceiverEstimatedMaximumBitrate(1, 1000), "8fce0004 00000001 00000000 52454d42 000003e8"),
    ],
)
def test_feedback_stands_on_the_wire_as_its_document_has_it(packet: RtcpPacket, data: str) -> None:
    assert serialize_rtcp([packet]) == bytes.fromhex(data)
    assert parse_rtcp(bytes.fromhex(data)) == [packet]


@given(ssrcs, st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=100, unique=True))
def test_lost_packets_come_back(ssrc: int, lost: list[int]) -> None:
    lost.sort()
    [read] = parse_rtcp(serialize_rtcp([Nack(1, ssrc, tuple(lost))]))
    assert isinstance(read, Nack)
    assert read.lost == tuple(lost)


@given(st.lists(st.tuples(ssrcs, st.integers(0, 255)), min_size=1, max_size=MAX_INTRA_REQUESTS).map(tuple))
def test_intra_requests_come_back(requests: tuple[tuple[int, int], ...]) -> None:
    request = FullIntraRequest(3, requests)
    assert parse_rtcp(serialize_rtcp([request])) == [request]


@given(st.integers(0, 0x3FFFF << 63), st.lists(ssrcs, max_size=4).map(tuple))
def test_bitrates_come_back_rounded_down_to_18_bits(bitrate: int, media: tuple[int, ...]) -> None:
    [read] = parse_rtcp(serialize_rtcp([ReceiverEstimatedMaximumBitrate(1, bitrate, media)]))
    assert isinstance(read, ReceiverEstimatedMaximumBitrate)
    assert read.media_ssrcs == media
    assert 0 <= bitrate - read.bitrate <= bitrate >> 17


@pytest.mark.parametrize(
    "data",
    [
        pytest.param("81cd0001 00000001", id="NACK without a media source"),
        pytest.param("81cd0002 00000001 00000002", id="NACK of nothing"),
        pytest.param(f"81cd{MAX_NACK_PAIRS + 3:04x}" + "00" * (4 * MAX_NACK_PAIRS + 12), id="NACK that is too long"),
        pytest.param("81ce0001 00000001", id="PLI without a media source"),
        pytest.param("81ce0003 00000001 00000002 00000000", id="PLI with content"),
        pytest.param("84ce0002 00000001 00000000", id="FIR of nothing"),
        pytest.param("84ce0003 00000001 00000000 00000002", id="half a FIR"),
        pytest.param(f"84ce{2 * MAX_INTRA_REQUESTS + 4:04x}" + "00" * (8 * MAX_INTRA_REQUESTS + 16), id="long FIR"),
        pytest.param("8fce0003 00000001 00000000 52454d42", id="REMB without a bitrate"),
        pytest.param("8fce0004 00000001 00000000 52454d42 01000000", id="REMB without its source"),
        pytest.param("8fce0005 00000001 00000000 52454d42 00000000 00000001", id="REMB with a source too many"),
    ],
)
def test_a_lie_is_malformed(data: str) -> None:
    """SR-5: NACK and REMB lengths."""
    with pytest.raises(MalformedError):
        parse_rtcp(bytes.fromhex(data))


@pytest.mark.parametrize(
    "packet",
    [
        Nack(1, 2, ()),
        Nack(1, 2, tuple(range(0, 17 * (MAX_NACK_PAIRS + 1), 17))),
        FullIntraRequest(1, ()),
        FullIntraRequest(1, ((1, 1),) * (MAX_INTRA_REQUESTS + 1)),
        ReceiverEstimatedMaximumBitrate(1, -1),
        ReceiverEstimatedMaximumBitrate(1, 1 << 82),
        ReceiverEstimatedMaximumBitrate(1, 1, (1,) * (MAX_BITRATE_SSRCS + 1)),
    ],
)
def test_what_does_not_fit_is_refused(packet: RtcpPacket) -> None:
    with pytest.raises(InvalidAccessError):
        serialize_rtcp([packet])


def test_the_longest_nack_goes_through() -> None:
    nack = Nack(1, 2, tuple(range(17 * MAX_NACK_PAIRS)))
    assert parse_rtcp(serialize_rtcp([nack])) == [nack]
