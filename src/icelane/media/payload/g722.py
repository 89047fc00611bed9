"""G.722 (RFC 3551 section 4.5.2): a byte holds two samples of 16000 Hz, and so lasts one unit of the clock.

The RTP clock has 8000 Hz though the sound is sampled at 16000: an error of RFC 1890 that was kept.
"""

from __future__ import annotations

from typing import Final

from icelane.media.payload.packetizer import WholeFrameDepacketizer, WholeFramePacketizer

G722Packetizer = WholeFramePacketizer
G722Depacketizer = WholeFrameDepacketizer

SAMPLING_RATE: Final = 16_000


def parse_duration(payload: bytes, channels: int = 1) -> int:
    """How long the packet plays, in units of 1/8000 s, of which each has two samples."""
    return len(payload) // channels
