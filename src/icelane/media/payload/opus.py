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

# Configurations in RFC 6716 table 2, and how much sound a frame within SILK is.
_FIRST_HYBRID: Final = 12
_FIRST_CELT: Final = 16
_SILK_FRAME: Final = 960
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
    if config < _FIRST_HYBRID:
        frame = _SILK[config & 3]
    elif config < _FIRST_CELT:
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


def has_redundancy(payload: bytes) -> bool:
    """Whether the packet has the sound before it once more, as FEC (RFC 6716 sections 4.2.3 and 4.2.4).

    A packet that ends before the bit that says so has none: one of DTX has no frame at all.
    """
    if not payload or payload[0] >> 3 >= _FIRST_CELT:
        return False
    config, is_stereo = payload[0] >> 3, bool(payload[0] & 4)
    try:
        flags = payload[_first_frame(payload)]
    except IndexError:
        return False
    # Of each channel: whether there is voice in each frame of 20 ms, and whether any is here again.
    frames = 1 if config >= _FIRST_HYBRID else max(1, _SILK[config & 3] // _SILK_FRAME)
    again = flags >> (7 - frames) & 1
    return bool(again or (is_stereo and flags >> (6 - 2 * frames) & 1))


def _first_frame(payload: bytes) -> int:
    """Where the first frame begins (RFC 6716 section 3.2); raises IndexError."""
    code = payload[0] & 3
    if code < 2:
        return 1
    if code == 2:
        return 1 + _length_size(payload[1])
    offset, count = 2, payload[1] & 0x3F
    if payload[1] & 0x40:  # padding: 255 is 254 bytes, and more are told next
        while payload[offset] == 0xFF:
            offset += 1
        offset += 1
    if payload[1] & 0x80:
        for _ in range(count - 1):
            offset += _length_size(payload[offset])
    return offset


def _length_size(first: int) -> int:
    return 1 if first < 252 else 2
