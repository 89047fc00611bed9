"""A stream that is sent: what packets look like, and what the receiver makes it do."""

from __future__ import annotations

import pytest

from icelane.core.clock import Instant, later
from icelane.errors import InvalidAccessError, MessageTooLargeError
from icelane.media import outbound_stream
from icelane.media.codec import NegotiatedCodec, RtpCodec
from icelane.media.event import BitrateLimited, KeyFrameRequested, OutboundEvent, ToneStarted
from icelane.media.frame import EncodedFrame
from icelane.media.outbound_stream import (
    INITIAL_CREDIT,
    KEY_FRAME_INTERVAL,
    MAX_CREDIT,
    MAX_PACKET_SIZE,
    PROTECTION_SIZE,
    OutboundOptions,
    OutboundStream,
)
from icelane.media.packet_history import MAX_PACKETS
from icelane.media.payload.registry import depacketizer_for
from icelane.media.payload.rtx import parse_retransmission
from icelane.media.transport_sequence import TransportSequence
from icelane.rtp.header_extension import (
    PLAYOUT_DELAY,
    ExtensionMap,
    PlayoutDelay,
    VideoOrientation,
    parse_absolute_send_time,
    parse_audio_level,
    parse_playout_delay,
    parse_token,
    parse_transport_sequence_number,
    parse_video_orientation,
)
from icelane.rtp.ntp import compact_ntp, ntp_of, unix_time_of
from icelane.rtp.packet import RtpPacket, serialize
from icelane.rtp.rtcp import (
    FullIntraRequest,
    Nack,
    PictureLossIndication,
    ReceiverEstimatedMaximumBitrate,
    ReceiverReport,
    ReportBlock,
)
from icelane.testing.clock import VirtualClock
from icelane.testing.entropy import SeededEntropy
from tests.media.call import (
    OPUS,
    RTX_SSRC,
    SSRC,
    TONES,
    VP8,
    extensions,
    number_of_frame,
    opus_frame,
    vp8_frame,
)

pytestmark = pytest.mark.twin

MID_ID, SEND_TIME_ID, SEQUENCE_ID, LEVEL_ID, ORIENTATION_ID = 1, 2, 3, 4, 5
CLOCK = VirtualClock()
NOW = CLOCK.now


def made(
    codec: RtpCodec = VP8, *, rtx: bool = True, sequence: TransportSequence | None = None, clock: VirtualClock = CLOCK
) -> OutboundStream:
    options = OutboundOptions(
        codec=NegotiatedCodec(codec=codec, payload_type=96, rtx_payload_type=97 if rtx else None),
        ssrc=SSRC,
        rtx_ssrc=RTX_SSRC if rtx else None,
        extensions=extensions(),
        mid="v",
        telephone_event=TONES if codec is OPUS else None,
    )
    return OutboundStream(options, entropy=SeededEntropy(5), wall=clock, sequence=sequence or TransportSequence())


def events(stream: OutboundStream) -> list[OutboundEvent]:
    found = []
    while (event := stream.poll_event()) is not None:
        found.append(event)
    return found


def report(**fields: int) -> ReportBlock:
    values = {
        "ssrc": SSRC,
        "fraction_lost": 0,
        "packets_lost": 0,
        "highest_sequence_number": 0,
        "jitter": 0,
        "last_sender_report": 0,
        "delay_since_last_sender_report": 0,
    }
    return ReportBlock(**(values | fields))


# Packets


def test_a_frame_becomes_packets_that_a_depacketizer_puts_together() -> None:
    stream = made()
    frame = vp8_frame(3, 5000, key=True)
    stream.send_frame(frame, NOW)
    packets = stream.poll_packets()
    assert [packet.marker for packet in packets] == [False] * (len(packets) - 1) + [True]
    assert {(packet.ssrc, packet.payload_type) for packet in packets} == {(SSRC, 96)}
    assert len({packet.timestamp for packet in packets}) == 1
    numbers = [packet.sequence_number for packet in packets]
    assert numbers == list(range(numbers[0], numbers[0] + len(packets)))
    reader = depacketizer_for(VP8)
    assert reader.assemble([reader.parse(packet.payload) for packet in packets]) == frame.data


