"""Tracks, as aiortc's users derive from them."""

from __future__ import annotations

import asyncio
from fractions import Fraction
from typing import Protocol

from icelane.aio import media_stream_track as tracks
from icelane.aio.media_stream_track import AUDIO_PTIME, VIDEO_CLOCK_RATE, VIDEO_PTIME, VIDEO_TIME_BASE
from icelane.compat.aiortc.emitter import Emitter
from icelane.errors import MediaStreamError

__all__ = [
    "AUDIO_PTIME",
    "VIDEO_CLOCK_RATE",
    "VIDEO_PTIME",
    "VIDEO_TIME_BASE",
    "AudioStreamTrack",
    "MediaStreamError",
    "MediaStreamTrack",
    "TimeBase",
    "VideoStreamTrack",
    "convert_timebase",
]


class TimeBase(Protocol):
    """A rational number of seconds, whichever type PyAV has for it."""

    @property
    def numerator(self) -> int: ...

    @property
    def denominator(self) -> int: ...


def convert_timebase(pts: int, from_base: TimeBase, to_base: TimeBase) -> int:
    """The time `pts` of one base in another one."""
    if from_base == to_base:
        return pts
    numerator = pts * from_base.numerator * to_base.denominator
    return int(Fraction(numerator, from_base.denominator * to_base.numerator))


class MediaStreamTrack(Emitter, tracks.MediaStreamTrack):
    """Where frames come from. To be derived from, with a `kind` and a `recv`. Event: `ended`."""

    def _emit(self, event: str, *bare: object, **attributes: object) -> list[asyncio.Task[object]]:
        if event == "ended":
            self._tell(event)
            self.remove_all_listeners()  # nothing comes after it
        return super()._emit(event, *bare, **attributes)


class AudioStreamTrack(MediaStreamTrack, tracks.AudioStreamTrack):
    """Silence: mono at 8 kHz in frames of 20 ms. To be derived from."""


class VideoStreamTrack(MediaStreamTrack, tracks.VideoStreamTrack):
    """Green pictures of 640 by 480, 30 a second. To be derived from."""
