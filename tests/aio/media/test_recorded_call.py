"""A call that is recorded: what is heard and what is seen belong together in the file, from its beginning to its end.

Both tracks go by one clock: the tone is loud for the first tenth of each of its seconds, and each picture shows at how
many milliseconds of it the picture belongs. So the file tells, for every burst, which picture would have to stand where
the burst begins.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median

import pytest

from icelane.aio.media.recorder import MediaRecorder
from icelane.aio.media_stream import MediaStream
from icelane.aio.media_stream_track import MediaStreamTrack, TrackFrame
from icelane.aio.peer_connection import RTCPeerConnection
from icelane.media.pyav import av
from icelane.media.synthetic.clock_card import draw_card, read_card
from icelane.media.synthetic.sound import tone
from tests.aio.peers import LOOPBACK, connect
from tests.loops import run_in

pytestmark = pytest.mark.realtime

# In milliseconds. People notice from 45 on, when the sound is early (ITU-R BT.1359).
LARGEST_OFFSET = 40
# What offsets may differ by between the beginning and the end: less than a frame of sound.
LARGEST_DRIFT = 15
LARGEST_GROWTH_KIB = 16 * 1024

PICTURES_PER_SECOND = 15
SOUNDS_PER_SECOND = 50
BURST_SOUNDS = 5
_PAGE_KIB = 4


class Clock:
    """Begins when the first of its tracks is read."""

    def __init__(self) -> None:
        self._began_at: float | None = None

    def now(self) -> float:
        """Seconds since the beginning."""
        time = asyncio.get_running_loop().time()
        if self._began_at is None:
            self._began_at = time
        return time - self._began_at

    async def reach(self, seconds: float) -> None:
        """Wait until then."""
        await asyncio.sleep(max(0.0, seconds - self.now()))


class ClockedTrack(MediaStreamTrack):
    """Frame number N belongs at N / rate seconds of the clock, and is given then."""

    rate: int

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._next: int | None = None

    async def recv(self) -> TrackFrame:
        self._require_live()
        if self._next is None:
            self._next = int(self._clock.now() * self.rate) + 1
        index, self._next = self._next, self._next + 1
        await self._clock.reach(index / self.rate)
        self._require_live()
        return self.frame(index)

    def frame(self, index: int) -> TrackFrame:
        raise NotImplementedError


class Bursts(ClockedTrack):
    """Loud at the beginning of each second."""

    kind = "audio"
    rate = SOUNDS_PER_SECOND

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self._loud, self._quiet = tone(1_000, level=-10), tone(1_000, level=-60)

    def frame(self, index: int) -> TrackFrame:
        return (self._loud if index % self.rate < BURST_SOUNDS else self._quiet).frame(index * 960, 960)


class Cards(ClockedTrack):
    """Each shows its own time."""

    kind = "video"
    rate = PICTURES_PER_SECOND

    def frame(self, index: int) -> TrackFrame:
        return draw_card(160, 120, round(index * 1000 / self.rate), pts=index * 90_000 // self.rate)


@dataclass(frozen=True)
class Burst:
    """One that was found: by how many milliseconds it stands behind the picture that it belongs to.

    What comes too late to be played is made up for, so that a burst may seem to begin some packets late on a busy
    machine. Tracks that are apart have all their bursts apart.
    """

    second: int
    offset: float


@pytest.mark.parametrize("name", ["file.mkv", "file.mp4"])
def test_a_recorder_that_is_started_late_has_sound_and_picture_together(name: str, tmp_path: Path) -> None:
    """What waited for a reader is of different length: two seconds of sound, and pictures from a key frame on."""
    path = tmp_path / name
    record(path, 6, late=1.5)
    bursts = find_bursts(path)
    assert len(bursts) >= 4
    assert median(abs(burst.offset) for burst in bursts) <= LARGEST_OFFSET, bursts


def test_after_a_machine_has_stood_still_they_are_together_again(tmp_path: Path) -> None:
    """Both tracks catch up. Held back, each would be late by as much as its first frame was after the pause."""
    path = tmp_path / "file.mkv"
    record(path, 9, stall=1.02)
    last = find_bursts(path)[-5:]
    assert median(abs(burst.offset) for burst in last) <= LARGEST_OFFSET, last


@pytest.mark.parametrize(
    ("seconds", "name"),
    [
        pytest.param(60, "file.mkv", id="60s-mkv"),
        pytest.param(600, "file.mkv", id="600s-mkv", marks=pytest.mark.long),
        pytest.param(600, "file.mp4", id="600s-mp4", marks=pytest.mark.long),
    ],
)
def test_sound_and_picture_of_a_recorded_call_stay_together_and_memory_flat(
    seconds: int, name: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    memory = record(path, seconds)
    bursts = find_bursts(path)
    first, last = bursts[1:11], bursts[-10:]
    print(
        f"{len(bursts)} bursts in {name}: {_mean(first):+.1f} ms at the beginning, {_mean(last):+.1f} ms at the end, "
        f"{min(one.offset for one in bursts):+.1f} to {max(one.offset for one in bursts):+.1f} ms; "
        f"{memory[-1] - memory[0]:+} KiB in the second half"
    )
    assert len(bursts) >= 0.9 * seconds
    assert bursts[-1].second - bursts[0].second >= seconds - 4
    assert abs(_mean(first)) <= LARGEST_OFFSET
    assert abs(_mean(last)) <= LARGEST_OFFSET
    assert median(abs(one.offset) for one in bursts) <= LARGEST_OFFSET
    assert abs(_mean(last) - _mean(first)) <= LARGEST_DRIFT
    assert memory[-1] - memory[0] <= LARGEST_GROWTH_KIB


def record(path: Path, seconds: float, *, late: float = 0.0, stall: float = 0.0) -> tuple[int, int]:
    """Memory of this process in KiB when the call is half over, and at its end. In between nothing runs for `stall`."""
    clock, stream = Clock(), MediaStream()
    memory: list[int] = []

    async def main() -> None:
        async with RTCPeerConnection(LOOPBACK) as alice, RTCPeerConnection(LOOPBACK) as bob:
            for track in (Bursts(clock), Cards(clock)):
                alice.addTrack(track, stream)
            recorder = _recorder_of(bob, path)
            await connect(alice, bob)
            await asyncio.sleep(late)
            async with recorder:
                for _ in range(2):
                    await asyncio.sleep(seconds / 2)
                    memory.append(resident_kib())
                    asyncio.get_running_loop().call_soon(time.sleep, stall if len(memory) == 1 else 0.0)

    run_in(asyncio.new_event_loop, main())
    return memory[0], memory[1]


def _recorder_of(peer: RTCPeerConnection, path: Path) -> MediaRecorder:
    recorder = MediaRecorder(path)
    peer.on("track", recorder.addTrack)
    return recorder


def resident_kib() -> int:
    """Memory of this process."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_KIB


