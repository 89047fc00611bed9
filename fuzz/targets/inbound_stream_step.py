"""A section that is received, by a script of packets that a peer may make up, of time, and of reports.

Nothing is ever raised; what is kept and what is asked for is bounded; and time always has an end: a deadline that was
served is not due again.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

from fuzz.script import Script
from icelane.core.clock import Instant, later
from icelane.errors import MalformedError
from icelane.media.codec import TELEPHONE_EVENT, MediaKind, NegotiatedCodec, RtpCodec
from icelane.media.frame_buffer import MAX_PACKETS
from icelane.media.inbound_audio import InboundAudio
from icelane.media.inbound_stream import InboundOptions, InboundStream
from icelane.media.jitter import MAX_FRAMES
from icelane.media.missing_packets import MAX_MISSING
from icelane.rtp.header_extension import AUDIO_LEVEL, VIDEO_ORIENTATION, ExtensionMap
from icelane.rtp.packet import RtpPacket
from icelane.rtp.rtcp import Bye, SenderReport, parse_rtcp, serialize_rtcp

KEY, DELTA, TAIL = b"\x10\0\0\0\x9d\x01\x2a\0\0\0\0", b"\x10\x01\0\0\0", b"\0\x55\x55"
LAYERED = b"\x90\xe0\x81\x05\x07\x40\x01\0"
OPUS_20, OPUS_60, OPUS_BAD = b"\xf8abc", b"\x18abc", b"\xff\0"
TONE, TONE_END = b"\x05\x0a\x00\xa0", b"\x05\x8a\x03\xc0"
STEPS: Final = (0, 1, 1, 1, 2, 3, -1, -2, 17, 500, 999, 1001, 3001, 30_000, 65_535)
TICKS: Final = (0, 960, 960, 3000, 3000, 1920, -960, 48_000, 90_000, 500_000, 2**31, -90_000)
TIMES: Final = (0.0, 0.001, 0.02, 0.02, 0.033, 0.1, 0.3, 1.1, 6.0)
MAX_STEPS: Final = 16

SEEDS = [
    bytes((0, 0, 1, 0, 0, 0, 0, 1, 1, 3, 1, 2, 0)) * 3,
    bytes((1, 0, 1, 1, 0, 0, 2, 0, 1, 1, 0, 0, 2)) * 4,
    bytes((0, 0, 1, 0, 1, 1, 0, 9, 1, 3, 1, 4, 1, 1, 1, 6)),
    bytes((1, 3, 1, 1, 0, 4, 3, 1, 1, 7, 3, 5, 1, 2)),
    bytes((0, 0, 1, 3, 9, 1, 3, 1, 2, 13, 5, 1, 4, 3)),
]


def _stream(kind: MediaKind) -> InboundStream:
    extensions = ExtensionMap()
    extensions.add(1, AUDIO_LEVEL)
    extensions.add(2, VIDEO_ORIENTATION)
    if kind is MediaKind.VIDEO:
        codec = RtpCodec(kind=kind, name="VP8", clock_rate=90_000, feedback=("nack", "nack pli"))
        codecs: tuple[NegotiatedCodec, ...] = (NegotiatedCodec(codec=codec, payload_type=96, rtx_payload_type=97),)
    else:
        opus = RtpCodec(
            kind=kind, name="opus", clock_rate=48_000, parameters=(("useinbandfec", "1"),), feedback=("nack",)
        )
        tones = RtpCodec(kind=kind, name=TELEPHONE_EVENT, clock_rate=48_000)
        codecs = (
            NegotiatedCodec(codec=opus, payload_type=96, rtx_payload_type=97),
            NegotiatedCodec(codec=tones, payload_type=98),
        )
    return InboundStream(InboundOptions(kind=kind, codecs=codecs, extensions=extensions, keeps_packets=True))


class World:
    """The stream, and the packet that the next one follows."""

    def __init__(self, kind: MediaKind) -> None:
        self.kind = kind
        self.now = Instant(1000.0)
        self.stream = _stream(kind)
        self.number = self.timestamp = 100
        self.kinds: set[str] = set()

    def packet(self, script: Script) -> RtpPacket:
        """A packet near the one before it."""
        self.number = self.number + script.choose(STEPS) & 0xFFFF
        self.timestamp = self.timestamp + script.choose(TICKS) & 0xFFFFFFFF
        shape = script.number()
        payloads = (
            (KEY, DELTA, TAIL, LAYERED, b"") if self.kind is MediaKind.VIDEO else (OPUS_20, OPUS_60, OPUS_BAD, b"")
        )
        payload = payloads[shape % len(payloads)]
        payload_type = 96
        if shape & 0x60 == 0x60:
            payload_type, payload = 97, (self.number - shape % 7 & 0xFFFF).to_bytes(2, "big") + payload
        elif shape & 0x60 == 0x40:
            payload_type, payload = (98, TONE_END if shape & 1 else TONE) if shape & 2 else (120, payload)
        packet = RtpPacket(payload_type, self.number, self.timestamp, 1 + (shape % 8 == 7), payload, bool(shape & 16))
        if shape & 8:
            packet.extensions = [(1, bytes((shape,))), (2, b"")]
        return packet

    def drain(self) -> None:
        """Take all that came out, and look at it."""
        stream = self.stream
        while (frame := stream.poll_frame()) is not None:
            assert frame.data
            self.kinds.add(f"frame {frame.is_key} {frame.follows_gap}")
        while stream.poll_packet() is not None:
            self.kinds.add("packet")
        while (feedback := stream.poll_feedback()) is not None:
            assert len(serialize_rtcp([feedback])) <= 1100
            self.kinds.add(type(feedback).__name__)
        while (event := stream.poll_event()) is not None:
            self.kinds.add(type(event).__name__)

    def check(self) -> None:
        """What must hold after each step."""
        source = self.stream._source
        if source is None:
            return
        media = source._media
        assert len(source._missing) <= MAX_MISSING
        assert len(media.buffer) <= (MAX_FRAMES if isinstance(media, InboundAudio) else MAX_PACKETS)
        serialize_rtcp(parse_rtcp(serialize_rtcp([SenderReport(1, 1, 1, 1, 1, self.stream.report_blocks(self.now))])))

    def serve(self, until: Instant) -> None:
        """Serve deadlines up to then; each has to be over once it was served."""
        for _ in range(20_000):
            at = self.stream.next_timeout()
            if at is None or at > until:
                self.now = until
                return
            self.now = max(self.now, at)
            self.stream.handle_timeout(self.now)
            self.drain()
        raise AssertionError("there is always another deadline")


def step(world: World, script: Script) -> Hashable:
    """One step of the script."""
    stream, kind = world.stream, script.number() % 7
    match kind:
        case 0 | 1 | 2:
            stream.handle_packets([world.packet(script) for _ in range(1 + script.number() % 4)], world.now)
        case 3:
            world.serve(later(world.now, script.choose(TIMES)))
        case 4:
            report = SenderReport(1, script.number() << 56, script.number() << 24, 1, 1)
            stream.handle_rtcp([report, Bye((script.number() % 3,))], world.now)
        case 5:
            stream.set_minimum_delay(script.choose((0.0, 0.2, 1.0)))
            stream.set_synchronization_delay(script.choose((0.0, 0.2, 1.0)))
            stream.learn_round_trip(script.choose((0.0, 0.05, 3.0)))
        case 6:
            stream.request_key_frame(world.now)
            try:
                stream.handle_rtcp(parse_rtcp(script.string()), world.now)
            except MalformedError:
                return "malformed"
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
    world.serve(later(world.now, 1.5))
    return world.kind, outcome, frozenset(world.kinds)
