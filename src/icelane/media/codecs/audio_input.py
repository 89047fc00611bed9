"""Sound of any shape, cut into pieces that an encoder takes: one format, one rate, one length."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from icelane.errors import LocalProtocolError, OperationError
from icelane.media.codecs.interface import MediaFrame
from icelane.media.pyav import av

if TYPE_CHECKING:
    from av.audio.resampler import AudioResampler

# How many samples the level is measured on: enough to be right within a decibel, few enough to cost nothing.
_MEASURED: Final = 240
SILENCE_LEVEL: Final = 127
# Quieter than this, in -dBov, nobody speaks.
VOICE_LEVEL: Final = 50

_LAYOUTS: Final = {1: "mono", 2: "stereo"}


class AudioInput:
    """Makes pieces of `samples` packed s16 samples for each of `channels`, at `rate` Hz.

    Their times count in `1 / rate`. What does not fill a piece waits for the next frame.
    """

    def __init__(self, *, rate: int, channels: int, samples: int) -> None:
        self._rate = rate
        self._channels = channels
        self._samples = samples
        self._resampler: AudioResampler | None = None
        self._source: tuple[str, str, int] | None = None
        self._next_pts = 0

    def pieces(self, frame: MediaFrame) -> list[tuple[int, av.AudioFrame]]:
        """What `frame` completes, each with its `pts`, which follows on the piece before where it brings none.

        Raises LocalProtocolError when it is no sound, OperationError when PyAV fails.
        """
        if not isinstance(frame, av.AudioFrame):
            raise LocalProtocolError(f"an encoder of audio takes av.AudioFrame, not {type(frame).__name__}")
        pieces: list[tuple[int, av.AudioFrame]] = []
        for piece in [frame] if self._fits(frame) else self._resampled(frame):
            pts = self._next_pts if piece.pts is None else piece.pts
            self._next_pts = pts + piece.samples
            pieces.append((pts, piece))
        return pieces

    def _fits(self, frame: av.AudioFrame) -> bool:
        return (
            self._resampler is None
            and frame.samples == self._samples
            and frame.sample_rate == self._rate
            and frame.format.name == "s16"
            and len(frame.layout.channels) == self._channels
            and (frame.pts is None or _counts_samples(frame))
        )

    def _resampled(self, frame: av.AudioFrame) -> list[av.AudioFrame]:
        source = (frame.format.name, frame.layout.name, frame.sample_rate)
        if self._resampler is None or source != self._source:
            # What is left of the other shape, less than a piece, is given up.
            self._source = source
            self._resampler = av.AudioResampler(
                format="s16", layout=_LAYOUTS[self._channels], rate=self._rate, frame_size=self._samples
            )
        try:
            return self._resampler.resample(frame)
        except (av.FFmpegError, ValueError) as error:
            raise OperationError(f"audio cannot be converted: {error}") from error


def _counts_samples(frame: av.AudioFrame) -> bool:
    base = frame.time_base
    return base is not None and (base.numerator, base.denominator) == (1, frame.sample_rate)


def audio_bytes(frame: av.AudioFrame) -> memoryview:
    """The samples of packed s16 sound, without what PyAV pads them by."""
    return memoryview(frame.planes[0])[: frame.samples * len(frame.layout.channels) * 2]


def audio_level(frame: av.AudioFrame) -> int:
    """The level of packed s16 sound in -dBov: 0 for the loudest, 127 for silence (RFC 6464 section 3)."""
    values = audio_bytes(frame).cast("h")
    values = values[:: max(1, len(values) // _MEASURED) | 1]  # an odd step, so that both channels are seen
    power = sum(value * value for value in values) / len(values) if len(values) else 0.0
    if power == 0:
        return SILENCE_LEVEL
    return max(0, min(SILENCE_LEVEL, round(-10 * math.log10(power / 32_768**2))))
