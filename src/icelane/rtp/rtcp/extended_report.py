"""Extended reports (RFC 3611): their blocks are told apart, and left as they came."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from icelane.core.reader import Reader
from icelane.errors import InvalidAccessError, MalformedError
from icelane.rtp.rtcp.record import PacketType, encode_packet, encode_uint32s

# There are about thirty types of blocks, of which a report has a few. One with more does not parse.
MAX_BLOCKS: Final = 64


@dataclass(frozen=True, slots=True)
class ExtendedReportBlock:
    """One block: its type, its eight bits for the type's own use, and its content, a whole number of words."""

    block_type: int
    type_specific: int
    content: bytes


@dataclass(frozen=True, slots=True)
class ExtendedReport:
    """What `ssrc` tells beyond reception reports."""

    ssrc: int
    blocks: tuple[ExtendedReportBlock, ...] = ()


def parse_extended_report(body: bytes) -> ExtendedReport:
    """An extended report. Raises MalformedError when a block is longer than what is left, and for too many."""
    reader = Reader(body)
    ssrc = reader.uint32()
    blocks: list[ExtendedReportBlock] = []
    while reader.remaining:
        if len(blocks) == MAX_BLOCKS:
            raise MalformedError(f"more than {MAX_BLOCKS} blocks in an extended report")
        block_type, specific = reader.uint8(), reader.uint8()
        blocks.append(ExtendedReportBlock(block_type, specific, reader.take(4 * reader.uint16())))
    return ExtendedReport(ssrc, tuple(blocks))


def encode_extended_report(report: ExtendedReport) -> bytes:
    """The packet. Raises InvalidAccessError when something does not fit."""
    if len(report.blocks) > MAX_BLOCKS:
        raise InvalidAccessError(f"{len(report.blocks)} blocks in an extended report")
    body = encode_uint32s(report.ssrc)
    for block in report.blocks:
        if len(block.content) & 3 or not 0 <= block.block_type <= 255 or not 0 <= block.type_specific <= 255:
            raise InvalidAccessError(f"no block of an extended report: type {block.block_type}")
        body += bytes((block.block_type, block.type_specific)) + (len(block.content) >> 2).to_bytes(2, "big")
        body += block.content
    return encode_packet(PacketType.EXTENDED_REPORT, 0, body)
