"""When RTCP is sent: reports at intervals (RFC 3550 section 6.2), feedback at once (RFC 4585 section 3.5).

Two peers share no session whose bandwidth would have to be divided, so intervals are fixed as browsers have them, and
only spread by chance, so that several transports do not report in step. Feedback is never delayed: in a session of two
nobody else could have sent it already (RFC 4585 section 3.4: T_dither_max is 0), and what asks again and again has
bounds of its own.
"""

from __future__ import annotations

from typing import Final

from icelane.core.clock import Duration, Instant, later
from icelane.core.entropy import Entropy

# RFC 3550 section 6.2 has 5 s and less where there is more bandwidth.
VIDEO_INTERVAL: Final[Duration] = 1.0
AUDIO_INTERVAL: Final[Duration] = 5.0
# RFC 3550 section 6.2: half of it before the first report, so that the peer soon knows whom it hears; of a stream that
# plays only for seconds, this is what makes it synchronous.
FIRST_INTERVAL: Final[Duration] = 0.25

_GRAIN: Final = 1 << 16


class ReportSchedule:
    """The next report of one transport. `has_video` decides how often; it may change as streams come and go."""

    __slots__ = ("_entropy", "has_video", "next_at")

    def __init__(self, entropy: Entropy, now: Instant, *, has_video: bool = True) -> None:
        self._entropy = entropy
        self.has_video = has_video
        self.next_at = later(now, self._spread(FIRST_INTERVAL))

    @property
    def interval(self) -> Duration:
        """The time between two reports, on average."""
        return VIDEO_INTERVAL if self.has_video else AUDIO_INTERVAL

    def is_due(self, now: Instant) -> bool:
        """Whether a report is to be sent now."""
        return now >= self.next_at

    def hurry(self, now: Instant) -> None:
        """A stream was added: the peer should know soon what its timestamps mean."""
        self.next_at = min(self.next_at, later(now, self._spread(FIRST_INTERVAL)))

    def reported(self, now: Instant) -> None:
        """A report with all blocks was sent."""
        self.next_at = later(now, self._spread(self.interval))

    def _spread(self, interval: Duration) -> Duration:
        # RFC 3550 section 6.2: 0.5 to 1.5 of it.
        return interval * (0.5 + self._entropy.below(_GRAIN) / _GRAIN)
