"""Packets of any codec: parsed, put together, and what came out goes through packets again and stays the same.

The first byte says which codec, then each packet stands behind a length of two bytes.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from icelane.errors import InvalidAccessError, MalformedError, MessageTooLargeError
from icelane.media.codec import MediaKind, RtpCodec
from icelane.media.payload.packetizer import MIN_PAYLOAD_SIZE, Depacketizer, Fragment
from icelane.media.payload.registry import (
    depacketizer_for,
    frame_duration,
    frame_size,
    has_redundancy,
    is_key_frame,
    packetizer_for,
)
from icelane.media.payload.rtx import encode_retransmission, parse_retransmission
from icelane.media.payload.telephone_event import ToneEnded, ToneReceiver, encode_report, parse_reports

CODECS = [
    RtpCodec(
        kind=MediaKind.AUDIO if clock_rate < 90_000 else MediaKind.VIDEO,
        name=name,
        clock_rate=clock_rate,
        parameters=(("packetization-mode", "1"),) if name == "H264" else (),
    )
    for name, clock_rate in (
        ("opus", 48_000), ("PCMU", 8000), ("G722", 8000),
        ("VP8", 90_000), ("VP9", 90_000), ("H264", 90_000), ("H265", 90_000), ("AV1", 90_000),
    )
]  # fmt: skip
TONES, RETRANSMISSION = len(CODECS), len(CODECS) + 1


def join(kind: int, payloads: Sequence[str]) -> bytes:
    """An input of packets in hexadecimal."""
    packets = [bytes.fromhex(payload) for payload in payloads]
    return bytes((kind,)) + b"".join(len(packet).to_bytes(2, "big") + packet for packet in packets)


SEEDS = [
    join(0, ["fc00112233"]),
    join(0, ["ff43001122"]),
    join(1, ["0011223344"]),
    join(2, ["0011223344"]),
    join(3, ["9080923410b9009d012a8002e001aabb", "80809234ccddee"]),
    join(3, ["90f09234556510b9009d012a8002e001"]),
    join(4, ["8a9234180280 01e0 010401 82498342 4027f01df0 aabb", "849234ccdd"]),
    join(4, ["ba923400380140 00b4 0280 0168 010401 82498342 4027f01df0", "b4923403 aabb", "f892354003050886 00"]),
    join(5, ["78000b6742c01f8c8d40501e9080000468ce3c80", "7c85881122", "7c05334455", "7c456677"]),
    join(5, ["09f0", "419a1122", "414d3344"]),
    join(6, ["600100054001767073000542017370730005440170 7073", "620193af1122", "6201133344", "6201535566"]),
    join(6, ["0201d01122", "0201401122"]),
    join(7, ["6809080000 0004 3d9f7f00 3010aabb", "d0ccddee", "900011"]),
    join(7, ["000228010328 0203", "10342030301122"]),
    join(TONES, ["050a00a0", "050a0140", "058a0320", "058a0320"]),
    join(TONES, ["010a0190028a00a0"]),
    join(RETRANSMISSION, ["12349080923410b900"]),
]
DICTIONARY = [
    b"\x9d\x01\x2a", b"\x49\x83\x42", b"\0\0\1", b"\0\0\0\1", b"\0\0\3", b"\x7c\x85", b"\x7c\x45", b"\x78", b"\x60\x01",
    b"\x62\x01\x93", b"\x62\x01\x53", b"\x80", b"\xff\xff", b"\x0a\x0b", b"\x32", b"\x12\0",
]  # fmt: skip


def packets_of(data: bytes) -> list[bytes]:
    """Cut at the lengths; the last packet may be shorter than it says."""
    packets = []
    while len(data) >= 2:
        size = data[0] << 8 | data[1]
        packets.append(data[2 : 2 + size])
        data = data[2 + size :]
    return packets


def hear(packets: Sequence[bytes]) -> Hashable:
    """Tones begin and end in turns."""
    receiver = ToneReceiver()
    told: list[bool] = []
    for number, packet in enumerate(packets):
        try:
            reports = parse_reports(packet)
        except MalformedError:
            continue
        # A reserved bit is all that does not come back.
        assert b"".join(map(encode_report, reports)) == bytes(
            [byte & 0xBF if index % 4 == 1 else byte for index, byte in enumerate(packet)]
        )
        told += [isinstance(event, ToneEnded) for event in receiver.handle_payload(packet, number // 3 * 1000)]
    assert told == [index % 2 == 1 for index in range(len(told))]
    return len(told)


def unwrap(packets: Sequence[bytes]) -> Hashable:
    """What is unwrapped is wrapped again."""
    for packet in packets:
        number, payload = parse_retransmission(packet)
        assert encode_retransmission(number, payload) == packet
    return len(packets)


def fragments_of(depacketizer: Depacketizer, packets: Sequence[bytes]) -> list[Fragment]:
    """Those that parse."""
    fragments = []
    for packet in packets:
        try:
            fragment = depacketizer.parse(packet)
        except MalformedError:
            continue
        assert fragment.pieces
        assert all(fragment.pieces)
        assert sum(map(len, fragment.pieces)) <= len(packet) + 1
        assert not (fragment.begins_frame and fragment.continues)
        fragments.append(fragment)
    return fragments


def again(codec: RtpCodec, frame: bytes) -> bytes:
    """The frame after another trip, in small packets."""
    depacketizer = depacketizer_for(codec)
    payloads = packetizer_for(codec, 1).packetize(frame, max(MIN_PAYLOAD_SIZE, len(frame) // 3))
    return depacketizer.assemble([depacketizer.parse(payload) for payload in payloads])


def run(data: bytes) -> Hashable:
    """How the packets parsed, and what the frame is."""
    kind = data[0] % (len(CODECS) + 2) if data else 0
    packets = packets_of(data[1:])
    if kind == TONES:
        return "tones", hear(packets)
    if kind == RETRANSMISSION:
        return "retransmission", unwrap(packets)
    codec = CODECS[kind]
    depacketizer = depacketizer_for(codec)
    fragments = fragments_of(depacketizer, packets)
    shape = tuple([(item.begins_frame, item.is_key, item.continues, item.is_continued) for item in fragments[:4]])
    frame = depacketizer.assemble(fragments)
    key, size = is_key_frame(codec, frame), frame_size(codec, frame)
    has_redundancy(codec, frame)
    try:
        frame_duration(codec, frame)
        frame = again(codec, frame)  # without the zeros around units, and with start codes where they were hidden
    except (InvalidAccessError, MalformedError, MessageTooLargeError) as error:
        return kind, shape, key, type(error).__name__
    assert again(codec, frame) == frame
    return kind, shape, key, size is None, len(packets) - len(fragments)
