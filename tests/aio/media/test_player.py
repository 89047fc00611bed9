"""Playing: content, time, and no thread that is left."""

from __future__ import annotations

import asyncio
import gc
import struct
import threading
from itertools import pairwise
from pathlib import Path

import pytest

from icelane.aio.media.player import MediaPlayer
from icelane.aio.media_stream_track import MediaStreamTrack
from icelane.errors import MediaStreamError, NotSupportedError
from icelane.media.codec import MediaKind
from icelane.media.codecs.default import default_registry
from icelane.media.frame import EncodedFrame
from icelane.media.pyav import av
from icelane.media.synthetic.clock_card import read_card
from icelane.media.synthetic.sound import measure_tone
from tests.aio.media.files import clock_errors, packed, pictures, write_file
from tests.loops import Run

pytestmark = pytest.mark.realtime


async def played(track: MediaStreamTrack | None) -> list[object]:
    """Everything that a track gives."""
    assert track is not None
    frames: list[object] = []
    try:
        while True:
            frames.append(await track.recv())
    except MediaStreamError:
        return frames


def sounds_of(frames: list[object]) -> list[av.AudioFrame]:
    return [frame for frame in frames if isinstance(frame, av.AudioFrame)]


def pictures_of(frames: list[object]) -> list[av.VideoFrame]:
    return [frame for frame in frames if isinstance(frame, av.VideoFrame)]


def no_players() -> bool:
    for thread in threading.enumerate():
        if thread.name == "media-player":
            thread.join(2)
    return not any(thread.name == "media-player" for thread in threading.enumerate())


@pytest.mark.parametrize("extension", ["mp4", "mkv", "webm"])
def test_clock_and_tone_are_played_at_their_times(extension: str, run: Run, tmp_path: Path) -> None:
    path = write_file(tmp_path / f"file.{extension}", 0.6)

    async def scenario() -> None:
        player, loop = MediaPlayer(path), asyncio.get_running_loop()
        start = loop.time()
        heard, seen = await asyncio.gather(played(player.audio), played(player.video))
        assert 0.5 < loop.time() - start < 2
        assert {(s.samples, s.sample_rate, s.format.name, s.layout.name) for s in sounds_of(heard)} == {
            (960, 48_000, "s16", "stereo")
        }
        errors = clock_errors(pictures_of(seen))
        assert max(errors) - min(errors) <= 2
        assert all(abs(error) <= 25 for error in errors)  # where AAC begins before the file does
        assert len(pictures_of(seen)) == 15
        assert measure_tone(sounds_of(heard)[3:-3]).frequency == pytest.approx(440, rel=2e-3)

    run(scenario())
    assert no_players()


def test_a_loop_goes_on_in_time(run: Run, tmp_path: Path) -> None:
    path = write_file(tmp_path / "file.mp4", 0.2)

    async def scenario() -> None:
        player = MediaPlayer(path, loop=True)
        assert player.video is not None
        seen = pictures_of([await player.video.recv() for _ in range(18)])
        assert [read_card(picture) for picture in seen] == [index % 5 * 40 for index in range(18)]
        times = [picture.time for picture in seen]
        steps = [later - earlier for earlier, later in pairwise(times)]
        assert all(0.03 < step < 0.08 for step in steps)
        player.stop()

    run(scenario())
    assert no_players()


def test_one_track_is_read_without_the_other(run: Run, tmp_path: Path) -> None:
    path = write_file(tmp_path / "file.mp4", 0.5)

    async def scenario() -> None:
        player = MediaPlayer(path)
        assert player.video is not None
        assert len(await played(player.video)) == 12
        assert player.video.readyState == "ended"
        assert len(await played(player.audio)) <= 26  # what was read ahead

    run(scenario())
    assert no_players()


def test_a_reader_that_stalls_loses_the_oldest_and_holds_nothing_up(run: Run, tmp_path: Path) -> None:
    path = write_file(tmp_path / "file.mkv", 1.0)

    async def scenario() -> None:
        player = MediaPlayer(path)
        assert player.video is not None
        await player.video.recv()
        assert len(await played(player.audio)) >= 49
        assert len(await played(player.video)) == 24

    run(scenario())


