"""What goes out: tracks, limits, and frames that are encoded elsewhere."""

from __future__ import annotations

import asyncio
from fractions import Fraction

import pytest

from icelane.aio.media.synthetic import TestCardTrack, ToneTrack
from icelane.aio.media_stream_track import AudioStreamTrack, MediaStreamTrack, TrackFrame
from icelane.aio.rtp_parameters import RTCRtpEncodingParameters
from icelane.aio.rtp_sender import RTCRtpSender
from icelane.aio.session_description import RTCSessionDescription
from icelane.errors import InvalidModificationError, InvalidStateError
from icelane.media.codec import MediaKind
from icelane.media.codecs.capability import AV1, PCMU, VP8
from icelane.media.codecs.interface import MIN_BITRATE
from icelane.media.frame import EncodedFrame
from icelane.media.pyav import av
from icelane.media.synthetic.clock_card import read_card
from icelane.rtp.header_extension import PLAYOUT_DELAY, PlayoutDelay, parse_playout_delay
from icelane.rtp.rtcp import ReceiverEstimatedMaximumBitrate
from tests.aio.calls import (
    Call,
    EncodedTrack,
    call,
    encoded_pictures,
    encoded_sound,
    hear,
    negotiate,
    pictures,
    read_clock,
    sounds,
)  # fmt: skip
from tests.aio.peers import connect, pair, until
from tests.loops import Run, run_in

pytestmark = pytest.mark.realtime


async def limits(made: Call, **wanted: object) -> RTCRtpSender:
    """Set them for the last sender."""
    sender = made.alice.getSenders()[-1]
    parameters = sender.getParameters()
    for name, value in wanted.items():
        setattr(parameters.encodings[0], name, value)
    await sender.setParameters(parameters)
    return sender


async def bits_per_second(made: Call, seconds: float) -> float:
    async def received() -> int:
        (stats,) = (await made.bob.getStats()).of_type("inbound-rtp")
        return int(stats.bytesReceived)

    before = await received()
    await asyncio.sleep(seconds)
    return (await received() - before) * 8 / seconds


def test_a_track_is_replaced_without_negotiation_and_times_go_on(run: Run) -> None:
    async def main() -> None:
        async with call(ToneTrack(440)) as made:
            (track,), (sender,) = made.bobs_tracks, made.alice.getSenders()
            await hear(track, 440)
            (before,) = await sounds(track, 1)
            await sender.replaceTrack(ToneTrack(1_200))
            assert sender.track is not None
            await hear(track, 1_200)
            (after,) = await sounds(track, 1)
            assert before.pts is not None
            assert after.pts is not None
            assert 0 < (after.pts - before.pts) / 48_000 < 5
            with pytest.raises(TypeError):
                await sender.replaceTrack(TestCardTrack())
            await sender.replaceTrack(None)
            assert made.alice.signalingState == "stable"
            assert sender.track is None

    run(main())


def test_a_replaced_picture_begins_with_a_key_frame(run: Run) -> None:
    async def main() -> None:
        async with call(TestCardTrack(160, 120, number=lambda: 1)) as made:
            (track,) = made.bobs_tracks
            assert read_card((await pictures(track, 1))[0]) == 1
            await made.alice.getSenders()[0].replaceTrack(TestCardTrack(320, 240, number=lambda: 2))
            async with asyncio.timeout(5):
                while read_card(picture := (await pictures(track, 1))[0]) != 2:
                    pass
            assert picture.width == 320

    run(main())


def test_the_bitrate_keeps_to_its_limit() -> None:
    async def main() -> None:
        async with call(TestCardTrack(640, 480)) as made:
            await read_clock(made.bobs_tracks[0], 10)
            await limits(made, maxBitrate=150_000)
            await read_clock(made.bobs_tracks[0], 15)
            assert await bits_per_second(made, 1.5) < 260_000
            (stats,) = (await made.alice.getStats()).of_type("outbound-rtp")
            assert stats.targetBitrate == 150_000
            assert stats.keyFramesEncoded == 1

    run_in(asyncio.new_event_loop, main())


