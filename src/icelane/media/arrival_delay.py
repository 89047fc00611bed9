"""How much later than the fastest ones packets come, and how long a buffer has to hold them because of that.

Each packet has a transit: when it came, less its place on the media clock. The least transit of the last seconds is the
baseline, whatever the two clocks say; what a packet's lies above it is its lateness. A histogram of lateness that
forgets tells which delay is enough for nearly all packets; a buffer that was caught out nevertheless says so, and
the delay is at once what it should have been, and fades.
"""

from __future__ import annotations

from typing import Final

from icelane.core.clock import Duration, Instant

MAX_DELAY: Final[Duration] = 1.0

# Histogram: buckets of 5 ms up to MAX_DELAY, later ones count as the last. By that factor the past weighs less with
# each sample: half as much after 350, seven seconds of audio.
_BUCKET: Final = 0.005
_BUCKETS: Final = round(MAX_DELAY / _BUCKET)
_FORGETTING: Final = 0.998
_HEAVIEST: Final = 1e60
# Samples between two looks at the histogram.
_EVERY: Final = 8
# The baseline is the least transit of between 7 and 8 seconds: clocks drift apart by less than a millisecond in that
# time, and a path that has got longer is believed after it.
_SLICE: Final[Duration] = 1.0
_SLICES: Final = 8
# How long it takes until half of the peak is left.
_HALVING: Final[Duration] = 5.0


class ArrivalDelay:
    """The estimate for one source. `quantile` is the share of packets that the delay has to be enough for."""

    __slots__ = (
        "_baseline",
        "_counts",
        "_least_of_slices",
        "_peak",
        "_peak_at",
        "_quantile",
        "_quantile_delay",
        "_samples",
        "_slice_ends_at",
        "_total",
        "_weight",
        "clock_rate",
    )

    def __init__(self, clock_rate: int, quantile: float) -> None:
        self.clock_rate = clock_rate
        self._quantile = quantile
        self._reset()

    def _reset(self) -> None:
        self._baseline = 0.0
        self._least_of_slices: list[float] = []
        self._slice_ends_at = 0.0
        self._counts = [0.0] * (_BUCKETS + 1)
        self._weight = 1.0
        self._total = 0.0
        self._samples = 0
        self._quantile_delay = 0.0
        self._peak = 0.0
        self._peak_at = 0.0

    @property
    def is_known(self) -> bool:
        """Whether there was a packet."""
        return self._samples > 0

    def learn(self, timestamp: int, now: Instant) -> Duration:
        """A packet, or a whole frame, is there; `timestamp` is unwrapped. Returns its lateness."""
        transit = now - timestamp / self.clock_rate
        # No buffer makes up for more than MAX_DELAY: the media clock has begun anew, or the source had paused it.
        if self._samples and abs(transit - self._baseline) > MAX_DELAY:
            self._reset()
        self._follow_baseline(transit, now)
        lateness = transit - self._baseline
        self._count(lateness)
        return lateness

    def expected(self, timestamp: int) -> Instant:
        """When a packet with this unwrapped timestamp comes if it is as fast as the fastest."""
        return Instant(self._baseline + timestamp / self.clock_rate)

    def needed(self, now: Instant) -> Duration:
        """By how much a buffer has to delay what is fastest, 0 to MAX_DELAY."""
        return min(max(self._quantile_delay, self._faded_peak(now)), MAX_DELAY)

    def was_late(self, lateness: Duration, now: Instant) -> None:
        """The delay was not enough for a packet: it is to be at once, and comes down slowly."""
        if lateness > self._faded_peak(now):
            self._peak, self._peak_at = min(lateness, MAX_DELAY), float(now)

    def _faded_peak(self, now: Instant) -> Duration:
        return self._peak * 0.5 ** ((now - self._peak_at) / _HALVING) if self._peak else 0.0

    def _follow_baseline(self, transit: float, now: Instant) -> None:
        slices = self._least_of_slices
        if not slices or now >= self._slice_ends_at:
            slices.append(transit)
            del slices[:-_SLICES]
            self._slice_ends_at = now + _SLICE
            self._baseline = min(slices)
        elif transit < slices[-1]:
            slices[-1] = transit
            self._baseline = min(self._baseline, transit)

    def _count(self, lateness: Duration) -> None:
        self._counts[min(int(lateness / _BUCKET), _BUCKETS)] += self._weight
        self._total += self._weight
        self._weight /= _FORGETTING
        self._samples += 1
        if self._samples % _EVERY == 0 or self._samples < _EVERY:
            self._find_quantile()
        if self._weight > _HEAVIEST:
            self._counts = [count / self._weight for count in self._counts]
            self._total /= self._weight
            self._weight = 1.0

    def _find_quantile(self) -> None:
        # The total of what is weighed is known: what lies above the quantile is little, and sought from above.
        above = self._total * (1.0 - self._quantile)
        counts = self._counts
        bucket = _BUCKETS
        while bucket > 0:
            above -= counts[bucket]
            if above < 0:
                break
            bucket -= 1
        self._quantile_delay = 0.0 if bucket == 0 else (bucket + 1) * _BUCKET
