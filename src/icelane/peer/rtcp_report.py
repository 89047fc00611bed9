"""Reports of all streams of a transport, in compound packets (RFC 3550 sections 6.1 and 6.4)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from icelane.core.clock import Instant
from icelane.media.inbound_stream import InboundStream
from icelane.media.outbound_stream import OutboundStream
from icelane.rtp.rtcp import ReceiverReport, ReportBlock, RtcpPacket, SenderReport, SourceChunk, SourceDescription
from icelane.rtp.rtcp.source_description import CNAME

# What goes into one datagram of at most 1,200 bytes: 28 bytes for each sender and 24 for each block, and the name for
# each sender.
SENDERS_IN_COMPOUND: Final = 8
BLOCKS_IN_COMPOUND: Final = 20


def compose_reports(
    outbound: Iterable[OutboundStream], inbound: Iterable[InboundStream], local_ssrc: int, cname: str, now: Instant
) -> list[list[RtcpPacket]]:
    """One list for each compound packet; none when nothing was sent or received.

    `local_ssrc` reports what we receive while nothing is sent.
    """
    senders = [report for stream in outbound if (report := stream.sender_report(now)) is not None]
    blocks = [block for stream in inbound for block in stream.report_blocks(now)]
    compounds: list[list[RtcpPacket]] = []
    while senders or blocks:
        some, senders = senders[:SENDERS_IN_COMPOUND], senders[SENDERS_IN_COMPOUND:]
        told, blocks = tuple(blocks[:BLOCKS_IN_COMPOUND]), blocks[BLOCKS_IN_COMPOUND:]
        compound: list[RtcpPacket] = []
        for report in some:
            compound.append(_with_blocks(report, told) if not compound else report)
        if not compound:
            compound.append(ReceiverReport(local_ssrc, told))
        compound.append(describe_source([report.ssrc for report in some] or [local_ssrc], cname))
        compounds.append(compound)
    return compounds


def describe_source(ssrcs: Iterable[int], cname: str) -> SourceDescription:
    """Every compound packet says whose it is."""
    return SourceDescription(tuple(SourceChunk(ssrc, ((CNAME, cname),)) for ssrc in ssrcs))


def _with_blocks(report: SenderReport, blocks: tuple[ReportBlock, ...]) -> SenderReport:
    return replace(report, reports=blocks)
