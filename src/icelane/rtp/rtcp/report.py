"""Sender and receiver reports (RFC 3550 sections 6.4.1 and 6.4.2).

A report block:

    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                             SSRC                              |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    | fraction lost |       cumulative number of packets lost       |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |           extended highest sequence number received           |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                      interarrival jitter                      |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                         last SR (LSR)                         |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                   delay since last SR (DLSR)                  |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from icelane.core.reader import Reader
from icelane.errors import InvalidAccessError
from icelane.rtp.rtcp.record import MAX_COUNT, PacketType, encode_packet, encode_uint32s

# The count of blocks has five bits; whoever hears more sources sends more reports.
MAX_REPORT_BLOCKS: Final = MAX_COUNT

_BLOCK: Final = struct.Struct(">IB3sIIII")
_SENDER_INFORMATION: Final = struct.Struct(">IQIII")
_MOST_LOST: Final = (1 << 23) - 1


@dataclass(frozen=True, slots=True)
class ReportBlock:
    """What was received of one source.

    `fraction_lost` is in 1/256, `jitter` in ticks of the RTP clock; `last_sender_report` and
    `delay_since_last_sender_report` are in the compact form of NTP, 1/65536 s, and 0 when there was no sender report.
    `packets_lost` is -2**23 to 2**23 - 1: below zero where packets came twice.
    """

    ssrc: int
    fraction_lost: int
    packets_lost: int
    highest_sequence_number: int
    jitter: int
    last_sender_report: int
    delay_since_last_sender_report: int


@dataclass(frozen=True, slots=True)
class SenderReport:
    """What a source has sent, and what was received where it is. `ntp_time` is 64 bits of `icelane.rtp.ntp`."""

    ssrc: int
    ntp_time: int
    rtp_timestamp: int
    packet_count: int
    octet_count: int
    reports: tuple[ReportBlock, ...] = ()


@dataclass(frozen=True, slots=True)
class ReceiverReport:
    """What was received by somebody who sends nothing."""

    ssrc: int
    reports: tuple[ReportBlock, ...] = ()


def parse_sender_report(count: int, body: bytes) -> SenderReport:
    """A sender report with `count` blocks; what a profile puts behind them is skipped. Raises MalformedError."""
    reader = Reader(body)
    ssrc, ntp, timestamp, packets, octets = _SENDER_INFORMATION.unpack(reader.take(_SENDER_INFORMATION.size))
    return SenderReport(ssrc, ntp, timestamp, packets, octets, _read_blocks(reader, count))


def parse_receiver_report(count: int, body: bytes) -> ReceiverReport:
    """A receiver report with `count` blocks; what a profile puts behind them is skipped. Raises MalformedError."""
    reader = Reader(body)
    return ReceiverReport(reader.uint32(), _read_blocks(reader, count))


def encode_sender_report(report: SenderReport) -> bytes:
    """The packet. Raises InvalidAccessError when something does not fit."""
    try:
        head = _SENDER_INFORMATION.pack(
            report.ssrc, report.ntp_time, report.rtp_timestamp, report.packet_count, report.octet_count
        )
    except struct.error as error:
        raise InvalidAccessError(f"a number does not fit into its field: {report}") from error
    return encode_packet(PacketType.SENDER_REPORT, len(report.reports), head + _encode_blocks(report.reports))


def encode_receiver_report(report: ReceiverReport) -> bytes:
    """The packet. Raises InvalidAccessError when something does not fit."""
    body = encode_uint32s(report.ssrc) + _encode_blocks(report.reports)
    return encode_packet(PacketType.RECEIVER_REPORT, len(report.reports), body)


def _read_blocks(reader: Reader, count: int) -> tuple[ReportBlock, ...]:
    return tuple([_block_of(reader.take(_BLOCK.size)) for _ in range(count)])


def _block_of(data: bytes) -> ReportBlock:
    ssrc, fraction, lost, highest, jitter, last, delay = _BLOCK.unpack(data)
    return ReportBlock(ssrc, fraction, int.from_bytes(lost, "big", signed=True), highest, jitter, last, delay)


def _encode_blocks(blocks: tuple[ReportBlock, ...]) -> bytes:
    if len(blocks) > MAX_REPORT_BLOCKS:
        raise InvalidAccessError(f"{len(blocks)} report blocks in one report")
    try:
        return b"".join([_encode_block(block) for block in blocks])
    except struct.error as error:
        raise InvalidAccessError(f"a number does not fit into its field: {error}") from error


def _encode_block(block: ReportBlock) -> bytes:
    # RFC 3550 appendix A.3: it stays at what fits.
    lost = min(max(block.packets_lost, -_MOST_LOST - 1), _MOST_LOST)
    return _BLOCK.pack(
        block.ssrc,
        block.fraction_lost,
        lost.to_bytes(3, "big", signed=True),
        block.highest_sequence_number,
        block.jitter,
        block.last_sender_report,
        block.delay_since_last_sender_report,
    )