def test_frame_rate_and_size_keep_to_their_limits() -> None:
    async def main() -> None:
        async with call(TestCardTrack(640, 480)) as made:
            await read_clock(made.bobs_tracks[0], 5)
            await limits(made, maxFramerate=10, scaleResolutionDownBy=2)
            async with asyncio.timeout(5):
                while (await pictures(made.bobs_tracks[0], 1))[0].width != 320:
                    pass
            seen = await pictures(made.bobs_tracks[0], 6, skip=2)
            assert {(one.width, one.height) for one in seen} == {(320, 240)}
            times = [one.pts / 90_000 for one in seen if one.pts is not None]
            assert (times[-1] - times[0]) / 5 >= 0.09

    run_in(asyncio.new_event_loop, main())


def test_nothing_is_sent_while_the_encoding_is_not_active(run: Run) -> None:
    async def main() -> None:
        async with call(ToneTrack()) as made:
            await sounds(made.bobs_tracks[0], 5)
            await limits(made, active=False)
            await asyncio.sleep(0.05)
            stream = made.alice._engine.media.outbound(made.alice._engine.transceivers[0])
            assert stream is not None
            sent = stream.statistics.packets_sent
            await asyncio.sleep(0.2)
            assert stream.statistics.packets_sent == sent
            await limits(made, active=True)
            await until(lambda: stream.statistics.packets_sent > sent + 5)

    run(main())


def test_parameters_are_those_that_were_asked_for_last(run: Run) -> None:
    async def main() -> None:
        async with call(ToneTrack()) as made:
            (sender,) = made.alice.getSenders()
            old, parameters = sender.getParameters(), sender.getParameters()
            assert parameters.codecs[0].mimeType == "audio/opus"
            assert parameters.codecs[0].channels == 2
            assert parameters.rtcp.cname
            assert "urn:ietf:params:rtp-hdrext:sdes:mid" in {one.uri for one in parameters.headerExtensions}
            await sender.setParameters(old)
            with pytest.raises(InvalidStateError):
                await sender.setParameters(parameters)
            parameters = sender.getParameters()
            parameters.encodings.append(RTCRtpEncodingParameters())
            with pytest.raises(InvalidModificationError):
                await sender.setParameters(parameters)
            parameters = sender.getParameters()
            parameters.codecs = []
            with pytest.raises(InvalidModificationError):
                await sender.setParameters(parameters)
            parameters = sender.getParameters()
            parameters.encodings[0].maxFramerate = -1
            with pytest.raises(ValueError, match="maxFramerate"):
                await sender.setParameters(parameters)

    run(main())


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("maxBitrate", float("nan"), TypeError),
        ("maxBitrate", True, TypeError),
        ("maxBitrate", "100000", TypeError),
        ("maxBitrate", 0, ValueError),
        ("maxBitrate", 2**32, ValueError),
        ("maxFramerate", float("inf"), TypeError),
        ("maxFramerate", [15], TypeError),
        ("maxFramerate", -0.5, ValueError),
        ("scaleResolutionDownBy", float("nan"), TypeError),
        ("scaleResolutionDownBy", "2", TypeError),
        ("scaleResolutionDownBy", 0.5, ValueError),
        ("active", 1, TypeError),
        ("active", "no", TypeError),
    ],
)
def test_encodings_that_are_none_are_refused(run: Run, name: str, value: object, error: type[Exception]) -> None:
    async def main() -> None:
        async with pair() as (alice, _):
            wrong = RTCRtpEncodingParameters()
            setattr(wrong, name, value)
            with pytest.raises(error, match=name if name != "active" else None):
                alice.addTransceiver("video", sendEncodings=[wrong])
            sender = alice.addTransceiver("video").sender
            parameters = sender.getParameters()
            setattr(parameters.encodings[0], name, value)
            with pytest.raises(error):
                await sender.setParameters(parameters)
            parameters.encodings[0] = RTCRtpEncodingParameters(maxBitrate=250e3)  # type: ignore[arg-type]  # as Web IDL
            await sender.setParameters(parameters)
            assert repr(sender.getParameters().encodings[0].maxBitrate) == "250000"

    run(main())


