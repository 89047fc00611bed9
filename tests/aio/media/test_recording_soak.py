"""A long recording: what is seen and what is heard stay in step, and memory stays what it was."""

from __future__ import annotations

import gc
from pathlib import Path
from random import Random

import pytest

from icelane.aio.media.recording import Recording
from icelane.media.codec import MediaKind
from icelane.media.pyav import av
from icelane.media.synthetic.clock_card import draw_card, read_card
from icelane.media.synthetic.sound import Sound, tone

_PAGE_KIB = 4
# In milliseconds; what people notice begins at 45.
_LARGEST_OFFSET = 40


def resident_kib() -> int:
    """Memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_KIB


@pytest.mark.parametrize("seconds", [pytest.param(20, id="20s"), pytest.param(600, id="600s", marks=pytest.mark.long)])
def test_sound_and_pictures_stay_in_step_and_memory_flat(seconds: int, tmp_path: Path) -> None:
    """Every second the tone is loud for a tenth, while the card shows that second; arrivals are late by up to 80 ms."""
    path, random = tmp_path / "file.mkv", Random(1)
    recording = Recording(av.open(str(path), mode="w"))
    audio, video = recording.expect(MediaKind.AUDIO), recording.expect(MediaKind.VIDEO)
    loud, quiet = tone(1_000, level=-10), tone(1_000, level=-60)
    halfway = 0
    for step in range(seconds * 50):
        now = step / 50 + random.random() * 0.08 * (step > 0)
        recording.write(audio, _sound(loud, quiet, step), now)
        if step % 2 == 0:
            recording.write(video, draw_card(96, 64, step * 20, pts=step * 1_800), now)
        if step == seconds * 25:
            gc.collect()
            halfway = resident_kib()
    grown = resident_kib() - halfway
    recording.close()
    assert grown < 8 * 1024
    offsets = _offsets(path)
    assert len(offsets) >= seconds - 1
    assert all(abs(offset) <= _LARGEST_OFFSET for offset in offsets)
    assert abs(offsets[-2] - offsets[1]) <= 5


def _sound(loud: Sound, quiet: Sound, step: int) -> av.AudioFrame:
    return (loud if step % 50 < 5 else quiet).frame(step * 960, 960)


def _offsets(path: Path) -> list[float]:
    """For each second by how many milliseconds sound is later than the picture."""
    with av.open(str(path)) as container:
        frames: list[object] = list(container.decode())
    heard: dict[int, float] = {}
    resampler, was_loud = av.AudioResampler(format="s16", layout="mono", rate=48_000), False
    for frame in frames:
        if isinstance(frame, av.AudioFrame):
            for sound in resampler.resample(frame):
                values = memoryview(sound.planes[0]).cast("h")[: sound.samples]
                rise = next((i for i, value in enumerate(values) if abs(value) > 3_000), None)
                if rise is not None and not was_loud and sound.pts is not None:
                    time = (sound.pts + rise) / 48
                    heard[round(time / 1000)] = time
                was_loud = rise is not None
    seen = {
        number // 1000: frame.time * 1000
        for frame in frames
        if isinstance(frame, av.VideoFrame) and (number := read_card(frame)) is not None and number % 1000 == 0
    }
    return [heard[second] - seen[second] for second in sorted(heard.keys() & seen.keys())]
