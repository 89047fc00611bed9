"""What an agent in a call needs: a track that says what it is given, and what somebody else says, pause by pause.

    voice = SpeechTrack()
    pc.addTrack(voice)
    async for heard in utterances(track, began=voice.hush):
        voice.say(await answer(heard))

Sound is samples of 16 bits, mono, in the machine's byte order, as models take and give it.
"""

from __future__ import annotations

import asyncio
from array import array
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from fractions import Fraction
from typing import Final

from icelane.aio.media_stream_track import AUDIO_PTIME, MediaStreamTrack, Pace, TrackFrame
from icelane.core.clock import Duration
from icelane.errors import InvalidAccessError, InvalidStateError, LocalProtocolError, MediaStreamError
from icelane.media.pyav import av

SPEECH_RATE: Final = 24_000
"""Hz: what most models hear and speak."""

# Of speech that waits to be said. More is refused: somebody fills it faster than it can be heard.
MAX_WAITING: Final[Duration] = 600.0
# Who speaks longer than this without a pause is heard in pieces.
MAX_UTTERANCE: Final[Duration] = 60.0
# Of utterances that nobody has taken yet. The oldest goes for more: whoever answers is that far behind.
MAX_UNHEARD: Final[Duration] = 600.0

_SAMPLE_SIZE: Final = 2
_FULL_SCALE: Final = 32_768
# Words begin softly: so much from before it was loud belongs to what is said.
_LEAD: Final = 10  # frames
# Less than this is a click, and no word.
_SHORTEST: Final = 3  # frames that are loud


class SpeechTrack(MediaStreamTrack):
    """Says what it is given, at `rate` Hz in frames of 20 ms, and is silent between.

    Raises LocalProtocolError for a rate that has no whole number of samples in 20 ms, or is not 8 to 48 kHz.
    """

    kind = "audio"

    def __init__(self, rate: int = SPEECH_RATE) -> None:
        super().__init__()
        _require_rate(rate)
        self._rate = rate
        self._samples = round(rate * AUDIO_PTIME)
        self._waiting = bytearray()
        self._pace = Pace()
        self._next_sample = 0
        self._is_silent = asyncio.Event()
        self._is_silent.set()

    @property
    def waiting(self) -> Duration:
        """Seconds of speech that are still to be said."""
        return len(self._waiting) / (self._rate * _SAMPLE_SIZE)

    def say(self, sound: bytes | bytearray | memoryview | Iterable[av.AudioFrame]) -> None:
        """Say this behind what waits already: samples at this track's rate, or frames of any kind of sound.

        Raises InvalidAccessError for half a sample, InvalidStateError when more than MAX_WAITING would wait, and
        MediaStreamError when the track has ended.
        """
        self._require_live()
        if isinstance(sound, (bytes, bytearray, memoryview)):
            samples = bytes(sound)
        else:
            samples = b"".join(_samples_of(sound, self._rate))
        if len(samples) % _SAMPLE_SIZE:
            raise InvalidAccessError(f"{len(samples)} bytes are no whole number of samples of 16 bits")
        if self.waiting + len(samples) / (self._rate * _SAMPLE_SIZE) > MAX_WAITING:
            raise InvalidStateError(f"{self.waiting:.0f} s of speech wait to be said")
        if samples:
            self._waiting += samples
            self._is_silent.clear()

    def hush(self) -> None:
        """Say nothing of what still waits: somebody has interrupted."""
        self._waiting.clear()
        self._is_silent.set()

    async def said(self) -> None:
        """Wait until all was said, or was hushed. Raises MediaStreamError when the track ends before."""
        await self._is_silent.wait()
        self._require_live()

    async def recv(self) -> TrackFrame:
        self._require_live()
        await self._pace.reach(self._next_sample / self._rate)
        self._require_live()
        size = self._samples * _SAMPLE_SIZE
        frame = av.AudioFrame(format="s16", layout="mono", samples=self._samples)
        frame.planes[0].update(bytes(self._waiting[:size]).ljust(frame.planes[0].buffer_size, b"\0"))
        del self._waiting[:size]
        if not self._waiting:
            self._is_silent.set()
        frame.sample_rate = self._rate
        frame.pts, frame.time_base = self._next_sample, Fraction(1, self._rate)
        self._next_sample += self._samples
        return frame

    def stop(self) -> None:
        """End the track. What waits is not said."""
        super().stop()
        self.hush()