def test_stopping_ends_tracks_and_thread(run: Run, tmp_path: Path) -> None:
    path = write_file(tmp_path / "file.mp4", 0.5)

    async def scenario() -> None:
        player = MediaPlayer(path)
        assert player.audio is not None
        assert player.video is not None
        waiting = asyncio.ensure_future(played(player.video))
        await player.audio.recv()
        player.audio.stop()
        await asyncio.sleep(0)
        assert not waiting.done()
        player.video.stop()
        await waiting
        assert await asyncio.get_running_loop().run_in_executor(None, no_players)
        never_read = MediaPlayer(path)
        never_read.stop()
        never_read.stop()

    run(scenario())


def test_a_track_that_is_stopped_before_anything_is_read_leaves_the_other(run: Run, tmp_path: Path) -> None:
    path = write_file(tmp_path / "file.mp4", 0.5)

    async def scenario() -> None:
        player = MediaPlayer(path)
        assert player.audio is not None
        player.audio.stop()
        assert len(await played(player.video)) == 12
        never_read = MediaPlayer(path)
        assert never_read.audio is not None
        assert never_read.video is not None
        never_read.audio.stop()
        never_read.video.stop()
        with pytest.raises(MediaStreamError):
            await never_read.video.recv()

    run(scenario())
    assert no_players()


def test_the_other_track_goes_on_when_the_only_one_that_is_read_is_stopped(run: Run, tmp_path: Path) -> None:
    """Playing stands still until it is read: nothing of it is lost but what was played before."""
    path = write_file(tmp_path / "file.mp4", 1.5)

    async def scenario() -> None:
        player = MediaPlayer(path)
        assert player.video is not None
        for _ in range(3):
            await player.video.recv()
        player.video.stop()
        await asyncio.sleep(0.5)
        start = asyncio.get_running_loop().time()
        heard = sounds_of(await played(player.audio))
        assert len(heard) >= 60
        assert asyncio.get_running_loop().time() - start > 1.0
        assert measure_tone(heard[:-3]).frequency == pytest.approx(440, rel=2e-3)

    run(scenario())
    assert no_players()


def test_a_file_that_stands_still_is_closed_when_nobody_has_it(run: Run, tmp_path: Path) -> None:
    path = write_file(tmp_path / "file.mp4", 1.5)

    async def scenario() -> None:
        player = MediaPlayer(path)
        assert player.video is not None
        await player.video.recv()
        player.video.stop()

    def is_closed() -> bool:
        gc.collect()
        return no_players()

    run(scenario())
    # The thread itself has the player for as long as it asks for the position: then the next collection takes it.
    assert is_closed() or is_closed()


def test_a_track_that_is_forgotten_does_not_keep_the_program(run: Run, tmp_path: Path) -> None:
    """The thread is a daemon, and a loop that is closed bothers nobody."""
    path = write_file(tmp_path / "file.mp4", 0.3)

    async def scenario() -> None:
        player = MediaPlayer(path)
        assert player.video is not None
        await player.video.recv()

    run(scenario())
    assert all(thread.daemon for thread in threading.enumerate() if thread.name == "media-player")
    assert no_players()


@pytest.mark.parametrize("extension", ["webm", "mp4", "mkv"])
def test_packets_are_passed_on_without_being_decoded(extension: str, run: Run, tmp_path: Path) -> None:
    path = write_file(tmp_path / f"file.{extension}", 0.4)

    async def scenario() -> None:
        player = MediaPlayer(path, decode=False)
        assert player.video is not None
        assert player.video.codec is not None
        registry = default_registry()
        frames = [frame for frame in await played(player.video) if isinstance(frame, EncodedFrame)]
        assert frames[0].is_key
        decoder = registry.decoder(player.video.codec)
        seen = [picture for frame in frames for picture in decoder.decode(frame)]
        numbers = [read_card(picture) for picture in seen if isinstance(picture, av.VideoFrame)]
        assert numbers == [index * 40 for index in range(len(numbers))]
        assert len(numbers) >= 7
        if extension == "webm":
            assert player.audio is not None
            assert player.audio.codec is not None
            assert player.audio.codec.name == "opus"
        else:
            assert player.audio is None  # AAC is nothing that WebRTC has
            assert player.video.codec.parameter("profile-level-id").startswith("64")
            assert frames[0].data.startswith((b"\0\0\0\1", b"\0\0\1"))

    run(scenario())
    assert no_players()


