"""Recordings: what is in them, and that they always end properly."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from io import BytesIO
from pathlib import Path

import pytest

from icelane.aio.media.recorder import MediaRecorder
from icelane.aio.media.recording import Recording
from icelane.aio.media.synthetic import TestCardTrack, ToneTrack
from icelane.aio.media_stream_track import AudioStreamTrack, MediaStreamTrack, VideoStreamTrack
from icelane.aio.remote_stream_track import RemoteStreamTrack
from icelane.errors import InvalidStateError, LocalProtocolError, NotSupportedError
from icelane.media.codec import MediaKind
from icelane.media.codecs.interface import MediaFrame
from icelane.media.pyav import av
from icelane.media.synthetic.clock_card import read_card
from icelane.media.synthetic.sound import measure_tone
from tests.aio.media.files import GivenTrack, clock_errors, packed, pictures, read_file, sounds, write_file
from tests.loops import Run

pytestmark = pytest.mark.realtime


async def ended(*tracks: MediaStreamTrack) -> None:
    """Wait until all of these have given everything, and that has been written."""
    while any(track.readyState == "live" for track in tracks):  # noqa: ASYNC110
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("extension", ["mp4", "mkv", "webm"])
def test_clock_and_tone_are_in_the_file_at_their_times(extension: str, run: Run, tmp_path: Path) -> None:
    path = tmp_path / f"file.{extension}"

    async def scenario() -> None:
        tracks = GivenTrack(MediaKind.AUDIO, sounds(75)), GivenTrack(MediaKind.VIDEO, pictures(37))
        recorder = MediaRecorder(path)
        for track in tracks:
            recorder.addTrack(track)
        await recorder.start()
        await ended(*tracks)
        await recorder.stop()
        await recorder.stop()

    run(scenario())
    heard, seen = read_file(path)
    assert len(seen) == 37
    errors = clock_errors(seen)
    assert max(errors) - min(errors) <= 2  # Matroska counts in milliseconds
    assert all(abs(error) <= 40 for error in errors)  # from when each track's first frame came
    measured = measure_tone(packed(heard)[5:-5])
    assert measured.frequency == pytest.approx(440, rel=2e-3)
    assert measured.level == pytest.approx(-20, abs=0.5)
    assert sum(sound.samples for sound in heard) / heard[0].sample_rate == pytest.approx(1.5, abs=0.05)


@pytest.mark.parametrize("extension", ["wav", "ogg", "mp3"])
def test_sound_alone_has_its_formats(extension: str, run: Run, tmp_path: Path) -> None:
    path = tmp_path / f"file.{extension}"

    async def scenario() -> None:
        track = GivenTrack(MediaKind.AUDIO, sounds(50))
        async with MediaRecorder(str(path)) as recorder:
            recorder.addTrack(track)
            await ended(track)

    run(scenario())
    heard, _ = read_file(path)
    assert measure_tone(packed(heard)[5:-5]).frequency == pytest.approx(440, rel=2e-3)


def test_pictures_become_files(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        track = GivenTrack(MediaKind.VIDEO, pictures(4))
        async with MediaRecorder(tmp_path / "file-%02d.png") as recorder:
            recorder.addTrack(track)
            with pytest.raises(NotSupportedError, match="take no audio"):
                recorder.addTrack(AudioStreamTrack())
            await ended(track)

    run(scenario())
    files = sorted(tmp_path.glob("file-*.png"))
    assert len(files) == 4
    numbers = [read_card(picture) for path in files for picture in read_file(path)[1]]
    assert numbers == [0, 40, 80, 120]


def test_a_recording_can_go_into_an_object(run: Run, tmp_path: Path) -> None:
    target = BytesIO()

    async def scenario() -> None:
        track = GivenTrack(MediaKind.AUDIO, sounds(20))
        recorder = MediaRecorder(target, format="wav")
        recorder.addTrack(track)
        await recorder.start()
        await ended(track)
        await recorder.stop()

    run(scenario())
    (tmp_path / "file.wav").write_bytes(target.getvalue())
    assert sum(sound.samples for sound in read_file(tmp_path / "file.wav")[0]) == 20 * 960


def test_pictures_without_times_stand_where_they_came_in(tmp_path: Path) -> None:
    recording = Recording(av.open(str(tmp_path / "file.mkv"), mode="w"))
    video = recording.expect(MediaKind.VIDEO)
    for now in (50.0, 50.1, 50.3):
        recording.write(video, av.VideoFrame(160, 120, "yuv420p"), now)
    recording.close()
    _, seen = read_file(tmp_path / "file.mkv")
    assert [picture.time for picture in seen] == pytest.approx([0, 0.1, 0.3], abs=0.002)


def test_a_track_that_begins_late_stands_late_in_the_file(tmp_path: Path) -> None:
    recording = Recording(av.open(str(tmp_path / "file.mkv"), mode="w"))
    audio, video = recording.expect(MediaKind.AUDIO), recording.expect(MediaKind.VIDEO)
    for index, sound in enumerate(sounds(100)):
        recording.write(audio, sound, 50 + index / 50)
        if index >= 40 and index % 2 == 0:
            recording.write(video, pictures(1, first=(index - 40) // 2)[0], 50 + index / 50)
    recording.close()
    heard, seen = read_file(tmp_path / "file.mkv")
    assert heard[0].time is not None
    assert seen[0].time - heard[0].time == pytest.approx(0.8, abs=0.03)
    assert {error // 10 for error in clock_errors(seen)} <= {79, 80, 81}


def test_the_header_waits_no_longer_than_five_seconds_and_late_pictures_are_scaled(tmp_path: Path) -> None:
    recording = Recording(av.open(str(tmp_path / "file.mp4"), mode="w"))
    audio, video = recording.expect(MediaKind.AUDIO), recording.expect(MediaKind.VIDEO)
    for index, sound in enumerate(sounds(300)):
        recording.write(audio, sound, index / 50)
    with pytest.raises(InvalidStateError):
        recording.expect(MediaKind.VIDEO)
    for index, card in enumerate(pictures(10)):
        recording.write(video, card, 6 + index / 25)
    recording.close()
    heard, seen = read_file(tmp_path / "file.mp4")
    assert {(picture.width, picture.height) for picture in seen} == {(640, 480)}
    assert seen[0].time == pytest.approx(6.0, abs=0.05)
    assert sum(sound.samples for sound in heard) / 48_000 == pytest.approx(6.0, abs=0.05)


def test_a_track_that_never_gave_anything_is_not_in_the_file(tmp_path: Path) -> None:
    recording = Recording(av.open(str(tmp_path / "file.mp4"), mode="w"))
    audio, video = recording.expect(MediaKind.AUDIO), recording.expect(MediaKind.VIDEO)
    recording.write(audio, sounds(1)[0], 0.0)
    recording.withdraw(video)
    recording.close()
    with av.open(str(tmp_path / "file.mp4")) as container:
        assert [stream.type for stream in container.streams] == ["audio"]


def test_missing_sound_is_silence_and_sound_that_comes_twice_is_left_out(tmp_path: Path) -> None:
    recording = Recording(av.open(str(tmp_path / "file.wav"), mode="w"))
    audio = recording.expect(MediaKind.AUDIO)
    for index in (*range(25), *range(50, 75), *range(65, 100)):
        recording.write(audio, sounds(1, first=index)[0], index / 50)
    recording.close()
    heard, _ = read_file(tmp_path / "file.wav")
    assert sum(sound.samples for sound in heard) == 100 * 960
    samples = b"".join(bytes(sound.planes[0])[: sound.samples * 4] for sound in heard)
    second = 48_000 * 4
    assert not any(samples[second // 2 : second])
    assert any(samples[: second // 2][-1000:])
    assert any(samples[second:][:1000])


@pytest.mark.parametrize("step", [970, 950])
def test_sound_that_is_off_by_less_than_is_noticed_at_once_is_brought_to_its_place(step: int, tmp_path: Path) -> None:
    """Its times run faster, or slower, than its samples: a clock that differs, or a buffer that was adjusted."""
    recording = Recording(av.open(str(tmp_path / "file.wav"), mode="w"))
    audio = recording.expect(MediaKind.AUDIO)
    given = sounds(150)
    for index, sound in enumerate(given):
        sound.pts = index * step
        recording.write(audio, sound, index / 50)
    recording.close()
    heard, _ = read_file(tmp_path / "file.wav")
    assert sum(sound.samples for sound in heard) == pytest.approx(150 * step, abs=300)
    measured = measure_tone(heard[5:-5])
    assert measured.level == pytest.approx(-20, abs=0.2)
    assert measured.frequency == pytest.approx(440 * 960 / step, rel=3e-3)


def test_pictures_of_another_size_are_scaled_to_the_first(tmp_path: Path) -> None:
    recording = Recording(av.open(str(tmp_path / "file.mp4"), mode="w"))
    video = recording.expect(MediaKind.VIDEO)
    cards = pictures(5) + pictures(5, first=5, width=320, height=180) + pictures(5, first=10)
    for index, card in enumerate(cards):
        recording.write(video, card, index / 25)
    recording.close()
    _, seen = read_file(tmp_path / "file.mp4")
    assert {(picture.width, picture.height) for picture in seen} == {(160, 120)}
    assert clock_errors(seen) == {0}


def test_recorded_frames_are_not_changed(tmp_path: Path) -> None:
    recording = Recording(av.open(str(tmp_path / "file.mp4"), mode="w"))
    audio, video = recording.expect(MediaKind.AUDIO), recording.expect(MediaKind.VIDEO)
    sound, card = sounds(1, first=7)[0], pictures(1, first=7)[0]
    before = (sound.pts, sound.time_base, card.pts, card.time_base, bytes(card.planes[0]))
    recording.write(audio, sound, 0.0)
    recording.write(video, card, 0.0)
    recording.close()
    assert (sound.pts, sound.time_base, card.pts, card.time_base, bytes(card.planes[0])) == before


def test_a_recording_that_is_cancelled_has_its_trailer(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async def record() -> None:
            async with MediaRecorder(tmp_path / "file.mp4") as recorder:
                recorder.addTrack(ToneTrack())
                recorder.addTrack(TestCardTrack(160, 120))
                await asyncio.sleep(60)

        task = asyncio.ensure_future(record())
        await asyncio.sleep(0.3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    before = threading.active_count()
    run(scenario())
    assert threading.active_count() <= before + 1
    heard, seen = read_file(tmp_path / "file.mp4")
    assert heard
    assert seen


def test_stop_that_is_cancelled_finishes_the_file(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        recorder = MediaRecorder(tmp_path / "file.mp4")
        recorder.addTrack(ToneTrack())
        await recorder.start()
        await asyncio.sleep(0.2)
        stopping = asyncio.ensure_future(recorder.stop())
        await asyncio.sleep(0)
        stopping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stopping

    run(scenario())
    assert read_file(tmp_path / "file.mp4")[0]


def test_a_program_that_ends_without_stop_leaves_a_proper_file(tmp_path: Path) -> None:
    program = f"""
