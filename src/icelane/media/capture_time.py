"""When a decoded frame was captured, as its sender has said: it travels with the frame, through relays and queues."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from icelane.core.clock import UnixSeconds

if TYPE_CHECKING:
    from icelane.media.pyav import av


@dataclass(frozen=True, slots=True)
class CaptureTime:
    """`at` on the wall clock of the endpoint that calls itself `cname`; clocks of two endpoints have nothing in common.

    It is RTCP that says both (RFC 3550 sections 6.4.1 and 6.5.1), a moment after a stream has begun.
    """

    cname: str
    at: UnixSeconds


def mark_captured(frame: av.AudioFrame | av.VideoFrame, time: CaptureTime) -> None:
    """Say when the first sample, or the picture, was captured."""
    frame.opaque = time


def capture_time_of(frame: av.AudioFrame | av.VideoFrame) -> CaptureTime | None:
    """What was said of the frame; None of one that comes from no peer, and of one that is made up or too early."""
    time = frame.opaque
    return time if isinstance(time, CaptureTime) else None
