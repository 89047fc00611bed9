"""Two peers send each other sound and pictures, over good links and bad ones."""

from __future__ import annotations

import random
from functools import partial
from typing import Final

import pytest

from icelane.media.codec import MediaKind
from icelane.media.frame import EncodedFrame
from icelane.peer.connection_options import PeerOptions
from icelane.peer.media_event import KeyFrameRequested, TrackAdded, TrackEnded, TrackMuted, TrackUnmuted
from icelane.peer.stats import collect_stats
from icelane.peer.transceiver import Transceiver
from icelane.rtp.packet import RtpPacket
from icelane.sdp.rtp_attributes import Direction
from icelane.testing.network import Link
from icelane.testing.peer import PeerHost, pass_candidates, signal
from tests.peer.media import CAPABILITIES, OPUS, PCMA, PCMU
from tests.scenarios.internet import Internet

MEDIA: Final = PeerOptions(media=CAPABILITIES)
TOLD: Final = (KeyFrameRequested, TrackAdded, TrackEnded, TrackMuted, TrackUnmuted)
AUDIO, VIDEO = MediaKind.AUDIO, MediaKind.VIDEO
GOOD: Final = Link(delay=0.025)


class Call:
    """Alice and Bob, each with a camera and a microphone that make random bytes."""

    def __init__(self, *, link: Link = GOOD, seed: int = 1, options: PeerOptions = MEDIA) -> None:
        """`options` are Bob's, and Alice's if they have media."""
        self.internet = Internet(seed=seed, link=GOOD)
        self.network = self.internet.network
        self._link = link
        self.alice = self.internet.peer(1, options=options if options.media is not None else MEDIA)
        self.bob = self.internet.peer(2, options=options)
        self.sent: dict[tuple[PeerHost, MediaKind], list[EncodedFrame]] = {}
        self._generator = random.Random(seed)
        self._ticks = 0

    def add_tracks(self, peer: PeerHost) -> tuple[Transceiver, Transceiver]:
        name = "alice" if peer is self.alice else "bob"
        audio = peer.run(lambda _: peer.engine.add_track(f"{name}-mic", AUDIO, [name]))
        video = peer.run(lambda _: peer.engine.add_track(f"{name}-cam", VIDEO, [name]))
        return audio, video

    def connect(self) -> None:
        signal(self.alice, self.bob)
        for _ in range(100):
            self.network.run_for(0.05)
            pass_candidates(self.alice, self.bob)
            if self.alice.is_connected and self.bob.is_connected:
                break
        assert self.alice.is_connected
        assert self.bob.is_connected
        self.network.connect(self.alice.hosts[0], self.bob.hosts[0], self._link)

    def renegotiate(self, offerer: PeerHost) -> None:
        other = self.bob if offerer is self.alice else self.alice
        signal(offerer, other)

    def talk(self, seconds: float, *peers: PeerHost) -> None:
        """Every 20 ms sound, every 40 ms a picture, of whoever may send."""
        for _ in range(round(seconds * 50)):
            for peer in peers or (self.alice, self.bob):
                self._send(peer)
            self.network.run_for(0.02)
            self._ticks += 1

    def received(self, peer: PeerHost, kind: MediaKind) -> list[EncodedFrame]:
        return [frame for transceiver, frame, _ in peer.frames if transceiver.kind is kind]

    def heard(self, peer: PeerHost, kind: type) -> list[Transceiver]:
        return [event.transceiver for event in peer.events if isinstance(event, kind) and isinstance(event, TOLD)]

    def _send(self, peer: PeerHost) -> None:
        for transceiver in peer.engine.transceivers:
            if transceiver.kind is VIDEO and self._ticks % 2:
                continue
            frame = self._frame(peer, transceiver)
            if peer.run(partial(peer.engine.send_frame, transceiver, frame)):
                self.sent.setdefault((peer, transceiver.kind), []).append(frame)

    def _frame(self, peer: PeerHost, transceiver: Transceiver) -> EncodedFrame:
        generator = self._generator
        if transceiver.kind is AUDIO:
            # An Opus packet of one frame of 20 ms (RFC 6716 section 3.1: configuration 31, code 0).
            return EncodedFrame(
                data=bytes([0xF8]) + generator.randbytes(79), timestamp=self._ticks * 960, duration=960, audio_level=30
            )
        wanted = {event.transceiver for event in peer.events if isinstance(event, KeyFrameRequested)}
        peer.events = [event for event in peer.events if not isinstance(event, KeyFrameRequested)]
        is_key = transceiver in wanted or (peer, VIDEO) not in self.sent
        size = 8_000 if is_key else 2_500
        first = 0x10 if is_key else 0x11  # RFC 6386 section 9.1: the lowest bit is 0 in a key frame
        return EncodedFrame(
            data=bytes([first]) + generator.randbytes(size - 1), timestamp=self._ticks * 1_800, is_key=is_key
        )