@pytest.mark.parametrize("is_looped", [False, True])
def test_what_is_played_without_decoding_says_how_it_is_turned(is_looped: bool, run: Run, tmp_path: Path) -> None:
    path = write_file(tmp_path / "file.mp4", 0.2)
    data = bytearray(path.read_bytes())
    at = -1
    while (at := data.find(b"tkhd", at + 1)) >= 0:
        # ISO/IEC 14496-12 section 8.3.2: the matrix of a track; by a quarter clockwise.
        data[at + 44 : at + 80] = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
    path.write_bytes(data)

    async def scenario() -> None:
        player = MediaPlayer(path, decode=False, loop=is_looped)
        assert player.video is not None
        frames = [await player.video.recv() for _ in range(8 if is_looped else 3)]
        assert {frame.rotation for frame in frames if isinstance(frame, EncodedFrame)} == {90}
        player.stop()

    run(scenario())
    assert no_players()


@pytest.mark.parametrize(("codec", "name"), [("pcm_mulaw", "PCMU"), ("pcm_alaw", "PCMA")])
def test_g711_is_cut_into_packets_of_20_ms(codec: str, name: str, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "file.wav"
    with av.open(str(path), mode="w") as container:
        stream = container.add_stream(codec, rate=8_000)
        stream.codec_context.layout = "mono"  # type: ignore[union-attr]
        sound = av.AudioFrame(format="s16", layout="mono", samples=1600)
        sound.planes[0].update(bytes(3200))
        sound.sample_rate = 8_000
        container.mux(stream.encode(sound))  # type: ignore[union-attr,arg-type]

    async def scenario() -> None:
        player = MediaPlayer(path, decode=False)
        assert player.audio is not None
        assert player.audio.codec is not None
        assert player.audio.codec.name == name
        frames = [frame for frame in await played(player.audio) if isinstance(frame, EncodedFrame)]
        assert [(len(frame.data), frame.timestamp) for frame in frames] == [(160, i * 160) for i in range(10)]

    run(scenario())


def test_pictures_from_a_list_of_files_are_played(run: Run, tmp_path: Path) -> None:
    with av.open(str(tmp_path / "%02d.png"), mode="w") as container:
        stream = container.add_stream("png", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "rgb24"
        for card in pictures(5):
            container.mux(stream.encode(card.reformat(format="rgb24")))

    async def scenario() -> None:
        player = MediaPlayer(tmp_path / "%02d.png", format="image2", options={"framerate": "50"})
        assert player.audio is None
        seen = pictures_of(await played(player.video))
        assert [read_card(picture) for picture in seen] == [0, 40, 80, 120, 160]
        assert [round(picture.time * 1000) for picture in seen] == [0, 20, 40, 60, 80]

    run(scenario())


def test_files_are_read_from_objects(run: Run, tmp_path: Path) -> None:
    path = write_file(tmp_path / "file.wav", 0.2, video=False)

    async def scenario() -> None:
        with path.open("rb") as file:
            heard = sounds_of(await played(MediaPlayer(file).audio))
        assert measure_tone(packed(heard)).frequency == pytest.approx(440, rel=1e-2)

    run(scenario())


def test_a_url_is_opened_beside_the_loop(run: Run, tmp_path: Path) -> None:
    data = write_file(tmp_path / "file.mkv", 0.2).read_bytes()

    async def scenario() -> None:
        async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(data)
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        player = await MediaPlayer.open(f"tcp://127.0.0.1:{port}", format="matroska", timeout=5)
        assert [read_card(picture) for picture in pictures_of(await played(player.video))] == [0, 40, 80, 120, 160]
        server.close()
        await server.wait_closed()

    run(scenario())
    assert no_players()


def test_a_url_that_says_nothing_times_out(run: Run) -> None:
    async def scenario() -> None:
        waiting: list[asyncio.StreamWriter] = []
        server = await asyncio.start_server(lambda _, writer: waiting.append(writer), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(av.FFmpegError):
            await MediaPlayer.open(f"tcp://127.0.0.1:{port}", format="matroska", timeout=0.2)
        for writer in waiting:
            writer.close()
        server.close()
        await server.wait_closed()

    run(scenario())


def test_what_does_not_open_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        MediaPlayer(tmp_path / "nothing.mp4")
    with pytest.raises(NotSupportedError):
        MediaPlayer("testsrc=duration=1", format="lavfi", loop=True)


def test_kinds_are_those_of_descriptions(tmp_path: Path) -> None:
    player = MediaPlayer(write_file(tmp_path / "file.mp4", 0.2))
    assert player.audio is not None
    assert player.video is not None
    assert [MediaKind(track.kind) for track in (player.audio, player.video)] == [MediaKind.AUDIO, MediaKind.VIDEO]
    player.stop()