def test_no_packet_is_longer_than_1200_bytes_once_it_is_protected_not_even_when_it_is_sent_again() -> None:
    stream = made()
    stream.send_frame(vp8_frame(0, 100_000, key=True), NOW)
    packets = stream.poll_packets()
    stream.handle_rtcp([Nack(1, SSRC, tuple(packet.sequence_number for packet in packets[:30]))], NOW)
    again = stream.poll_packets()
    assert len(again) == 30
    sizes = [len(serialize(packet)) + PROTECTION_SIZE for packet in packets + again]
    assert MAX_PACKET_SIZE - 40 < max(sizes) <= MAX_PACKET_SIZE


def test_timestamps_keep_their_distances_and_wrap() -> None:
    stream = made()
    times = []
    for timestamp in (0, 3000, (1 << 32) + 6000):
        stream.send_frame(EncodedFrame(data=vp8_frame(0, 50, key=True).data, timestamp=timestamp), NOW)
        times.append(stream.poll_packets()[0].timestamp)
    assert (times[1] - times[0]) & 0xFFFFFFFF == 3000
    assert (times[2] - times[0]) & 0xFFFFFFFF == 6000


def test_each_stream_begins_somewhere_else() -> None:
    first, second = made(), made()
    other = OutboundStream(second.options, entropy=SeededEntropy(6), wall=CLOCK)
    for stream in (first, other):
        stream.send_frame(vp8_frame(0, 50, key=True), NOW)
    a, b = first.poll_packets()[0], other.poll_packets()[0]
    assert a.sequence_number != b.sequence_number
    assert a.timestamp != b.timestamp


def test_packets_carry_what_was_negotiated() -> None:
    stream = made(sequence=TransportSequence(65_535))
    stream.send_frame(EncodedFrame(data=vp8_frame(0, 2000, key=True).data, timestamp=0, rotation=90), NOW)
    first, last = stream.poll_packets()
    mids = [packet.extension(MID_ID) for packet in (first, last)]
    assert [parse_token(mid) for mid in mids if mid is not None] == ["v", "v"]
    numbers = [packet.extension(SEQUENCE_ID) for packet in (first, last)]
    assert [parse_transport_sequence_number(number) for number in numbers if number is not None] == [65_535, 0]
    assert first.extension(ORIENTATION_ID) is None
    orientation = last.extension(ORIENTATION_ID)
    assert orientation is not None
    assert parse_video_orientation(orientation) == VideoOrientation(90)
    sent_at = first.extension(SEND_TIME_ID)
    assert sent_at is not None
    assert parse_absolute_send_time(sent_at) == pytest.approx(NOW % 64, abs=0.001)


def test_sound_carries_its_level_and_marks_what_follows_a_silence() -> None:
    stream = made(OPUS)
    packets = []
    for number in (0, 1, 2, 30, 31):
        stream.send_frame(opus_frame(number, level=42), NOW)
        packets += stream.poll_packets()
    assert [packet.marker for packet in packets] == [True, False, False, True, False]
    level = packets[0].extension(LEVEL_ID)
    assert level is not None
    assert parse_audio_level(level).level == 42


def test_a_playout_delay_is_asked_for_only_where_one_is_given() -> None:
    identifiers = extensions()
    identifiers.add(9, PLAYOUT_DELAY)
    for wanted in (None, PlayoutDelay(0.0, 0.2)):
        options = OutboundOptions(
            codec=NegotiatedCodec(codec=VP8, payload_type=96), ssrc=SSRC, extensions=identifiers, playout_delay=wanted
        )
        stream = OutboundStream(options, entropy=SeededEntropy(5), wall=CLOCK)
        stream.send_frame(vp8_frame(0, 50, key=True), NOW)
        data = stream.poll_packets()[0].extension(9)
        assert (None if data is None else parse_playout_delay(data)) == wanted


def test_two_streams_of_a_transport_share_one_counter() -> None:
    shared = TransportSequence()
    first, second = made(sequence=shared), made(OPUS, sequence=shared)
    numbers = []
    for turn in range(4):
        stream = (first, second)[turn % 2]
        stream.send_frame(vp8_frame(0, 50, key=True) if stream is first else opus_frame(turn), NOW)
        data = stream.poll_packets()[0].extension(SEQUENCE_ID)
        assert data is not None
        numbers.append(parse_transport_sequence_number(data))
    assert numbers == [0, 1, 2, 3]


