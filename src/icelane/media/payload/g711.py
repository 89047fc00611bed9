"""PCMU and PCMA (RFC 3551 sections 4.5.14 and 4.5.13): a byte for each sample and channel, nothing around it."""

from __future__ import annotations

from icelane.media.payload.packetizer import WholeFrameDepacketizer, WholeFramePacketizer

G711Packetizer = WholeFramePacketizer
G711Depacketizer = WholeFrameDepacketizer


def parse_duration(payload: bytes, channels: int = 1) -> int:
    """How long the packet plays, in units of 1/8000 s."""
    return len(payload) // channels
