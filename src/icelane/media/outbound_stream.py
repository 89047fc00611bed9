"""One RTP stream that is sent: encoded frames or packets in, RTP packets out, and what the receiver says about them.

    stream = OutboundStream(options, entropy=entropy, wall=clock, sequence=transport_sequence)
    stream.send_frame(frame, now)                 or stream.send_packet(packet, now)
    for packet in stream.poll_packets():
        send(protect(serialize(packet)))
    stream.handle_rtcp(parse_rtcp(data), now)     NACK: packets come out again; PLI, FIR, REMB: events
    while (event := stream.poll_event()) is not None:
        react(event)

Sender reports are made when whoever sends RTCP asks for them. Frames leave at once: pacing is a matter of the
transport, which has other streams to send as well.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from icelane.core.clock import NEVER, Duration, Instant, WallClock, later
from icelane.core.entropy import Entropy
from icelane.errors import InvalidAccessError
from icelane.media.codec import MediaKind, NegotiatedCodec
from icelane.media.event import BitrateLimited, KeyFrameRequested, OutboundEvent
from icelane.media.frame import EncodedFrame
from icelane.media.media_clock import MediaClock
from icelane.media.outbound_extension import Elements, OutboundExtensions
from icelane.media.packet_history import PacketHistory
from icelane.media.payload.packetizer import MIN_PAYLOAD_SIZE
from icelane.media.payload.registry import packetizer_for
from icelane.media.payload.rtx import OVERHEAD, encode_retransmission
from icelane.media.statistics import OutboundStatistics, RemoteInboundStatistics
from icelane.media.tones import DEFAULT_DURATION, DEFAULT_GAP, ToneQueue
from icelane.media.transport_sequence import TransportSequence
from icelane.rtp.header_extension import ExtensionMap, PlayoutDelay
from icelane.rtp.ntp import compact_ntp, ntp_of, round_trip_time
from icelane.rtp.packet import HEADER_SIZE, RtpPacket, header_size
from icelane.rtp.rtcp import (
    FullIntraRequest,
    Nack,
    PictureLossIndication,
    ReceiverEstimatedMaximumBitrate,
    ReceiverReport,
    ReportBlock,
    RtcpPacket,
    SenderReport,
)
from icelane.rtp.sequence import sequence_distance, timestamp_distance

# RTP as it is sent, with what SRTP adds: 1,200 bytes go through every network that people have.
MAX_PACKET_SIZE: Final = 1200
# The longest tag of the profiles that are negotiated (AEAD, RFC 7714).
PROTECTION_SIZE: Final = 16

# Packets that nobody has fetched; at the bound a frame is discarded as a whole.
MAX_QUEUED: Final = 8192
# W3C hugeFramesSent: so many times the size of a frame on average.
_HUGE: Final = 2.5
# The least time between two KeyFrameRequested: a key frame is as large as many others, and answers all who asked.
KEY_FRAME_INTERVAL: Final[Duration] = 0.3
# What may be sent again without having been earned, and at most: for each byte sent one byte may be sent again, so a
# peer that asks for everything again and again doubles what we send, and no more.
INITIAL_CREDIT: Final = 64_000
MAX_CREDIT: Final = 512_000
# A measurement of more is a wall clock that was set in between.
MAX_ROUND_TRIP: Final[Duration] = 10.0
# The round trip as long as no report has told.
INITIAL_ROUND_TRIP: Final[Duration] = 0.05
# A step of sequence numbers in packets from elsewhere that is taken over; a greater one is another beginning.
MAX_GAP: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundOptions:
    """What was negotiated for one stream; `rtx_ssrc` is None where retransmission has no stream of its own.

    `telephone_event` is the format of tones, of the same clock rate as the codec. `playout_delay` asks the receiver for
    more or less delay than it would choose. Raises InvalidAccessError for an SSRC that is used twice.
    """

    codec: NegotiatedCodec
    ssrc: int
    rtx_ssrc: int | None = None
    telephone_event: NegotiatedCodec | None = None
    extensions: ExtensionMap = field(default_factory=ExtensionMap)
    mid: str = ""
    rid: str = ""
    playout_delay: PlayoutDelay | None = None
    max_packet_size: int = MAX_PACKET_SIZE

    def __post_init__(self) -> None:
        if self.ssrc == self.rtx_ssrc:
            raise InvalidAccessError("retransmission has an SSRC of its own")


class OutboundStream:
    """The stream of one SSRC. `wall` gives sender reports their time; `sequence` is shared by a transport's streams."""

    def __init__(
        self,
        options: OutboundOptions,
        *,
        entropy: Entropy,
        wall: WallClock,
        sequence: TransportSequence | None = None,
    ) -> None:
        self.options = options
        self.codec = options.codec
        self.statistics = OutboundStatistics()
        self.remote = RemoteInboundStatistics()
        self._wall = wall
        self._ssrc = options.ssrc
        self._extensions = OutboundExtensions(
            options.extensions, sequence, mid=options.mid, rid=options.rid, playout_delay=options.playout_delay
        )
        self._first_picture_id = entropy.below(1 << 15)
        # RFC 3550 section 5.1: all three begin anywhere. Half a circle of room, so that packets in wrong order from
        # elsewhere do not wrap before the first one (RFC 3711 section 3.3.1).
        self._next_number = entropy.below(1 << 15)
        self._next_rtx_number = entropy.below(1 << 15)
        self._timestamp_offset = entropy.below(1 << 32)
        self._history = PacketHistory()
        self._credit = INITIAL_CREDIT
        self._queue: deque[RtpPacket] = deque()
        self._events: deque[OutboundEvent] = deque()
        self._bitrate_limit: BitrateLimited | None = None
        self._key_frame_told_at = Instant(float("-inf"))
        self._key_frame_due_at = NEVER
        self._intra_request: tuple[int, int] | None = None
        self._is_known_to_peer = False
        self._expected_timestamp: int | None = None
        self._tone_begin: tuple[Instant, int] | None = None
        # Without what is sent again in a stream of its own: what sender reports count.
        self._own_packets = 0
        self._own_bytes = 0
        # Of packets from elsewhere: the one with the highest number, and what is added to their timestamps.
        self._foreign: RtpPacket | None = None
        self._foreign_offset = 0
        self._clock = MediaClock(options.codec.codec.clock_rate)
        self.set_codec(options.codec)
        self.tones = ToneQueue(self._clock.clock_rate)

    # Inputs

    def handle_rtcp(self, packets: Sequence[RtcpPacket], now: Instant) -> None:
        """RTCP of the transport came in; what is about other streams is passed over."""
        for packet in packets:
            if isinstance(packet, SenderReport | ReceiverReport):
                self._handle_reports(packet.reports, now)
            elif isinstance(packet, Nack):
                if packet.media_ssrc == self.options.ssrc:
                    self._handle_nack(packet, now)
            elif isinstance(packet, PictureLossIndication):
                if packet.media_ssrc == self.options.ssrc:
                    self.statistics.pli_count += 1
                    self._want_key_frame(now)
            elif isinstance(packet, FullIntraRequest):
                self._handle_intra_request(packet, now)
            elif isinstance(packet, ReceiverEstimatedMaximumBitrate):
                self._handle_bitrate(packet)

    def handle_timeout(self, now: Instant) -> None:
        """A deadline passed: a tone goes on, or a key frame is to be asked for."""
        if now >= self._key_frame_due_at:
            self._want_key_frame(now)
        self._send_tones(now)

    # Commands

    def send_frame(self, frame: EncodedFrame, now: Instant, *, captured_at: Instant | None = None) -> bool:
        """Send one frame. `captured_at` is when it was recorded, for lip synchronization; now when it is not known.

        False when it is discarded: sound while a tone is sent, or nobody fetches packets. Raises MessageTooLargeError
        for sound that does not fit into one packet, and InvalidAccessError for what is no frame of the codec.
        """
        self._clock.learn(frame.timestamp, now if captured_at is None else captured_at)
        payloads = self._packetizer.packetize(frame.data, self._max_payload_size)
        if self.tones.is_sounding or len(self._queue) + len(payloads) > MAX_QUEUED:
            self.statistics.frames_discarded += 1
            return False
        self._foreign = None
        if payloads:
            self._send(self._packets_of(frame, payloads), now)
        self._count_frame(frame)
        return True

    def send_packet(self, packet: RtpPacket, now: Instant, *, extensions: ExtensionMap | None = None) -> bool:
        """Send a packet that was made elsewhere, as if it were of this stream; `packet` itself is left as it is.

        SSRC, payload type, sequence number and timestamp become ours. Gaps and the order of sequence numbers stay, so
        that the receiver sees what is missing. Of its header extensions those are kept that `extensions`, by which it
        came, has in common with ours and that are not of one hop. False when nobody fetches packets.
        """
        if len(self._queue) >= MAX_QUEUED:
            return False
        number = self._number_of(packet, now)
        ours = RtpPacket(
            self._payload_type,
            number & 0xFFFF,
            packet.timestamp + self._foreign_offset & 0xFFFFFFFF,
            self._ssrc,
            packet.payload,
            packet.marker,
            self._extensions.passed_on(packet, extensions) if extensions is not None else [],
        )
        self._clock.learn(timestamp_distance(ours.timestamp, self._timestamp_offset), now)
        self._send([ours], now)
        return True

    def insert_tones(
        self, tones: str, now: Instant, *, duration: Duration = DEFAULT_DURATION, gap: Duration = DEFAULT_GAP
    ) -> None:
        """Send tones (W3C insertDTMF), durations in seconds. Raises InvalidAccessError when none can be sent."""
        if self.options.telephone_event is None:
            raise InvalidAccessError("no format for tones was negotiated")
        self.tones.insert(tones, now, duration=duration, gap=gap)
        self._send_tones(now)

    def set_codec(self, codec: NegotiatedCodec) -> None:
        """Send frames of this codec from now on. Raises NotSupportedError where there is no payload format for it."""
        self._packetizer = packetizer_for(codec.codec, self._first_picture_id)
        self.codec = codec
        self._payload_type = codec.payload_type
        self._rtx_payload_type = codec.rtx_payload_type
        self._is_video = codec.codec.kind is MediaKind.VIDEO
        self._may_retransmit = "nack" in codec.codec.feedback
        if self._clock.clock_rate != codec.codec.clock_rate:
            self._clock = MediaClock(codec.codec.clock_rate)
            self.tones.set_clock_rate(codec.codec.clock_rate)
        repeated = OVERHEAD if self._has_rtx else 0
        room = self.options.max_packet_size - HEADER_SIZE - PROTECTION_SIZE - repeated - self._extensions.size
        self._max_payload_size = max(room, MIN_PAYLOAD_SIZE)

    def set_telephone_event(self, tones: NegotiatedCodec | None) -> None:
        """The format of tones that goes with the codec, None where the peer takes none."""
        self.options = replace(self.options, telephone_event=tones)

    def set_playout_delay(self, wanted: PlayoutDelay | None) -> None:
        """Ask the receiver for another delay than it would choose. Raises InvalidAccessError for what does not fit."""
        self._extensions.set_playout_delay(wanted)
        self.options = replace(self.options, playout_delay=wanted)

    # Outputs

    def poll_packet(self) -> RtpPacket | None:
        """The next packet to send, or None."""
        return self._queue.popleft() if self._queue else None

    def poll_packets(self) -> list[RtpPacket]:
        """All packets to send."""
        packets = list(self._queue)
        self._queue.clear()
        return packets

    def poll_event(self) -> OutboundEvent | None:
        """What happened, or None."""
        return self._events.popleft() if self._events else self.tones.poll_event()

    def next_timeout(self) -> Instant | None:
        """When to call `handle_timeout`, or None."""
        at = min(self._key_frame_due_at, self.tones.next_at)
        return None if at == NEVER else at

    def sender_report(self, now: Instant, reports: tuple[ReportBlock, ...] = ()) -> SenderReport | None:
        """What is to be reported of the stream now, with `reports` of what we receive; None when nothing was sent."""
        if not self._own_packets:
            return None
        timestamp = self._clock.timestamp_at(now) + self._timestamp_offset
        return SenderReport(
            self.options.ssrc,
            ntp_of(self._wall.unix_time(now)),
            timestamp & 0xFFFFFFFF,
            self._own_packets & 0xFFFFFFFF,
            self._own_bytes & 0xFFFFFFFF,
            reports,
        )

    @property
    def ssrcs(self) -> tuple[int, ...]:
        """Those of the stream and of its retransmissions."""
        rtx = self.options.rtx_ssrc
        return (self.options.ssrc,) if rtx is None else (self.options.ssrc, rtx)

    @property
    def round_trip(self) -> Duration:
        """The last round trip that a report told, or a guess."""
        measured = self.remote.round_trip_time
        return INITIAL_ROUND_TRIP if measured is None else measured

    # Sending

    @property
    def _has_rtx(self) -> bool:
        return self.options.rtx_ssrc is not None and self._rtx_payload_type is not None

    def _packets_of(self, frame: EncodedFrame, payloads: list[bytes]) -> list[RtpPacket]:
        """One packet for each payload; what belongs to the frame is told by the last."""
        timestamp = frame.timestamp + self._timestamp_offset & 0xFFFFFFFF
        payload_type, ssrc, number = self._payload_type, self._ssrc, self._next_number
        packets: list[RtpPacket] = []
        last = RtpPacket()
        for payload in payloads:
            last = RtpPacket()
            last.payload_type, last.ssrc = payload_type, ssrc
            last.sequence_number, last.timestamp = number & 0xFFFF, timestamp
            last.payload = payload
            packets.append(last)
            number += 1
        self._next_number = number
        last.extensions = self._extensions.of_frame(frame)
        last.marker = self._is_video or self._begins_talkspurt(frame)
        return packets

    def _send(self, packets: list[RtpPacket], now: Instant) -> None:
        if self._may_retransmit:
            self._history.keep(packets, now)
        size = self._enqueue(packets, now, False)
        if self._may_retransmit:
            self._credit = min(self._credit + size, MAX_CREDIT)

    def _enqueue(self, packets: list[RtpPacket], now: Instant, repaired: bool) -> int:
        """Let packets out; how many bytes of payload they have. `repaired`: in the stream of retransmissions."""
        self._extensions.stamp(packets, now, not self._is_known_to_peer, repaired)
        self._queue.extend(packets)
        size = headers = 0
        for packet in packets:
            size += len(packet.payload)
            headers += header_size(packet)
        if not repaired:
            self._own_packets += len(packets)
            self._own_bytes += size
        counts = self.statistics
        counts.packets_sent += len(packets)
        counts.bytes_sent += size
        counts.header_bytes_sent += headers
        return size

    def _begins_talkspurt(self, frame: EncodedFrame) -> bool:
        """RFC 3551 section 4.1: the first packet after a silence in which nothing was sent has the marker."""
        expected, self._expected_timestamp = self._expected_timestamp, frame.timestamp + frame.duration
        return expected is None or (frame.duration > 0 and frame.timestamp > expected)

    def _count_frame(self, frame: EncodedFrame) -> None:
        counts, size = self.statistics, len(frame.data)
        counts.frames_sent += 1
        counts.frame_bytes_sent += size
        if size * counts.frames_sent >= counts.frame_bytes_sent * _HUGE:
            counts.huge_frames_sent += 1
        if frame.is_key:
            counts.key_frames_sent += 1
            self._key_frame_due_at = NEVER

    def _send_tones(self, now: Instant) -> None:
        tones = self.options.telephone_event
        if tones is None:
            return
        for began_at, tone in self.tones.advance(now):
            # RFC 4733 section 2.3.1: all packets of an event have the timestamp of its beginning, whatever the clock
            # has learned since.
            if self._tone_begin is None or self._tone_begin[0] != began_at:
                self._tone_begin = began_at, self._clock.timestamp_at(began_at) + self._timestamp_offset
            timestamp = self._tone_begin[1] + tone.timestamp_offset
            number = self._next_number
            self._next_number = number + 1
            packet = RtpPacket(tones.payload_type, number & 0xFFFF, timestamp & 0xFFFFFFFF, self._ssrc, tone.payload)
            packet.marker = tone.marker
            self._send([packet], now)

    def _number_of(self, packet: RtpPacket, now: Instant) -> int:
        """Our number for a packet from elsewhere, and `_foreign_offset` for its timestamp."""
        before = self._foreign
        distance = 1
        if before is not None and before.ssrc == packet.ssrc:
            distance = sequence_distance(packet.sequence_number, before.sequence_number)
        if before is None or before.ssrc != packet.ssrc or not -MAX_GAP <= distance <= MAX_GAP:
            # Our timestamps go on where they are by now.
            self._foreign_offset = self._clock.timestamp_at(now) + self._timestamp_offset - packet.timestamp
            distance = 1
        number = self._next_number - 1 + distance
        if distance > 0:
            self._foreign = packet
            self._next_number = number + 1
        return number

    # Feedback

    def _handle_nack(self, nack: Nack, now: Instant) -> None:
        self.statistics.nack_count += 1
        if not self._may_retransmit:
            return
        for number in nack.lost:
            packet = self._history.take(number, self.round_trip, now) if self._credit > 0 else None
            if packet is None or len(self._queue) >= MAX_QUEUED:
                self.statistics.retransmissions_refused += 1
                continue
            self._send_again(packet, now)

    def _send_again(self, packet: RtpPacket, now: Instant) -> None:
        elements: Elements = self._extensions.of_what_it_carries(packet)
        payload_type, number, ssrc, payload = packet.payload_type, packet.sequence_number, packet.ssrc, packet.payload
        rtx, rtx_ssrc = self._rtx_payload_type, self.options.rtx_ssrc
        if rtx is not None and rtx_ssrc is not None and payload_type == self._payload_type:
            payload = encode_retransmission(number, payload)
            payload_type, ssrc = rtx, rtx_ssrc
            number = self._next_rtx_number & 0xFFFF
            self._next_rtx_number += 1
        again = RtpPacket(payload_type, number, packet.timestamp, ssrc, payload, packet.marker, elements)
        self._enqueue([again], now, ssrc == rtx_ssrc)
        self._credit -= len(payload)
        self.statistics.retransmitted_packets_sent += 1
        self.statistics.retransmitted_bytes_sent += len(payload)

    def _want_key_frame(self, now: Instant) -> None:
        """Told at once, or when the last time is long enough ago and no key frame was sent since."""
        due_at = later(self._key_frame_told_at, KEY_FRAME_INTERVAL)
        if now < due_at:
            self._key_frame_due_at = due_at
            return
        self._key_frame_due_at = NEVER
        self._key_frame_told_at = now
        if not any(isinstance(event, KeyFrameRequested) for event in self._events):
            self._events.append(KeyFrameRequested())

    def _handle_intra_request(self, request: FullIntraRequest, now: Instant) -> None:
        for ssrc, number in request.requests:
            if ssrc != self.options.ssrc or self._intra_request == (request.sender_ssrc, number):
                continue
            self._intra_request = (request.sender_ssrc, number)
            self.statistics.fir_count += 1
            self._want_key_frame(now)

    def _handle_bitrate(self, estimate: ReceiverEstimatedMaximumBitrate) -> None:
        limit = BitrateLimited(estimate.bitrate, estimate.media_ssrcs)
        if self.options.ssrc not in estimate.media_ssrcs or limit == self._bitrate_limit:
            return
        self._bitrate_limit = limit
        # Of several that nobody has fetched only the last one counts.
        self._events = deque([event for event in self._events if not isinstance(event, BitrateLimited)])
        self._events.append(limit)

    def _handle_reports(self, reports: tuple[ReportBlock, ...], now: Instant) -> None:
        for block in reports:
            if block.ssrc == self.options.ssrc and self._own_packets:
                self._handle_report(block, now)

    def _handle_report(self, block: ReportBlock, now: Instant) -> None:
        remote = self.remote
        self._is_known_to_peer = True
        remote.reports_received += 1
        remote.packets_lost = block.packets_lost
        remote.packets_received = max(self._own_packets - max(block.packets_lost, 0), 0)
        remote.fraction_lost = block.fraction_lost / 256
        remote.jitter = block.jitter / self._clock.clock_rate
        arrival = compact_ntp(ntp_of(self._wall.unix_time(now)))
        measured = round_trip_time(arrival, block.last_sender_report, block.delay_since_last_sender_report)
        if measured is not None and measured <= MAX_ROUND_TRIP:
            remote.round_trip_time = measured
            remote.total_round_trip_time += measured
            remote.round_trip_time_measurements += 1