def find_bursts(path: Path) -> list[Burst]:
    """All that have a picture near."""
    shown = list(_shown(path))
    found = []
    for begins_at in _heard(path):
        near = min(shown, key=lambda one: abs(one[0] - begins_at), default=None)
        if near is None or abs(near[0] - begins_at) > 500:
            continue
        # By what the picture shows, the burst is so many milliseconds into the sender's clock.
        belongs_at = near[1] + begins_at - near[0]
        second = round(belongs_at / 1000)
        found.append(Burst(second, belongs_at - 1000 * second))
    return found


def _shown(path: Path) -> Iterator[tuple[float, int]]:
    """Of each picture where it stands in the file, and what it shows; both in milliseconds."""
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            number = read_card(frame)
            if number is not None and frame.time is not None:
                yield frame.time * 1000, number


def _heard(path: Path) -> Iterator[float]:
    """Where bursts begin in the file, in milliseconds."""
    resampler, quiet = av.AudioResampler(format="s16", layout="mono", rate=48_000), 0
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            for sound in resampler.resample(frame):
                values = memoryview(sound.planes[0]).cast("h")[: sound.samples]
                rise = next((index for index, value in enumerate(values) if abs(value) > 3_000), None)
                if rise is not None and quiet >= 20 and sound.pts is not None:
                    yield (sound.pts + rise) / 48
                quiet = 0 if rise is not None else quiet + 1


def _mean(bursts: Sequence[Burst]) -> float:
    return fmean(burst.offset for burst in bursts)
