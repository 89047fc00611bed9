"""Lip synchronization: which of two streams of one endpoint is shown too early, and by how much it has to wait.

A sender report says which moment of the sender's clock an RTP timestamp stands for (RFC 3550 section 6.4.1). So for
each stream there is a latency: when something is played here, less when it happened there. The two clocks differ, but
by the same for both streams, so the difference of the latencies is what the sound and the picture are apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from icelane.core.clock import Duration, Instant, UnixSeconds
from icelane.rtp.ntp import unix_time_of
from icelane.rtp.sequence import timestamp_distance

# A stream is held back by no more than that: what is farther apart has other reasons, and holding it back would be worse.
MAX_DELAY: Final[Duration] = 1.0
# Nobody notices less (ITU-R BT.1359: 45 ms when the sound is early), and delays would be changed for ever.
TOLERANCE: Final[Duration] = 0.01
# How fast a delay is changed: a tenth of a second in a second is a stretch that is hardly seen or heard.
RATE: Final = 0.1


class SenderClock:
    """What the sender's clock said at the RTP timestamps of one stream, from its last report."""

    __slots__ = ("_clock_rate", "_ntp_seconds", "_rtp_timestamp", "is_known")

    def __init__(self, clock_rate: int) -> None:
        self._clock_rate = clock_rate
        self._ntp_seconds = 0.0
        self._rtp_timestamp = 0
        self.is_known = False

    def handle_sender_report(self, ntp_time: int, rtp_timestamp: int) -> None:
        """A report came. One without a time (RFC 3550 section 6.4.1: zero) says nothing."""
        if ntp_time == 0:
            return
        self._ntp_seconds = unix_time_of(ntp_time)
        self._rtp_timestamp = rtp_timestamp
        self.is_known = True

    def time_of(self, timestamp: int) -> UnixSeconds | None:
        """When what has this timestamp was captured, on the sender's wall clock; None before the first report."""
        if not self.is_known:
            return None
        ticks = timestamp_distance(timestamp, self._rtp_timestamp)
        return UnixSeconds(self._ntp_seconds + ticks / self._clock_rate)


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
