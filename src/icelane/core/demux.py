"""Telling protocols on one port apart by the first byte (RFC 7983 section 7).

         +----------------+
         |        [0..3] -+--> STUN
         |      [16..19] -+--> ZRTP: dropped, not spoken here
         |      [20..63] -+--> DTLS
         |      [64..79] -+--> TURN ChannelData
         |    [128..191] -+--> RTP and RTCP
         +----------------+

RFC 9443 gives 80..127 and 192..255 to QUIC, which is not spoken here either.
"""

from __future__ import annotations

import enum
from typing import Final


class PacketKind(enum.Enum):
    """What a datagram claims to be."""

    STUN = "stun"
    DTLS = "dtls"
    CHANNEL_DATA = "channel-data"
    RTP = "rtp"
    UNKNOWN = "unknown"


def classify(first_byte: int) -> PacketKind:
    """What a datagram that begins with `first_byte` (0 to 255) claims to be; UNKNOWN is to be dropped."""
    return _KINDS[first_byte]


def _kind_of(first_byte: int) -> PacketKind:
    if first_byte <= 3:
        return PacketKind.STUN
    if 20 <= first_byte <= 63:
        return PacketKind.DTLS
    if 64 <= first_byte <= 79:
        return PacketKind.CHANNEL_DATA
    if 128 <= first_byte <= 191:
        return PacketKind.RTP
    return PacketKind.UNKNOWN


_KINDS: Final = tuple(_kind_of(first_byte) for first_byte in range(256))
