"""The streams of a connection, against a peer that is authentic and means ill: any packets, at any time.

The input is a row of steps: a byte for the kind, one for the length, and what the step is about. Nothing raises, no
table grows beyond its bound, and no deadline stands still once it has passed.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

from icelane.core.clock import Instant, later
from icelane.errors import MalformedError
from icelane.media.codec import MediaKind
from icelane.media.frame import EncodedFrame
from icelane.peer.media_plane import MediaPlane
from icelane.peer.rtp_router import MAX_LEARNT
from icelane.peer.transceiver import Transceiver
from icelane.rtp.classify import is_rtcp
from icelane.rtp.packet import RtpPacket, parse_rtp_packet, serialize
from icelane.rtp.rtcp import (
    Bye,
    FullIntraRequest,
    Nack,
    PictureLossIndication,
    ReceiverEstimatedMaximumBitrate,
    ReceiverReport,
    ReportBlock,
    RtcpPacket,
    SenderReport,
    serialize_rtcp,
)
from icelane.srtp.session import SrtpSession
from icelane.testing.clock import VirtualClock
from icelane.testing.entropy import SeededEntropy
from tests.peer.media import AUDIO, VIDEO, MediaPeer
from tests.peer.negotiating import exchange

_PACKET, _WAIT, _SEND, _REQUEST = range(4)
_MAX_STEPS: Final = 40
_MAX_WAITS: Final = 3
# Deadlines in one wait: sound that plays has one each 20 ms.
_MAX_TIMEOUTS: Final = 60
# How often a deadline may have passed again at once: each stream may have a few things to do at one moment.
_MAX_TURNS: Final = 50
_MID: Final = 1  # the identifier that our offers give to the extension


class _OpenSession(SrtpSession):
    """SRTP without protection."""

    def __init__(self) -> None:
        self.sent = 0

    def unprotect_packets(self, packets: list[bytes]) -> tuple[list[RtpPacket], list[bytes], int]:
        rtp: list[RtpPacket] = []
        unreadable = 0
        for data in packets:
            if is_rtcp(data):
                continue
            try:
                rtp.append(parse_rtp_packet(data))
            except MalformedError:
                unreadable += 1
        return rtp, [data for data in packets if is_rtcp(data)], unreadable

    def protect_packets(self, packets: list[RtpPacket]) -> list[bytes]:
        self.sent += len(packets)
        return [serialize(packet) for packet in packets]

    def protect_rtcp(self, rtcp: bytes) -> bytes:
        return rtcp


def _step(kind: int, data: bytes) -> bytes:
    return bytes((kind, min(len(data), 255))) + data[:255]


def _rtp(payload_type: int, number: int, ssrc: int, payload: bytes, mid: bytes = b"") -> bytes:
    extensions = [(_MID, mid)] if mid else []
    return _step(_PACKET, serialize(RtpPacket(payload_type, number, 3000 * number, ssrc, payload, True, extensions)))


def _rtcp(*packets: RtcpPacket) -> bytes:
    return _step(_PACKET, serialize_rtcp(packets))


_BLOCK: Final = ReportBlock(1, 10, 10, 500, 90, 1, 1)
SEEDS: Final = [
    b"".join(_rtp(96, number, 5, b"\xf8opus", b"0" if number == 0 else b"") for number in range(6)),
    b"".join(
        _rtp(98, number, 6, b"\x10\x10\x00\x00\x9d\x01\x2a", b"1") + _step(_WAIT, b"\x10") for number in (1, 2, 5)
    ),
    _rtp(98, 1, 6, b"\x10\x10\x00", b"1") + _rtp(99, 1, 7, b"\x00\x02\x10\x11\x00", b"1") + _step(_WAIT, b"\xff"),
    _step(_SEND, b"\x10frame") + _rtcp(ReceiverReport(9, (_BLOCK,)), Nack(9, 1, (1, 2, 3))) + _step(_WAIT, b"\x40"),
    _rtcp(SenderReport(5, 1 << 40, 1, 2, 3), Bye((5,), "gone")) + _rtcp(PictureLossIndication(1, 2)),
    _rtcp(FullIntraRequest(1, ((2, 3),)), ReceiverEstimatedMaximumBitrate(1, 300_000, (2,))) + _step(_REQUEST, b""),
]
DICTIONARY: Final = [b"\xbe\xde\x00\x01\x100\x00\x00", b"\x80\xc8", b"\x80\xc9", b"\x80\xcb", b"\x81\xcd", b"\x8f\xcd",
                     b"\x81\xce", b"\x84\xce", b"\x8f\xceREMB", b"\x90\x60", b"\x90\x62", b"\x90\x63"]  # fmt: skip


def run(data: bytes) -> Hashable:
    """What came of it: events, and how much was sent."""
    plane = _called()
    session = _OpenSession()
    plane.transport._session = session
    now, position, steps, waits = Instant(1000.0), 0, 0, 0
    told: set[str] = set()
    while position + 2 <= len(data) and steps < _MAX_STEPS:
        kind, size = data[position] % 4, data[position + 1]
        body = data[position + 2 : position + 2 + size]
        position += 2 + size
        steps += 1
        waits += kind == _WAIT
        if waits > _MAX_WAITS:
            break
        now = _take(plane, kind, body, now)
        told |= _drain(plane)
        assert plane.router.learnt <= MAX_LEARNT
    return tuple(sorted(told)), min(session.sent, 8), plane.transport.malformed > 0, plane.router.unknown > 0


def _negotiated() -> list[Transceiver]:
    one, other = MediaPeer(1), MediaPeer(2)
    for peer in (one, other):
        peer.add_track("mic", AUDIO, "s")
        peer.add_track("cam", VIDEO, "s")
    exchange(one, other)
    return one.transceivers


# A plane reads transceivers and changes none of them.
_TRANSCEIVERS: Final = _negotiated()


def _called() -> MediaPlane:
    plane = MediaPlane(entropy=SeededEntropy(3), wall=VirtualClock(), cname=lambda: "name")
    plane.follow(_TRANSCEIVERS, Instant(1000.0))
    return plane


def _take(plane: MediaPlane, kind: int, body: bytes, now: Instant) -> Instant:
    if kind == _PACKET:
        plane.handle_packets([body], now)
    elif kind == _WAIT:
        return _wait(plane, (body[0] if body else 1) / 64, now)
    elif kind == _SEND:
        video = next(one for one in _TRANSCEIVERS if one.kind is MediaKind.VIDEO)
        plane.send_frame(video, EncodedFrame(data=b"\x10" + body, timestamp=round(now * 90_000)), now)
    else:
        for transceiver in _TRANSCEIVERS:
            plane.request_key_frame(transceiver, now)
    return now


def _wait(plane: MediaPlane, seconds: float, now: Instant) -> Instant:
    end, turns = later(now, seconds), 0
    for _ in range(_MAX_TIMEOUTS):
        at = plane.next_timeout()
        if at is None or at > end:
            break
        turns = turns + 1 if at <= now else 0
        assert turns < _MAX_TURNS, "a deadline that has passed does not move"
        now = max(at, now)
        plane.handle_timeout(now)
        _drain(plane)
    return end


def _drain(plane: MediaPlane) -> set[str]:
    told = set()
    while (event := plane.poll_event()) is not None:
        told.add(type(event).__name__)
        transceiver = event.transceiver
        while plane.poll_frame(transceiver) is not None or plane.poll_packet(transceiver) is not None:
            told.add("frame")
    plane.take_datagrams()
    return told
