from __future__ import annotations

import pytest

from icelane.errors import InvalidAccessError, MalformedError
from icelane.rtp.rtcp import ExtendedReport, ExtendedReportBlock, parse_rtcp, serialize_rtcp
from icelane.rtp.rtcp.extended_report import MAX_BLOCKS

REFERENCE_TIME = ExtendedReportBlock(4, 0, bytes(range(8)))


def test_blocks_stay_as_they_came() -> None:
    data = bytes.fromhex("80cf0005 00000001 04000002 0001020304050607 05ff0000")
    report = ExtendedReport(1, (REFERENCE_TIME, ExtendedReportBlock(5, 255, b"")))
    assert parse_rtcp(data) == [report]
    assert serialize_rtcp([report]) == data


@pytest.mark.parametrize(
    "data",
    [
        "80cf0000",
        "80cf0002 00000001 04000001",
        "80cf0002 00000001 0400ffff",
        f"80cf{MAX_BLOCKS + 2:04x} 00000001" + "05000000" * (MAX_BLOCKS + 1),
    ],
)
def test_a_lie_is_malformed(data: str) -> None:
    """SR-5."""
    with pytest.raises(MalformedError):
        parse_rtcp(bytes.fromhex(data))


@pytest.mark.parametrize(
    "report",
    [
        ExtendedReport(1 << 32),
        ExtendedReport(1, (ExtendedReportBlock(1, 0, b"abc"),)),
        ExtendedReport(1, (ExtendedReportBlock(256, 0, b""),)),
        ExtendedReport(1, (REFERENCE_TIME,) * (MAX_BLOCKS + 1)),
    ],
)
def test_what_does_not_fit_is_refused(report: ExtendedReport) -> None:
    with pytest.raises(InvalidAccessError):
        serialize_rtcp([report])
