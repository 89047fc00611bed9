"""Sound and picture of one endpoint are shown together."""

from __future__ import annotations

import pytest

from icelane.core.clock import Instant, later
from icelane.media.codec import MediaKind, NegotiatedCodec
from icelane.media.inbound_stream import InboundOptions, InboundStream
from icelane.media.lip_sync import INTERVAL, MAX_DELAY, RATE, TOLERANCE, LipSync, StreamSynchronizer
from icelane.rtp.ntp import ntp_of
from icelane.rtp.packet import RtpPacket
from icelane.rtp.rtcp import SenderReport, SourceChunk, SourceDescription
from icelane.rtp.rtcp.source_description import CNAME
from icelane.testing.clock import VirtualClock
from tests.media.call import OPUS, VP8, opus_frame, vp8_frame


def test_the_stream_that_is_earlier_waits_for_the_other() -> None:
    sync = LipSync()
    now = Instant(0.0)
    video = 0.0
    for _ in range(40):
        now = later(now, INTERVAL)
        video = sync.update(0.3, 0.1 + video, now).video
    assert video == pytest.approx(0.2, abs=TOLERANCE)
    assert sync.delays.audio == 0


def test_it_may_be_the_sound_that_waits() -> None:
    sync = LipSync()
    audio = 0.0
    for turn in range(40):
        audio = sync.update(0.1 + audio, 0.35, Instant(turn * INTERVAL)).audio
    assert audio == pytest.approx(0.25, abs=TOLERANCE)
    assert sync.delays.video == 0


def test_delays_change_smoothly_and_stay_within_their_bound() -> None:
    sync = LipSync()
    before = 0.0
    for turn in range(100):
        now = sync.update(5.0, 0.0, Instant(turn * INTERVAL)).video
        assert now - before <= RATE * INTERVAL + 1e-9
        before = now
    assert before == MAX_DELAY


def test_what_nobody_notices_changes_nothing() -> None:
    sync = LipSync()
    for turn in range(10):
        sync.update(0.1, 0.1 + TOLERANCE / 2, Instant(turn * INTERVAL))
    assert (sync.delays.audio, sync.delays.video) == (0, 0)


def stream_of(kind: MediaKind) -> InboundStream:
    codec = OPUS if kind is MediaKind.AUDIO else VP8
    return InboundStream(InboundOptions(kind=kind, codecs=(NegotiatedCodec(codec=codec, payload_type=96),)))


@pytest.mark.parametrize(("cname", "apart"), [("same", 0.15), ("other", 0.15)])
def test_streams_of_one_endpoint_are_brought_together_and_others_are_not(cname: str, apart: float) -> None:
    """The picture takes 150 ms longer to come than the sound."""
    clock = VirtualClock()
    audio, video = stream_of(MediaKind.AUDIO), stream_of(MediaKind.VIDEO)
    synchronizer = StreamSynchronizer(audio, video, clock.now)
    start = clock.now
    ntp = ntp_of(clock.unix_time(start))
    for turn in range(1500):
        now = clock.advance(0.02)
        number = turn
        frame = opus_frame(number)
        audio.handle_packet(RtpPacket(96, number & 0xFFFF, number * 960, 1, frame.data), now)
        late = turn - round(apart / 0.02)
        if turn % 2 == 0 and late >= 0:
            picture = vp8_frame(late, 100, key=late == 0)
            payload = b"\x10" + picture.data
            video.handle_packet(RtpPacket(96, turn // 2, late * 1800, 2, payload, True), now)
        if turn == 50:
            for stream, ssrc, name in ((audio, 1, "same"), (video, 2, cname)):
                description = SourceDescription((SourceChunk(ssrc, ((CNAME, name),)),))
                stream.handle_rtcp([SenderReport(ssrc, ntp, 0, 0, 0), description], now)
        synchronizer.handle_timeout(now)
        audio.handle_timeout(now)
        video.handle_timeout(now)
        while audio.poll_playout() or video.poll_frame():
            pass
    latencies = audio.latency(clock.now), video.latency(clock.now)
    assert latencies[0] is not None
    assert latencies[1] is not None
    if cname == "same":
        assert abs(latencies[0] - latencies[1]) < 0.02
    else:
        assert abs(latencies[0] - latencies[1]) > 0.1
    assert synchronizer.next_timeout() > clock.now
