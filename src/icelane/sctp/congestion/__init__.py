"""Congestion control, behind one interface: RFC 9260 section 7 and, as default, a model of the path.

A controller is told what was sent, acknowledged and lost, and sets two attributes: how many bytes may be in flight, and
how fast they may leave.
"""

from __future__ import annotations

from typing import Protocol

from icelane.core.clock import Instant


class Acknowledgement:
    """What one SACK, or one expired loss timer, said; bytes of payload, seconds.

    `rate` is the delivery rate in bytes per second, 0 where this sample has none; `prior_delivered` is what had been
    delivered in total when the packet that the sample is made of left. `window_limited` says whether the window was
    full before. `round_trip` is 0 where nothing can be learnt about it.
    """

    __slots__ = (
        "acked",
        "app_limited",
        "cumulative_advanced",
        "delivered",
        "flight",
        "in_recovery",
        "lost",
        "prior_delivered",
        "rate",
        "round_trip",
        "window_limited",
    )

    def __init__(self) -> None:
        self.acked = 0
        self.lost = 0
        self.flight = 0
        self.delivered = 0
        self.prior_delivered = 0
        self.rate = 0.0
        self.round_trip = 0.0
        self.app_limited = False
        self.window_limited = False
        self.cumulative_advanced = False
        self.in_recovery = False


class CongestionController(Protocol):
    """How much may be in flight, and how fast it leaves.

    `window` is in bytes of payload; `pacing_rate` in bytes per second, 0 for as fast as the window allows.
    """

    window: int
    pacing_rate: float

    def on_acknowledged(self, ack: Acknowledgement, now: Instant) -> None:
        """Something was acknowledged or found to be lost."""
        ...

    def on_recovery_entered(self, flight: int, now: Instant) -> None:
        """The first loss since the last recovery ended; comes before the acknowledgement that found it."""
        ...

    def on_timeout(self, now: Instant) -> None:
        """Nothing came back for a whole retransmission timeout."""
        ...