@pytest.fixture
def call() -> Call:
    made = Call()
    made.add_tracks(made.alice)
    made.add_tracks(made.bob)
    made.connect()
    return made


def test_sound_and_pictures_go_both_ways_byte_for_byte(call: Call) -> None:
    call.talk(2.0)
    call.network.run_for(0.5)
    for sender, receiver in ((call.alice, call.bob), (call.bob, call.alice)):
        sent = [frame.data for frame in call.sent[sender, VIDEO]]
        assert [frame.data for frame in call.received(receiver, VIDEO)] == sent
        assert len(sent) == 50
        heard = [frame.data for frame in call.received(receiver, AUDIO)]
        spoken = [frame.data for frame in call.sent[sender, AUDIO]]
        assert len(heard) >= len(spoken) - 5
        assert set(heard) <= set(spoken)
        assert all(frame.audio_level == 30 for frame in call.received(receiver, AUDIO))
        assert len(call.heard(receiver, TrackAdded)) == len(call.heard(receiver, TrackUnmuted)) == 2
        assert call.heard(receiver, TrackMuted) == []
    assert call.alice.engine.channels is None
    assert call.alice.engine.media.router.unknown == 0


@pytest.mark.parametrize("seed", range(1, 6))
def test_pictures_come_whole_through_loss(seed: int) -> None:
    """The goal of the call: 5 % lost and a round trip of 50 ms."""
    call = Call(link=Link(delay=0.025, loss=0.05), seed=seed)
    call.add_tracks(call.alice)
    call.connect()
    call.talk(6.0)
    call.network.run_for(1.0)
    sent = {frame.data for frame in call.sent[call.alice, VIDEO]}
    received = [frame.data for frame in call.received(call.bob, VIDEO)]
    assert set(received) <= sent
    assert len(received) >= 0.97 * len(sent)
    (_, video) = call.alice.engine.transceivers
    stream = call.alice.engine.media.outbound(video)
    assert stream is not None
    assert stream.statistics.retransmitted_packets_sent > 0
    assert stream.remote.round_trip_time == pytest.approx(0.05, abs=0.01)


def test_nothing_is_sent_before_there_are_keys_or_against_the_direction() -> None:
    call = Call()
    audio, video = call.add_tracks(call.alice)
    frame = EncodedFrame(data=b"\xf8" + bytes(40), timestamp=0, duration=960)
    assert not call.alice.run(lambda now: call.alice.engine.send_frame(audio, frame, now))
    call.connect()
    assert call.alice.run(lambda now: call.alice.engine.send_frame(audio, frame, now))
    call.alice.run(lambda _: call.alice.engine.set_direction(audio, Direction.RECVONLY))
    call.renegotiate(call.alice)
    assert not call.alice.run(lambda now: call.alice.engine.send_frame(audio, frame, now))
    (bobs, _) = call.bob.engine.transceivers
    assert not call.bob.run(lambda now: call.bob.engine.send_frame(bobs, frame, now))
    assert video.sends


def test_a_paused_track_goes_on_and_is_unmuted_again(call: Call) -> None:
    call.talk(0.5)
    (_, video) = call.alice.engine.transceivers
    for _ in range(3):
        call.alice.run(lambda _: call.alice.engine.set_direction(video, Direction.RECVONLY))
        call.renegotiate(call.alice)
        before = len(call.received(call.bob, VIDEO))
        call.talk(0.5)
        assert len(call.received(call.bob, VIDEO)) <= before + 2
        call.alice.run(lambda _: call.alice.engine.set_direction(video, Direction.SENDRECV))
        call.renegotiate(call.alice)
        call.talk(1.0)
        assert len(call.received(call.bob, VIDEO)) > before + 10
    assert len(call.heard(call.bob, TrackUnmuted)) == 5


