"""One stream from a sender to a receiver over a link that loses, delays, reorders and repeats, on a virtual clock."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from icelane.core.clock import Instant, later
from icelane.media.codec import MediaKind, NegotiatedCodec, RtpCodec
from icelane.media.event import InboundEvent, KeyFrameRequested, OutboundEvent
from icelane.media.frame import EncodedFrame
from icelane.media.inbound_stream import InboundOptions, InboundStream
from icelane.media.outbound_stream import OutboundOptions, OutboundStream
from icelane.media.playout import Playout
from icelane.media.reporter import Reporter
from icelane.media.transport_sequence import TransportSequence
from icelane.rtp.header_extension import (
    ABSOLUTE_SEND_TIME,
    AUDIO_LEVEL,
    MID,
    TRANSPORT_SEQUENCE_NUMBER,
    VIDEO_ORIENTATION,
    ExtensionMap,
)
from icelane.rtp.packet import RtpPacket, parse_rtp_packet, serialize
from icelane.rtp.rtcp import parse_rtcp, serialize_rtcp
from icelane.testing.clock import VirtualClock
from icelane.testing.entropy import SeededEntropy

SSRC = 0x1111
RTX_SSRC = 0x2222

OPUS = RtpCodec(
    kind=MediaKind.AUDIO,
    name="opus",
    clock_rate=48_000,
    channels=2,
    parameters=(("minptime", "10"), ("useinbandfec", "1")),
)
OPUS_WITHOUT_FEC = RtpCodec(kind=MediaKind.AUDIO, name="opus", clock_rate=48_000, channels=2)
PCMU = RtpCodec(kind=MediaKind.AUDIO, name="PCMU", clock_rate=8000)
VP8 = RtpCodec(
    kind=MediaKind.VIDEO, name="VP8", clock_rate=90_000, feedback=("nack", "nack pli", "ccm fir", "transport-cc")
)
TONES = NegotiatedCodec(
    codec=RtpCodec(kind=MediaKind.AUDIO, name="telephone-event", clock_rate=48_000), payload_type=110
)

# RFC 6716 section 3.1: SILK, one frame of 20 ms, in which the one before it stands once more: without that bit nothing
# is repaired.
OPUS_20_MS = bytes((0x08, 0x40))


def extensions() -> ExtensionMap:
    """Identifiers as a browser gives them."""
    found = ExtensionMap()
    for identifier, uri in enumerate(
        (MID, ABSOLUTE_SEND_TIME, TRANSPORT_SEQUENCE_NUMBER, AUDIO_LEVEL, VIDEO_ORIENTATION), start=1
    ):
        found.add(identifier, uri)
    return found


def vp8_frame(number: int, size: int, *, key: bool) -> EncodedFrame:
    """A frame that tells its number; the bit that says that it is a key frame is right, the rest is made up."""
    head = bytes((0x10 if key else 0x11, 0, 0))
    body = head + (b"\x9d\x01\x2a" if key else b"\0\0\0") + number.to_bytes(4, "big")
    return EncodedFrame(data=body + bytes(max(size - len(body), 0)), timestamp=number * 3000, is_key=key)


def number_of_frame(frame: EncodedFrame) -> int:
    """The number of a frame of `vp8_frame`."""
    return int.from_bytes(frame.data[6:10], "big")


def opus_frame(number: int, *, level: int | None = None) -> EncodedFrame:
    """20 ms that tell their number."""
    data = OPUS_20_MS + number.to_bytes(3, "big") + bytes(60)
    return EncodedFrame(data=data, timestamp=number * 960, duration=960, audio_level=level)


@dataclass(frozen=True)
class Faults:
    """What a link does to packets. `hold` is called with the count of a packet and the time: how much later it is than
    others, None when it is lost.
    """

    delay: float = 0.025
    loss: float = 0.0
    jitter: float = 0.0
    reordering: float = 0.0
    duplication: float = 0.0
    hold: Callable[[int, Instant], float | None] = lambda _count, _now: 0.0


class Link:
    """One direction."""

    def __init__(self, source: random.Random, faults: Faults) -> None:
        self._random = source
        self.faults = faults
        self.count = 0

    def arrivals(self, now: Instant) -> list[Instant]:
        """When a packet that leaves now arrives: not at all, once or twice."""
        self.count += 1
        faults = self.faults
        held = faults.hold(self.count, now)
        if held is None or self._random.random() < faults.loss:
            return []
        at = later(now, faults.delay + held + self._random.random() * faults.jitter)
        if self._random.random() < faults.reordering:
            at = later(at, 0.03)
        return [at, later(at, 0.01)] if self._random.random() < faults.duplication else [at]


class Call:
    """A stream and both its ends; what comes out is kept with when it came."""

    def __init__(
        self,
        codec: RtpCodec,
        *,
        seed: int = 1,
        rtx: bool = True,
        there: Faults | None = None,
        back: Faults | None = None,
    ) -> None:
        self.clock = VirtualClock()
        self.random = random.Random(seed)
        self.there = Link(self.random, there or Faults())
        self.back = Link(self.random, back or Faults())
        entropy = SeededEntropy(seed)
        audio = codec.kind is MediaKind.AUDIO
        negotiated = NegotiatedCodec(codec=codec, payload_type=96, rtx_payload_type=97 if rtx else None)
        self.outbound = OutboundStream(
            OutboundOptions(
                codec=negotiated,
                ssrc=SSRC,
                rtx_ssrc=RTX_SSRC if rtx else None,
                extensions=extensions(),
                mid="0",
                telephone_event=TONES if audio else None,
            ),
            entropy=entropy,
            wall=self.clock,
            sequence=TransportSequence(entropy.below(1 << 16)),
        )
        self.inbound = InboundStream(
            InboundOptions(
                kind=codec.kind, codecs=(negotiated, TONES) if audio else (negotiated,), extensions=extensions()
            )
        )
        self.sender = Reporter("sender", entropy, self.clock.now)
        self.receiver = Reporter("receiver", entropy, self.clock.now)
        self.sender.add_outbound(self.outbound, self.clock.now)
        self.receiver.add_inbound(self.inbound, self.clock.now)
        self.frames: list[tuple[Instant, EncodedFrame]] = []
        self.playouts: list[tuple[Instant, Playout]] = []
        self.events: list[InboundEvent] = []
        self.outbound_events: list[tuple[Instant, OutboundEvent]] = []
        self.sent_rtp: list[tuple[Instant, bytes]] = []
        self.key_frame_wanted = False
        self._count = 0
        self._on_their_way: list[tuple[Instant, int, bool, bytes]] = []

    @property
    def now(self) -> Instant:
        """The time."""
        return self.clock.now

    def send(self, frame: EncodedFrame) -> None:
        """Send a frame now."""
        self.outbound.send_frame(frame, self.now)
        self.drain()

    def run_until(self, end: Instant) -> None:
        """Let packets and deadlines come, up to then."""
        while (at := self._next_at()) <= end:
            self.clock.advance(max(at - self.now, 0.0))
            arrived: list[tuple[bool, bytes]] = []
            while self._on_their_way and self._on_their_way[0][0] <= self.now:
                _, _, is_rtcp, data = heapq.heappop(self._on_their_way)
                arrived.append((is_rtcp, data))
            self._deliver(arrived)
            self.outbound.handle_timeout(self.now)
            self.inbound.handle_timeout(self.now)
            self.drain()
        self.clock.advance(max(end - self.now, 0.0))

    def drain(self) -> None:
        """Take all that comes out of both ends."""
        while (packet := self.outbound.poll_packet()) is not None:
            self.put(packet)
        self.sender.collect(self.now)
        self.receiver.collect(self.now)
        for reporter, link in ((self.sender, self.there), (self.receiver, self.back)):
            while (packets := reporter.poll_rtcp()) is not None:
                self._send(link, link is self.there, True, serialize_rtcp(packets))
        while (event := self.outbound.poll_event()) is not None:
            self.key_frame_wanted |= isinstance(event, KeyFrameRequested)
            self.outbound_events.append((self.now, event))
        if self.outbound.options.codec.codec.kind is MediaKind.VIDEO:
            while (frame := self.inbound.poll_frame()) is not None:
                self.frames.append((self.now, frame))
        while (playout := self.inbound.poll_playout()) is not None:
            self.playouts.append((self.now, playout))
        while (news := self.inbound.poll_event()) is not None:
            self.events.append(news)

    def put(self, packet: RtpPacket) -> None:
        """Put a packet on the way to the receiver."""
        data = serialize(packet)
        self.sent_rtp.append((self.now, data))
        self._send(self.there, True, False, data)

    def _send(self, link: Link, is_there: bool, is_rtcp: bool, data: bytes) -> None:
        for at in link.arrivals(self.now):
            self._count += 1
            # Both directions in one queue: the sign of the count tells which.
            heapq.heappush(self._on_their_way, (at, self._count if is_there else -self._count, is_rtcp, data))

    def _next_at(self) -> Instant:
        candidates: Iterable[Instant | None] = (
            self._on_their_way[0][0] if self._on_their_way else None,
            self.outbound.next_timeout(),
            self.inbound.next_timeout(),
            self.sender.next_timeout(),
            self.receiver.next_timeout(),
        )
        return min((at for at in candidates if at is not None), default=Instant(float("inf")))

    def _deliver(self, arrived: list[tuple[bool, bytes]]) -> None:
        rtp = []
        for is_rtcp, data in arrived:
            if is_rtcp:
                packets = parse_rtcp(data)
                self.sender.handle_rtcp(packets, self.now)
                self.receiver.handle_rtcp(packets, self.now)
            else:
                rtp.append(parse_rtp_packet(data))
        if rtp:
            self.inbound.handle_packets(rtp, self.now)


def talk(call: Call, seconds: float, *, level: int | None = None) -> None:
    """Send sound for so long, and let the last of it be played."""
    start = call.now
    for number in range(round(seconds / 0.02)):
        call.run_until(later(start, number * 0.02))
        call.send(opus_frame(number, level=level))
    call.run_until(later(start, seconds))


def film(call: Call, seconds: float, *, size: int = 4000, key_size: int = 20_000, rate: int = 30) -> int:
    """Send pictures for so long, key frames where they are asked for; returns how many were sent."""
    start = call.now
    count = round(seconds * rate)
    for number in range(count):
        call.run_until(later(start, number / rate))
        key = number == 0 or call.key_frame_wanted
        call.key_frame_wanted = False
        call.send(vp8_frame(number, key_size if key else size, key=key))
    call.run_until(later(start, seconds + 0.5))
    return count
