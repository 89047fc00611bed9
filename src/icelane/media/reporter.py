"""The RTCP of one transport: reports of all its streams when they are due, and feedback at once.

    reporter = Reporter(cname, entropy, now)
    reporter.add_outbound(camera, now)
    reporter.add_inbound(their_camera, now)
    reporter.handle_rtcp(parse_rtcp(data), now)          each stream takes what is about it
    reporter.record_arrivals(packets, identifier, now)   for transport-wide feedback
    reporter.collect(now)                                after packets or time have moved the streams
    while (packets := reporter.poll_rtcp()) is not None:
        send(protect_rtcp(serialize_rtcp(packets)))

A compound packet begins with a sender or receiver report and names the CNAME (RFC 3550 section 6.1); with reduced size
(RFC 5506) feedback goes alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from icelane.core.clock import NEVER, Instant
from icelane.core.entropy import Entropy
from icelane.media.codec import MediaKind
from icelane.media.inbound_stream import InboundStream
from icelane.media.outbound_stream import OutboundStream
from icelane.media.report_schedule import ReportSchedule
from icelane.media.transport_feedback import TransportFeedbackRecorder
from icelane.rtp.packet import RtpPacket
from icelane.rtp.rtcp import (
    Bye,
    ReceiverReport,
    ReportBlock,
    RtcpPacket,
    SenderReport,
    SourceChunk,
    SourceDescription,
)
from icelane.rtp.rtcp.source_description import CNAME

# Compound packets that nobody has fetched; the oldest are dropped.
MAX_QUEUED: Final = 256
# Per packet: 12 report blocks, 12 further sender reports and as many names of 36 bytes stay below 1,200 bytes.
MAX_BLOCKS: Final = 12
MAX_SENDERS: Final = 12
# The SSRC of whoever sends nothing, as browsers have it.
NO_SSRC: Final = 1


class Reporter:
    """Reports for the streams that were added. `cname` is what they all have in common."""

    def __init__(self, cname: str, entropy: Entropy, now: Instant, *, reduced_size: bool = True) -> None:
        self.reduced_size = reduced_size
        self._cname = cname
        self._schedule = ReportSchedule(entropy, now, has_video=False)
        self._outbound: list[OutboundStream] = []
        self._inbound: list[InboundStream] = []
        self._recorder = TransportFeedbackRecorder(NO_SSRC)
        self._queue: deque[list[RtcpPacket]] = deque(maxlen=MAX_QUEUED)

    # Inputs

    def handle_rtcp(self, packets: Sequence[RtcpPacket], now: Instant) -> None:
        """RTCP came in. What streams that are sent learn of the round trip is told to those that are received."""
        for outbound in self._outbound:
            measurements = outbound.remote.round_trip_time_measurements
            outbound.handle_rtcp(packets, now)
            if outbound.remote.round_trip_time_measurements != measurements:
                for inbound in self._inbound:
                    inbound.learn_round_trip(outbound.round_trip)
        for inbound in self._inbound:
            inbound.handle_rtcp(packets, now)

    def record_arrivals(self, packets: list[RtpPacket], identifier: int, now: Instant) -> None:
        """Packets came, whose transport-wide sequence number is in the extension element with this identifier."""
        self._recorder.record_packets(packets, identifier, now)

    # Commands

    def add_outbound(self, stream: OutboundStream, now: Instant) -> None:
        """Report this stream as well."""
        self._outbound.append(stream)
        self._streams_changed(now)

    def add_inbound(self, stream: InboundStream, now: Instant) -> None:
        """Report what this stream receives as well."""
        self._inbound.append(stream)
        self._streams_changed(now)

    def remove_outbound(self, stream: OutboundStream, now: Instant) -> None:
        """The stream ends: say goodbye for it (RFC 3550 section 6.3.7)."""
        self._outbound.remove(stream)
        report: RtcpPacket = stream.sender_report(now) or ReceiverReport(stream.options.ssrc)
        self._queue.append([report, self._description([stream.options.ssrc]), Bye(stream.ssrcs)])
        self._streams_changed(now)

    def remove_inbound(self, stream: InboundStream, now: Instant) -> None:
        """Nothing is to be reported about it any more."""
        self._inbound.remove(stream)
        self._streams_changed(now)

    def collect(self, now: Instant) -> None:
        """Make what is due: to be called after streams were given packets or time, and when `next_timeout` passes."""
        feedback: list[RtcpPacket] = list(self._recorder.take(now))
        for inbound in self._inbound:
            while (packet := inbound.poll_feedback()) is not None:
                feedback.append(packet)
        if self._schedule.is_due(now):
            self._report(now)
            self._schedule.reported(now)
        self._enqueue_feedback(feedback)

    # Outputs

    def poll_rtcp(self) -> list[RtcpPacket] | None:
        """The packets of the next datagram, or None."""
        return self._queue.popleft() if self._queue else None

    def next_timeout(self) -> Instant | None:
        """When to call `collect`; None when there is nothing to report."""
        at = self._recorder.next_at
        if self._outbound or self._inbound:
            at = min(at, self._schedule.next_at)
        return None if at == NEVER else at

    # How

    def _streams_changed(self, now: Instant) -> None:
        kinds = [stream.options.codec.codec.kind for stream in self._outbound]
        kinds += [stream.options.kind for stream in self._inbound]
        self._schedule.has_video = MediaKind.VIDEO in kinds
        self._recorder.sender_ssrc = self._any_ssrc
        self._schedule.hurry(now)

    @property
    def _any_ssrc(self) -> int:
        return self._outbound[0].options.ssrc if self._outbound else NO_SSRC

    def _report(self, now: Instant) -> None:
        """Sender reports of all that was sent, with all report blocks, in as many datagrams as that takes."""
        blocks: list[ReportBlock] = []
        for inbound in self._inbound:
            blocks += inbound.report_blocks(now)
        senders = [report for stream in self._outbound if (report := stream.sender_report(now)) is not None]
        while senders or blocks:
            self._queue.append(self._compound(senders[:MAX_SENDERS], tuple(blocks[:MAX_BLOCKS])))
            del senders[:MAX_SENDERS], blocks[:MAX_BLOCKS]

    def _compound(self, senders: list[SenderReport], blocks: tuple[ReportBlock, ...]) -> list[RtcpPacket]:
        packets: list[RtcpPacket] = []
        if senders:
            packets.append(replace(senders[0], reports=blocks))
            packets += senders[1:]
        else:
            packets.append(ReceiverReport(self._any_ssrc, blocks))
        packets.append(self._description([report.ssrc for report in senders] or [self._any_ssrc]))
        return packets

    def _enqueue_feedback(self, feedback: list[RtcpPacket]) -> None:
        # One datagram each: a NACK or transport-wide feedback may fill it alone.
        for packet in feedback:
            if self.reduced_size:
                self._queue.append([packet])
            else:
                self._queue.append([ReceiverReport(self._any_ssrc), self._description([self._any_ssrc]), packet])

    def _description(self, ssrcs: list[int]) -> SourceDescription:
        return SourceDescription(tuple([SourceChunk(ssrc, ((CNAME, self._cname),)) for ssrc in ssrcs]))