async def utterances(
    track: MediaStreamTrack,
    *,
    rate: int = SPEECH_RATE,
    pause: Duration = 0.5,
    level: float = -40.0,
    began: Callable[[], object] | None = None,
) -> AsyncIterator[bytes]:
    """What is said on `track`, whenever there is a `pause` (seconds) behind it; ends when the track ends.

    Each is samples at `rate` Hz, with what came shortly before it was louder than `level` (dBov) and without the pause.
    `began` is called when somebody begins to speak, also while nobody asks for the next one: the track is read all the
    time from the first on, until the generator is closed. Whoever speaks for MAX_UTTERANCE is given in pieces.
    Raises LocalProtocolError for a rate as SpeechTrack does, and for a track whose frames are not decoded sound.
    """
    _require_rate(rate)
    unheard = _Unheard(rate)
    listening = asyncio.ensure_future(_listen(track, rate, _Ear(rate, pause, level), began, unheard))
    try:
        while (heard := await unheard.take()) is not None:
            yield heard
        await listening  # it may have failed
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


async def _listen(
    track: MediaStreamTrack, rate: int, ear: _Ear, began: Callable[[], object] | None, unheard: _Unheard
) -> None:
    """Read the track as it comes, however long somebody thinks about what was said before."""
    resampler = av.AudioResampler("s16", "mono", rate, frame_size=round(rate * AUDIO_PTIME))
    try:
        while True:
            frame = await track.recv()
            if not isinstance(frame, av.AudioFrame):
                raise LocalProtocolError("utterances are heard on tracks of sound that is decoded")
            for piece in resampler.resample(frame):
                spoke = ear.speaks
                heard = ear.hear(_samples(piece))
                if began is not None and ear.speaks and not spoke:
                    began()
                if heard is not None:
                    unheard.add(heard)
                    # A track that never waits would leave no time to take it.
                    await asyncio.sleep(0)
    except MediaStreamError:
        if (rest := ear.finish()) is not None:
            unheard.add(rest)
    finally:
        unheard.end()


class _Unheard:
    """Utterances that wait to be taken, MAX_UNHEARD at most."""

    def __init__(self, rate: int) -> None:
        self._most = round(MAX_UNHEARD * rate) * _SAMPLE_SIZE
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._has_ended = False
        self._changed = asyncio.Event()

    def add(self, heard: bytes) -> None:
        self._waiting.append(heard)
        self._size += len(heard)
        while self._size > self._most:
            self._size -= len(self._waiting.popleft())
        self._changed.set()

    def end(self) -> None:
        """No more will come."""
        self._has_ended = True
        self._changed.set()

    async def take(self) -> bytes | None:
        """The oldest, as soon as there is one; None after the last."""
        while not self._waiting and not self._has_ended:
            self._changed.clear()
            await self._changed.wait()
        if not self._waiting:
            return None
        heard = self._waiting.popleft()
        self._size -= len(heard)
        return heard


class _Ear:
    """Tells speech from pauses by how loud frames of 20 ms are."""

    def __init__(self, rate: int, pause: Duration, level: float) -> None:
        self._power = (10 ** (level / 20) * _FULL_SCALE) ** 2
        self._pause = max(1, round(pause / AUDIO_PTIME))
        self._longest = round(MAX_UTTERANCE * rate) * _SAMPLE_SIZE
        self._before: deque[bytes] = deque(maxlen=_LEAD)
        self._heard = bytearray()
        self._loud = 0  # frames of what is being said
        self._quiet = bytearray()  # what came since the last of them

    @property
    def speaks(self) -> bool:
        """Whether somebody is speaking, as far as is known."""
        return self._loud >= _SHORTEST

    def hear(self, samples: bytes) -> bytes | None:
        """Go on with a frame of 20 ms; what was said, when that shows that it has ended."""
        if _power(samples) >= self._power:
            self._heard += b"".join(self._before) + self._quiet + samples
            self._loud += 1
            self._before.clear()
            self._quiet.clear()
            return self.finish() if len(self._heard) >= self._longest else None
        if not self._loud:
            self._before.append(samples)
            return None
        self._quiet += samples
        return self.finish() if len(self._quiet) >= self._pause * len(samples) else None

    def finish(self) -> bytes | None:
        """What was said until now, None for nothing and for a click; listens anew."""
        heard = bytes(self._heard) if self.speaks else None
        self._heard.clear()
        self._quiet.clear()
        self._loud = 0
        return heard


def _power(samples: bytes) -> float:
    values = array("h", samples)
    return sum(value * value for value in values) / max(1, len(values))


def _samples_of(frames: Iterable[av.AudioFrame], rate: int) -> Iterable[bytes]:
    resampler = av.AudioResampler("s16", "mono", rate)
    for frame in (*frames, None):  # None gives what it still has
        for piece in resampler.resample(frame):
            yield _samples(piece)


def _samples(frame: av.AudioFrame) -> bytes:
    """Of packed mono; the plane is longer than what is in it."""
    return bytes(memoryview(frame.planes[0])[: frame.samples * _SAMPLE_SIZE])


def _require_rate(rate: int) -> None:
    if not 8_000 <= rate <= 48_000 or rate % 50:
        raise LocalProtocolError("speech has a rate of 8 to 48 kHz, with a whole number of samples in 20 ms")
