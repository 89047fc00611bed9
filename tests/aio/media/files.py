"""Files that the tests play and record: a clock to be seen and a tone to be heard, both from the beginning."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from icelane.aio.media.recording import Recording
from icelane.aio.media_stream_track import MediaStreamTrack, TrackFrame
from icelane.errors import MediaStreamError
from icelane.media.codec import MediaKind
from icelane.media.pyav import av
from icelane.media.synthetic.clock_card import draw_card, read_card
from icelane.media.synthetic.sound import tone

FRAME_RATE = 25
SAMPLES = 960


class GivenTrack(MediaStreamTrack):
    """Gives these frames, as fast as they are read, and ends."""

    def __init__(self, kind: MediaKind, frames: Iterable[TrackFrame]) -> None:
        super().__init__()
        self.kind = kind.value
        self._frames = iter(frames)

    async def recv(self) -> TrackFrame:
        self._require_live()
        for frame in self._frames:
            return frame
        self.stop()
        raise MediaStreamError("that was all")


def pictures(count: int, *, first: int = 0, width: int = 160, height: int = 120) -> list[av.VideoFrame]:
    """Test cards that show their time in milliseconds."""
    return [
        draw_card(width, height, index * 1000 // FRAME_RATE, pts=index * 90_000 // FRAME_RATE)
        for index in range(first, first + count)
    ]


def sounds(count: int, *, first: int = 0) -> list[av.AudioFrame]:
    """A tone of 440 Hz at -20 dBov in frames of 20 ms."""
    sound = tone(440)
    return [sound.frame(index * SAMPLES, SAMPLES) for index in range(first, first + count)]


def write_file(path: Path, seconds: float = 1.0, *, audio: bool = True, video: bool = True) -> Path:
    """A file with both."""
    recording = Recording(av.open(str(path), mode="w"))
    streams = {kind: recording.expect(kind) for kind, is_wanted in _kinds(audio, video) if is_wanted}
    frames: list[tuple[float, MediaKind, av.AudioFrame | av.VideoFrame]] = []
    if audio:
        frames += [(index / 50, MediaKind.AUDIO, sound) for index, sound in enumerate(sounds(int(seconds * 50)))]
    if video:
        cards = pictures(int(seconds * FRAME_RATE))
        frames += [(index / FRAME_RATE, MediaKind.VIDEO, card) for index, card in enumerate(cards)]
    for now, kind, given in sorted(frames, key=lambda entry: entry[0]):
        recording.write(streams[kind], given, now)
    recording.close()
    return path


def read_file(path: Path) -> tuple[list[av.AudioFrame], list[av.VideoFrame]]:
    """All that is in a file."""
    heard: list[av.AudioFrame] = []
    seen: list[av.VideoFrame] = []
    with av.open(str(path)) as container:
        frames: list[object] = list(container.decode())
    heard += [frame for frame in frames if isinstance(frame, av.AudioFrame)]
    seen += [frame for frame in frames if isinstance(frame, av.VideoFrame)]
    return heard, seen


def packed(frames: Iterable[av.AudioFrame]) -> list[av.AudioFrame]:
    """Sound as packed s16."""
    resampler = av.AudioResampler(format="s16", layout="stereo", rate=48_000)
    return [sound for frame in frames for sound in resampler.resample(frame)]


def clock_errors(seen: Iterable[av.VideoFrame]) -> set[int]:
    """By how many milliseconds what pictures show differs from when they are shown."""
    errors = set()
    for picture in seen:
        number = read_card(picture)
        assert number is not None
        errors.add(round(picture.time * 1000) - number)
    return errors


def _kinds(audio: bool, video: bool) -> list[tuple[MediaKind, bool]]:
    return [(MediaKind.AUDIO, audio), (MediaKind.VIDEO, video)]