def test_no_picture_is_sent_at_a_rate_of_0(run: Run) -> None:
    async def main() -> None:
        async with call(TestCardTrack(160, 120)) as made:
            await read_clock(made.bobs_tracks[0], 3)
            sender = await limits(made, maxFramerate=0)
            await asyncio.sleep(0.2)
            before = sender._pump.counts.frames_encoded
            await asyncio.sleep(0.3)
            assert sender._pump.counts.frames_encoded == before
            await limits(made, maxFramerate=1e9)
            await read_clock(made.bobs_tracks[0], 10)
            assert sender._pump.counts.key_frames_encoded == 1

    run(main())


def test_capabilities_are_those_of_the_machine() -> None:
    audio, video = RTCRtpSender.getCapabilities("audio"), RTCRtpSender.getCapabilities("video")
    assert audio is not None
    assert video is not None
    assert [codec.mimeType for codec in audio.codecs[:2]] == ["audio/opus", "audio/G722"]
    assert {"video/VP8", "video/H264", "video/rtx"} <= {codec.mimeType for codec in video.codecs}
    assert RTCRtpSender.getCapabilities("text") is None


def test_a_key_frame_is_sent_when_the_peer_asks_for_one(run: Run) -> None:
    """PLI reaches the encoder, and the program."""

    async def main() -> None:
        async with call(TestCardTrack(160, 120)) as made:
            asked: list[None] = []
            made.alice.getSenders()[0].on("keyframerequest", lambda: asked.append(None))
            await read_clock(made.bobs_tracks[0], 5)
            receiver = made.bob.getReceivers()[0]
            receiver.request_key_frame()
            await until(lambda: receiver._pump.counts.key_frames_decoded == 0 or asked)
            await read_clock(made.bobs_tracks[0], 10)
            assert receiver._pump.counts.key_frames_decoded == 2
            assert asked == [None]
            (stats,) = (await made.alice.getStats()).of_type("outbound-rtp")
            assert stats.pliCount == 1

    run(main())


def test_encoded_frames_are_sent_as_they_are(run: Run) -> None:
    """A track of encoded frames goes through without a codec, by the codec that it names."""

    async def main() -> None:
        sound, seen = encoded_sound(200), encoded_pictures(40)
        audio, video = EncodedTrack(sound, MediaKind.AUDIO, PCMU), EncodedTrack(seen, MediaKind.VIDEO, VP8)
        async with call(audio, video) as made:
            _, first = await asyncio.gather(hear(made.bobs_tracks[0], 500), pictures(made.bobs_tracks[1], 10))
            numbers = [read_card(picture) for picture in first]
            assert numbers == list(range(numbers[0] or 0, (numbers[0] or 0) + 10))
            (stats, _) = (await made.alice.getStats()).of_type("outbound-rtp")
            assert (await made.alice.getStats())[str(stats.codecId)].mimeType == "audio/PCMU"
            await until(lambda: video.readyState == "ended")

    run(main())


def test_a_program_sends_encoded_frames_without_a_track(run: Run) -> None:
    async def main() -> None:
        async with pair() as (alice, bob):
            transceiver = alice.addTransceiver("video", "sendonly")
            tracks: list[MediaStreamTrack] = []
            bob.on("track", tracks.append)
            frames = encoded_pictures(20)
            assert not transceiver.sender.send_encoded(frames[0])
            await connect(alice, bob)
            reading = asyncio.ensure_future(pictures(tracks[0], 15))
            for frame in frames:
                assert transceiver.sender.send_encoded(frame)
                await asyncio.sleep(0.01)
            assert [read_card(picture) for picture in await reading] == list(range(15))
            assert [(one.pts or 0) for one in await reading] == [index * 1_800 for index in range(15)]
            with pytest.raises(InvalidStateError):
                transceiver.sender.send_encoded(EncodedFrame(data=b"\x10", timestamp=0, payload_type=5))

    run(main())