def test_the_section_is_named_until_the_peer_reports_the_stream() -> None:
    stream = made()
    stream.send_frame(vp8_frame(0, 50, key=True), NOW)
    assert stream.poll_packets()[0].extension(MID_ID) is not None
    stream.handle_rtcp([ReceiverReport(1, (report(),))], NOW)
    stream.send_frame(vp8_frame(1, 50, key=False), NOW)
    assert stream.poll_packets()[0].extension(MID_ID) is None


def test_sound_that_does_not_fit_into_a_packet_is_refused() -> None:
    stream = made(OPUS)
    with pytest.raises(MessageTooLargeError):
        stream.send_frame(EncodedFrame(data=bytes(1500), timestamp=0), NOW)


def test_frames_that_nobody_fetches_are_discarded_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbound_stream, "MAX_QUEUED", 10)
    stream = made()
    assert stream.send_frame(vp8_frame(0, 5000, key=True), NOW)
    assert stream.send_frame(vp8_frame(1, 5000, key=False), NOW)
    assert not stream.send_frame(vp8_frame(2, 5000, key=False), NOW)
    assert len(stream.poll_packets()) == 10
    assert stream.statistics.frames_discarded == 1


def test_retransmission_has_an_ssrc_of_its_own() -> None:
    with pytest.raises(InvalidAccessError):
        OutboundOptions(codec=NegotiatedCodec(codec=VP8, payload_type=96), ssrc=1, rtx_ssrc=1)


# Retransmission


def test_a_lost_packet_is_sent_again_in_its_own_stream() -> None:
    stream = made()
    stream.send_frame(EncodedFrame(data=vp8_frame(0, 2000, key=True).data, timestamp=0, rotation=90), NOW)
    first, last = stream.poll_packets()
    stream.handle_rtcp([Nack(1, SSRC, (last.sequence_number,))], later(NOW, 0.05))
    (again,) = stream.poll_packets()
    assert (again.ssrc, again.payload_type, again.timestamp, again.marker) == (RTX_SSRC, 97, last.timestamp, True)
    assert parse_retransmission(again.payload) == (last.sequence_number, last.payload)
    assert again.extension(ORIENTATION_ID) == last.extension(ORIENTATION_ID)
    assert again.extension(SEQUENCE_ID) not in (None, first.extension(SEQUENCE_ID), last.extension(SEQUENCE_ID))
    counts = stream.statistics
    assert (counts.nack_count, counts.retransmitted_packets_sent, counts.packets_sent) == (1, 1, 3)


def test_without_one_it_is_sent_again_as_it_was() -> None:
    stream = made(rtx=False)
    stream.send_frame(vp8_frame(0, 50, key=True), NOW)
    (first,) = stream.poll_packets()
    stream.handle_rtcp([Nack(1, SSRC, (first.sequence_number,))], later(NOW, 0.05))
    (again,) = stream.poll_packets()
    assert (again.ssrc, again.payload_type, again.sequence_number) == (SSRC, 96, first.sequence_number)
    assert again.payload == first.payload


def test_what_was_not_negotiated_is_not_sent_again() -> None:
    stream = made(OPUS)
    stream.send_frame(opus_frame(0), NOW)
    (first,) = stream.poll_packets()
    stream.handle_rtcp([Nack(1, SSRC, (first.sequence_number,))], later(NOW, 0.05))
    assert stream.poll_packets() == []


