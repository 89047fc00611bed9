"""The first byte decides, and every parser agrees with it (RFC 7983)."""

from __future__ import annotations

from collections.abc import Hashable

from icelane.core.demux import PacketKind, classify
from icelane.errors import MalformedError
from icelane.stun.message import looks_like_stun, parse_message
from icelane.turn.channel_data import MAX_CHANNEL_NUMBER, looks_like_channel_data, parse_channel_data
from tests.vectors import stun as vectors

SEEDS = [
    vectors.SAMPLE_REQUEST,
    b"\x40\x00\x00\x04abcd",
    b"\x50\x00\x00\x04abcd",
    b"\x16\xfe\xfd",
    b"\x80\x60",
    b"\xff",
    b"",
]


def run(data: bytes) -> Hashable:
    """The kind, and whether its parser took it."""
    kind = classify(data[0]) if data else PacketKind.UNKNOWN
    if looks_like_stun(data):
        assert kind is PacketKind.STUN
    if kind is PacketKind.STUN:
        assert not looks_like_channel_data(data)
    if kind is PacketKind.CHANNEL_DATA:
        assert not looks_like_stun(data)
    taken = False
    try:
        message = parse_channel_data(data)
    except MalformedError:
        pass
    else:
        taken = True
        assert looks_like_channel_data(data)
        # Numbers of RFC 5766 beyond the range of RFC 8656 have bytes that a shared port gives to others.
        if message.number <= MAX_CHANNEL_NUMBER:
            assert kind is PacketKind.CHANNEL_DATA
    try:
        parse_message(data)
    except MalformedError:
        return kind, taken
    assert not taken
    # Methods from 0x100 on are STUN by RFC 8489, and by RFC 7983 something else on a port that is shared.
    assert looks_like_stun(data) == (kind is PacketKind.STUN)
    return kind, "message"