def test_a_track_whose_codec_the_peer_does_not_take_is_not_sent(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        track = EncodedTrack(encoded_pictures(5), MediaKind.VIDEO, AV1)
        async with pair() as (alice, bob):
            transceiver = alice.addTransceiver(track)
            preferred = [one for one in RTCRtpSender.getCapabilities("video").codecs if one.mimeType == "video/VP8"]  # type: ignore[union-attr]
            transceiver.setCodecPreferences(preferred)
            await connect(alice, bob)
            await until(lambda: track.readyState == "ended")
            stream = alice._engine.media.outbound(alice._engine.transceivers[0])
            assert stream is not None
            assert stream.statistics.packets_sent == 0
            assert caplog.text.count("the peer takes no video/AV1") == 1

    run(main())


class FailingTrack(AudioStreamTrack):
    """Its third frame is an accident."""

    def __init__(self) -> None:
        super().__init__()
        self.given = 0

    async def recv(self) -> TrackFrame:
        self.given += 1
        if self.given == 3:
            raise RuntimeError("the microphone fell")
        return await super().recv()


def test_a_track_that_fails_ends_nothing_but_itself(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with call(FailingTrack(), TestCardTrack(160, 120)) as made:
            await read_clock(made.bobs_tracks[1], 5)
            assert made.alice.connectionState == "connected"
            assert "the microphone fell" in caplog.text
            await made.alice.getSenders()[0].replaceTrack(ToneTrack(600))
            await hear(made.bobs_tracks[0], 600)

    run(main())


class EagerTrack(MediaStreamTrack):
    """Gives frames as fast as they are taken, which is what a file that is read does."""

    kind = "video"

    def __init__(self) -> None:
        super().__init__()
        self.given = 0

    async def recv(self) -> TrackFrame:
        await asyncio.sleep(0)
        self.given += 1
        frame = av.VideoFrame(160, 120, "yuv420p")
        frame.pts, frame.time_base = self.given, Fraction(1, 30)
        return frame


def test_frames_are_sent_when_their_times_say(run: Run) -> None:
    async def main() -> None:
        track, loop = EagerTrack(), asyncio.get_running_loop()
        async with call(track) as made:
            start, given = loop.time(), track.given
            await pictures(made.bobs_tracks[0], 15)
            taken = track.given - given
            assert taken <= (loop.time() - start) * 30 + 15  # a quarter of a second ahead at most

    run(main())


def estimate(made: Call, bitrate: int, *senders: RTCRtpSender) -> None:
    """Bob says what these together may take."""
    streams = [made.alice._engine.media.outbound(sender._transceiver) for sender in senders]
    named = tuple(stream.options.ssrc for stream in streams if stream is not None)
    packets = made.bob._engine.media.transport.protect_rtcp([ReceiverEstimatedMaximumBitrate(1, bitrate, named)])
    made.alice._driver.run(lambda now: made.alice._engine.media.handle_packets(packets, now))


def test_an_estimate_is_shared_by_the_pictures_that_it_names(run: Run) -> None:
    """However many there were when the last one came; what was not named keeps what it had."""

    async def main() -> None:
        async with call(TestCardTrack(160, 120)) as made:
            (first,) = made.alice.getSenders()
            told: list[int] = []
            first.on("bitratelimit", told.append)
            await read_clock(made.bobs_tracks[0], 3)
            estimate(made, 200_000, first)
            second = made.alice.addTrack(TestCardTrack(160, 120))
            await negotiate(made)
            await asyncio.gather(*(read_clock(track, 3) for track in made.bobs_tracks))

            async def aims_at(one: int, other: int) -> None:
                await until(lambda: [sender._pump.counts.target_bitrate for sender in (first, second)] == [one, other])

            estimate(made, 200_000, first, second)
            await aims_at(100_000, 100_000)
            assert told == [200_000, 100_000]
            estimate(made, 75_000, second)
            await aims_at(100_000, 75_000)
            made.alice.removeTrack(second)
            await negotiate(made)
            assert told == [200_000, 100_000, 200_000]
            estimate(made, 200_000, first)
            await aims_at(200_000, 75_000)
            assert told == [200_000, 100_000, 200_000]

    run(main())


def test_what_the_peer_takes_is_never_passed(run: Run) -> None:
    """REMB reaches the encoder; two streams of pictures share what it says."""

    async def main() -> None:
        async with call(TestCardTrack(160, 120), TestCardTrack(160, 120)) as made:
            told: list[int] = []
            (first, second) = made.alice.getSenders()
            first.on("bitratelimit", told.append)
            await asyncio.gather(*(read_clock(track, 3) for track in made.bobs_tracks))
            estimate(made, 100_000, first, second)
            await asyncio.gather(*(read_clock(track, 10) for track in made.bobs_tracks))
            assert told == [50_000]
            assert [sender._pump.counts.target_bitrate for sender in (first, second)] == [50_000, 50_000]
            reasons = [one.qualityLimitationReason for one in (await made.alice.getStats()).of_type("outbound-rtp")]
            assert reasons == ["bandwidth", "bandwidth"]
            await limits(made, maxBitrate=30_000)
            await read_clock(made.bobs_tracks[1], 10)
            reasons = [one.qualityLimitationReason for one in (await made.alice.getStats()).of_type("outbound-rtp")]
            assert "none" in reasons
            assert second._pump.counts.target_bitrate == 30_000
            assert second._pump.counts.key_frames_encoded == 1

    run(main())


def test_a_peer_that_takes_nothing_is_sent_the_least_from_another_track_too(run: Run) -> None:
    async def main() -> None:
        async with call(ToneTrack(440)) as made:
            (sender,) = made.alice.getSenders()
            await sounds(made.bobs_tracks[0], 5)
            estimate(made, 0, sender)
            await sender.replaceTrack(ToneTrack(660))
            before = sender._pump.counts.frames_encoded
            await until(lambda: sender._pump.counts.frames_encoded > before + 20)
            assert sender._pump.counts.target_bitrate == MIN_BITRATE

    run(main())


@pytest.mark.parametrize(
    ("lines", "milliseconds"),
    [("a=ptime:60", 60), ("a=ptime:10", 10), ("a=ptime:60\r\na=maxptime:40", 40), ("a=maxptime:15", 10)],
)
@pytest.mark.parametrize("codec", ["opus", "PCMU"])
def test_packets_hold_as_much_sound_as_the_peer_asks_for(
    run: Run, monkeypatch: pytest.MonkeyPatch, lines: str, milliseconds: int, codec: str
) -> None:
    """RFC 8866 section 6.5."""

    async def main() -> None:
        async with pair() as (alice, bob):
            transceiver = alice.addTransceiver(ToneTrack(500))
            codecs = [one for one in RTCRtpSender.getCapabilities("audio").codecs if codec in one.mimeType]  # type: ignore[union-attr]
            transceiver.setCodecPreferences(codecs)
            set_remote = alice.setRemoteDescription

            async def set_answer(answer: RTCSessionDescription) -> None:
                text = answer.sdp.replace("a=rtcp-mux\r\n", f"a=rtcp-mux\r\n{lines}\r\n")
                await set_remote(RTCSessionDescription(text, answer.type))

            monkeypatch.setattr(alice, "setRemoteDescription", set_answer)
            await connect(alice, bob)
            packets = bob.getReceivers()[0].rtp_packets()
            first = await asyncio.wait_for(anext(packets), 10)
            apart = (await anext(packets)).timestamp - first.timestamp & 0xFFFFFFFF
            assert apart == milliseconds * (48 if codec == "opus" else 8)
            await hear(bob.getReceivers()[0].track, 500)

    run(main())


def test_a_wish_for_a_playout_delay_goes_with_the_pictures(run: Run) -> None:
    async def main() -> None:
        async with call(TestCardTrack(160, 120)) as made:
            sender, receiver = made.alice.getSenders()[0], made.bob.getReceivers()[0]
            assert sender.playoutDelay is None
            sender.playoutDelay = (300, 900)
            number = {one.uri: one.id for one in receiver.getParameters().headerExtensions}[PLAYOUT_DELAY]
            packets = receiver.rtp_packets()
            while (data := (await anext(packets)).extension(number)) is None:
                pass
            assert parse_playout_delay(data) == PlayoutDelay(0.3, 0.9)
            await packets.aclose()  # type: ignore[attr-defined]
            await pictures(made.bobs_tracks[0], 15)
            assert min(await read_clock(made.bobs_tracks[0], 5)) > 250
            with pytest.raises(ValueError, match="playoutDelay"):
                sender.playoutDelay = (5, 1)

    run(main())