def test_what_a_peer_asks_for_again_and_again_is_bounded() -> None:
    """A NACK for all of it, each millisecond, gets no more than what was sent and the credit."""
    stream = made()
    sent = 0
    now = NOW
    numbers: list[int] = []
    for number in range(40):
        stream.send_frame(vp8_frame(number, 50_000, key=False), now)
        packets = stream.poll_packets()
        sent += sum(len(packet.payload) for packet in packets)
        numbers += [packet.sequence_number for packet in packets]
        for _ in range(33):
            now = later(now, 0.001)
            stream.handle_rtcp([Nack(1, SSRC, tuple(numbers[-MAX_PACKETS:]))], now)
            stream.poll_packets()
    assert stream.statistics.retransmitted_bytes_sent <= sent + INITIAL_CREDIT + MAX_PACKET_SIZE
    for _ in range(2000):
        now = later(now, 0.001)
        before = stream.statistics.retransmitted_bytes_sent
        stream.handle_rtcp([Nack(1, SSRC, tuple(numbers[-MAX_PACKETS:]))], now)
        assert stream.statistics.retransmitted_bytes_sent - before <= MAX_CREDIT + MAX_PACKET_SIZE
        stream.poll_packets()
    assert stream.statistics.retransmitted_bytes_sent <= sent + INITIAL_CREDIT + MAX_PACKET_SIZE


def test_numbers_that_were_never_sent_are_refused() -> None:
    stream = made()
    stream.handle_rtcp([Nack(1, SSRC, tuple(range(4000)))], NOW)
    assert stream.poll_packets() == []
    assert stream.statistics.retransmissions_refused == 4000


# Feedback


def test_a_key_frame_is_asked_for_once_in_a_while() -> None:
    stream = made()
    for turn in range(10):
        stream.handle_rtcp([PictureLossIndication(1, SSRC)], later(NOW, turn * 0.01))
    assert events(stream) == [KeyFrameRequested()]
    assert stream.statistics.pli_count == 10
    due_at = stream.next_timeout()
    assert due_at == later(NOW, KEY_FRAME_INTERVAL)
    stream.handle_timeout(due_at)
    assert events(stream) == [KeyFrameRequested()]
    assert stream.next_timeout() is None


def test_a_key_frame_that_is_on_its_way_answers_those_who_ask_meanwhile() -> None:
    stream = made()
    stream.handle_rtcp([PictureLossIndication(1, SSRC)], NOW)
    stream.handle_rtcp([PictureLossIndication(1, SSRC)], later(NOW, 0.1))
    stream.send_frame(vp8_frame(0, 500, key=True), later(NOW, 0.12))
    assert stream.next_timeout() is None
    assert events(stream) == [KeyFrameRequested()]


def test_a_full_intra_request_that_is_repeated_counts_once() -> None:
    stream = made()
    stream.handle_rtcp([FullIntraRequest(1, ((SSRC, 1), (SSRC + 1, 1)))], NOW)
    stream.handle_rtcp([FullIntraRequest(1, ((SSRC, 1),))], later(NOW, 0.5))
    assert events(stream) == [KeyFrameRequested()]
    stream.handle_rtcp([FullIntraRequest(1, ((SSRC, 2),))], later(NOW, 1.0))
    assert events(stream) == [KeyFrameRequested()]
    assert stream.statistics.fir_count == 2


def test_feedback_about_another_stream_is_passed_over() -> None:
    stream = made()
    stream.send_frame(vp8_frame(0, 50, key=True), NOW)
    (packet,) = stream.poll_packets()
    stream.handle_rtcp(
        [
            PictureLossIndication(1, SSRC + 1),
            Nack(1, SSRC + 1, (packet.sequence_number,)),
            ReceiverEstimatedMaximumBitrate(1, 1000, (SSRC + 1,)),
            ReceiverReport(1, (report(ssrc=SSRC + 1, packets_lost=5),)),
        ],
        NOW,
    )
    assert events(stream) == []
    assert stream.poll_packets() == []
    assert stream.remote.reports_received == 0


def test_the_last_estimated_bitrate_is_told() -> None:
    stream = made()
    for bitrate in (300_000, 400_000, 400_000):
        stream.handle_rtcp([ReceiverEstimatedMaximumBitrate(1, bitrate, (SSRC,))], NOW)
    assert events(stream) == [BitrateLimited(400_000, (SSRC,))]
    for named in ((SSRC, SSRC + 1), (SSRC + 1,), (SSRC, SSRC + 1)):
        stream.handle_rtcp([ReceiverEstimatedMaximumBitrate(1, 400_000, named)], NOW)
    assert events(stream) == [BitrateLimited(400_000, (SSRC, SSRC + 1))]


