"""What the demo tries, one record per path from end to end through the relay."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from demo.call import CallReport


class Outcome(enum.Enum):
    """How a path ended."""

    CARRIED = "carried"
    """Every byte arrived unchanged."""
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, kw_only=True)
class PathResult:
    """One row of the table. Times in seconds; counts are of both directions together."""

    path: str
    outcome: Outcome
    set_up: float | None = None
    round_trip: float | None = None
    bytes_sent: int = 0
    bytes_received: int = 0
    packets: int = 0
    """Packets that were counted for loss: all of our clients', the video's of the browser."""
    packets_lost: int = 0
    remark: str = ""
    """What went wrong, why it was skipped, or what else there is to say."""


def all_carried(results: list[PathResult]) -> bool:
    """Whether something was tried and nothing that was tried fell short. What was skipped does not count."""
    tried = [result for result in results if result.outcome is not Outcome.SKIPPED]
    return bool(tried) and all(result.outcome is Outcome.CARRIED for result in tried)


def skipped(path: str, reason: str) -> PathResult:
    """A path that this machine cannot try."""
    return PathResult(path=path, outcome=Outcome.SKIPPED, remark=reason)


def failed(path: str, error: Exception) -> PathResult:
    """A path that ended in an exception."""
    return PathResult(path=path, outcome=Outcome.FAILED, remark=f"{type(error).__name__}: {error}")


def of_call(path: str, transport: str, call: CallReport) -> PathResult:
    """The row of a call between two browser pages over TURN by `transport`."""
    sent = sum(end.payload_sent for end in call.ends)
    shortfalls = [text for end in call.ends for text in _shortfalls(end.relayed, end.relay_protocol, transport)]
    whole = all(end.payload_intact and end.payload_received == end.payload_sent for end in call.ends)
    if not whole:
        shortfalls.append("data was lost or changed")
    pictures = sum(end.frames_decoded for end in call.ends)
    round_trips = [end.round_trip for end in call.ends if end.round_trip is not None]
    return PathResult(
        path=path,
        outcome=Outcome.FAILED if shortfalls else Outcome.CARRIED,
        set_up=max(end.set_up for end in call.ends),
        round_trip=max(round_trips, default=None),
        bytes_sent=sent,
        bytes_received=sum(end.payload_received for end in call.ends),
        packets=sum(end.video_packets_received + max(end.video_packets_lost, 0) for end in call.ends),
        packets_lost=sum(max(end.video_packets_lost, 0) for end in call.ends),
        remark="; ".join(shortfalls) or f"{pictures} pictures decoded",
    )


def _shortfalls(relayed: bool, relay_protocol: str, transport: str) -> list[str]:
    if not relayed:
        return ["the selected pair is not relayed"]
    if relay_protocol != transport:
        return [f"relayed over {relay_protocol} instead of {transport}"]
    return []