import asyncio
from icelane.aio.media.recorder import MediaRecorder
from icelane.aio.media.synthetic import ToneTrack
async def main():
    recorder = MediaRecorder({str(tmp_path / "file.mp4")!r})
    recorder.addTrack(ToneTrack())
    await recorder.start()
    await asyncio.sleep(0.3)
asyncio.run(main())
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)
    assert read_file(tmp_path / "file.mp4")[0]


def test_a_disk_that_stands_still_for_three_seconds_costs_no_frame(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The queues of the tracks hold two seconds of sound and one of pictures; the recorder reads on."""
    path, still, was_still = tmp_path / "file.mkv", threading.Event(), threading.Event()
    write = Recording.write

    def write_slowly(recording: Recording, number: int, frame: MediaFrame, now: float) -> None:
        if not was_still.is_set():
            was_still.set()
            still.wait(20)
        write(recording, number, frame, now)

    monkeypatch.setattr(Recording, "write", write_slowly)

    async def scenario() -> None:
        audio, video = RemoteStreamTrack(MediaKind.AUDIO), RemoteStreamTrack(MediaKind.VIDEO, capacity=30)
        async with MediaRecorder(path) as recorder:
            recorder.addTrack(audio)
            recorder.addTrack(video)
            for index in range(150):
                audio.deliver_nowait(sounds(1, first=index)[0])
                if index % 2 == 0:
                    video.deliver_nowait(pictures(1, first=index // 2)[0])
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            assert (audio.dropped, video.dropped) == (0, 0)
            still.set()

    run(scenario())
    heard, seen = read_file(path)
    assert [read_card(picture) for picture in seen] == [index * 40 for index in range(75)]
    assert sum(sound.samples for sound in heard) / heard[0].sample_rate == pytest.approx(3.0, abs=0.05)


def test_what_waits_to_be_written_is_bounded(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("icelane.aio.media.backlog.MAX_WAITING", 5)
    still = threading.Event()
    write = Recording.write

    def write_slowly(recording: Recording, number: int, frame: MediaFrame, now: float) -> None:
        still.wait(20)
        write(recording, number, frame, now)

    monkeypatch.setattr(Recording, "write", write_slowly)

    async def scenario() -> None:
        track = RemoteStreamTrack(MediaKind.AUDIO)
        async with MediaRecorder(tmp_path / "file.wav") as recorder:
            recorder.addTrack(track)
            for index in range(20):
                track.deliver_nowait(sounds(1, first=index)[0])
                await asyncio.sleep(0)
            await asyncio.sleep(0.05)
            assert len(track._queue) == 15
            still.set()
            while len(track._queue):  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    run(scenario())
    assert sum(sound.samples for sound in read_file(tmp_path / "file.wav")[0]) == 20 * 960


def test_tracks_are_added_until_the_header_is_written(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        recorder = MediaRecorder(tmp_path / "file.mkv")
        waiting = RemoteStreamTrack(MediaKind.VIDEO)
        recorder.addTrack(waiting)
        await recorder.start()
        sound = GivenTrack(MediaKind.AUDIO, sounds(10))
        recorder.addTrack(sound)
        recorder.addTrack(sound)
        await ended(sound)
        waiting.deliver_nowait(pictures(1)[0])
        await asyncio.sleep(0.1)
        with pytest.raises(InvalidStateError, match="add them before"):
            recorder.addTrack(AudioStreamTrack())
        await recorder.stop()
        with pytest.raises(InvalidStateError):
            recorder.addTrack(AudioStreamTrack())

    run(scenario())
    heard, seen = read_file(tmp_path / "file.mkv")
    assert heard
    assert len(seen) == 1


class BrokenTrack(VideoStreamTrack):
    """A program's own, with a mistake in it."""

    async def recv(self) -> av.VideoFrame:
        raise ZeroDivisionError("a mistake")


def test_a_track_that_fails_is_told_of_and_waited_for_no_more(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        recorder = MediaRecorder(tmp_path / "file.mkv")
        sound = GivenTrack(MediaKind.AUDIO, sounds(10))
        for track in (BrokenTrack(), sound):
            recorder.addTrack(track)
        await recorder.start()
        await ended(sound)
        await asyncio.sleep(0.1)
        with pytest.raises(InvalidStateError, match="add them before"):
            recorder.addTrack(AudioStreamTrack())
        await recorder.stop()

    run(scenario())
    assert [record.getMessage() for record in caplog.records if record.name == "icelane.aio.media.recorder"] == [
        "the video track failed, and is recorded no more"
    ]
    heard, seen = read_file(tmp_path / "file.mkv")
    assert heard
    assert not seen


def test_a_track_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotSupportedError, match="unknown"):
        MediaRecorder(tmp_path / "file.mkv").addTrack(MediaStreamTrack())


def test_what_the_format_cannot_hold_is_refused(tmp_path: Path) -> None:
    recorder = MediaRecorder(tmp_path / "file.wav")
    video = RemoteStreamTrack(MediaKind.VIDEO)
    recorder.addTrack(AudioStreamTrack())
    with pytest.raises(NotSupportedError, match="wav files take no video"):
        recorder.addTrack(video)


def test_a_frame_of_the_wrong_kind_does_not_end_the_other_track(tmp_path: Path) -> None:
    recording = Recording(av.open(str(tmp_path / "file.mkv"), mode="w"))
    audio, video = recording.expect(MediaKind.AUDIO), recording.expect(MediaKind.VIDEO)
    with pytest.raises(LocalProtocolError):
        recording.write(video, sounds(1)[0], 0.0)
    recording.write(audio, sounds(1)[0], 0.0)
    recording.close()
    recording.write(audio, sounds(1)[0], 0.0)
    recording.close()


def test_a_file_of_our_own_is_what_it_says(tmp_path: Path) -> None:
    heard, seen = read_file(write_file(tmp_path / "file.mp4"))
    assert clock_errors(seen) == {0}
    assert len(seen) == 25
    assert heard
