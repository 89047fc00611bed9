"""One RTP stream that is received: packets in, frames or instructions for a decoder out, and feedback to the sender.

    stream = InboundStream(options)
    stream.handle_packets(packets, now)           decrypted, and of this section
    while (frame := stream.poll_frame()) is not None:           video, or audio that is not decoded here
        decode(frame)
    while (playout := stream.poll_playout()) is not None:       audio
        play(playout)
    while (feedback := stream.poll_feedback()) is not None:     NACK, PLI, FIR: to be sent at once
        send(feedback)

A section has one source at a time. When packets come with another SSRC, that is the new source, and everything but the
counts begins anew. What is sent again in a stream of its own is told by its payload type and unwrapped.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Final

from icelane.core.clock import NEVER, Duration, Instant, UnixSeconds, later
from icelane.errors import InvalidAccessError
from icelane.media.codec import MediaKind, NegotiatedCodec
from icelane.media.event import InboundEvent, SourceChanged, SourceEnded, SourceHeard, SourceSilent
from icelane.media.frame import EncodedFrame
from icelane.media.inbound_format import InboundFormat, InboundFormats
from icelane.media.inbound_layer import LayerChoice
from icelane.media.inbound_source import InboundSource
from icelane.media.payload.rtx import OVERHEAD, parse_retransmission
from icelane.media.playout import Decode, Playout
from icelane.media.statistics import InboundStatistics, RemoteOutboundStatistics
from icelane.rtp.header_extension import (
    CONTRIBUTING_AUDIO_LEVELS,
    ExtensionMap,
    parse_contributing_audio_levels,
    value_of,
)
from icelane.rtp.ntp import unix_time_of
from icelane.rtp.packet import RtpPacket, header_size
from icelane.rtp.rtcp import (
    Bye,
    FullIntraRequest,
    Nack,
    PictureLossIndication,
    ReportBlock,
    RtcpPacket,
    SenderReport,
    SourceDescription,
)

# Frames and instructions that nobody has fetched. At the bound the oldest instruction is dropped; of video everything
# up to the next key frame.
MAX_QUEUED: Final = 256
# Packets that nobody has fetched, where they are kept; the oldest are dropped.
MAX_RAW_PACKETS: Final = 1024
# Feedback and events that nobody has fetched; the oldest are dropped.
MAX_FEEDBACK: Final = 64
MAX_EVENTS: Final = 64
# Numbers in one NACK: as many as fit into a packet, however far apart they are.
MAX_NUMBERS_IN_NACK: Final = 250
# Without packets for so long the source is silent. Opus in a pause (DTX) sends each 0.4 s, a screen that stands still
# at least each few seconds.
SOURCE_TIMEOUT: Final[Duration] = 5.0
# Contributing sources that are remembered: a packet names 15 at most. The one heard longest ago is forgotten.
MAX_CONTRIBUTING: Final = 64
# Packets of the source before the last one are passed over for so long: they were overtaken.
_FORMER_SOURCE: Final[Duration] = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class InboundOptions:
    """What was negotiated for one section. `local_ssrc` is whose name feedback is sent in, any of ours or 1.

    `codecs` are all that may come, tones among them. With `keeps_packets` packets can be fetched as they come, too.
    """

    kind: MediaKind
    codecs: tuple[NegotiatedCodec, ...]
    extensions: ExtensionMap = field(default_factory=ExtensionMap)
    local_ssrc: int = 1
    keeps_packets: bool = False


class InboundStream:
    """What one section receives. Raises InvalidAccessError when no codec of `options` has a payload format here."""

    def __init__(self, options: InboundOptions) -> None:
        self.options = options
        self.statistics = InboundStatistics()
        self.remote = RemoteOutboundStatistics()
        self.cname: str | None = None
        # When each was in a packet last, the packet's timestamp, and how loud it was there, where that is told.
        self.contributing: dict[int, tuple[Instant, int, int | None]] = {}
        self._formats = InboundFormats(options.codecs)
        if not self._formats.by_payload_type:
            raise InvalidAccessError("none of the codecs can be received")
        self._source: InboundSource | None = None
        self._layers = LayerChoice(options.extensions)
        self._contributing_levels = options.extensions.identifier_of(CONTRIBUTING_AUDIO_LEVELS)
        self._former_ssrc = -1
        self._changed_at = Instant(0.0)
        self._heard_at = NEVER
        self._is_silent = False
        self._minimum_delay: Duration = 0.0
        self._synchronization_delay: Duration = 0.0
        self._round_trip: Duration | None = None
        self._intra_requests = 0
        self._lost_before = 0
        self._keeps_packets = options.keeps_packets
        self._frames: deque[EncodedFrame] = deque()
        self._playouts: deque[Playout] = deque(maxlen=MAX_QUEUED)
        self._raw: deque[RtpPacket] = deque(maxlen=MAX_RAW_PACKETS)
        self._feedback: deque[RtcpPacket] = deque(maxlen=MAX_FEEDBACK)
        self._events: deque[InboundEvent] = deque(maxlen=MAX_EVENTS)

    # Inputs

    def handle_packet(self, packet: RtpPacket, now: Instant) -> None:
        """A packet of the section came in. The stream keeps it."""
        self._handle_packet(packet, now)
        self._advance(now)

    def handle_packets(self, packets: Sequence[RtpPacket], now: Instant) -> None:
        """Packets of the section came in together."""
        for packet in packets:
            self._handle_packet(packet, now)
        self._advance(now)

    def handle_rtcp(self, packets: Sequence[RtcpPacket], now: Instant) -> None:
        """RTCP of the transport came in; what is about other sources is passed over."""
        source = self._source
        if source is None:
            return
        for packet in packets:
            if isinstance(packet, SenderReport):
                if packet.ssrc == source.ssrc:
                    self._handle_sender_report(source, packet, now)
            elif isinstance(packet, SourceDescription):
                for chunk in packet.chunks:
                    if chunk.ssrc == source.ssrc and chunk.cname is not None:
                        self.cname = chunk.cname
            elif isinstance(packet, Bye) and source.ssrc in packet.ssrcs:
                self._end(SourceEnded(source.ssrc, packet.reason))

    def handle_timeout(self, now: Instant) -> None:
        """A deadline passed."""
        self._advance(now)

    # Commands

    def request_key_frame(self, now: Instant) -> None:
        """A decoder cannot go on: frames before the next key frame are dropped, and one is asked for."""
        if self._source is not None:
            self._source.give_up(now)
            self._advance(now)

    def set_minimum_delay(self, delay: Duration) -> None:
        """What the application wants frames to be held back by at least (W3C jitterBufferTarget), in seconds."""
        self._minimum_delay = delay
        self._apply_delays()

    def set_synchronization_delay(self, delay: Duration) -> None:
        """What lip synchronization adds."""
        self._synchronization_delay = delay
        self._apply_delays()

    def keep_packets(self, is_wanted: bool) -> None:
        """Whether packets can be fetched as they come, from now on."""
        self._keeps_packets = is_wanted
        if not is_wanted:
            self._raw.clear()

    def learn_round_trip(self, seconds: Duration) -> None:
        """How long a packet takes to the peer and back, as others have measured it: reports about what we send, ICE."""
        self._round_trip = seconds
        if self._source is not None:
            self._source.learn_round_trip(seconds)

    # Outputs

    def poll_frame(self) -> EncodedFrame | None:
        """The next frame in decoding order, or None. Of audio without what only a decoder needs."""
        if self._frames:
            return self._frames.popleft()
        while self._playouts:
            playout = self._playouts.popleft()
            if isinstance(playout, Decode):
                return playout.frame
        return None

    def poll_playout(self) -> Playout | None:
        """The next instruction for a decoder of audio, or None."""
        return self._playouts.popleft() if self._playouts else None

    def poll_packet(self) -> RtpPacket | None:
        """The next packet as it came, retransmissions unwrapped, in the order of arrival and each once; or None."""
        return self._raw.popleft() if self._raw else None

    def poll_feedback(self) -> RtcpPacket | None:
        """The next thing to tell the sender at once, or None."""
        return self._feedback.popleft() if self._feedback else None

    def poll_event(self) -> InboundEvent | None:
        """What happened, or None."""
        if self._events:
            return self._events.popleft()
        return self._source.poll_tone() if self._source is not None else None

    def next_timeout(self) -> Instant | None:
        """When to call `handle_timeout`, or None."""
        if self._source is None:
            return None
        at = self._source.plays_at
        if not self._is_silent:
            at = min(at, self._source.asks_at, later(self._heard_at, SOURCE_TIMEOUT))
        return None if at == NEVER else at

    def report_blocks(self, now: Instant) -> tuple[ReportBlock, ...]:
        """What is to be reported of the source and of its retransmissions, about the time since the last report."""
        return self._source.report_blocks(now) if self._source is not None and not self._is_silent else ()

    @property
    def codec(self) -> NegotiatedCodec | None:
        """What the source sends by now, None before the first packet."""
        if self._source is None:
            return None
        payload_type = self._source.format.payload_type
        return next((one for one in self.options.codecs if one.payload_type == payload_type), None)

    @property
    def has_output(self) -> bool:
        """Whether one of `poll_frame`, `poll_playout` and `poll_packet` has something."""
        return bool(self._frames or self._playouts or self._raw)

    @property
    def ssrc(self) -> int | None:
        """Of the source, None before the first packet."""
        return self._source.ssrc if self._source is not None else None

    @property
    def heard_at(self) -> Instant | None:
        """When the last packet came, None before the first one."""
        return None if self._heard_at == NEVER else self._heard_at

    @property
    def repeated_ssrc(self) -> int | None:
        """Of the stream of retransmissions, None before something came by it."""
        return self._source.repeated_ssrc if self._source is not None else None

    def latency(self, now: Instant) -> Duration | None:
        """When frames are played, on our clock, less when they were captured, on the sender's; None when not known.

        It only means something beside that of another stream of the same CNAME: see `lip_sync`.
        """
        return self._source.latency(now) if self._source is not None else None

    def capture_time(self, timestamp: int) -> UnixSeconds | None:
        """When what has this RTP timestamp was captured, on the sender's wall clock; None when it has not said."""
        return self._source.clock.time_of(timestamp) if self._source is not None else None

    # Packets

    def _handle_packet(self, packet: RtpPacket, now: Instant) -> None:
        repeated = self._formats.repeated_by_payload_type.get(packet.payload_type)
        if repeated is not None:
            self._handle_repeated(packet, repeated, now)
            return
        inbound_format = self._formats.by_payload_type.get(packet.payload_type)
        known = inbound_format or self._formats.tones.get(packet.payload_type)
        source = self._source_of(packet, known, now) if known is not None else None
        if source is None:
            self.statistics.packets_discarded += 1
            return
        self._heard(now)
        if packet.csrcs:
            self._note_contributing(packet, now)
        counts = self.statistics
        counts.packets_received += 1
        counts.bytes_received += len(packet.payload)
        counts.header_bytes_received += header_size(packet)
        if source.receive(packet, inbound_format, now) and self._keeps_packets:
            self._raw.append(packet)

    def _note_contributing(self, packet: RtpPacket, now: Instant) -> None:
        """What a mixer says about whom it has mixed (RFC 3550 section 7.1)."""
        levels = value_of(packet, self._contributing_levels, parse_contributing_audio_levels) or ()
        for source, level in zip_longest(packet.csrcs, levels[: len(packet.csrcs)]):
            self.contributing.pop(source, None)
            self.contributing[source] = now, packet.timestamp, level
        while len(self.contributing) > MAX_CONTRIBUTING:
            del self.contributing[next(iter(self.contributing))]

    def _handle_repeated(self, packet: RtpPacket, payload_type: int, now: Instant) -> None:
        """RFC 4588 section 4: the packet as it was sent the first time."""
        source = self._source
        if source is None or self._layers.is_other(packet, is_repeated=True):
            return
        source.count_repeated(packet, now)
        if len(packet.payload) < OVERHEAD:  # padding, by which the sender tries how much the path carries
            return
        number, payload = parse_retransmission(packet.payload)
        self.statistics.retransmitted_packets_received += 1
        self.statistics.retransmitted_bytes_received += len(payload)
        original = RtpPacket(
            payload_type,
            number,
            packet.timestamp,
            source.ssrc,
            payload,
            packet.marker,
            packet.extensions,
            packet.csrcs,
            packet.extension_profile,
        )
        self._heard(now)
        inbound_format = self._formats.by_payload_type[payload_type]
        if source.repair(original, inbound_format, now) and self._keeps_packets:
            self._raw.append(original)

    def _source_of(self, packet: RtpPacket, known: InboundFormat, now: Instant) -> InboundSource | None:
        source = self._source
        if source is not None and source.ssrc == packet.ssrc:
            if known.clock_rate == source.format.clock_rate:
                return source
        elif self._is_passed_over(packet, now):
            return None
        self._layers.take(packet)
        if source is not None:
            self._former_ssrc = source.ssrc
            self.statistics.source_changes += 1
            self._lost_before += source.reception.packets_lost
        self._changed_at = now
        self._source = InboundSource(packet.ssrc, known, self.options.extensions, self.statistics)
        if self._round_trip is not None:
            self._source.learn_round_trip(self._round_trip)
        self._apply_delays()
        self.remote = RemoteOutboundStatistics()
        self.cname = None
        self._is_silent = False
        self._events.append(SourceChanged(packet.ssrc))
        return self._source

    def _is_passed_over(self, packet: RtpPacket, now: Instant) -> bool:
        """Of the source before and overtaken, or of another layer than the one that is taken."""
        if packet.ssrc == self._former_ssrc and now - self._changed_at < _FORMER_SOURCE:
            return True
        return self._source is not None and not self._is_silent and self._layers.is_other(packet)

    def _heard(self, now: Instant) -> None:
        self._heard_at = now
        if self._is_silent and self._source is not None:
            self._is_silent = False
            self._events.append(SourceHeard(self._source.ssrc))

    def _end(self, event: SourceEnded | SourceSilent) -> None:
        if not self._is_silent:
            self._is_silent = True
            self._events.append(event)

    def _apply_delays(self) -> None:
        if self._source is not None:
            self._source.set_delays(self._minimum_delay, self._synchronization_delay)

    def _handle_sender_report(self, source: InboundSource, report: SenderReport, now: Instant) -> None:
        source.handle_sender_report(report, now)
        self.remote.reports_sent += 1
        self.remote.packets_sent = report.packet_count
        self.remote.bytes_sent = report.octet_count
        self.remote.remote_timestamp = unix_time_of(report.ntp_time)

    # What follows

    def _advance(self, now: Instant) -> None:
        source = self._source
        if source is None:
            return
        if now >= later(self._heard_at, SOURCE_TIMEOUT):
            self._end(SourceSilent(source.ssrc))
        for produced in source.advance(now):
            if isinstance(produced, EncodedFrame):
                produced.captured_at = source.clock.time_of(produced.timestamp)
                self._keep_frame(produced, source, now)
            else:
                if isinstance(produced, Decode):
                    produced.frame.captured_at = source.clock.time_of(produced.frame.timestamp)
                self._playouts.append(produced)
        self._ask(source, now)
        counts = self.statistics
        counts.packets_lost = self._lost_before + source.reception.packets_lost
        counts.jitter = source.reception.jitter

    def _keep_frame(self, frame: EncodedFrame, source: InboundSource, now: Instant) -> None:
        if len(self._frames) < MAX_QUEUED:
            self._frames.append(frame)
            return
        self.statistics.frames_dropped += 1 + len(self._frames)
        self._frames.clear()
        source.give_up(now)

    def _ask(self, source: InboundSource, now: Instant) -> None:
        """Feedback that is due. While the source is silent it would be asked in vain."""
        if self._is_silent:
            return
        lost = source.missing_now(now)
        for start in range(0, len(lost), MAX_NUMBERS_IN_NACK):
            numbers = tuple([number & 0xFFFF for number in lost[start : start + MAX_NUMBERS_IN_NACK]])
            self._feedback.append(Nack(self.options.local_ssrc, source.ssrc, numbers))
            self.statistics.nack_count += 1
        if not source.wants_key_frame_now(now):
            return
        if source.format.has_picture_loss:
            self._feedback.append(PictureLossIndication(self.options.local_ssrc, source.ssrc))
            self.statistics.pli_count += 1
        elif source.format.has_full_intra_request:
            request = ((source.ssrc, self._intra_requests & 0xFF),)
            self._intra_requests += 1
            self._feedback.append(FullIntraRequest(self.options.local_ssrc, request))
            self.statistics.fir_count += 1
