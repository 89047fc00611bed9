"""Sound of one source: frames go through the jitter buffer, and tones are recognised beside it."""

from __future__ import annotations

from collections import deque
from typing import Final

from icelane.core.clock import NEVER, Duration, Instant
from icelane.errors import MalformedError
from icelane.media.event import ToneReceived
from icelane.media.frame import EncodedFrame
from icelane.media.inbound_format import InboundFormat, ReadPacket
from icelane.media.jitter import JitterBuffer
from icelane.media.payload.registry import frame_duration, has_redundancy
from icelane.media.payload.telephone_event import TONES, ToneBegan, ToneEnded, ToneReceiver
from icelane.media.playout import Playout
from icelane.media.statistics import InboundStatistics
from icelane.rtp.header_extension import AUDIO_LEVEL, ExtensionMap, parse_audio_level, value_of
from icelane.rtp.packet import RtpPacket

# Until a packet has said how long it plays.
_PACKET_TIME: Final[Duration] = 0.02
# A lost packet is waited for when it can come again within this, and FEC or concealment is better otherwise.
_MAX_REPAIR: Final[Duration] = 0.12
# RFC 4733 section 2.5.2.2: a tone of which nothing was heard for three packets is over.
_TONE_SILENCE: Final[Duration] = 0.15
# Tones that nobody has fetched; the oldest are dropped.
MAX_TONES: Final = 64


class InboundAudio:
    """Instructions for a decoder, and tones."""

    def __init__(self, inbound_format: InboundFormat, extensions: ExtensionMap, statistics: InboundStatistics) -> None:
        codec = inbound_format.codec
        self.buffer = JitterBuffer(
            codec.clock_rate,
            statistics,
            duration=round(_PACKET_TIME * codec.clock_rate),
            forward_error_correction=inbound_format.has_forward_error_correction,
        )
        self._clock_rate = codec.clock_rate
        self._level = extensions.identifier_of(AUDIO_LEVEL)
        self._tones = ToneReceiver()
        self._tone_over_at = NEVER
        self._events: deque[ToneReceived] = deque(maxlen=MAX_TONES)

    def insert(self, read: ReadPacket, now: Instant) -> bool:
        """A packet came; False when it is of no use any more."""
        packet = read.packet
        frame = EncodedFrame(data=packet.payload, timestamp=packet.timestamp, payload_type=packet.payload_type)
        try:
            frame.duration = frame_duration(read.format.codec, packet.payload)
        except MalformedError:
            return False
        self.buffer.has_forward_error_correction = read.format.has_forward_error_correction
        self._read_level(packet, frame)
        redundancy = has_redundancy(read.format.codec, packet.payload)
        return self.buffer.insert(
            read.number, read.timestamp, frame, now, repaired=read.repaired, has_redundancy=redundancy
        )

    def skip(self, number: int, now: Instant) -> None:  # noqa: ARG002  (video needs it)
        """A packet without sound came."""
        self.buffer.skip(number)

    def insert_tone(self, number: int, packet: RtpPacket, now: Instant) -> None:
        """A telephone event came. Raises MalformedError."""
        self._tell(self._tones.handle_payload(packet.payload, packet.timestamp))
        self._tone_over_at = Instant(now + _TONE_SILENCE)
        self.buffer.skip(number)

    def advance(self, now: Instant) -> list[Playout]:
        """The instructions that are due."""
        if now >= self._tone_over_at:
            self._tone_over_at = NEVER
            self._tell(self._tones.handle_silence())
        return self.buffer.advance(now)

    def poll_tone(self) -> ToneReceived | None:
        """A tone that is over, or None."""
        return self._events.popleft() if self._events else None

    def give_up(self, now: Instant) -> None:
        """What is missing will not come: it is concealed when its time comes."""

    def restart(self) -> None:
        """The numbers of the source begin anew."""
        self.buffer.restart()

    def expect_repair(self, round_trip: Duration | None) -> None:
        """How long a missing packet takes to come again; None when it does not."""
        wait = 0.0 if round_trip is None else 1.5 * round_trip
        self.buffer.retransmission_time = wait if wait <= _MAX_REPAIR else 0.0

    def set_minimum_delay(self, delay: Duration) -> None:
        """What the application wants at least."""
        self.buffer.minimum_delay = delay

    @property
    def next_at(self) -> Instant:
        """When `advance` has something to do."""
        return min(self.buffer.next_at, self._tone_over_at)

    @property
    def first_wanted(self) -> int:
        """Numbers below this one are of no use."""
        return self.buffer.first_wanted

    def _read_level(self, packet: RtpPacket, frame: EncodedFrame) -> None:
        level = value_of(packet, self._level, parse_audio_level)
        if level is not None:
            frame.audio_level, frame.voice_activity = level.level, level.voice

    def _tell(self, heard: list[ToneBegan | ToneEnded]) -> None:
        for news in heard:
            if isinstance(news, ToneEnded) and news.event < len(TONES):
                self._events.append(ToneReceived(TONES[news.event], news.duration / self._clock_rate))
