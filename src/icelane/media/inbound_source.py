"""What is known of one source that is received: numbers, losses, clock, and the buffer that its frames go through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from icelane.core.clock import NEVER, Duration, Instant
from icelane.errors import MalformedError
from icelane.media.codec import MediaKind
from icelane.media.event import ToneReceived
from icelane.media.frame import EncodedFrame
from icelane.media.inbound_audio import InboundAudio
from icelane.media.inbound_format import InboundFormat, ReadPacket
from icelane.media.inbound_video import InboundVideo
from icelane.media.missing_packets import MissingPackets
from icelane.media.playout import Playout
from icelane.media.reception import MAX_MISORDER, Reception
from icelane.media.sender_clock import SenderClock
from icelane.media.statistics import InboundStatistics
from icelane.rtp.header_extension import ExtensionMap
from icelane.rtp.packet import RtpPacket
from icelane.rtp.rtcp import ReportBlock, SenderReport
from icelane.rtp.sequence import TIMESTAMPS, Unwrapper

# When nothing came for so long and so much is missing, the network was away. All of it is too late to be shown, and a
# key frame is sooner there than all that a NACK would bring.
_OUTAGE: Final[Duration] = 1.0
_OUTAGE_PACKETS: Final = 30


class InboundSource:
    """The state of one SSRC; `statistics` are the stream's, which has had other sources before."""

    __slots__ = (
        "_first",
        "_heard_at",
        "_last_timestamps",
        "_media",
        "_missing",
        "_overflows",
        "_repeated",
        "_restarts",
        "_statistics",
        "_timestamps",
        "clock",
        "format",
        "reception",
        "ssrc",
    )

    def __init__(
        self, ssrc: int, inbound_format: InboundFormat, extensions: ExtensionMap, statistics: InboundStatistics
    ) -> None:
        self.ssrc = ssrc
        self.format = inbound_format
        self.reception = Reception(ssrc, inbound_format.codec.clock_rate)
        self.clock = SenderClock(inbound_format.codec.clock_rate)
        self._statistics = statistics
        self._timestamps = Unwrapper(TIMESTAMPS)
        self._missing = MissingPackets()
        self._repeated: Reception | None = None
        self._media: InboundAudio | InboundVideo
        if inbound_format.codec.kind is MediaKind.AUDIO:
            self._media = InboundAudio(inbound_format, extensions, statistics)
        else:
            self._media = InboundVideo(inbound_format.codec.clock_rate, extensions, statistics)
        self._heard_at = NEVER
        self._first = -1
        self._restarts = 0
        self._overflows = 0
        self._last_timestamps: tuple[int, int] | None = None

    # Packets

    def receive(self, packet: RtpPacket, inbound_format: InboundFormat | None, now: Instant) -> bool:
        """A packet of the stream itself came, of a tone when it has no format; False when it is of no use."""
        reception = self.reception
        before = reception.highest
        number = reception.receive(packet.sequence_number, packet.timestamp, now)
        if number < 0:
            self._statistics.packets_discarded += 1
            return False
        if reception.restarts != self._restarts:
            self._restarts = reception.restarts
            self._begin_anew()
            before = -1
        if not reception.mark(number):
            self._statistics.packets_duplicated += 1
            self._statistics.packets_discarded += 1
            return False
        if inbound_format is not None:
            self.format = inbound_format
        return self._deliver(number, packet, inbound_format, self._follow(number, before, now), now)

    def repair(self, packet: RtpPacket, inbound_format: InboundFormat, now: Instant) -> bool:
        """A packet came that was sent again in a stream of its own; False when it is of no use any more."""
        number = self.reception.extended(packet.sequence_number)
        if not self.reception.mark(number):
            self._statistics.packets_discarded += 1
            return False
        self._missing.repaired(number, now)
        return self._deliver(number, packet, inbound_format, True, now)

    @property
    def repeated_ssrc(self) -> int | None:
        """Of what is sent again, None before something came."""
        return self._repeated.ssrc if self._repeated is not None else None

    def count_repeated(self, packet: RtpPacket, now: Instant) -> None:
        """A packet of the stream of retransmissions came: that has numbers and losses of its own."""
        repeated = self._repeated
        if repeated is None or repeated.ssrc != packet.ssrc:
            repeated = self._repeated = Reception(packet.ssrc, self.format.codec.clock_rate)
        repeated.receive(packet.sequence_number, packet.timestamp, now)

    def _follow(self, number: int, before: int, now: Instant) -> bool:
        """Keep account of what is missing; whether this packet was asked for."""
        missing = self._missing
        if before < 0:
            self._first = number
        elif self._first - MAX_MISORDER <= number < self._first:
            # The first packets were overtaken: what lies between this one and them has been sent as well.
            if self.format.has_nack:
                missing.add(number + 1, self._first, now)
            self._first = number
        if number > before + 1 and before >= 0 and self.format.has_nack:
            if number - before > _OUTAGE_PACKETS and now - self._heard_at > _OUTAGE:
                self.give_up(now)
            else:
                missing.add(before + 1, number, now)
            if missing.overflows != self._overflows:
                self._overflows = missing.overflows
                self._media.give_up(now)
        self._heard_at = now
        return number < before and missing.arrived(number, now)

    def _deliver(
        self, number: int, packet: RtpPacket, inbound_format: InboundFormat | None, repaired: bool, now: Instant
    ) -> bool:
        media = self._media
        if not packet.payload:
            media.skip(number, now)
            return True
        try:
            if inbound_format is None:
                if isinstance(media, InboundAudio):
                    media.insert_tone(number, packet, now)
                return True
            fragment = inbound_format.depacketizer.parse(packet.payload)
        except MalformedError:
            self._statistics.packets_malformed += 1
            return False
        timestamp = self._timestamps.unwrap(packet.timestamp)
        self._last_timestamps = (timestamp, packet.timestamp)
        if media.insert(ReadPacket(number, timestamp, packet, fragment, inbound_format, repaired), now):
            return True
        self._statistics.packets_discarded += 1
        return False

    def _begin_anew(self) -> None:
        self._missing.clear()
        self._timestamps = Unwrapper(TIMESTAMPS)
        self._last_timestamps = None
        self._media.restart()

    # What follows

    def advance(self, now: Instant) -> Sequence[EncodedFrame | Playout]:
        """What is due: frames of video, instructions for audio."""
        media = self._media
        media.expect_repair(self._missing.round_trip if self.format.has_nack else None)
        produced = media.advance(now)
        if len(self._missing):
            self._missing.forget_before(media.first_wanted)
        return produced

    def missing_now(self, now: Instant) -> list[int]:
        """Extended numbers of packets to ask for now."""
        return self._missing.due(now) if now >= self._missing.next_at else []

    def wants_key_frame_now(self, now: Instant) -> bool:
        """Whether to ask for a key frame now."""
        media = self._media
        return isinstance(media, InboundVideo) and media.key_frame_request.take(self._missing.round_trip, now)

    def give_up(self, now: Instant) -> None:
        """Nothing can be done with what comes before the next key frame."""
        self._missing.clear()
        self._media.give_up(now)

    def poll_tone(self) -> ToneReceived | None:
        """A tone that is over, or None."""
        return self._media.poll_tone() if isinstance(self._media, InboundAudio) else None

    def learn_round_trip(self, seconds: Duration) -> None:
        """A measurement, by whatever means."""
        self._missing.learn_round_trip(seconds)

    def set_delays(self, minimum: Duration, synchronization: Duration) -> None:
        """By how much frames are to be held back at least, and beyond what the network makes necessary."""
        self._media.set_minimum_delay(minimum)
        self._media.buffer.synchronization_delay = synchronization

    @property
    def plays_at(self) -> Instant:
        """When `advance` has something to do."""
        return self._media.next_at

    @property
    def asks_at(self) -> Instant:
        """When `missing_now` or `wants_key_frame_now` has."""
        media = self._media
        at = self._missing.next_at
        return min(at, media.key_frame_request.next_at) if isinstance(media, InboundVideo) else at

    def latency(self, now: Instant) -> Duration | None:
        """See InboundStream.latency."""
        if self._last_timestamps is None:
            return None
        timestamp, on_the_wire = self._last_timestamps
        captured_at = self.clock.time_of(on_the_wire)
        if captured_at is None:
            return None
        buffer = self._media.buffer
        return buffer.expected(timestamp) + buffer.delay(now) - captured_at

    # Reports

    def handle_sender_report(self, report: SenderReport, now: Instant) -> None:
        """The source says what it has sent, and when its timestamps are."""
        self.reception.handle_sender_report(report.ntp_time, now)
        self.clock.handle_sender_report(report.ntp_time, report.rtp_timestamp)

    def report_blocks(self, now: Instant) -> tuple[ReportBlock, ...]:
        """What is to be reported of it and of its retransmissions."""
        blocks = [self.reception.report_block(now)]
        if self._repeated is not None:
            blocks.append(self._repeated.report_block(now))
        return tuple([block for block in blocks if block is not None])
