"""Calls between two of ours over loopback: what comes out is what went in."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib.util
import itertools
import threading
from typing import cast

import pytest

from icelane.aio.event_target import Event
from icelane.aio.media.synthetic import TestCardTrack, ToneTrack
from icelane.aio.media_stream import MediaStream
from icelane.aio.media_stream_track import AudioStreamTrack, MediaStreamTrack, VideoStreamTrack
from icelane.aio.peer_connection import RTCPeerConnection
from icelane.aio.rtp_parameters import RTCRtpEncodingParameters
from icelane.errors import (
    InvalidAccessError,
    InvalidStateError,
    MediaStreamError,
    MissingExtraError,
    NotSupportedError,
)
from icelane.media.codecs.default import default_registry
from icelane.media.codecs.interface import Encoder, MediaFrame
from icelane.media.codecs.registry import CodecRegistry
from icelane.media.frame import EncodedFrame
from tests.aio.calls import call, hear, negotiate, pictures, read_clock, sounds
from tests.aio.peers import LOOPBACK, Signaling, configured, connect, pair, until
from tests.loops import Run, run_in

pytestmark = pytest.mark.realtime


def test_a_tone_and_a_test_card_reach_the_peer_both_ways(run: Run) -> None:
    async def main() -> None:
        back = (ToneTrack(1_000, level=-30), TestCardTrack(320, 240))
        async with call(ToneTrack(440, level=-12), TestCardTrack(320, 240), back=back) as made:
            assert [track.kind for track in made.bobs_tracks] == ["audio", "video"]
            _, _, late, late_back = await asyncio.gather(
                hear(made.bobs_tracks[0], 440, level=-12),
                hear(made.alices_tracks[0], 1_000, level=-30),
                read_clock(made.bobs_tracks[1], 12),
                read_clock(made.alices_tracks[1], 12),
            )
            assert all(one >= 0 for one in late + late_back)
            assert min(late + late_back) < 1_000

    run(main())


def test_frames_have_the_shape_that_programs_expect_and_times_without_a_gap(run: Run) -> None:
    async def main() -> None:
        async with call(ToneTrack(rate=16_000, channels=1), TestCardTrack(322, 242)) as made:
            heard = await sounds(made.bobs_tracks[0], 20)
            shape = {(one.format.name, one.layout.name, one.sample_rate, one.samples) for one in heard}
            assert shape == {("s16", "stereo", 48_000, 960)}
            assert heard[0].pts == 0
            for earlier, later in itertools.pairwise(heard):
                assert earlier.pts is not None
                assert later.pts is not None
                assert later.pts - earlier.pts - earlier.samples >= -24
            seen = await pictures(made.bobs_tracks[1], 5)
            assert {(one.format.name, one.width, one.height) for one in seen} == {("yuv420p", 322, 242)}
            assert all((one.pts or 0) % 3_000 == 0 for one in seen)  # as they were sent: 30 a second, of 90 000 Hz

    run(main())


def test_the_track_event_has_everything_and_streams_go_with_their_tracks(run: Run) -> None:
    async def main() -> None:
        async with pair() as (alice, bob):
            events: list[Event] = []
            bob.ontrack = events.append
            told: list[str] = []
            stream = MediaStream()
            sender = alice.addTrack(AudioStreamTrack(), stream)
            alice.addTrack(VideoStreamTrack(), stream)
            await connect(alice, bob)
            assert [event.track.kind for event in events] == ["audio", "video"]  # type: ignore[attr-defined]
            streams: list[list[MediaStream]] = [event.streams for event in events]  # type: ignore[misc]
            first = streams[0][0]
            assert streams == [[first], [first]]
            assert first.id == stream.id
            assert first.active
            assert [track.kind for track in first.getTracks()] == ["audio", "video"]
            assert events[0].transceiver is bob.getTransceivers()[0]
            assert events[0].receiver is bob.getReceivers()[0]
            first.on("removetrack", lambda track: told.append(f"removed {track.kind}"))
            first.on("addtrack", lambda track: told.append(f"added {track.kind}"))
            alice.removeTrack(sender)
            await connect(alice, bob)
            assert told == ["removed audio"]
            assert first.getTrackById(first.getVideoTracks()[0].id) is first.getTracks()[0]
            assert first.getAudioTracks() == []

    run(main())


def test_a_track_that_the_peers_answer_ends_is_taken_out_of_its_stream(run: Run) -> None:
    async def main() -> None:
        async with pair() as (alice, bob):
            for one in (alice, bob):
                for _ in range(2):
                    track = AudioStreamTrack()
                    one.addTrack(track, MediaStream([track]))
            events: list[Event] = []
            alice.ontrack = events.append
            await connect(alice, bob)
            streams: list[list[MediaStream]] = [event.streams for event in events]  # type: ignore[misc]
            ended = alice.getReceivers()[1].track
            told: list[MediaStreamTrack] = []
            for (stream,) in streams:
                stream.on("removetrack", told.append)
            await alice.setLocalDescription()
            assert alice.localDescription is not None
            await bob.setRemoteDescription(alice.localDescription)
            bob.getTransceivers()[1].stop()
            await bob.setLocalDescription()
            assert bob.localDescription is not None
            await alice.setRemoteDescription(bob.localDescription)
            assert ended.readyState == "ended"
            assert told == [ended]
            assert len(alice.getReceivers()) == 1

    run(main())


def test_a_track_is_removed_and_added_again_ten_times(run: Run) -> None:
    async def main() -> None:
        async with call(ToneTrack(500), TestCardTrack(160, 120)) as made:
            (audio, video) = made.alice.getSenders()
            assert await read_clock(made.bobs_tracks[1])
            for turn in range(10):
                made.alice.removeTrack(video)
                assert video.track is None
                await negotiate(made)
                assert made.alice.getTransceivers()[1].currentDirection == "inactive"
                assert made.bobs_tracks[-1].muted
                video = made.alice.addTrack(TestCardTrack(160, 120))
                await negotiate(made)
                late = await read_clock(made.bobs_tracks[-1], 2)
                assert all(0 <= one < 3_000 for one in late), turn
            assert audio.track is not None
            await hear(made.bobs_tracks[0], 500)

    run_in(asyncio.new_event_loop, main())


def test_negotiation_is_asked_for_and_perfect_negotiation_does_the_rest(run: Run) -> None:
    async def main() -> None:
        async with pair() as (alice, bob), Signaling(alice, bob):
            at_alice: list[MediaStreamTrack] = []
            at_bob: list[MediaStreamTrack] = []
            alice.on("track", at_alice.append)
            bob.on("track", at_bob.append)
            alice.addTrack(ToneTrack(700))
            bob.addTrack(ToneTrack(900))
            await until(lambda: at_alice and at_bob)
            await asyncio.gather(hear(at_alice[0], 900), hear(at_bob[0], 700))
            transceiver = alice.getTransceivers()[0]
            transceiver.stop()
            await until(lambda: transceiver.stopped and at_alice[0].readyState == "ended")
            await until(lambda: len(alice.getTransceivers()) == len(bob.getTransceivers()))

    run(main())


def test_statistics_are_named_as_browsers_name_them() -> None:
    async def main() -> None:
        async with call(ToneTrack(), TestCardTrack(320, 240)) as made:
            await asyncio.gather(sounds(made.bobs_tracks[0], 30), pictures(made.bobs_tracks[1], 20))
            stream = made.alice._engine.media.outbound(made.alice._engine.transceivers[1])
            assert stream is not None
            await until(lambda: stream.remote.reports_received)
            sent, received = await made.alice.getStats(), await made.bob.getStats()
            audio, video = sent.of_type("outbound-rtp")
            assert audio.kind == "audio"
            assert video.framesEncoded
            assert video.keyFramesEncoded == 1
            assert (video.frameWidth, video.frameHeight) == (320, 240)
            assert sent[str(video.codecId)].mimeType == "video/VP8"
            source = sent[str(video.mediaSourceId)]
            assert (source.type, source.width, source.kind) == ("media-source", 320, "video")
            assert sent[str(audio.mediaSourceId)].audioLevel == pytest.approx(0.1, rel=0.3)
            assert sent[str(video.remoteId)].type == "remote-inbound-rtp"
            assert {stats.kind for stats in received.of_type("inbound-rtp")} == {"audio", "video"}
            heard, seen = received.of_type("inbound-rtp")
            assert heard.audioLevel == pytest.approx(0.1, rel=0.3)
            assert seen.framesDecoded
            assert seen.keyFramesDecoded == 1
            assert seen.trackIdentifier == made.bobs_tracks[1].id
            assert 5 <= int(seen.framesPerSecond) <= 31
            assert float(seen.totalInterFrameDelay) > 0.3
            assert 0 <= float(seen.timestamp) - float(seen.lastPacketReceivedTimestamp) < 2_000
            assert video.qualityLimitationReason == "none"
            assert video.hugeFramesSent in (0, 1)
            a_frame = float(video.targetBitrate) / 8 / 30
            assert video.totalEncodedBytesTarget == pytest.approx(a_frame * float(video.framesEncoded), rel=0.05)
            assert not {"hugeFramesSent", "totalEncodedBytesTarget"} & audio.keys()
            assert sent["T"].selectedCandidatePairChanges == 1
            one = await made.alice.getStats(made.alice.getSenders()[1].track)
            assert {stats.type for stats in one.values()} >= {
                "outbound-rtp", "media-source", "codec", "transport", "candidate-pair", "remote-inbound-rtp",
            }  # fmt: skip
            assert len(one.of_type("outbound-rtp")) == 1
            by_receiver = await made.bob.getReceivers()[0].getStats()
            assert [stats.kind for stats in by_receiver.of_type("inbound-rtp")] == ["audio"]
            with pytest.raises(InvalidAccessError):
                await made.alice.getStats(ToneTrack())

    run_in(asyncio.new_event_loop, main())


def test_the_end_of_the_connection_ends_tracks_and_leaves_nothing() -> None:
    """Twenty calls, one after the other: no task, no thread and no object of one is left."""

    async def main() -> None:
        async def one() -> None:
            async with call(ToneTrack(), TestCardTrack(160, 120), back=(ToneTrack(),)) as made:
                tracks = made.bobs_tracks
                ended: list[str] = []
                for track in tracks:
                    track.on("ended", lambda kind=track.kind: ended.append(kind))
                readers = [asyncio.ensure_future(_read_to_the_end(track)) for track in tracks]
                await until(lambda: not any(track.muted for track in tracks))
                await made.bob.close()
                assert ended == ["audio", "video"]
                await asyncio.gather(*readers)
                with pytest.raises(InvalidStateError):
                    made.bob.addTrack(ToneTrack())
                with pytest.raises(MediaStreamError):
                    await tracks[0].recv()

        await one()
        gc.collect()
        before = [one for one in gc.get_objects() if isinstance(one, RTCPeerConnection)]  # of other tests
        tasks = asyncio.all_tasks()
        threads = set(threading.enumerate())
        for _ in range(20):
            await one()
        assert asyncio.all_tasks() == tasks
        left = {thread.name for thread in set(threading.enumerate()) - threads if thread.is_alive()}
        assert not {name for name in left if name.startswith("media-worker-")}
        gc.collect()
        connections = [one for one in gc.get_objects() if isinstance(one, RTCPeerConnection)]
        assert not [one for one in connections if one not in before]

    run_in(asyncio.new_event_loop, main())


async def _read_to_the_end(track: MediaStreamTrack) -> None:
    with contextlib.suppress(MediaStreamError):
        while True:
            await track.recv()
    assert track.readyState == "ended"


def test_arguments_are_looked_at(run: Run) -> None:
    async def main() -> None:
        async with pair() as (alice, bob):
            track = ToneTrack()
            sender = alice.addTrack(track)
            with pytest.raises(InvalidAccessError):
                alice.addTrack(track)
            with pytest.raises(TypeError):
                alice.addTrack("audio")  # type: ignore[arg-type]
            with pytest.raises(InvalidAccessError):
                bob.removeTrack(sender)
            with pytest.raises(TypeError):
                alice.addTransceiver("text")
            with pytest.raises(TypeError):
                alice.addTransceiver("audio", "both")  # type: ignore[arg-type]
            with pytest.raises(NotSupportedError):
                alice.addTransceiver(
                    "video", sendEncodings=[RTCRtpEncodingParameters(rid="a"), RTCRtpEncodingParameters()]
                )
            with pytest.raises(ValueError, match="scaleResolutionDownBy"):
                alice.addTransceiver("video", sendEncodings=[RTCRtpEncodingParameters(scaleResolutionDownBy=0.5)])
            assert len(alice.getTransceivers()) == 1

    run(main())


def test_without_pyav_media_is_refused_and_data_goes_on(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine without the extra: the error names it, and a peer's media is rejected."""
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "av" else found(name, *more))
    bare = default_registry()
    monkeypatch.undo()

    async def main() -> None:
        async with pair(LOOPBACK, configured(codecs=bare)) as (alice, bob):
            monkeypatch.setattr(importlib.util, "find_spec", lambda name, *_: None if name == "av" else found(name))
            with pytest.raises(MissingExtraError, match=r"icelane\[media\]"):
                bob.addTrack(AudioStreamTrack())
            monkeypatch.undo()
            alice.addTrack(AudioStreamTrack())
            channel = alice.createDataChannel("chat")
            await connect(alice, bob)
            await channel.opened()
            assert bob.getTransceivers() == []
            assert bob.localDescription is not None
            # Its transport is that of the bundle, so that it stays, and carries nothing (decision 0035).
            assert "a=inactive" in bob.localDescription.sdp
            assert alice.getTransceivers()[0].currentDirection == "inactive"

    run(main())


