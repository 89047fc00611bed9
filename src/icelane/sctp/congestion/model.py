"""A controller that models the path: how fast it delivers and how long an empty one takes.

In the manner of BBR. The window is a multiple of rate times minimum round trip, and packets leave at about that rate,
so a lost packet alone slows nothing down. What slows it down is a queue: while every packet of a round trip took
noticeably longer than the minimum, it does not probe for more and keeps less in flight. Losses slow it down only
above what links lose by themselves.

    startup     faster by a factor each round trip, until the rate stops growing, a queue builds up or much is lost
    drain       slower, until that queue is gone
    cruise      eight round trips: one faster, one slower, six at the rate
    probe       every ten seconds without a new minimum: little in flight for 0.2 s, to see the path empty
"""

# ruff: noqa: ARG002 -- the interface tells more than each controller uses

from __future__ import annotations

import enum
from collections import deque
from typing import Final

from icelane.core.clock import NEVER, Instant, later
from icelane.sctp.congestion import Acknowledgement

# The smallest factor that doubles the rate in each round trip: 2 / ln 2.
STARTUP_GAIN: Final = 2.885
CRUISE_GAINS: Final = (1.25, 0.75, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
WINDOW_GAIN: Final = 2.0
# How much is in flight while a queue stands.
YIELDING_WINDOW_GAIN: Final = 1.25
# The rate is the highest of so many round trips.
RATE_ROUNDS: Final = 10
MINIMUM_LIFETIME: Final = 10.0
# And sooner while a queue stands all the time: then it may be no queue, but a path that has become longer, or one that
# somebody else keeps full.
QUEUE_PATIENCE: Final = 3.0
PROBE_DURATION: Final = 0.2
# A round trip with this share of losses is congestion whatever the delays say.
LOSS_LIMIT: Final = 0.05
LOSS_FACTOR: Final = 0.85
# A queue stands when the shortest round trip of a round exceeds the minimum by this share and this many seconds.
QUEUE_SHARE: Final = 0.25
QUEUE_SECONDS: Final = 0.005
# Shorter round trips than this do not make the window smaller: programs wake up and acknowledge at their own pace.
LEAST_ROUND_TRIP: Final = 0.005

_INITIAL_PACKETS: Final = 16
_LEAST_PACKETS: Final = 4


class Phase(enum.Enum):
    """What the controller is doing."""

    STARTUP = "startup"
    DRAIN = "drain"
    CRUISE = "cruise"
    PROBE = "probe"


class ModelController:
    """A window and a pacing rate from a model of the path."""

    def __init__(self, path_mtu: int) -> None:
        self._mtu = path_mtu
        self.window = _INITIAL_PACKETS * path_mtu
        self.pacing_rate = 0.0
        self.phase = Phase.STARTUP
        self.minimum_round_trip = 0.0
        self._minimum_at = Instant(0.0)
        self._rates: deque[tuple[int, float]] = deque()  # falling rates with their rounds: the first is the highest
        self._round = 0
        self._round_ends_at = 0  # in bytes delivered
        self._round_acked = 0
        self._round_lost = 0
        self._round_shortest = NEVER
        self._yielding = False
        self._yielding_since = Instant(0.0)
        self._full_rate = 0.0
        self._full_rounds = 0
        self._filled = False
        self._cycle = 2
        self._cycle_at = Instant(0.0)
        self._ceiling = 1 << 30  # what losses have shown to be too much in flight
        self._probe_ends_at = NEVER
        self._window_before_timeout = 0

    @property
    def rate(self) -> float:
        """The delivery rate in bytes per second, 0 before the first sample."""
        return self._rates[0][1] if self._rates else 0.0

    def on_acknowledged(self, ack: Acknowledgement, now: Instant) -> None:
        """Learn from what came back, and set window and rate."""
        if self._window_before_timeout and ack.acked:  # the path is alive: go on where we were
            self.window = max(self.window, self._window_before_timeout)
            self._window_before_timeout = 0
        self._round_acked += ack.acked
        self._round_lost += ack.lost
        self._learn_round_trip(ack, now)
        round_ended = ack.acked > 0 and ack.prior_delivered >= self._round_ends_at
        if round_ended:
            self._round += 1
            self._round_ends_at = ack.delivered
        self._learn_rate(ack)
        if round_ended:
            self._end_round(ack)
        if not self._yielding:
            self._yielding_since = now
        self._change_phase(ack, now)
        self._set(ack)

    def on_recovery_entered(self, flight: int, now: Instant) -> None:
        """A loss by itself says nothing; shares of losses are looked at once per round trip."""

    def on_timeout(self, now: Instant) -> None:
        """Send next to nothing until something comes back."""
        self._window_before_timeout = max(self._window_before_timeout, self.window)
        self.window = self._mtu

    # What is learnt

    def _learn_round_trip(self, ack: Acknowledgement, now: Instant) -> None:
        if not ack.round_trip:
            return
        self._round_shortest = min(self._round_shortest, Instant(ack.round_trip))
        if not self.minimum_round_trip or ack.round_trip <= self.minimum_round_trip:
            self.minimum_round_trip = ack.round_trip
            self._minimum_at = now

    def _learn_rate(self, ack: Acknowledgement) -> None:
        if not ack.rate or not self.minimum_round_trip or (ack.app_limited and ack.rate < self.rate):
            return
        rates = self._rates
        while rates and rates[-1][1] <= ack.rate:
            rates.pop()
        rates.append((self._round, ack.rate))
        while rates[0][0] <= self._round - RATE_ROUNDS:
            rates.popleft()

    def _end_round(self, ack: Acknowledgement) -> None:
        standing = self._round_shortest - self.minimum_round_trip
        known = self._round_shortest != NEVER
        self._yielding = known and standing > QUEUE_SECONDS + QUEUE_SHARE * self.minimum_round_trip
        total = self._round_acked + self._round_lost
        lossy = self._round_lost > 2 * self._mtu and self._round_lost > LOSS_LIMIT * total
        if lossy:
            in_flight = max(ack.flight, self._round_acked)
            self._ceiling = max(int(LOSS_FACTOR * min(in_flight, self.window)), self._share(0.5))
        else:
            self._ceiling = min(self._ceiling + max(self._mtu, self._ceiling // 8), 1 << 30)
        if not self._filled:
            self._look_whether_full(ack, lossy)
        self._round_acked = self._round_lost = 0
        self._round_shortest = NEVER

    def _look_whether_full(self, ack: Acknowledgement, lossy: bool) -> None:
        if ack.app_limited:
            return
        if self.rate >= self._full_rate * 1.25:
            self._full_rate = self.rate
            self._full_rounds = 0
        else:
            self._full_rounds += 1
        self._filled = self._full_rounds >= 3 or lossy or self._yielding

    # What follows

    def _change_phase(self, ack: Acknowledgement, now: Instant) -> None:
        if self.phase is Phase.STARTUP and self._filled:
            self.phase = Phase.DRAIN
        if self.phase is Phase.DRAIN and ack.flight <= self._share(1.0):
            self._cruise(now)
        if self.phase is Phase.CRUISE:
            self._advance_cycle(ack, now)
        if self.phase is Phase.PROBE:
            if now >= self._probe_ends_at:
                self._minimum_at = self._yielding_since = now
                self.phase = Phase.STARTUP if not self._filled else Phase.CRUISE
        elif self.minimum_round_trip and (
            now > self._minimum_at + MINIMUM_LIFETIME or now > self._yielding_since + QUEUE_PATIENCE
        ):
            # What is measured now replaces the old minimum: the path may have become longer.
            self.phase = Phase.PROBE
            self.minimum_round_trip = ack.round_trip or self.minimum_round_trip
            self._probe_ends_at = later(now, max(PROBE_DURATION, self.minimum_round_trip))

    def _cruise(self, now: Instant) -> None:
        self.phase = Phase.CRUISE
        self._cycle = 2
        self._cycle_at = now

    def _advance_cycle(self, ack: Acknowledgement, now: Instant) -> None:
        gain = CRUISE_GAINS[self._cycle]
        done = now - self._cycle_at > self.minimum_round_trip
        if gain > 1.0:
            # Until the path has really held more, unless that costs losses or makes a queue.
            done = done and (ack.lost > 0 or self._yielding or ack.flight >= self._share(gain))
        elif gain < 1.0:
            done = done or ack.flight <= self._share(1.0)
        if done:
            self._cycle = (self._cycle + 1) % len(CRUISE_GAINS)
            if CRUISE_GAINS[self._cycle] > 1.0 and self._yielding:
                self._cycle += 1
            self._cycle_at = now

    def _share(self, gain: float) -> int:
        """`gain` times what an empty path holds, and not too few packets."""
        held = self.rate * max(self.minimum_round_trip, LEAST_ROUND_TRIP)
        return max(int(gain * held), _LEAST_PACKETS * self._mtu)

    def _set(self, ack: Acknowledgement) -> None:
        if self._rates:
            self.pacing_rate = self._gain() * max(self.rate, self._least_rate())
        if self._window_before_timeout:
            return
        if self.phase is Phase.PROBE:
            target = self._share(0.5)
        elif not self._filled:
            # A window that grows with what is delivered doubles in each round trip.
            target = max(self.window + ack.acked, self._share(STARTUP_GAIN)) if ack.window_limited else self.window
        else:
            target = self._share(YIELDING_WINDOW_GAIN if self._yielding else WINDOW_GAIN)
        self.window = max(min(target, self._ceiling), _LEAST_PACKETS * self._mtu)

    def _least_rate(self) -> float:
        return _LEAST_PACKETS * self._mtu / max(self.minimum_round_trip, LEAST_ROUND_TRIP)

    def _gain(self) -> float:
        match self.phase:
            case Phase.STARTUP:
                return STARTUP_GAIN
            case Phase.DRAIN:
                return 1 / STARTUP_GAIN
            case Phase.CRUISE:
                return CRUISE_GAINS[self._cycle]
            case Phase.PROBE:
                return 1.0