def test_the_codec_that_an_exchange_prefers_is_sent_until_the_application_chooses(call: Call) -> None:
    engine = call.alice.engine
    (audio, _) = engine.transceivers
    stream = engine.media.outbound(audio)
    assert stream is not None
    assert stream.codec.codec.name == "opus"
    engine.set_codec_preferences(audio, [PCMU, OPUS])
    call.renegotiate(call.alice)
    assert stream.codec.codec.name == "PCMU"
    assert audio.negotiated is not None
    [opus] = [one for one in audio.negotiated.send_codecs if one.codec.name == "opus"]
    engine.media.select_codec(audio, opus.payload_type)
    call.renegotiate(call.alice)
    assert stream.codec == opus
    engine.set_codec_preferences(audio, [PCMA, OPUS])
    call.renegotiate(call.alice)
    assert stream.codec.codec.name == "PCMA"


def test_a_stopped_track_ends_at_the_other_side_and_another_takes_its_place(call: Call) -> None:
    call.talk(0.5)
    (_, video) = call.alice.engine.transceivers
    call.alice.run(lambda now: call.alice.engine.stop_transceiver(video, now))
    call.network.run_for(0.2)
    assert [one.kind for one in call.heard(call.bob, TrackMuted)] == [VIDEO]
    call.renegotiate(call.alice)
    assert [one.kind for one in call.heard(call.bob, TrackEnded)] == [VIDEO]
    assert call.heard(call.alice, TrackEnded) == [video]
    call.alice.run(lambda _: call.alice.engine.add_track("second", VIDEO, ["alice"]))
    call.renegotiate(call.alice)
    call.sent.pop((call.alice, VIDEO))
    call.talk(1.0)
    call.network.run_for(0.3)
    received = {frame.data for frame in call.received(call.bob, VIDEO)}
    assert {frame.data for frame in call.sent[call.alice, VIDEO]} <= received


def test_the_first_track_is_stopped_and_the_transport_goes_on(call: Call) -> None:
    call.talk(0.5)
    (audio, _) = call.alice.engine.transceivers
    call.alice.run(partial(call.alice.engine.stop_transceiver, audio))
    call.renegotiate(call.alice)
    before = len(call.received(call.bob, VIDEO))
    call.talk(0.5)
    assert len(call.received(call.bob, VIDEO)) > before + 10
    call.alice.run(lambda _: call.alice.engine.add_track("again", AUDIO, ["alice"]))
    call.renegotiate(call.alice)
    before = len(call.received(call.bob, AUDIO))
    call.talk(0.5)
    assert len(call.received(call.bob, AUDIO)) > before + 10


def test_media_goes_on_through_a_restart_of_ice(call: Call) -> None:
    call.talk(0.5)
    call.alice.run(lambda _: call.alice.engine.restart_ice())
    call.renegotiate(call.alice)
    for _ in range(20):
        call.talk(0.1)
        pass_candidates(call.alice, call.bob)
    call.network.run_for(0.5)
    for sender, receiver in ((call.alice, call.bob), (call.bob, call.alice)):
        assert len(call.received(receiver, VIDEO)) == len(call.sent[sender, VIDEO])
    assert call.heard(call.bob, TrackMuted) == []


def test_media_is_relayed() -> None:
    call = Call(options=PeerOptions(media=CAPABILITIES, relay_only=True))
    call.add_tracks(call.alice)
    call.connect()
    call.talk(1.0)
    call.network.run_for(0.5)
    assert [frame.data for frame in call.received(call.bob, VIDEO)] == [
        frame.data for frame in call.sent[call.alice, VIDEO]
    ]


def test_a_peer_without_media_is_called_for_its_channels_alone() -> None:
    call = Call(options=PeerOptions())
    call.add_tracks(call.alice)
    call.alice.create_channel()
    call.connect()
    call.network.run_until(lambda: call.alice.opened, timeout=2)
    call.talk(0.2, call.alice)
    assert call.bob.engine.transceivers == ()
    assert (call.alice, VIDEO) not in call.sent


def test_media_is_added_to_channels_and_channels_to_media(call: Call) -> None:
    chat = call.alice.create_channel()
    call.renegotiate(call.alice)
    call.network.run_until(lambda: call.alice.opened, timeout=2)
    call.alice.send(chat, "beside")
    call.talk(0.5)
    assert [data for _, data in call.bob.messages] == ["beside"]
    other = Call()
    first = other.alice.create_channel()
    other.connect()
    other.network.run_until(lambda: other.alice.opened, timeout=2)
    other.add_tracks(other.bob)
    other.renegotiate(other.bob)
    other.alice.send(first, "first")
    other.talk(0.5)
    assert [data for _, data in other.bob.messages] == ["first"]
    assert other.received(other.alice, VIDEO)