def test_frames_that_are_huge_beside_the_others_are_counted() -> None:
    stream = made()
    for size in (3000, 300, 300, 300, 300, 300, 2500, 300):
        stream.send_frame(EncodedFrame(data=b"\x11" + bytes(size - 1), timestamp=0), NOW)
    assert stream.statistics.huge_frames_sent == 1
    assert stream.statistics.frame_bytes_sent == 7300


def test_a_sender_report_says_which_timestamp_is_now() -> None:
    clock = VirtualClock()
    stream = made(clock=clock)
    assert stream.sender_report(clock.now) is None
    stream.send_frame(vp8_frame(10, 5000, key=True), clock.now)
    packets = stream.poll_packets()
    made_report = stream.sender_report(clock.advance(0.5))
    assert made_report is not None
    assert (made_report.rtp_timestamp - packets[0].timestamp) & 0xFFFFFFFF == 45_000
    assert unix_time_of(made_report.ntp_time) == pytest.approx(clock.unix_time(clock.now), abs=1e-6)
    assert made_report.packet_count == len(packets)
    assert made_report.octet_count == sum(len(packet.payload) for packet in packets)


def test_what_is_sent_again_in_a_stream_of_its_own_is_not_in_sender_reports() -> None:
    stream = made()
    stream.send_frame(vp8_frame(0, 50, key=True), NOW)
    (packet,) = stream.poll_packets()
    stream.handle_rtcp([Nack(1, SSRC, (packet.sequence_number,))], NOW)
    made_report = stream.sender_report(NOW)
    assert made_report is not None
    assert made_report.packet_count == 1


def test_when_a_frame_was_captured_counts_rather_than_when_it_is_sent() -> None:
    clock = VirtualClock()
    stream = made(clock=clock)
    captured_at = clock.now
    stream.send_frame(vp8_frame(10, 500, key=True), clock.advance(0.2), captured_at=captured_at)
    (packet,) = stream.poll_packets()
    made_report = stream.sender_report(clock.now)
    assert made_report is not None
    assert (made_report.rtp_timestamp - packet.timestamp) & 0xFFFFFFFF == 18_000


def test_a_report_of_the_receiver_tells_losses_and_the_round_trip() -> None:
    clock = VirtualClock()
    stream = made(clock=clock)
    stream.send_frame(vp8_frame(0, 5000, key=True), clock.now)
    sent = stream.sender_report(clock.now)
    assert sent is not None
    block = report(
        fraction_lost=64,
        packets_lost=1,
        jitter=900,
        last_sender_report=compact_ntp(sent.ntp_time),
        delay_since_last_sender_report=6554,
    )
    clock.advance(0.15)
    stream.handle_rtcp([ReceiverReport(1, (block,))], clock.now)
    remote = stream.remote
    assert remote.round_trip_time == pytest.approx(0.05, abs=0.001)
    assert (remote.fraction_lost, remote.packets_lost, remote.jitter) == (0.25, 1, 0.01)
    assert stream.round_trip == remote.round_trip_time


def test_a_report_that_lies_about_time_measures_nothing() -> None:
    clock = VirtualClock()
    stream = made(clock=clock)
    stream.send_frame(vp8_frame(0, 5000, key=True), clock.now)
    future = compact_ntp(ntp_of(clock.unix_time(later(clock.now, 100.0))))
    stream.handle_rtcp([ReceiverReport(1, (report(last_sender_report=future),))], clock.now)
    past = compact_ntp(ntp_of(clock.unix_time(later(clock.now, -3600.0))))
    stream.handle_rtcp([ReceiverReport(1, (report(last_sender_report=past),))], clock.now)
    assert stream.remote.round_trip_time is None


# Packets from elsewhere


def foreign(number: int, timestamp: int, ssrc: int = 9) -> RtpPacket:
    return RtpPacket(120, number & 0xFFFF, timestamp, ssrc, b"payload", True, [(7, b"\x2a"), (1, b"other")])


