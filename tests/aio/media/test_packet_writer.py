"""Tracks that are encoded already, in files that are read back: every frame as it was, at its time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest

from icelane.aio.encoded_track import EncodedTrack
from icelane.aio.media.player import MediaPlayer
from icelane.aio.media.recorder import MediaRecorder
from icelane.aio.media.recording import Recording
from icelane.aio.media_stream_track import MediaStreamTrack
from icelane.aio.peer_connection import RTCPeerConnection
from icelane.errors import InvalidStateError, MediaStreamError, NotSupportedError, OperationError
from icelane.media.codec import MediaKind, RtpCodec
from icelane.media.codecs.capability import AV1, G722, H264, H265, OPUS, PCMA, PCMU, VP8, VP9
from icelane.media.codecs.default import default_registry
from icelane.media.codecs.interface import EncoderSettings
from icelane.media.frame import EncodedFrame
from icelane.media.pyav import av
from icelane.media.synthetic.clock_card import read_card
from icelane.media.synthetic.sound import measure_tone
from tests.aio.media.files import GivenTrack, clock_errors, packed, pictures, read_file, sounds, write_file
from tests.aio.media.test_recorded_call import LARGEST_OFFSET, Bursts, Cards, Clock, find_bursts
from tests.aio.peers import LOOPBACK, connect
from tests.loops import Run
from tests.media.codecs.material import encoded as encode

ENCODERS = {entry.codec for entry in default_registry().entries() if entry.encoder}
FIRST_TIMESTAMP = 0xFFFFFFFF - 20_000  # it wraps within the file


def encoded_pictures(codec: RtpCodec, count: int = 30) -> list[EncodedFrame]:
    """Test cards, as a receiver gives them."""
    if codec not in ENCODERS:
        pytest.skip(f"FFmpeg has no encoder of {codec.name}")
    encoder = default_registry().encoder(codec, EncoderSettings(bitrate=500_000))
    return on_the_wire(encode(encoder, pictures(count)))


def encoded_sounds(codec: RtpCodec, count: int = 50) -> list[EncodedFrame]:
    """A tone, as a receiver gives it."""
    return on_the_wire(encode(default_registry().encoder(codec), sounds(count)))


def on_the_wire(frames: Iterable[EncodedFrame]) -> list[EncodedFrame]:
    given = list(frames)
    for frame in given:
        frame.timestamp = (frame.timestamp + FIRST_TIMESTAMP) & 0xFFFFFFFF
    return given


class EncodedGivenTrack(GivenTrack):
    """Encoded frames of a codec."""

    def __init__(self, codec: RtpCodec, frames: Iterable[EncodedFrame]) -> None:
        super().__init__(codec.kind, frames)
        self.codec = codec


def record(path: Path, codecs: dict[RtpCodec, list[EncodedFrame]]) -> None:
    recording = Recording(av.open(str(path), mode="w"))
    numbers = {codec: recording.expect(codec.kind, codec) for codec in codecs}
    frames = [(frame, codec) for codec, given in codecs.items() for frame in given]
    for frame, codec in sorted(frames, key=lambda one: age(*one)):
        recording.write_encoded(numbers[codec], frame, codec, 50 + age(frame, codec))
    recording.close()


def age(frame: EncodedFrame, codec: RtpCodec) -> float:
    return float((frame.timestamp - FIRST_TIMESTAMP & 0xFFFFFFFF) / codec.clock_rate)


def packets(path: Path, kind: str) -> list[bytes]:
    with av.open(str(path)) as container:
        [stream] = [one for one in container.streams if one.type == kind]
        return [bytes(packet) for packet in container.demux(stream) if packet.size]


@pytest.mark.parametrize(
    ("codec", "extension"),
    [
        *((codec, extension) for codec in (VP8, VP9, AV1) for extension in ("mkv", "webm")),
        *((codec, extension) for codec in (H264[2], H264[6], H265) for extension in ("mkv", "mp4")),
        *((codec, "mp4") for codec in (VP9, AV1)),
    ],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_pictures_and_sound_are_in_the_file_as_they_were_encoded(
    codec: RtpCodec, extension: str, tmp_path: Path
) -> None:
    path = tmp_path / f"file.{extension}"
    given, heard = encoded_pictures(codec), encoded_sounds(OPUS, 60)
    record(path, {codec: given, OPUS: heard})
    found = packets(path, "video")
    assert len(found) == len(given)
    if codec in (VP8, VP9):
        assert found == [frame.data for frame in given]
    assert packets(path, "audio") == [frame.data for frame in heard]
    _, seen = read_file(path)
    assert len(seen) == 30
    assert {round(error / 2) for error in clock_errors(seen)} <= {0, 1, -1}


@pytest.mark.parametrize(
    ("codec", "extension"),
    [(OPUS, "ogg"), (OPUS, "opus"), (OPUS, "webm"), (OPUS, "mkv"), (OPUS, "mp4"), (PCMU, "wav"), (PCMA, "wav")],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_sound_alone_is_heard_at_its_times(codec: RtpCodec, extension: str, tmp_path: Path) -> None:
    path = tmp_path / f"file.{extension}"
    given = encoded_sounds(codec)
    record(path, {codec: given})
    assert b"".join(packets(path, "audio")) == b"".join(frame.data for frame in given)
    heard, _ = read_file(path)
    measured = measure_tone(packed(heard)[5:-5])
    assert measured.frequency == pytest.approx(440, rel=2e-3)
    assert measured.level == pytest.approx(-20 if codec is OPUS else -23, abs=0.7)  # mono is split in two
    assert sum(sound.samples / sound.sample_rate for sound in heard) == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize("extension", ["mkv", "wav"])
def test_sound_behind_a_gap_stands_where_it_belongs(extension: str, tmp_path: Path) -> None:
    path = tmp_path / f"file.{extension}"
    codec = OPUS if extension == "mkv" else PCMU
    frames = encoded_sounds(codec, 100)
    record(path, {codec: frames[:25] + frames[50:75] + frames[65:]})
    heard, _ = read_file(path)
    last = heard[-1]
    assert last.time is not None
    assert last.time + last.samples / last.sample_rate == pytest.approx(2.0, abs=0.03)
    if extension == "wav":
        pcm = b"".join(bytes(sound.planes[0])[: 2 * sound.samples] for sound in heard)
        assert len(pcm) == 2 * 16_000
        assert not any(pcm[8_200:15_800])
        assert any(pcm[:8_000])
        assert any(pcm[16_200:])


def test_pictures_before_the_first_key_frame_are_left_out_and_sound_is_not(tmp_path: Path) -> None:
    path = tmp_path / "file.mkv"
    encoder = default_registry().encoder(VP8)
    frames = [
        one for index, card in enumerate(pictures(30)) for one in encoder.encode(card, force_key_frame=index == 10)
    ]
    record(path, {VP8: on_the_wire(frames)[4:], OPUS: encoded_sounds(OPUS, 60)})
    heard, seen = read_file(path)
    assert [read_card(picture) for picture in seen] == [index * 40 for index in range(10, 30)]
    assert heard[0].time == pytest.approx(0, abs=0.02)
    assert seen[0].time == pytest.approx(0.4, abs=0.02)


def test_a_key_frame_that_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "file.mkv"
    frames = encoded_pictures(VP8, 10)
    bad = EncodedFrame(data=b"\x10\x00\x00nothing", timestamp=FIRST_TIMESTAMP)
    record(path, {VP8: [bad, EncodedFrame(data=b"", timestamp=FIRST_TIMESTAMP), *frames]})
    assert len(read_file(path)[1]) == 10


def test_a_key_frame_behind_the_header_is_too_late(tmp_path: Path) -> None:
    recording = Recording(av.open(str(tmp_path / "file.mkv"), mode="w"))
    audio, video = recording.expect(MediaKind.AUDIO, OPUS), recording.expect(MediaKind.VIDEO, VP8)
    first = encoded_pictures(VP8, 2)
    recording.write_encoded(video, first[1], VP8, 0.0)
    for index, frame in enumerate(encoded_sounds(OPUS, 300)):
        recording.write_encoded(audio, frame, OPUS, index / 50)
    with pytest.raises(OperationError, match="key frame"):
        recording.write_encoded(video, first[0], VP8, 6.0)
    recording.close()
    assert read_file(tmp_path / "file.mkv")[0]


def test_another_codec_ends_the_recording_of_its_track_only(tmp_path: Path) -> None:
    recording = Recording(av.open(str(tmp_path / "file.mkv"), mode="w"))
    video = recording.expect(MediaKind.VIDEO, VP8)
    for frame in encoded_pictures(VP8, 3):
        recording.write_encoded(video, frame, VP8, 0.0)
    with pytest.raises(NotSupportedError, match="goes on with video/VP9"):
        recording.write_encoded(video, encoded_pictures(VP9, 1)[0], VP9, 0.2)
    recording.close()
    assert len(read_file(tmp_path / "file.mkv")[1]) == 3


@pytest.mark.parametrize(
    ("codec", "extension"),
    [(VP8, "mp4"), (H264[2], "webm"), (OPUS, "wav"), (VP8, "ogg"), (PCMU, "mkv"), (G722, "wav"), (H264[2], "mp3")],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_what_a_format_does_not_take_is_refused_by_name(codec: RtpCodec, extension: str, tmp_path: Path) -> None:
    recorder = MediaRecorder(tmp_path / f"file.{extension}")
    with pytest.raises(NotSupportedError, match=f"take no {codec.mime_type} as it is"):
        recorder.addTrack(EncodedGivenTrack(codec, []))


def test_encoded_and_decoded_tracks_go_into_one_file(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "file.mkv"

    async def scenario() -> None:
        tracks = GivenTrack(MediaKind.AUDIO, sounds(60)), EncodedGivenTrack(VP8, encoded_pictures(VP8))
        async with MediaRecorder(path) as recorder:
            for track in tracks:
                recorder.addTrack(track)
            while any(track.readyState == "live" for track in tracks):  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    run(scenario())
    heard, seen = read_file(path)
    assert measure_tone(packed(heard)[5:-5]).frequency == pytest.approx(440, rel=2e-3)
    assert len(seen) == 30


def test_a_track_that_does_not_say_its_codec_is_not_recorded(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        recorder = MediaRecorder(tmp_path / "file.mkv")
        recorder.addTrack(GivenTrack(MediaKind.VIDEO, encoded_pictures(VP8, 3)))
        await recorder.start()
        await asyncio.sleep(0.05)
        await recorder.stop()

    with caplog.at_level(logging.WARNING):
        run(scenario())
    assert "does not say by its `codec`" in caplog.text


@pytest.mark.parametrize("kind", ["mp4", "mkv"])
def test_a_file_that_is_played_without_decoding_is_copied(kind: str, run: Run, tmp_path: Path) -> None:
    source, copy = write_file(tmp_path / f"source.{kind}", 1.5), tmp_path / f"copy.{kind}"
    with av.open(str(source)) as container:
        reordered = container.streams.video[0].codec_context.has_b_frames

    async def scenario() -> None:
        player = MediaPlayer(source, decode=False)
        assert player.video is not None
        async with MediaRecorder(copy) as recorder:
            recorder.addTrack(player.video)
            while player.video.readyState == "live":  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    run(scenario())
    assert reordered
    assert len(packets(copy, "video")) == len(packets(source, "video"))
    _, seen = read_file(copy)
    assert [read_card(picture) for picture in seen] == [index * 40 for index in range(37)]
    distances = {round((later.time - one.time) * 1000) for one, later in pairwise(seen)}
    assert distances <= {39, 40, 41}


def test_a_call_is_recorded_without_decoding(run: Run, tmp_path: Path) -> None:
    """What a peer sends, by `encoded_track()`: sound and picture together, and nothing was decoded for it."""
    path = tmp_path / "file.mkv"
    clock = Clock()

    async def scenario() -> None:
        async with RTCPeerConnection(LOOPBACK) as alice, RTCPeerConnection(LOOPBACK) as bob:
            alice.addTrack(Bursts(clock))
            alice.addTrack(Cards(clock))
            recorder = MediaRecorder(path)

            @bob.on("track")
            def received(event: object) -> None:
                for transceiver in bob.getTransceivers():
                    recorder.addTrack(transceiver.receiver.encoded_track())

            await connect(alice, bob)
            async with recorder:
                await asyncio.sleep(5)
            decoded = [one.receiver._pump.counts.frames_decoded for one in bob.getTransceivers()]
            assert decoded == [0, 0]

    run(scenario())
    bursts = find_bursts(path)
    assert len(bursts) >= 3
    assert all(abs(burst.offset) <= LARGEST_OFFSET for burst in bursts), bursts


def test_an_encoded_track_is_one_at_a_time_and_ends_with_the_receiver(run: Run) -> None:
    async def scenario() -> None:
        async with RTCPeerConnection(LOOPBACK) as alice, RTCPeerConnection(LOOPBACK) as bob:
            alice.addTrack(Cards(Clock()))
            await connect(alice, bob)
            receiver = bob.getReceivers()[0]
            track = receiver.encoded_track()
            assert receiver.encoded_track() is track
            frame = await asyncio.wait_for(track.recv(), 10)
            assert isinstance(frame, EncodedFrame)
            assert frame.is_key
            assert track.codec is not None
            assert track.codec.name == "VP8"
            with pytest.raises(InvalidStateError):
                await anext(receiver.encoded_frames())
            track.stop()
            with pytest.raises(MediaStreamError):
                await track.recv()
            another = receiver.encoded_track()
            assert another is not track
            frame = await asyncio.wait_for(another.recv(), 10)
            assert isinstance(frame, EncodedFrame)
            assert frame.is_key
            unread = bob.addTransceiver("audio").receiver.encoded_track()
            await bob.close()
            with pytest.raises(MediaStreamError):
                await _read_to_the_end(another)
            assert unread.readyState == "ended"
            assert receiver.encoded_track().readyState == "ended"

    run(scenario())


def test_an_encoded_track_is_sent_to_another_peer(run: Run) -> None:
    """A program in the middle that neither decodes nor encodes; the key frame that the last one needs is asked for."""

    async def scenario() -> None:
        async with (
            RTCPeerConnection(LOOPBACK) as alice,
            RTCPeerConnection(LOOPBACK) as middle,
            RTCPeerConnection(LOOPBACK) as further,
            RTCPeerConnection(LOOPBACK) as bob,
        ):
            alice.addTrack(Cards(Clock()))
            await connect(alice, middle)
            track: MediaStreamTrack = middle.getReceivers()[0].encoded_track()
            assert isinstance(track, EncodedTrack)
            further.addTrack(track)
            await connect(further, bob)
            seen = [await asyncio.wait_for(bob.getReceivers()[0].track.recv(), 10) for _ in range(3)]
            assert all(read_card(picture) is not None for picture in seen)  # type: ignore[arg-type]  # of video

    run(scenario())


def test_reordered_pictures_have_times_that_grow() -> None:
    from icelane.aio.media.packet_writer import _DecodingOrder

    order = _DecodingOrder(2)
    shown = [0, 160, 80, 40, 120, 320, 240]
    times = [order.times(pts, 40) for pts in shown]
    assert [pts for pts, _ in times] == shown
    decoded = [dts for _, dts in times]
    assert decoded == sorted(set(decoded))
    assert all(dts <= pts for pts, dts in times)
    assert Fraction(decoded[0], 40) == -2


async def _read_to_the_end(track: MediaStreamTrack) -> None:
    while True:
        await asyncio.wait_for(track.recv(), 10)
