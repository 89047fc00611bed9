"""Samples as PyAV's frames."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Final

from icelane.media.codecs.interface import MediaFrame
from icelane.media.pyav import av

_LAYOUTS: Final = {1: "mono", 2: "stereo"}


def audio_frames(pcm: bytes, *, rate: int, channels: int, pts: int, longest: int) -> list[MediaFrame]:
    """Packed s16 `pcm` as frames of at most `longest` samples; the first has `pts`, in `1 / rate`."""
    return list(_frames(pcm, rate, channels, pts, longest))


def _frames(pcm: bytes, rate: int, channels: int, pts: int, longest: int) -> Iterator[MediaFrame]:
    sample_size = 2 * channels
    for start in range(0, len(pcm), longest * sample_size):
        piece = pcm[start : start + longest * sample_size]
        frame = av.AudioFrame(format="s16", layout=_LAYOUTS[channels], samples=len(piece) // sample_size)
        frame.planes[0].update(piece)
        frame.sample_rate = rate
        frame.time_base = Fraction(1, rate)
        frame.pts = pts + start // sample_size
        yield frame
