"""A stream that is sent, by a script of frames, of packets from elsewhere, of time, and of RTCP that a peer makes up.

Nothing is raised but what the contracts name; no packet is too long; what is sent again is bounded by what was sent;
key frames are asked for seldom.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

from fuzz.script import Script
from icelane.core.clock import Instant, later
from icelane.errors import LocalProtocolError, MalformedError
from icelane.media.codec import TELEPHONE_EVENT, MediaKind, NegotiatedCodec, RtpCodec
from icelane.media.event import KeyFrameRequested
from icelane.media.frame import EncodedFrame
from icelane.media.outbound_stream import (
    INITIAL_CREDIT,
    KEY_FRAME_INTERVAL,
    MAX_PACKET_SIZE,
    PROTECTION_SIZE,
    OutboundOptions,
    OutboundStream,
)
from icelane.media.transport_sequence import TransportSequence
from icelane.rtp.header_extension import ABSOLUTE_SEND_TIME, MID, TRANSPORT_SEQUENCE_NUMBER, ExtensionMap
from icelane.rtp.packet import RtpPacket, parse_rtp_packet, serialize
from icelane.rtp.rtcp import (
    FullIntraRequest,
    Nack,
    PictureLossIndication,
    ReceiverEstimatedMaximumBitrate,
    ReceiverReport,
    ReportBlock,
    RtcpPacket,
    parse_rtcp,
    serialize_rtcp,
)
from icelane.testing.clock import VirtualClock
from icelane.testing.entropy import SeededEntropy

SSRC: Final = 0x01020304
SIZES: Final = (1, 30, 160, 1100, 1300, 6000, 40_000)
TIMES: Final = (0.0, 0.001, 0.02, 0.02, 0.05, 0.3, 2.5, 30.0)
MAX_STEPS: Final = 64

SEEDS = [
    bytes((0, 1, 5, 1, 2, 0, 2, 2, 10)) * 2,
    bytes((1, 1, 2, 0, 4, 2, 0, 4, 2, 5, 3, 1, 6)),
    bytes((0, 0, 3, 3, 3, 1, 3, 0, 2, 4, 3, 2, 3, 0)),
    bytes((0, 5, 1, 2, 3, 5, 1, 2, 4, 5, 9, 9, 9, 2, 0, 4)),
    bytes((0, 6, 28, 0x81, 206, 0, 2, 0, 0, 0, 1, 1, 2, 3, 4)),
]


def _stream(clock: VirtualClock, kind: MediaKind) -> OutboundStream:
    extensions = ExtensionMap()
    for identifier, uri in enumerate((MID, ABSOLUTE_SEND_TIME, TRANSPORT_SEQUENCE_NUMBER), start=1):
        extensions.add(identifier, uri)
    name, rate = ("VP8", 90_000) if kind is MediaKind.VIDEO else ("opus", 48_000)
    codec = RtpCodec(kind=kind, name=name, clock_rate=rate, feedback=("nack", "nack pli"))
    video = kind is MediaKind.VIDEO
    tones = RtpCodec(kind=kind, name=TELEPHONE_EVENT, clock_rate=rate)
    options = OutboundOptions(
        codec=NegotiatedCodec(codec=codec, payload_type=96, rtx_payload_type=97 if video else None),
        ssrc=SSRC,
        rtx_ssrc=SSRC + 1 if video else None,
        telephone_event=None if video else NegotiatedCodec(codec=tones, payload_type=98),
        extensions=extensions,
        mid="media",
    )
    return OutboundStream(options, entropy=SeededEntropy(1), wall=clock, sequence=TransportSequence())


class World:
    """The stream and its clock."""

    def __init__(self, kind: MediaKind) -> None:
        self.clock = VirtualClock()
        self.stream = _stream(self.clock, kind)
        self.timestamp = 0
        self.last_number = 0
        self.asked_at = Instant(float("-inf"))
        self.kinds: set[str] = set()

    def drain(self) -> None:
        """Take all that came out, and look at it."""
        for packet in self.stream.poll_packets():
            data = serialize(packet)
            assert len(data) + PROTECTION_SIZE <= MAX_PACKET_SIZE
            assert parse_rtp_packet(data).payload == packet.payload
            assert packet.ssrc in self.stream.ssrcs
            if packet.ssrc == SSRC:
                self.last_number = packet.sequence_number
        while (event := self.stream.poll_event()) is not None:
            self.kinds.add(type(event).__name__)
            if isinstance(event, KeyFrameRequested):
                assert self.clock.now - self.asked_at >= KEY_FRAME_INTERVAL - 1e-9
                self.asked_at = self.clock.now

    def check(self) -> None:
        """What must hold after each step."""
        counts = self.stream.statistics
        sent = counts.bytes_sent - counts.retransmitted_bytes_sent
        assert counts.retransmitted_bytes_sent <= sent + INITIAL_CREDIT + MAX_PACKET_SIZE
        report = self.stream.sender_report(self.clock.now)
        if report is not None:
            assert parse_rtcp(serialize_rtcp([report])) == [report]

    def wait(self, seconds: float) -> None:
        """Serve deadlines for so long; each has to be over once it was served."""
        until = later(self.clock.now, seconds)
        for _ in range(10_000):
            at = self.stream.next_timeout()
            if at is None or at > until:
                self.clock.advance(max(until - self.clock.now, 0.0))
                return
            self.clock.advance(max(at - self.clock.now, 0.0))
            self.stream.handle_timeout(self.clock.now)
            self.drain()
        raise AssertionError("there is always another deadline")


def feedback(world: World, script: Script) -> None:
    """RTCP about the stream, or about another one."""
    ssrc = SSRC + script.choose((0, 0, 0, 1, 2))
    numbers = tuple([world.last_number - script.number() & 0xFFFF for _ in range(1 + script.number() % 20)])
    block = ReportBlock(ssrc, script.number(), script.number() - 99, 1, script.number(), script.number() << 24, 5)
    packets: tuple[RtcpPacket, ...] = (
        Nack(1, ssrc, numbers),
        PictureLossIndication(1, ssrc),
        FullIntraRequest(1, ((ssrc, script.number()),)),
        ReceiverEstimatedMaximumBitrate(1, script.number() << 12, (ssrc,)),
        ReceiverReport(1, (block,)),
    )
    world.stream.handle_rtcp([script.choose(packets), script.choose(packets)], world.clock.now)


def step(world: World, script: Script) -> Hashable:
    """One step of the script."""
    stream, kind = world.stream, script.number() % 7
    try:
        match kind:
            case 0 | 1:
                data = b"\x10" + bytes(script.choose(SIZES))
                world.timestamp += script.choose((960, 3000, 0, 2**31))
                frame = EncodedFrame(
                    data=data, timestamp=world.timestamp, duration=960, is_key=bool(script.number() & 1)
                )
                stream.send_frame(frame, world.clock.now)
            case 2:
                feedback(world, script)
            case 3:
                world.wait(script.choose(TIMES))
            case 4:
                stream.insert_tones(script.choose(("1", "1,2", "")), world.clock.now, duration=0.05)
            case 5:
                number, timestamp = script.number() << 8 | script.number(), script.number() << 24
                packet = RtpPacket(5, number, timestamp, script.number() % 3, b"x", extensions=[(1, b"y")])
                stream.send_packet(packet, world.clock.now, extensions=stream.options.extensions)
            case 6:
                stream.handle_rtcp(parse_rtcp(script.string()), world.clock.now)
    except (LocalProtocolError, MalformedError) as error:
        return kind, type(error).__name__
    return kind


def run(data: bytes) -> Hashable:
    """What the last step did, and what came out."""
    script = Script(data)
    world = World(MediaKind.AUDIO if script.number() & 1 else MediaKind.VIDEO)
    outcome: Hashable = None
    for _ in range(MAX_STEPS):
        if not script:
            break
        outcome = step(world, script)
        world.drain()
        world.check()
    return outcome, frozenset(world.kinds)
