"""When decoded frames were captured."""

from __future__ import annotations

from icelane.core.clock import UnixSeconds
from icelane.media.capture_time import CaptureTime, capture_time_of, mark_captured
from icelane.media.pyav import av


def test_a_frame_says_what_was_said_of_it() -> None:
    picture, time = av.VideoFrame(96, 64, "yuv420p"), CaptureTime("alice", UnixSeconds(5.0))
    mark_captured(picture, time)
    assert capture_time_of(picture) == time


def test_a_frame_of_somebody_else_says_nothing() -> None:
    sound = av.AudioFrame(format="s16", layout="mono", samples=960)
    assert capture_time_of(sound) is None
    sound.opaque = 5
    assert capture_time_of(sound) is None
