from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.errors import InvalidAccessError, MalformedError
from icelane.rtp.rtcp import ReceiverReport, ReportBlock, RtcpPacket, SenderReport, parse_rtcp, serialize_rtcp

uint32s = st.integers(0, 0xFFFFFFFF)
blocks = st.builds(
    ReportBlock,
    ssrc=uint32s,
    fraction_lost=st.integers(0, 255),
    packets_lost=st.integers(-(1 << 23), (1 << 23) - 1),
    highest_sequence_number=uint32s,
    jitter=uint32s,
    last_sender_report=uint32s,
    delay_since_last_sender_report=uint32s,
)
several = st.lists(blocks, max_size=31).map(tuple)


def test_a_sender_report_is_read_field_by_field() -> None:
    data = bytes.fromhex(
        "81c8000c 00000001 0102030405060708 00000002 00000003 00000004"
        "00000009 0cfffffd 00011170 00000021 12345678 00010000"
    )
    block = ReportBlock(9, 12, -3, 70_000, 33, 0x12345678, 65_536)
    report = SenderReport(1, 0x0102030405060708, 2, 3, 4, (block,))
    assert parse_rtcp(data) == [report]
    assert serialize_rtcp([report]) == data


@given(st.builds(SenderReport, uint32s, st.integers(0, (1 << 64) - 1), uint32s, uint32s, uint32s, several))
def test_sender_reports_come_back(report: SenderReport) -> None:
    assert parse_rtcp(serialize_rtcp([report])) == [report]


@given(st.builds(ReceiverReport, uint32s, several))
def test_receiver_reports_come_back(report: ReceiverReport) -> None:
    assert parse_rtcp(serialize_rtcp([report])) == [report]


def test_what_a_profile_appends_is_skipped() -> None:
    assert parse_rtcp(bytes.fromhex("80c90002 00000001 aabbccdd")) == [ReceiverReport(1)]


def test_losses_stay_at_what_fits() -> None:
    """RFC 3550 appendix A.3."""
    report = ReceiverReport(1, (ReportBlock(1, 0, 1 << 30, 0, 0, 0, 0), ReportBlock(1, 0, -(1 << 30), 0, 0, 0, 0)))
    [read] = parse_rtcp(serialize_rtcp([report]))
    assert isinstance(read, ReceiverReport)
    assert [block.packets_lost for block in read.reports] == [(1 << 23) - 1, -(1 << 23)]


@pytest.mark.parametrize(
    "packet",
    [
        SenderReport(1, 1 << 64, 0, 0, 0),
        SenderReport(1, 0, 0, 0, 1 << 32),
        ReceiverReport(-1),
        ReceiverReport(1, (ReportBlock(1, 256, 0, 0, 0, 0, 0),)),
        ReceiverReport(1, (ReportBlock(1, 0, 0, 0, 0, 0, 0),) * 32),
    ],
)
def test_what_does_not_fit_is_refused(packet: RtcpPacket) -> None:
    with pytest.raises(InvalidAccessError):
        serialize_rtcp([packet])


@pytest.mark.parametrize("data", ["80c80005" + 20 * "00", "81c80006" + 24 * "00", "82c90007" + 28 * "00"])
def test_blocks_that_are_not_there_are_malformed(data: str) -> None:
    """SR-5."""
    with pytest.raises(MalformedError):
        parse_rtcp(bytes.fromhex(data))
