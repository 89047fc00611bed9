"""The thread that reads a file or a device: what it finds it hands to the tracks, not faster than it is played."""

from __future__ import annotations

import errno
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

from icelane.aio.media.packet_source import PacketSource
from icelane.aio.media_stream_track import TrackFrame
from icelane.errors import IcelaneError
from icelane.media.codec import MediaKind, RtpCodec
from icelane.media.pyav import av

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.video.stream import VideoStream

_log = logging.getLogger(__name__)

# How far, in seconds, what is read is ahead of what is played: what a slow disk may be late by.
_AHEAD: Final = 0.5
# How long to wait, in seconds, for a device that has nothing yet.
_RETRY: Final = 0.01

_AUDIO_RATE: Final = 48_000
_AUDIO_SAMPLES: Final = 960
_AUDIO_BASE: Final = Fraction(1, _AUDIO_RATE)
# FFmpeg counts the beginning of a file in microseconds.
_FILE_BASE: Final = Fraction(1, 1_000_000)

T = TypeVar("T")

Deliver: TypeAlias = Callable[[MediaKind, TrackFrame, float], None]
"""Takes a frame and when it is to be played, in seconds from the beginning."""


class Playback:
    """Reads `container` to its end on a thread of its own, which closes it.

    `position` says how many seconds have been played, None before that begins or where frames come at their own time;
    it, `deliver` and `finished` are called on the thread. With `codecs` packets are passed on as they are.
    """

    def __init__(
        self,
        container: InputContainer,
        streams: Mapping[MediaKind, AudioStream | VideoStream],
        *,
        codecs: Mapping[MediaKind, RtpCodec] | None,
        is_looped: bool,
        position: Callable[[], float | None],
        deliver: Deliver,
        finished: Callable[[], None],
    ) -> None:
        self._container = container
        self._streams = streams
        self._codecs = codecs
        self._is_looped = is_looped
        self._position = position
        self._deliver = deliver
        self._finished = finished
        self._stopped = threading.Event()
        self._is_wanted = threading.Event()
        self._is_wanted.set()
        # Seconds: where the file begins, how long what was played before it is, and where the last frame ended.
        start: int | None = container.start_time  # unlike what PyAV's stubs say
        self._origin: Fraction | None = None if start is None else start * _FILE_BASE
        self._played = Fraction(0)
        self._end = Fraction(0)
        self._thread = threading.Thread(target=self._run, name="media-player", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """Read no more. The thread ends when the read that it is in returns."""
        self._stopped.set()
        self._is_wanted.set()

    def pause(self) -> None:
        """Deliver no more until `resume`. `position` stands still meanwhile."""
        self._is_wanted.clear()

    def resume(self) -> None:
        """Go on where it was paused."""
        self._is_wanted.set()

    def _run(self) -> None:
        try:
            while not self._stopped.is_set():
                self._play_once()
                if not self._is_looped or self._end <= self._played:
                    break
                self._played = self._end
                self._container.seek(0)
        except (av.FFmpegError, ValueError, IcelaneError) as error:
            _log.warning("playing %s ended early: %s", self._container.name, error)
        finally:
            self._container.close()
            self._finished()

    def _play_once(self) -> None:
        source = self._decoded() if self._codecs is None else self._encoded(self._codecs)
        for kind, frame, start, length in source:
            if self._stopped.is_set():
                return
            self._end = max(self._end, start + length)
            self._wait_until_due(float(start))
            self._is_wanted.wait()
            self._deliver(kind, frame, float(start))

    def _wait_until_due(self, start: float) -> None:
        while (position := self._position()) is not None and start > position + _AHEAD:
            if self._stopped.wait(min(start - position - _AHEAD, 0.5)):
                return

    def _decoded(self) -> Iterator[tuple[MediaKind, TrackFrame, Fraction, Fraction]]:
        resampler = av.AudioResampler(format="s16", layout="stereo", rate=_AUDIO_RATE, frame_size=_AUDIO_SAMPLES)
        video = self._streams.get(MediaKind.VIDEO)
        next_sample = 0
        picture_length = 1 / Fraction(_rate(video)) if video is not None else Fraction(0)
        for frame in self._read(lambda: self._container.decode(*self._streams.values())):
            if isinstance(frame, av.VideoFrame) and frame.pts is not None and frame.time_base is not None:
                start = self._file_time(frame.pts, frame.time_base)
                frame.pts, frame.time_base = int(start * 90_000), Fraction(1, 90_000)
                yield MediaKind.VIDEO, frame, start, picture_length
            elif isinstance(frame, av.AudioFrame):
                for sound in resampler.resample(frame):
                    next_sample = (next_sample if sound.pts is None else sound.pts) + sound.samples
                    start = self._file_time(next_sample - sound.samples, _AUDIO_BASE)
                    sound.pts, sound.time_base = int(start * _AUDIO_RATE), _AUDIO_BASE
                    yield MediaKind.AUDIO, sound, start, sound.samples * _AUDIO_BASE

    def _encoded(
        self, codecs: Mapping[MediaKind, RtpCodec]
    ) -> Iterator[tuple[MediaKind, TrackFrame, Fraction, Fraction]]:
        sources = {
            self._streams[kind].index: (kind, codec, PacketSource(self._streams[kind], codec))
            for kind, codec in codecs.items()
        }
        for packet in self._read(lambda: self._container.demux(*self._streams.values())):
            if not packet.size:
                continue  # what PyAV marks the end of a stream by
            kind, codec, source = sources[packet.stream_index]
            if self._origin is None:
                self._origin = _seconds(packet.pts or 0, packet.time_base)
            for frame in source.frames(packet, self._origin - self._played):
                start = Fraction(frame.timestamp, codec.clock_rate)
                yield kind, frame, start, Fraction(frame.duration, codec.clock_rate)

    def _file_time(self, pts: int, time_base: Fraction) -> Fraction:
        """Seconds since playing began, not before it: some files begin with what is not to be heard."""
        time = _seconds(pts, time_base)
        if self._origin is None:  # a device
            self._origin = time
        return max(Fraction(0), time - self._origin + self._played)

    def _read(self, begin: Callable[[], Iterator[T]]) -> Iterator[T]:
        """What an iterator of PyAV's gives; devices that have nothing yet are asked again."""
        iterator = begin()
        while not self._stopped.is_set():
            try:
                yield next(iterator)
            except StopIteration:
                return
            except av.EOFError:
                return
            except av.FFmpegError as error:
                if error.errno != errno.EAGAIN:
                    raise
                self._stopped.wait(_RETRY)
                iterator = begin()


def _seconds(pts: int, time_base: Fraction) -> Fraction:
    return Fraction(pts * time_base.numerator, time_base.denominator)


def _rate(stream: AudioStream | VideoStream) -> Fraction:
    rate = getattr(stream, "average_rate", None) or getattr(stream, "guessed_rate", None) or 30
    return Fraction(rate.numerator, rate.denominator)
