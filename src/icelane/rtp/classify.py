"""Telling RTP and RTCP apart on one port (RFC 5761 section 4), once the first byte has said that it is one of them."""

from __future__ import annotations

from typing import Final

# The second byte of RTCP is its packet type. In RTP it is marker and payload type, and with both on one port payload
# types 64 to 95 are not used.
_FIRST_PACKET_TYPE: Final = 192
_LAST_PACKET_TYPE: Final = 223


def is_rtcp(data: bytes) -> bool:
    """Whether a datagram of PacketKind.RTP is RTCP, protected or not; otherwise it is RTP."""
    return len(data) >= 2 and _FIRST_PACKET_TYPE <= data[1] <= _LAST_PACKET_TYPE
