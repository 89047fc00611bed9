"""Tracks: where a sender takes frames from, and where what was received is taken from (W3C Media Capture, section 4.3).

    class Camera(VideoStreamTrack):
        async def recv(self):
            pts, time_base = await self.next_timestamp()
            frame = ...                        # an av.VideoFrame
            frame.pts, frame.time_base = pts, time_base
            return frame

`recv` gives decoded frames, which are PyAV's, or frames that are encoded already: such a track says by `codec` as what,
and they are sent as they are.
"""

from __future__ import annotations

import asyncio
from fractions import Fraction
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from icelane.aio.event_target import EventTarget
from icelane.core.entropy import random_uuid
from icelane.crypto.provider import SystemEntropy
from icelane.errors import MediaStreamError
from icelane.media.codec import RtpCodec
from icelane.media.frame import EncodedFrame

if TYPE_CHECKING:
    from icelane.media.pyav import av

TrackFrame: TypeAlias = "av.AudioFrame | av.VideoFrame | EncodedFrame"
"""What a track gives. It may be in other hands too, and is not to be changed."""

AUDIO_PTIME: Final = 0.020
VIDEO_CLOCK_RATE: Final = 90_000
VIDEO_PTIME: Final = 1 / 30
VIDEO_TIME_BASE: Final = Fraction(1, VIDEO_CLOCK_RATE)

# A source that is late by more than this has been asleep: it goes on from now, rather than catch up at once.
_LARGEST_DELAY: Final = 1.0

_SILENCE_RATE: Final = 8_000


class MediaStreamTrack(EventTarget):
    """Where frames of one `kind`, `audio` or `video`, come from. To be derived from, with a `recv`.

    Events: `ended`; `mute` and `unmute` of what comes from a peer that has nothing to send for now.
    """

    EVENTS = frozenset({"ended", "mute", "unmute"})

    kind: str = "unknown"
    codec: RtpCodec | None = None
    """What `recv` gives is encoded so; None: it is not encoded."""

    def __init__(self) -> None:
        super().__init__()
        self._id = random_uuid(SystemEntropy())
        self._has_ended = False
        self._is_muted = False

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.kind}, {self._id}, {self.readyState})"

    @property
    def id(self) -> str:
        """What it is called in descriptions, unique."""
        return self._id

    @property
    def readyState(self) -> Literal["live", "ended"]:  # noqa: N802  (as the W3C has it)
        """`ended` is for good."""
        return "ended" if self._has_ended else "live"

    @property
    def muted(self) -> bool:
        """Whether the source has nothing to give for now."""
        return self._is_muted

    async def recv(self) -> TrackFrame:
        """The next frame, when it is time for it. Raises MediaStreamError when the track has ended."""
        raise NotImplementedError(f"{type(self).__name__} has no recv")

    def stop(self) -> None:
        """End the track; `ended` is told once. What listened is let go."""
        if self._has_ended:
            return
        self._has_ended = True
        self._emit("ended")
        self._handlers_by_event.clear()
        self._attributes_by_event.clear()

    def _set_muted(self, is_muted: bool) -> None:
        if is_muted != self._is_muted and not self._has_ended:
            self._is_muted = is_muted
            self._emit("mute" if is_muted else "unmute")

    def _require_live(self) -> None:
        if self._has_ended:
            raise MediaStreamError(f"the {self.kind} track has ended")


class Pace:
    """Waits until frames are due that count time from the first one on."""

    def __init__(self) -> None:
        self._start: float | None = None

    async def reach(self, seconds: float) -> None:
        """Wait until `seconds` after the beginning; at once for what is late."""
        now = asyncio.get_running_loop().time()
        if self._start is None or now - self._start - seconds > _LARGEST_DELAY:
            self._start = now - seconds
        await asyncio.sleep(max(0.0, self._start + seconds - now))


class AudioStreamTrack(MediaStreamTrack):
    """Silence: mono at 8 kHz in frames of 20 ms. To be derived from."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._pace = Pace()
        self._next_sample = 0

    async def recv(self) -> TrackFrame:
        from icelane.media.pyav import av

        self._require_live()
        await self._pace.reach(self._next_sample / _SILENCE_RATE)
        self._require_live()
        frame = av.AudioFrame(format="s16", layout="mono", samples=int(AUDIO_PTIME * _SILENCE_RATE))
        frame.planes[0].update(bytes(frame.planes[0].buffer_size))
        frame.sample_rate = _SILENCE_RATE
        frame.pts, frame.time_base = self._next_sample, Fraction(1, _SILENCE_RATE)
        self._next_sample += frame.samples
        return frame


class VideoStreamTrack(MediaStreamTrack):
    """Green pictures of 640 by 480, 30 a second. To be derived from."""

    kind = "video"

    def __init__(self) -> None:
        super().__init__()
        self._pace = Pace()
        self._next_pts = 0

    async def next_timestamp(self) -> tuple[int, Fraction]:
        """Wait until the next picture is due; its `pts` and `time_base`. Raises MediaStreamError."""
        self._require_live()
        pts = self._next_pts
        await self._pace.reach(pts / VIDEO_CLOCK_RATE)
        self._require_live()
        self._next_pts += round(VIDEO_PTIME * VIDEO_CLOCK_RATE)
        return pts, VIDEO_TIME_BASE

    async def recv(self) -> TrackFrame:
        from icelane.media.pyav import av

        pts, time_base = await self.next_timestamp()
        frame = av.VideoFrame(640, 480, "yuv420p")
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        frame.pts, frame.time_base = pts, time_base
        return frame
