"""Opus (RFC 7587): one Opus packet (RFC 6716 section 3) is one payload.

 0 1 2 3 4 5 6 7
+-+-+-+-+-+-+-+-+-+-+-+
| config  |s| c |  ...     c = 3: a byte with the number of frames is next
+-+-+-+-+-+-+-+-+-+-+-+
"""

from __future__ import annotations

from typing import Final

from icelane.errors import MalformedError
from icelane.media.payload.packetizer import Fragment, WholeFrameDepacketizer, WholeFramePacketizer

OpusPacketizer = WholeFramePacketizer

MAX_DURATION: Final = 5760
"""RFC 6716 section 3.2.5: 120 ms in units of 1/48000 s."""

_SILK: Final = (480, 960, 1920, 2880)
_HYBRID: Final = (480, 960)
_CELT: Final = (120, 240, 480, 960)


class OpusDepacketizer(WholeFrameDepacketizer):
    """Refuses what is no Opus packet by its first bytes."""

    def parse(self, payload: bytes) -> Fragment:
        """See Depacketizer."""
        parse_duration(payload)
        return Fragment((payload,), begins_frame=True, ends_frame=True, is_key=True)


def parse_duration(payload: bytes) -> int:
    """How long the packet plays, in units of 1/48000 s; raises MalformedError (RFC 6716 section 3.1)."""
    if not payload:
        raise MalformedError("an empty Opus packet")
    head = payload[0]
    config, code = head >> 3, head & 3
    if config < 12:
        frame = _SILK[config & 3]
    elif config < 16:
        frame = _HYBRID[config & 1]
    else:
        frame = _CELT[config & 3]
    if code < 3:
        return frame * (2 if code else 1)
    if len(payload) < 2:
        raise MalformedError("an Opus packet ends before its number of frames")
    duration = frame * (payload[1] & 0x3F)
    if not 0 < duration <= MAX_DURATION:
        raise MalformedError(f"an Opus packet of {duration} samples")
    return duration
