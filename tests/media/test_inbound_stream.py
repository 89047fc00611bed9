"""A section that is received: frames, feedback, sources that come and go."""

from __future__ import annotations

import pytest

from icelane.core.clock import Instant, later
from icelane.errors import InvalidAccessError
from icelane.media import inbound_stream
from icelane.media.codec import MediaKind, NegotiatedCodec, RtpCodec
from icelane.media.event import InboundEvent, SourceChanged, SourceEnded, SourceHeard, SourceSilent, ToneReceived
from icelane.media.inbound_layer import MAX_OTHERS, LayerChoice
from icelane.media.inbound_stream import MAX_QUEUED, MAX_RAW_PACKETS, SOURCE_TIMEOUT, InboundOptions, InboundStream
from icelane.media.outbound_stream import OutboundOptions, OutboundStream
from icelane.media.payload.registry import packetizer_for
from icelane.media.payload.rtx import encode_retransmission
from icelane.media.playout import Decode
from icelane.rtp.header_extension import (
    PLAYOUT_DELAY,
    REPAIRED_RTP_STREAM_ID,
    RTP_STREAM_ID,
    PlayoutDelay,
    encode_playout_delay,
)
from icelane.rtp.ntp import ntp_of
from icelane.rtp.packet import RtpPacket
from icelane.rtp.rtcp import (
    Bye,
    FullIntraRequest,
    Nack,
    PictureLossIndication,
    RtcpPacket,
    SenderReport,
    SourceChunk,
    SourceDescription,
)
from icelane.rtp.rtcp.source_description import CNAME
from icelane.testing.clock import DEFAULT_EPOCH, VirtualClock
from icelane.testing.entropy import SeededEntropy
from tests.media.call import (
    OPUS,
    PCMU,
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

NOW = Instant(1000.0)
FRAME_PACKETS = 2
RID, REPAIRED_RID = 10, 11


def made(codec: RtpCodec = VP8, *, keeps_packets: bool = False) -> InboundStream:
    codecs: tuple[NegotiatedCodec, ...] = (NegotiatedCodec(codec=codec, payload_type=96, rtx_payload_type=97),)
    if codec.kind is MediaKind.AUDIO:
        codecs += (TONES, NegotiatedCodec(codec=PCMU, payload_type=0))
    return InboundStream(
        InboundOptions(
            kind=codec.kind, codecs=codecs, extensions=extensions(), local_ssrc=5, keeps_packets=keeps_packets
        )
    )


def video(number: int, *, key: bool = False, ssrc: int = SSRC, size: int = 2000) -> list[RtpPacket]:
    """The packets of a frame; frames of the usual size have two."""
    frame = vp8_frame(number, size, key=key)
    payloads = packetizer_for(VP8, number).packetize(frame.data, 1100)
    return [
        RtpPacket(96, (1000 + number * len(payloads) + index) & 0xFFFF, frame.timestamp, ssrc, payload)
        if index < len(payloads) - 1
        else RtpPacket(96, (1000 + number * len(payloads) + index) & 0xFFFF, frame.timestamp, ssrc, payload, True)
        for index, payload in enumerate(payloads)
    ]


def audio(number: int, *, ssrc: int = SSRC) -> RtpPacket:
    frame = opus_frame(number)
    return RtpPacket(96, number & 0xFFFF, frame.timestamp, ssrc, frame.data)


def again(packet: RtpPacket, number: int = 0) -> RtpPacket:
    """How the packet is sent again."""
    payload = encode_retransmission(packet.sequence_number, packet.payload)
    return RtpPacket(97, number, packet.timestamp, RTX_SSRC, payload, packet.marker)


def frames(stream: InboundStream) -> list[int]:
    found = []
    while (frame := stream.poll_frame()) is not None:
        found.append(number_of_frame(frame))
    return found


def feedback(stream: InboundStream) -> list[RtcpPacket]:
    found = []
    while (packet := stream.poll_feedback()) is not None:
        found.append(packet)
    return found


def events(stream: InboundStream) -> list[InboundEvent]:
    found = []
    while (event := stream.poll_event()) is not None:
        found.append(event)
    return found


def begun(codec: RtpCodec = VP8) -> InboundStream:
    """A stream that has received its first frame."""
    stream = made(codec)
    stream.handle_packets(video(0, key=True) if codec is VP8 else [audio(0)], NOW)
    frames(stream)
    events(stream)
    feedback(stream)
    return stream


# Frames


def test_packets_become_frames() -> None:
    stream = made()
    stream.handle_packets(video(0, key=True) + video(1), NOW)
    frame = stream.poll_frame()
    assert frame is not None
    assert (frame.is_key, frame.payload_type, frame.data) == (True, 96, vp8_frame(0, 2000, key=True).data)
    assert frames(stream) == [1]
    assert events(stream) == [SourceChanged(SSRC)]
    assert stream.statistics.frames_received == 2
    assert stream.statistics.key_frames_received == 1


def test_a_batch_and_single_packets_come_to_the_same() -> None:
    packets = [packet for number in range(20) for packet in video(number, key=number == 0)]
    batch, single = made(), made()
    batch.handle_packets(packets, NOW)
    for packet in packets:
        single.handle_packet(packet, NOW)
    assert frames(batch) == frames(single) == list(range(20))
    assert batch.statistics == single.statistics


def test_sound_is_given_to_a_decoder_or_as_it_is() -> None:
    for decodes in (True, False):
        stream = made(OPUS)
        for number in range(5):
            now = later(NOW, 0.02 * number)
            stream.handle_packet(audio(number), now)
        stream.handle_timeout(later(NOW, 0.2))
        if decodes:
            playout = stream.poll_playout()
            assert isinstance(playout, Decode)
            assert playout.frame.data == opus_frame(0).data
        else:
            frame = stream.poll_frame()
            assert frame is not None
            assert (frame.data, frame.duration) == (opus_frame(0).data, 960)


def test_a_payload_type_that_was_not_negotiated_is_discarded() -> None:
    stream = made()
    stream.handle_packet(RtpPacket(100, 1, 0, SSRC, b"x"), NOW)
    assert stream.ssrc is None
    assert stream.statistics.packets_discarded == 1
    assert stream.next_timeout() is None


def test_what_does_not_parse_is_counted_and_a_key_frame_is_asked_for_in_the_end() -> None:
    stream = begun()
    bad = video(1)
    bad[0].payload = b"\x80"
    stream.handle_packets(bad + video(2), NOW)
    assert stream.statistics.packets_malformed == 1
    stream.handle_timeout(later(NOW, 1.5))
    assert PictureLossIndication(5, SSRC) in feedback(stream)


def test_codecs_that_nobody_can_read_are_no_section() -> None:
    strange = RtpCodec(kind=MediaKind.VIDEO, name="X-STRANGE", clock_rate=90_000)
    with pytest.raises(InvalidAccessError):
        InboundStream(InboundOptions(kind=MediaKind.VIDEO, codecs=(NegotiatedCodec(codec=strange, payload_type=96),)))


# Losses


def test_a_gap_is_asked_for_at_once() -> None:
    stream = begun()
    packets = video(1) + video(2)
    stream.handle_packet(packets[3], NOW)
    (nack,) = feedback(stream)
    assert nack == Nack(5, SSRC, tuple(packet.sequence_number for packet in packets[:3]))
    assert stream.statistics.nack_count == 1


def test_what_is_missing_before_the_first_packet_is_found_out_when_one_before_it_comes() -> None:
    stream = made()
    packets = video(0, key=True, size=6000)
    stream.handle_packets([packets[4], packets[0]], NOW)
    (nack,) = feedback(stream)
    assert nack == Nack(5, SSRC, tuple(packet.sequence_number for packet in packets[1:4]))


def test_what_is_sent_again_fills_the_gap() -> None:
    stream = begun()
    first, last = video(1)
    stream.handle_packet(last, NOW)
    assert frames(stream) == []
    stream.handle_packet(again(first), later(NOW, 0.05))
    stream.handle_timeout(later(NOW, 0.2))
    assert frames(stream) == [1]
    counts = stream.statistics
    assert counts.retransmitted_packets_received == 1
    assert counts.packets_lost == 1  # of the stream itself: what reports tell
    assert [block.ssrc for block in stream.report_blocks(NOW)] == [SSRC, RTX_SSRC]


def test_retransmissions_of_nothing_are_harmless() -> None:
    stream = made()
    stream.handle_packet(again(video(0)[0]), NOW)
    assert stream.ssrc is None
    stream = begun()
    padding = RtpPacket(97, 5, 0, RTX_SSRC, b"", padding_length=200)
    stream.handle_packets([padding, RtpPacket(97, 6, 0, RTX_SSRC, b"\0"), again(video(0)[0], 7)], NOW)
    assert frames(stream) == []
    assert stream.statistics.packets_discarded == 1


def test_duplicates_are_counted_and_dropped() -> None:
    stream = made()
    packets = video(0, key=True)
    stream.handle_packets(packets + packets, NOW)
    assert frames(stream) == [0]
    assert stream.statistics.packets_duplicated == 2
    assert stream.statistics.packets_received == 4


def test_without_a_first_key_frame_one_is_asked_for_again_and_again() -> None:
    stream = made()
    asked = []
    for number in range(300):
        now = later(NOW, number / 30)
        stream.handle_packets(video(number), now)
        asked += [now] * len([one for one in feedback(stream) if isinstance(one, PictureLossIndication)])
    assert 6 <= len(asked) <= 12
    stream.handle_packets(video(300, key=True), later(NOW, 10.0))
    assert frames(stream) == [300]


def test_without_pli_it_is_asked_for_by_fir() -> None:
    codec = RtpCodec(kind=MediaKind.VIDEO, name="VP8", clock_rate=90_000, feedback=("ccm fir",))
    stream = made(codec)
    stream.handle_packets(video(1), NOW)
    stream.handle_timeout(later(NOW, 0.5))
    assert feedback(stream) == [FullIntraRequest(5, ((SSRC, 0),)), FullIntraRequest(5, ((SSRC, 1),))]


def test_without_any_nothing_is_asked_for() -> None:
    stream = made(RtpCodec(kind=MediaKind.VIDEO, name="VP8", clock_rate=90_000))
    stream.handle_packets(video(1) + video(5), NOW)
    stream.handle_timeout(later(NOW, 3.0))
    assert feedback(stream) == []


def test_sound_is_not_asked_for_again_unless_that_was_negotiated() -> None:
    stream = begun(OPUS)
    stream.handle_packet(audio(5), NOW)
    assert feedback(stream) == []
    repaired = RtpCodec(kind=MediaKind.AUDIO, name="opus", clock_rate=48_000, channels=2, feedback=("nack",))
    stream = made(repaired)
    stream.handle_packets([audio(0), audio(2)], NOW)
    assert feedback(stream) == [Nack(5, SSRC, (1,))]


def test_a_gap_that_is_too_long_is_answered_by_a_key_frame() -> None:
    stream = begun()
    stream.handle_packets(video(700), NOW)
    assert feedback(stream) == [PictureLossIndication(5, SSRC)]


def test_a_decoder_may_ask_for_a_key_frame() -> None:
    stream = begun()
    stream.request_key_frame(later(NOW, 0.1))
    assert feedback(stream) == [PictureLossIndication(5, SSRC)]
    stream.handle_packets(video(1), later(NOW, 0.2))
    assert frames(stream) == []


def test_a_round_trip_is_learned_and_shared() -> None:
    stream = begun()
    stream.learn_round_trip(0.3)
    stream.handle_packets(video(2), NOW)
    feedback(stream)
    stream.handle_timeout(later(NOW, 0.2))
    assert feedback(stream) == []
    stream.handle_timeout(later(NOW, 0.4))
    assert len(feedback(stream)) == 1


# Sources


def test_another_ssrc_takes_over() -> None:
    stream = begun()
    stream.handle_packets(video(50, key=True, ssrc=77), later(NOW, 1.0))
    assert frames(stream) == [50]
    assert events(stream) == [SourceChanged(77)]
    assert stream.ssrc == 77
    assert stream.statistics.source_changes == 1


def test_packets_of_the_source_before_that_were_overtaken_do_not_bring_it_back() -> None:
    stream = begun()
    stream.handle_packets(video(50, key=True, ssrc=77), later(NOW, 1.0))
    stream.handle_packets(video(1), later(NOW, 1.05))
    assert stream.ssrc == 77
    stream.handle_packets(video(2, key=True), later(NOW, 3.0))
    assert stream.ssrc == SSRC


def test_one_section_keeps_one_source_however_many_come() -> None:
    """SR-4: many SSRCs of one peer cost no more memory than one."""
    stream = made()
    for ssrc in range(2000):
        stream.handle_packets(video(0, key=True, ssrc=ssrc), later(NOW, 2.0 * ssrc))
        frames(stream)
    assert stream.statistics.source_changes == 1999
    assert len(events(stream)) <= inbound_stream.MAX_EVENTS
    assert len(stream.report_blocks(later(NOW, 4000.0))) == 1


def layered(number: int, rid: bytes, ssrc: int, *, key: bool = False, named: bool = True) -> list[RtpPacket]:
    """Packets of a frame of a layer."""
    packets = video(number, key=key, ssrc=ssrc)
    for packet in packets:
        packet.extensions = [(RID, rid)] if named else []
    return packets


def layered_stream() -> InboundStream:
    known = extensions()
    known.add(RID, RTP_STREAM_ID)
    known.add(REPAIRED_RID, REPAIRED_RTP_STREAM_ID)
    codecs = (NegotiatedCodec(codec=VP8, payload_type=96, rtx_payload_type=97),)
    return InboundStream(InboundOptions(kind=MediaKind.VIDEO, codecs=codecs, extensions=known, local_ssrc=5))


def test_of_several_layers_the_first_is_taken_as_long_as_it_comes() -> None:
    """RFC 8853: an answer without `a=simulcast` asks for one; a peer that sends all is received all the same."""
    stream = layered_stream()
    for number in range(60):
        now = later(NOW, number / 30)
        named = number < 30  # until they are reported
        stream.handle_packets(layered(number, b"l", 1, key=number == 0, named=named), now)
        stream.handle_packets(layered(number, b"h", 2, key=number == 0, named=named), now)
    assert frames(stream) == list(range(60))
    assert stream.ssrc == 1
    assert stream.statistics.source_changes == 0
    assert stream.statistics.packets_discarded == 120
    now = later(NOW, 2 + SOURCE_TIMEOUT + 1)
    stream.handle_timeout(now)
    stream.handle_packets(layered(60, b"h", 2, key=True, named=False), now)
    assert stream.ssrc == 2
    stream.handle_packets(layered(61, b"h", 2), later(now, 0.1))
    stream.handle_timeout(later(now, 2.0))
    assert frames(stream) == [60, 61]


def test_retransmissions_of_another_layer_are_not_taken_for_those_of_the_one_that_is() -> None:
    stream = layered_stream()
    stream.handle_packets(layered(0, b"l", 1, key=True), NOW)
    stream.handle_packets(layered(1, b"l", 1)[:1] + layered(2, b"l", 1), later(NOW, 0.03))
    [_, missing] = layered(1, b"l", 1)
    for rid, data in ((b"h", b"another"), (b"l", None)):
        repeated = again(missing)
        repeated.extensions = [(REPAIRED_RID, rid)]
        repeated.ssrc = 100 if rid == b"h" else 101
        if data is not None:
            repeated.payload = repeated.payload[:2] + data
        stream.handle_packets([repeated], later(NOW, 0.06))
    stream.handle_timeout(later(NOW, 1.0))
    assert stream.poll_frame() is not None
    frame = stream.poll_frame()
    assert frame is not None
    assert b"another" not in frame.data
    assert stream.statistics.retransmitted_packets_received == 1


def test_who_names_no_layers_may_change_the_source_as_before() -> None:
    stream = layered_stream()
    stream.handle_packets(layered(0, b"", 1, key=True, named=False), NOW)
    stream.handle_packets(layered(50, b"h", 2, key=True), later(NOW, 2.0))
    assert stream.ssrc == 2
    stream.handle_packets(layered(90, b"h", 3, key=True), later(NOW, 4.0))
    assert stream.ssrc == 3


def test_the_layers_that_are_known_are_bounded() -> None:
    """SR-4."""
    layers = LayerChoice(layered_stream().options.extensions)
    layers.take(layered(0, b"l", 1)[0])
    for ssrc in range(2, 500):
        assert layers.is_other(layered(0, b"h", ssrc)[0])
    assert len(layers._others) == MAX_OTHERS


def test_a_goodbye_ends_the_source_and_packets_bring_it_back() -> None:
    stream = begun()
    stream.handle_rtcp([Bye((SSRC,), "done"), Bye((SSRC + 1,))], NOW)
    assert events(stream) == [SourceEnded(SSRC, "done")]
    assert stream.report_blocks(NOW) == ()
    stream.handle_packets(video(1), later(NOW, 0.1))
    assert events(stream) == [SourceHeard(SSRC)]


def test_a_source_that_falls_silent_is_told_once_and_not_asked_for_anything() -> None:
    stream = begun()
    stream.handle_packets(video(2), later(NOW, 0.1))
    while (at := stream.next_timeout()) is not None:
        stream.handle_timeout(at)
        assert at <= later(NOW, SOURCE_TIMEOUT + 0.2)
        feedback(stream)
        if events(stream) == [SourceSilent(SSRC)]:
            break
    for second in range(6, 20):
        stream.handle_timeout(later(NOW, second))
    assert feedback(stream) == []
    assert events(stream) == []


def test_a_codec_of_another_clock_begins_anew() -> None:
    stream = begun(OPUS)
    packet = RtpPacket(0, 1, 160, SSRC, bytes(160))
    stream.handle_packet(packet, NOW)
    assert stream.statistics.source_changes == 1
    stream.handle_timeout(later(NOW, 0.1))
    frame = stream.poll_frame()
    assert frame is not None
    assert (frame.payload_type, frame.duration) == (0, 160)


def test_sequence_numbers_that_begin_anew_are_followed() -> None:
    stream = begun()
    restarted = []
    for number in (10, 11, 12):
        packets = video(number, key=True)
        for packet in packets:
            packet.sequence_number = (packet.sequence_number + 30_000) & 0xFFFF
        restarted += packets
    stream.handle_packets(restarted, later(NOW, 0.1))
    stream.handle_timeout(later(NOW, 1.2))
    assert frames(stream)[-1:] == [12]


# Reports and clocks


def test_reports_of_the_sender_are_kept() -> None:
    stream = begun()
    assert stream.capture_time(0) is None
    assert stream.latency(NOW) is None
    ntp = ntp_of(DEFAULT_EPOCH)
    description = SourceDescription((SourceChunk(SSRC, ((CNAME, "me"),)), SourceChunk(9, ((CNAME, "you"),))))
    stream.handle_rtcp([SenderReport(SSRC, ntp, 90_000, 10, 1000), description, SenderReport(9, 5, 5, 5, 5)], NOW)
    assert stream.cname == "me"
    assert stream.capture_time(90_000) == pytest.approx(DEFAULT_EPOCH)
    assert stream.capture_time(0) == pytest.approx(DEFAULT_EPOCH - 1)
    assert (stream.remote.reports_sent, stream.remote.packets_sent, stream.remote.bytes_sent) == (1, 10, 1000)
    (block,) = stream.report_blocks(later(NOW, 0.5))
    assert block.last_sender_report == ntp >> 16 & 0xFFFFFFFF
    assert block.delay_since_last_sender_report == 32_768


def test_pictures_and_sound_say_when_they_were_captured_once_a_report_has_come() -> None:
    for codec, first, second in ((VP8, video(0, key=True), video(1)), (OPUS, [audio(0)], [audio(1)])):
        stream = made(codec)
        stream.handle_packets(first, NOW)
        stream.handle_timeout(later(NOW, 0.5))
        early = stream.poll_frame()
        assert early is not None
        assert early.captured_at is None
        report = SenderReport(SSRC, ntp_of(DEFAULT_EPOCH), second[0].timestamp, 1, 1)
        stream.handle_rtcp([report], later(NOW, 0.5))
        stream.handle_packets(second, later(NOW, 0.5))
        stream.handle_timeout(later(NOW, 1.5))
        known = stream.poll_frame()
        assert known is not None
        assert known.captured_at == pytest.approx(DEFAULT_EPOCH)


def test_a_delay_that_the_application_asks_for_is_kept_to() -> None:
    stream = made()
    stream.set_minimum_delay(0.3)
    stream.handle_packets(video(0, key=True), NOW)
    assert frames(stream) == []
    at = stream.next_timeout()
    assert at == pytest.approx(NOW + 0.3)
    stream.handle_timeout(later(NOW, 0.3001))
    assert frames(stream) == [0]


def test_what_the_sender_asks_for_is_kept_to_as_well() -> None:
    identifiers = extensions()
    identifiers.add(9, PLAYOUT_DELAY)
    stream = InboundStream(
        InboundOptions(
            kind=MediaKind.VIDEO, codecs=(NegotiatedCodec(codec=VP8, payload_type=96),), extensions=identifiers
        )
    )
    packets = video(0, key=True)
    packets[0].extensions = [(9, encode_playout_delay(PlayoutDelay(0.1, 0.4)))]
    stream.handle_packets(packets, NOW)
    assert stream.next_timeout() == pytest.approx(NOW + 0.1)
    packets = video(1)
    packets[1].extensions = [(9, b"\xff\xf0\x00")]
    stream.handle_packets(packets, later(NOW, 0.2))
    stream.handle_timeout(later(NOW, 0.4))
    assert frames(stream) == [0, 1]


# Tones


def test_tones_are_recognised_each_once() -> None:
    clock = VirtualClock()
    sender = OutboundStream(
        OutboundOptions(
            codec=NegotiatedCodec(codec=OPUS, payload_type=96),
            ssrc=SSRC,
            telephone_event=TONES,
            extensions=extensions(),
        ),
        entropy=SeededEntropy(1),
        wall=clock,
    )
    stream = made(OPUS)
    number = 0
    sender.insert_tones("42#", clock.now, duration=0.1, gap=0.1)
    while clock.now < 1001.0:
        sender.handle_timeout(clock.now)
        sender.send_frame(opus_frame(number), clock.now)
        number += 1
        stream.handle_packets(sender.poll_packets(), clock.now)
        clock.advance(0.02)
    tones = [event for event in events(stream) if isinstance(event, ToneReceived)]
    assert [(event.tone, round(event.duration, 3)) for event in tones] == [("4", 0.1), ("2", 0.1), ("#", 0.1)]
    counts = stream.statistics
    assert counts.concealed_samples == counts.silent_concealed_samples


# Bounds


def test_frames_that_nobody_fetches_are_dropped_up_to_the_next_key_frame() -> None:
    stream = made()
    for number in range(MAX_QUEUED + 10):
        stream.handle_packets(video(number, key=number == 0), later(NOW, number / 30))
    stream.handle_timeout(later(NOW, 100.0))
    assert frames(stream) == []
    assert stream.statistics.frames_dropped > MAX_QUEUED
    assert PictureLossIndication(5, SSRC) in feedback(stream)
    stream.handle_packets(video(1000, key=True), later(NOW, 101.0))
    stream.handle_timeout(later(NOW, 102.0))
    frame = stream.poll_frame()
    assert frame is not None
    assert frame.follows_gap


def test_instructions_and_packets_that_nobody_fetches_are_bounded() -> None:
    stream = made(OPUS, keeps_packets=True)
    for number in range(MAX_RAW_PACKETS + 50):
        stream.handle_packet(audio(number), later(NOW, number * 0.02))
    packets, playouts = 0, 0
    while stream.poll_packet() is not None:
        packets += 1
    while stream.poll_playout() is not None:
        playouts += 1
    assert (packets, playouts) == (MAX_RAW_PACKETS, MAX_QUEUED)


def test_packets_are_kept_as_they_come_where_that_is_wanted() -> None:
    stream = made(keeps_packets=True)
    first, last = video(0, key=True)
    stream.handle_packets([last, last], NOW)
    stream.handle_packet(video(1)[0], NOW)
    stream.handle_packet(again(video(1)[1]), NOW)
    stream.handle_packet(first, NOW)
    kept = []
    while (packet := stream.poll_packet()) is not None:
        kept.append((packet.ssrc, packet.payload_type, packet.sequence_number - first.sequence_number))
    assert (SSRC, 96, 1) in kept
    assert len(kept) == len(set(kept))