def test_a_registry_of_the_programs_decides_what_is_offered(run: Run) -> None:
    async def main() -> None:
        registry, known = CodecRegistry(), default_registry()
        for entry in known.entries():
            if entry.codec.name == "PCMU":
                registry.register(entry.codec, encoder=entry.encoder, decoder=entry.decoder)
        async with call(ToneTrack(500), one=configured(codecs=registry)) as made:
            assert made.alice.localDescription is not None
            assert "opus" not in made.alice.localDescription.sdp
            await hear(made.bobs_tracks[0], 500)

    run(main())


def test_codecs_of_the_programs_that_fail_end_no_connection(caplog: pytest.LogCaptureFixture) -> None:
    """What a program brings may raise anything: a frame is lost, and told of once."""
    known = default_registry()
    pcmu = next(entry for entry in known.entries() if entry.codec.name == "PCMU")
    assert pcmu.encoder is not None
    calls: list[int] = []

    class Stumbling:
        def __init__(self, encoder: Encoder) -> None:
            self._encoder = encoder

        def encode(self, frame: MediaFrame, *, force_key_frame: bool = False) -> list[EncodedFrame]:
            calls.append(1)
            if len(calls) < 4:
                raise ZeroDivisionError("my encoder")
            return self._encoder.encode(frame, force_key_frame=force_key_frame)

        def __getattr__(self, name: str) -> object:
            return getattr(self._encoder, name)

    registry = CodecRegistry()
    encoder = pcmu.encoder
    registry.register(
        pcmu.codec,
        encoder=lambda codec, settings: cast(Encoder, Stumbling(encoder(codec, settings))),
        decoder=pcmu.decoder,
    )

    async def main() -> None:
        async with call(ToneTrack(500), one=configured(codecs=registry)) as made:
            await hear(made.bobs_tracks[0], 500)
            assert caplog.text.count("was not encoded") == 1
            assert made.alice.connectionState == "connected"

    run_in(asyncio.new_event_loop, main())


