"""What a call between two browser pages measured."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class PageReport:
    """What one page measured. Times in seconds, counts as in W3C `getStats`, the candidates of the selected pair."""

    connection_state: str
    local_candidate: str
    remote_candidate: str
    relay_protocol: str
    transport_bytes_sent: int
    transport_bytes_received: int
    round_trip: float | None
    frames_decoded: int
    video_packets_received: int
    video_packets_lost: int
    set_up: float
    payload_sent: int
    payload_received: int
    payload_intact: bool
    """The SHA-256 of what arrived here is that of what the other page sent."""
    problems: tuple[str, ...] = field(default=())
    """Candidate errors, as the browser words them."""

    @property
    def relayed(self) -> bool:
        """Whether both ends of the selected pair are relayed addresses."""
        return self.local_candidate == "relay" == self.remote_candidate


@dataclass(frozen=True, kw_only=True)
class CallReport:
    """Both ends of one call."""

    caller: PageReport
    callee: PageReport

    @property
    def ends(self) -> tuple[PageReport, PageReport]:
        return self.caller, self.callee
