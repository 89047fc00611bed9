"""Lip synchronization: which of two streams of one endpoint is shown too early, and by how much it has to wait.

A sender report says which moment of the sender's clock an RTP timestamp stands for (RFC 3550 section 6.4.1). So for
each stream there is a latency: when something is played here, less when it happened there. The two clocks differ, but
by the same for both streams, so the difference of the latencies is what the sound and the picture are apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from icelane.core.clock import Duration, Instant, later
from icelane.media.inbound_stream import InboundStream

# A stream is held back by no more than that: what is farther apart has other reasons.
MAX_DELAY: Final[Duration] = 1.0
# Nobody notices less (ITU-R BT.1359: 45 ms when the sound is early), and delays would be changed for ever.
TOLERANCE: Final[Duration] = 0.01
# How often it is looked at.
INTERVAL: Final[Duration] = 0.5
# How fast a delay is changed: a tenth of a second in a second is a stretch that is hardly seen or heard.
RATE: Final = 0.1


@dataclass(frozen=True, slots=True)
class SynchronizationDelays:
    """By how much each stream is to be held back; one of the two is 0."""

    audio: Duration
    video: Duration


class LipSync:
    """The delays of one audio and one video stream that belong together, having the same CNAME."""

    __slots__ = ("_changed_at", "_video_delay")

    def __init__(self) -> None:
        # Below zero it is the audio that waits.
        self._video_delay: Duration = 0.0
        self._changed_at: float | None = None

    @property
    def delays(self) -> SynchronizationDelays:
        """As they are now."""
        return SynchronizationDelays(max(-self._video_delay, 0.0), max(self._video_delay, 0.0))

    def update(self, audio_latency: Duration, video_latency: Duration, now: Instant) -> SynchronizationDelays:
        """Latencies as measured now, with the delays that are in force; returns those to set."""
        elapsed = 0.0 if self._changed_at is None else max(now - self._changed_at, 0.0)
        self._changed_at = now
        apart = audio_latency - video_latency
        if abs(apart) > TOLERANCE:
            step = RATE * min(elapsed, 1.0)
            wanted = min(max(self._video_delay + apart, -MAX_DELAY), MAX_DELAY)
            self._video_delay += min(max(wanted - self._video_delay, -step), step)
        return self.delays


class StreamSynchronizer:
    """Keeps the delays of two streams as LipSync says; streams of different CNAMEs are left alone."""

    def __init__(self, audio: InboundStream, video: InboundStream, now: Instant) -> None:
        self._audio = audio
        self._video = video
        self._lip_sync = LipSync()
        self._next_at = later(now, INTERVAL)

    def handle_timeout(self, now: Instant) -> None:
        """Look again when it is time to."""
        if now < self._next_at:
            return
        self._next_at = later(now, INTERVAL)
        audio, video = self._audio.latency(now), self._video.latency(now)
        if audio is None or video is None or self._audio.cname != self._video.cname:
            return
        delays = self._lip_sync.update(audio, video, now)
        self._audio.set_synchronization_delay(delays.audio)
        self._video.set_synchronization_delay(delays.video)

    def next_timeout(self) -> Instant:
        """When to call `handle_timeout`."""
        return self._next_at
