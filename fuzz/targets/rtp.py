"""An RTP packet: it parses or is malformed, what parses is written and read again alike, and typed elements agree."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from icelane.errors import MalformedError
from icelane.rtp.classify import is_rtcp
from icelane.rtp.header_extension import (
    encode_audio_level,
    encode_contributing_audio_levels,
    encode_playout_delay,
    encode_token,
    encode_transport_sequence_number,
    encode_video_orientation,
    parse_absolute_send_time,
    parse_audio_level,
    parse_contributing_audio_levels,
    parse_playout_delay,
    parse_token,
    parse_transport_sequence_number,
    parse_video_orientation,
)
from icelane.rtp.packet import MAX_EXTENSIONS, RtpPacket, parse_rtp_packet, serialize

_HEADER = bytes.fromhex("8060 0001 00000002 00000003")

SEEDS = [
    _HEADER + b"payload",
    serialize(RtpPacket(111, 7, 960, 5, b"opus", True, [(1, b"0"), (2, b"\x7f"), (3, b"\x01\x02\x03")], (8, 9))),
    serialize(RtpPacket(96, 7, 3000, 5, b"", False, [(1, b""), (200, bytes(40))], tuple(range(15)), 0x1007, 255)),
    b"\x90" + _HEADER[1:] + bytes.fromhex("bede 0003 00 10aa 21bbcc f0 00 00 00 00 00") + b"x",
    b"\xb0" + _HEADER[1:] + bytes.fromhex("1000 0002 01 00 ff 03 aabbcc 00") + b"x\x00\x02",
    b"\x90" + _HEADER[1:] + bytes.fromhex("1234 0001 aabbccdd") + b"x",
    b"",
]
DICTIONARY = [b"\xbe\xde", b"\x10\x00", b"\x10\x0f", b"\xff\xff", b"\x00\x00", b"\x80", b"\x9f", b"\xb0", b"\xff"]

_TYPED: tuple[tuple[Callable[[bytes], object], Callable[..., bytes] | None], ...] = (
    (parse_token, encode_token),
    (parse_absolute_send_time, None),  # a float: rounding is looked at in the tests
    (parse_transport_sequence_number, encode_transport_sequence_number),
    (parse_audio_level, encode_audio_level),
    (parse_contributing_audio_levels, encode_contributing_audio_levels),
    (parse_playout_delay, encode_playout_delay),
    (parse_video_orientation, encode_video_orientation),
)


def run(data: bytes) -> Hashable:
    """The shape of the packet, or why it is none."""
    try:
        packet = parse_rtp_packet(data)
    except MalformedError as error:
        return str(error).split(" ", 1)[-1][:12]
    assert len(data) >= 12
    assert is_rtcp(data) == (192 <= data[1] <= 223)
    assert 0 <= packet.padding_length <= 255
    assert len(packet.extensions) <= MAX_EXTENSIONS
    size = 12 + 4 * len(packet.csrcs) + sum(len(element) for _, element in packet.extensions)
    assert size + len(packet.payload) + packet.padding_length <= len(data)
    again = parse_rtp_packet(serialize(packet))
    for field in ("payload_type", "marker", "sequence_number", "timestamp", "ssrc", "csrcs", "extensions", "payload"):
        assert getattr(again, field) == getattr(packet, field), field
    assert again.padding_length == packet.padding_length
    kinds = [_typed(element) for _, element in packet.extensions[:8]]
    return len(packet.csrcs), packet.extension_profile, tuple(kinds), packet.padding_length > 0


def _typed(element: bytes) -> int:
    """Which of the typed parsers take an element, as bits."""
    taken = 0
    for position, (parse, encode) in enumerate(_TYPED):
        try:
            value = parse(element)
        except MalformedError:
            continue
        taken |= 1 << position
        if encode is not None:
            assert parse(encode(value)) == value
    return taken