def test_after_the_end_transceivers_are_those_that_there_were(run: Run) -> None:
    async def main() -> None:
        async with call(ToneTrack()) as made:
            (before,) = made.bob.getTransceivers()
            await made.bob.close()
            assert made.bob.getTransceivers() == [before]
            assert before.receiver.track.readyState == "ended"
            with pytest.raises(InvalidStateError):
                before.direction = "inactive"
            assert not before.sender.send_encoded(EncodedFrame(data=b"", timestamp=0))
            before.receiver.request_key_frame()

    run(main())


def test_who_answers_sends_by_the_transceiver_of_the_offer(run: Run) -> None:
    """What a server does that a browser calls: it adds its track when it has been told of the caller's."""

    async def main() -> None:
        async with pair() as (alice, bob):
            heard: list[MediaStreamTrack] = []
            alice.on("track", heard.append)
            echo = ToneTrack(800)
            bob.on("track", lambda _: bob.addTrack(echo))
            alice.addTrack(ToneTrack(440))
            await connect(alice, bob)
            (transceiver,) = bob.getTransceivers()
            assert (transceiver.direction, transceiver.currentDirection) == ("sendrecv", "sendrecv")
            assert transceiver.sender.track is echo
            await hear(heard[0], 800)
            await hear(transceiver.receiver.track, 440)

    run(main())


def test_a_sender_without_a_track_gets_one_later(run: Run) -> None:
    async def main() -> None:
        async with pair() as (alice, bob):
            transceiver = alice.addTransceiver("audio", "sendonly")
            await connect(alice, bob)
            await transceiver.sender.replaceTrack(ToneTrack(650))
            await hear(bob.getReceivers()[0].track, 650)

    run(main())
