"""The RTCP of a transport."""

from __future__ import annotations

import pytest

from icelane.core.clock import Instant, later
from icelane.media.codec import MediaKind, NegotiatedCodec
from icelane.media.inbound_stream import InboundOptions, InboundStream
from icelane.media.outbound_stream import OutboundOptions, OutboundStream
from icelane.media.reporter import NO_SSRC, Reporter
from icelane.rtp.packet import RtpPacket
from icelane.rtp.rtcp import (
    Bye,
    Nack,
    ReceiverReport,
    ReportBlock,
    RtcpPacket,
    SenderReport,
    SourceDescription,
    TransportFeedback,
    parse_rtcp,
    serialize_rtcp,
)
from icelane.testing.clock import VirtualClock
from icelane.testing.entropy import SeededEntropy
from tests.media.call import OPUS, VP8, opus_frame, vp8_frame

pytestmark = pytest.mark.twin

CLOCK = VirtualClock()
NOW = CLOCK.now


def outbound(ssrc: int) -> OutboundStream:
    stream = OutboundStream(
        OutboundOptions(codec=NegotiatedCodec(codec=OPUS, payload_type=96), ssrc=ssrc),
        entropy=SeededEntropy(ssrc),
        wall=CLOCK,
    )
    stream.send_frame(opus_frame(0), NOW)
    return stream


def inbound(ssrc: int | None = None) -> InboundStream:
    stream = InboundStream(
        InboundOptions(kind=MediaKind.VIDEO, codecs=(NegotiatedCodec(codec=VP8, payload_type=96),), local_ssrc=5)
    )
    if ssrc is not None:
        payload = b"\x10" + vp8_frame(0, 100, key=True).data
        stream.handle_packet(RtpPacket(96, 1, 0, ssrc, payload, True), NOW)
    return stream


def reporter(*, reduced_size: bool = True) -> Reporter:
    return Reporter("name", SeededEntropy(1), NOW, reduced_size=reduced_size)


def datagrams(made: Reporter) -> list[list[RtcpPacket]]:
    """What is sent, as it is read."""
    found = []
    while (packets := made.poll_rtcp()) is not None:
        data = serialize_rtcp(packets)
        assert len(data) <= 1200
        found.append(parse_rtcp(data))
    return found


def test_senders_and_receivers_are_reported_together() -> None:
    made = reporter()
    made.add_outbound(outbound(11), NOW)
    made.add_inbound(inbound(22), NOW)
    made.collect(NOW)
    assert datagrams(made) == []
    at = made.next_timeout()
    assert at is not None
    made.collect(at)
    ((report, description),) = datagrams(made)
    assert isinstance(report, SenderReport)
    assert [block.ssrc for block in report.reports] == [22]
    assert isinstance(description, SourceDescription)
    assert [(chunk.ssrc, chunk.cname) for chunk in description.chunks] == [(11, "name")]


def test_who_only_receives_sends_receiver_reports() -> None:
    made = reporter()
    made.add_inbound(inbound(22), NOW)
    made.collect(later(NOW, 5.0))
    ((report, _),) = datagrams(made)
    assert isinstance(report, ReceiverReport)
    assert report.ssrc == NO_SSRC


def test_nothing_is_reported_before_there_is_something() -> None:
    made = reporter()
    assert made.next_timeout() is None
    made.add_inbound(inbound(), NOW)
    made.collect(later(NOW, 5.0))
    assert datagrams(made) == []


def test_many_streams_are_told_in_several_datagrams() -> None:
    made = reporter()
    for ssrc in range(100, 140):
        made.add_outbound(outbound(ssrc), NOW)
        made.add_inbound(inbound(ssrc + 100), NOW)
    made.collect(later(NOW, 5.0))
    senders, blocks = [], []
    for packets in datagrams(made):
        for packet in packets:
            if isinstance(packet, SenderReport):
                senders.append(packet.ssrc)
            if isinstance(packet, SenderReport | ReceiverReport):
                blocks += [block.ssrc for block in packet.reports]
    assert senders == list(range(100, 140))
    assert blocks == list(range(200, 240))


def test_feedback_goes_at_once_and_alone_where_reduced_size_was_negotiated() -> None:
    for reduced_size in (True, False):
        made = reporter(reduced_size=reduced_size)
        stream = inbound(22)
        made.add_inbound(stream, NOW)
        stream.handle_packet(RtpPacket(96, 3, 6000, 22, b"\x10\0", True), NOW)
        made.collect(NOW)
        (packets,) = datagrams(made)
        assert packets[-1] == Nack(5, 22, (2,))
        assert [type(packet) for packet in packets[:-1]] == (
            [] if reduced_size else [ReceiverReport, SourceDescription]
        )


def test_arrivals_are_told_for_the_whole_transport() -> None:
    made = reporter()
    for number in range(10):
        arrived = RtpPacket(ssrc=22 + number % 2, extensions=[(3, bytes((0, number)))])
        made.record_arrivals([arrived, RtpPacket(ssrc=22)], 3, NOW)
    at = made.next_timeout()
    assert at == later(NOW, 0.1)
    made.collect(at)
    ((feedback,),) = datagrams(made)
    assert isinstance(feedback, TransportFeedback)
    assert len(feedback.deltas) == 10


def test_a_stream_that_ends_says_goodbye() -> None:
    made = reporter()
    stream = outbound(11)
    made.add_outbound(stream, NOW)
    made.remove_outbound(stream, NOW)
    ((report, _, goodbye),) = datagrams(made)
    assert isinstance(report, SenderReport)
    assert goodbye == Bye((11,))
    assert made.next_timeout() is None


def test_a_round_trip_that_one_stream_learns_is_told_to_those_that_are_received() -> None:
    made = reporter()
    sender, receiver = outbound(11), inbound(22)
    made.add_outbound(sender, NOW)
    made.add_inbound(receiver, NOW)
    sent = sender.sender_report(NOW)
    assert sent is not None
    block = ReportBlock(11, 0, 0, 0, 0, sent.ntp_time >> 16 & 0xFFFFFFFF, 0)
    made.handle_rtcp([ReceiverReport(22, (block,))], Instant(NOW + 0.4))
    receiver.handle_packet(RtpPacket(96, 3, 6000, 22, b"\x10\0", True), NOW)
    made.collect(NOW)
    assert len(datagrams(made)) == 1
    receiver.handle_timeout(later(NOW, 0.3))
    made.collect(NOW)
    assert datagrams(made) == []


def test_a_stream_that_is_taken_away_is_reported_no_more() -> None:
    made = reporter()
    stream = inbound(22)
    made.add_inbound(stream, NOW)
    made.remove_inbound(stream, NOW)
    made.collect(later(NOW, 10.0))
    assert datagrams(made) == []