def test_a_lost_key_frame_is_asked_for(call: Call) -> None:
    call.talk(0.5)
    (_, video) = call.bob.engine.transceivers
    call.bob.run(lambda now: call.bob.engine.request_key_frame(video, now))
    call.network.run_for(0.1)
    assert call.heard(call.alice, KeyFrameRequested) == [call.alice.engine.transceivers[1]]
    before = len(call.received(call.bob, VIDEO))
    call.talk(0.2)
    assert [frame.is_key for frame in call.received(call.bob, VIDEO)[before:]][:2] == [True, False]


def test_a_packet_is_passed_on_as_it_came(call: Call) -> None:
    """From Alice to Bob, as a forwarder does with what it got elsewhere."""
    (audio, _) = call.alice.engine.transceivers
    (bobs, _) = call.bob.engine.transceivers
    call.bob.run(lambda _: call.bob.engine.media.keep_packets(bobs))
    for number in range(5):
        packet = RtpPacket(8, 100 + number, 960 * number, 7, b"\xf8" + bytes([number]))
        assert call.alice.run(partial(call.alice.engine.send_packet, audio, packet))
    call.network.run_for(0.1)
    packets = [call.bob.engine.media.poll_packet(bobs) for _ in range(5)]
    assert [packet.payload[1] for packet in packets if packet is not None] == [0, 1, 2, 3, 4]
    assert {packet.ssrc for packet in packets if packet is not None} == {audio.sender.ssrc}


def test_what_is_not_authentic_reaches_nothing(call: Call) -> None:
    """SR-2: a packet in the clear, one with a changed tag and one that is cut off are counted, and nothing else."""
    call.talk(0.2)
    media = call.bob.engine.media
    call.network.run_for(0.3)
    call.alice.keeps_sent = True
    call.talk(0.04, call.alice)
    data = next(data for _, data in call.alice.sent if data[0] & 0xC0 == 0x80)
    before = (media.transport.refused, media.router.learnt, media.router.unknown, len(call.bob.frames))
    transport = call.bob.engine.transport
    assert transport is not None
    reverse = transport.ice.agent.data_path
    assert reverse is not None
    clear = bytes.fromhex("80600001000000010000000700") + bytes(30)
    forged = [clear, data[:-1] + bytes([data[-1] ^ 1]), *(data[:size] for size in range(1, 40)), data]
    call.network.run_for(0.3)
    seen = (media.transport.refused, media.router.learnt, media.router.unknown)
    for packet in forged:
        call.bob.run(partial(call.bob.engine.handle_batch, [(packet, reverse)]))
    after = (media.transport.refused, media.router.learnt, media.router.unknown)
    assert after[0] == seen[0] + len(forged)  # the last is a replay
    assert after[1:] == seen[1:] == before[1:3]
    call.talk(0.5, call.alice)
    call.network.run_for(0.3)
    assert len(call.bob.frames) > before[3]


def test_statistics_tell_of_both_ends(call: Call) -> None:
    call.talk(7.0)
    now = call.network.clock.now
    report = collect_stats(call.alice.engine, call.network.clock.unix_time(now), now)
    outbound = {stats["kind"]: stats for stats in report.of_type("outbound-rtp")}
    inbound = {stats["kind"]: stats for stats in report.of_type("inbound-rtp")}
    assert set(outbound) == set(inbound) == {"audio", "video"}
    assert outbound["video"]["framesSent"] == len(call.sent[call.alice, VIDEO])
    assert inbound["video"]["framesReceived"] == len(call.received(call.alice, VIDEO))
    for stats in (*outbound.values(), *inbound.values()):
        assert report[str(stats["codecId"])]["type"] == "codec"
        remote = report[str(stats["remoteId"])]
        assert remote["localId"] == stats["id"]
        assert remote["ssrc"] == stats["ssrc"]
    codec, other = [stats for stats in report.of_type("codec") if stats["mimeType"] == "audio/opus"]
    assert {codec["codecType"], other["codecType"]} == {"encode", "decode"}
    assert (codec["clockRate"], codec["channels"], codec["sdpFmtpLine"]) == (48_000, 2, "minptime=10;useinbandfec=1")
    assert {stats["roundTripTime"] for stats in report.of_type("remote-inbound-rtp")}


def test_closing_says_goodbye_and_leaves_nothing(call: Call) -> None:
    call.talk(0.3)
    call.alice.run(call.alice.engine.close)
    call.network.run_for(0.5)
    assert len(call.heard(call.bob, TrackMuted)) == 2
    assert call.alice.engine.media.next_timeout() is None
    assert call.alice.engine.is_closed
    call.bob.run(call.bob.engine.close)
    call.network.run_for(5)
    assert call.bob.engine.next_timeout() is None
