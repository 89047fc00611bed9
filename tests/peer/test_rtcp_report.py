"""Reports of all streams: what is in a compound packet, and that none is longer than a datagram may be."""

from __future__ import annotations

from icelane.core.clock import Instant
from icelane.media.codec import NegotiatedCodec
from icelane.media.frame import EncodedFrame
from icelane.media.inbound_stream import InboundOptions, InboundStream
from icelane.media.outbound_stream import OutboundOptions, OutboundStream
from icelane.peer.rtcp_report import compose_reports
from icelane.rtp.packet import RtpPacket
from icelane.rtp.rtcp import ReceiverReport, SenderReport, SourceDescription, serialize_rtcp
from icelane.testing.clock import VirtualClock
from icelane.testing.entropy import SeededEntropy
from tests.peer.media import AUDIO, OPUS

NOW = Instant(1000.0)
CODEC = NegotiatedCodec(codec=OPUS, payload_type=111)


def sending(ssrc: int) -> OutboundStream:
    stream = OutboundStream(OutboundOptions(codec=CODEC, ssrc=ssrc), entropy=SeededEntropy(ssrc), wall=VirtualClock())
    stream.send_frame(EncodedFrame(data=b"\xf8" + bytes(9), timestamp=0, duration=960), NOW)
    return stream


def receiving(ssrc: int) -> InboundStream:
    stream = InboundStream(InboundOptions(kind=AUDIO, codecs=(CODEC,)))
    stream.handle_packet(RtpPacket(111, 1, 960, ssrc, b"\xf8" + bytes(9)), NOW)
    return stream


def test_who_sends_and_receives_reports_both_at_once() -> None:
    (compound,) = compose_reports([sending(1)], [receiving(7)], 99, "name", NOW)
    report, description = compound
    assert isinstance(report, SenderReport)
    assert (report.ssrc, [block.ssrc for block in report.reports]) == (1, [7])
    assert isinstance(description, SourceDescription)
    assert [(chunk.ssrc, chunk.cname) for chunk in description.chunks] == [(1, "name")]


def test_who_only_receives_reports_by_a_name_of_ours() -> None:
    ((report, _),) = compose_reports([], [receiving(7)], 99, "name", NOW)
    assert isinstance(report, ReceiverReport)
    assert report.ssrc == 99


def test_without_packets_there_is_nothing_to_report() -> None:
    silent = OutboundStream(OutboundOptions(codec=CODEC, ssrc=1), entropy=SeededEntropy(1), wall=VirtualClock())
    idle = InboundStream(InboundOptions(kind=AUDIO, codecs=(CODEC,)))
    assert compose_reports([silent], [idle], 99, "name", NOW) == []


def test_many_streams_are_reported_in_several_datagrams_that_all_fit() -> None:
    senders = [sending(ssrc) for ssrc in range(1, 31)]
    receivers = [receiving(ssrc) for ssrc in range(1000, 1050)]
    compounds = compose_reports(senders, receivers, 99, "n" * 16, NOW)
    reports = [packet for compound in compounds for packet in compound if isinstance(packet, SenderReport)]
    assert [report.ssrc for report in reports] == list(range(1, 31))
    blocks = [block.ssrc for report in reports for block in report.reports]
    assert blocks == list(range(1000, 1050))
    assert all(isinstance(compound[0], SenderReport | ReceiverReport) for compound in compounds)
    assert max(len(serialize_rtcp(compound)) for compound in compounds) <= 1_150