def test_a_packet_from_elsewhere_becomes_one_of_ours() -> None:
    stream = made(OPUS)
    came_by = ExtensionMap()
    for identifier, uri in (
        (7, "urn:ietf:params:rtp-hdrext:ssrc-audio-level"),
        (1, "urn:ietf:params:rtp-hdrext:sdes:mid"),
    ):
        came_by.add(identifier, uri)
    original = foreign(500, 1000)
    stream.send_packet(original, NOW, extensions=came_by)
    (packet,) = stream.poll_packets()
    assert (packet.ssrc, packet.payload_type, packet.payload, packet.marker) == (SSRC, 96, b"payload", True)
    assert packet.extension(LEVEL_ID) == b"\x2a"
    assert packet.extension(MID_ID) == b"v"
    assert (original.ssrc, original.extensions) == (9, [(7, b"\x2a"), (1, b"other")])


def test_gaps_and_order_of_packets_from_elsewhere_stay() -> None:
    stream = made(OPUS)
    for number in (65_534, 65_535, 2, 1, 3):
        stream.send_packet(foreign(number, number * 960), NOW)
    numbers = [packet.sequence_number for packet in stream.poll_packets()]
    assert [(number - numbers[0]) & 0xFFFF for number in numbers] == [0, 1, 4, 3, 5]


def test_another_source_of_packets_goes_on_where_the_first_one_was() -> None:
    clock = VirtualClock()
    stream = made(OPUS, clock=clock)
    stream.send_packet(foreign(10, 1_000_000), clock.now)
    clock.advance(0.02)
    stream.send_packet(foreign(40_000, 77, ssrc=10), clock.now)
    clock.advance(0.02)
    stream.send_frame(opus_frame(2), clock.now)
    first, second, third = stream.poll_packets()
    assert second.sequence_number - first.sequence_number == 1
    assert (second.timestamp - first.timestamp) & 0xFFFFFFFF == pytest.approx(960, abs=2)
    assert third.sequence_number - second.sequence_number == 1


# Tones


def test_a_tone_takes_the_place_of_sound() -> None:
    clock = VirtualClock()
    stream = made(OPUS, clock=clock)
    stream.send_frame(opus_frame(0), clock.now)
    before = stream.poll_packets()[0]
    clock.advance(0.02)
    stream.insert_tones("5", clock.now)
    assert events(stream) == [ToneStarted("5")]
    assert not stream.send_frame(opus_frame(1), clock.now)
    packets = []
    while (at := stream.next_timeout()) is not None:
        clock.advance(at - clock.now)
        stream.handle_timeout(clock.now)
        packets += stream.poll_packets()
    assert {packet.payload_type for packet in packets} == {TONES.payload_type}
    assert {packet.timestamp for packet in packets} == {before.timestamp + 960}
    assert [packet.marker for packet in packets] == [True] + [False] * (len(packets) - 1)
    assert packets[0].sequence_number == before.sequence_number + 1
    assert events(stream) == [ToneStarted("")]
    assert stream.send_frame(opus_frame(10), clock.now)


def test_all_packets_of_a_tone_have_one_timestamp_though_sound_comes_unevenly() -> None:
    """RFC 4733 section 2.3.1. What the clock learns from sound that is passed over must not move it."""
    clock = VirtualClock()
    stream = made(OPUS, clock=clock)
    stream.send_frame(opus_frame(0), clock.now)
    stream.poll_packets()
    stream.insert_tones("5", clock.now)
    packets = stream.poll_packets()
    for index in range(1, 6):
        clock.advance(0.02 + 0.004 * (index % 2))
        stream.send_frame(opus_frame(index), clock.now)
        stream.handle_timeout(clock.now)
        packets += stream.poll_packets()
    tones = [packet for packet in packets if packet.payload_type == TONES.payload_type]
    assert len(tones) > 3
    assert len({packet.timestamp for packet in tones}) == 1


def test_tones_need_a_format() -> None:
    with pytest.raises(InvalidAccessError):
        made().insert_tones("1", NOW)


def test_a_frame_of_the_test_tells_its_number() -> None:
    assert number_of_frame(vp8_frame(77, 100, key=False)) == 77


def test_time_is_only_what_the_stream_is_told() -> None:
    stream = made()
    assert stream.next_timeout() is None
    stream.handle_timeout(Instant(0.0))
    assert events(stream) == []
