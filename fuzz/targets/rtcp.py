"""A datagram of RTCP: it parses or is malformed, within bounds, and what parses is written and read again alike."""

from __future__ import annotations

from collections.abc import Hashable

from icelane.errors import InvalidAccessError, MalformedError
from icelane.rtp.rtcp import (
    MAX_PACKETS,
    Bye,
    ExtendedReport,
    ExtendedReportBlock,
    FullIntraRequest,
    Nack,
    PictureLossIndication,
    ReceiverEstimatedMaximumBitrate,
    ReceiverReport,
    ReportBlock,
    RtcpPacket,
    SenderReport,
    SourceChunk,
    SourceDescription,
    TransportFeedback,
    UnknownRtcp,
    parse_rtcp,
    serialize_rtcp,
)

_BLOCK = ReportBlock(9, 12, -3, 70_000, 33, 0x12345678, 65_536)
_PACKETS: list[RtcpPacket] = [
    SenderReport(1, 0xE0000000_80000000, 960, 5, 600, (_BLOCK, _BLOCK)),
    ReceiverReport(1, (_BLOCK,)),
    SourceDescription((SourceChunk(1, ((1, "name@host"), (15, "0"))), SourceChunk(2))),
    Bye((1, 2), "gone"),
    Nack(1, 2, (10, 11, 26, 27, 65_535, 0)),
    PictureLossIndication(1, 2),
    FullIntraRequest(1, ((2, 7), (3, 8))),
    ReceiverEstimatedMaximumBitrate(1, 2_500_000, (2, 3)),
    TransportFeedback(1, 2, 65_530, -5, 255, (*[0] * 20, None, 4, 300, -1, None, *[None] * 30, 255)),
    ExtendedReport(1, (ExtendedReportBlock(4, 0, bytes(8)), ExtendedReportBlock(5, 0, b""))),
    UnknownRtcp(204, 3, b"\0\0\0\1name"),
]

SEEDS = [
    serialize_rtcp(_PACKETS),
    *(serialize_rtcp([packet]) for packet in _PACKETS),
    b"\xa0\xc9\x00\x02\x00\x00\x00\x01\x00\x00\x00\x04",
    b"\x81\xcd\x00\x03" + bytes(11) + b"\x01",
    b"",
]
DICTIONARY = [b"\x81\xc8", b"\x80\xc9", b"\x81\xca", b"\x81\xcb", b"\x81\xcd", b"\x8f\xcd", b"\x81\xce", b"\x84\xce",
              b"\x8f\xce", b"REMB", b"\x80\xcf", b"\xff\xff", b"\x20\x01", b"\xc0\x00", b"\x9f\xff"]  # fmt: skip


def run(data: bytes) -> Hashable:
    """The kinds of its packets, or why they do not parse."""
    try:
        packets = parse_rtcp(data)
    except MalformedError as error:
        return str(error)[-12:]
    assert 1 <= len(packets) <= MAX_PACKETS
    try:
        again = parse_rtcp(serialize_rtcp(packets))
    except InvalidAccessError:
        # A text that was not UTF-8 is longer once it is.
        assert any(isinstance(packet, SourceDescription | Bye) for packet in packets)
    else:
        assert again == packets
    for packet in packets:
        if isinstance(packet, TransportFeedback):
            assert len(packet.arrivals()) == len(packet.deltas)
    return tuple([type(packet).__name__ for packet in packets[:6]])
