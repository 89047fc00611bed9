"""RFC 7983: one port, several protocols, told apart by the first byte."""

from __future__ import annotations

import pytest

from icelane.core.demux import PacketKind, classify


def test_every_first_byte_has_the_kind_of_rfc_7983() -> None:
    """ST-11: 0-3 STUN, 20-63 DTLS, 64-79 ChannelData, 128-191 RTP and RTCP, the rest dropped."""
    ranges = {
        PacketKind.STUN: range(4),
        PacketKind.DTLS: range(20, 64),
        PacketKind.CHANNEL_DATA: range(64, 80),
        PacketKind.RTP: range(128, 192),
    }
    for first_byte in range(256):
        expected = next((kind for kind, members in ranges.items() if first_byte in members), PacketKind.UNKNOWN)
        assert classify(first_byte) is expected, first_byte


@pytest.mark.parametrize("first_byte", [4, 15, 16, 19, 80, 127, 192, 255])
def test_zrtp_quic_and_unassigned_bytes_are_dropped(first_byte: int) -> None:
    """ST-11: the edges of what is not spoken here."""
    assert classify(first_byte) is PacketKind.UNKNOWN


@pytest.mark.parametrize("channel", [0x4000, 0x4001, 0x4FFE, 0x4FFF])
def test_channel_numbers_begin_with_a_channel_data_byte(channel: int) -> None:
    """ST-11: RFC 8656 section 12 keeps channel numbers inside the byte range of RFC 7983."""
    assert classify(channel >> 8) is PacketKind.CHANNEL_DATA
