"""A pair of candidates, and how its checks went (RFC 8445 section 6.1.2)."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from icelane.core.clock import Duration, Instant
from icelane.core.net import Path, SocketAddress, Transport
from icelane.ice.candidate import Candidate, CandidateType
from icelane.ice.credentials import Credentials
from icelane.ice.event import IceRole


class PairState(enum.Enum):
    """W3C RTCStatsIceCandidatePairState, without `frozen` (decision 0007)."""

    WAITING = "waiting"
    IN_PROGRESS = "in-progress"
    FAILED = "failed"
    SUCCEEDED = "succeeded"


@dataclass(slots=True)
class PairCounts:
    """What went over a pair. Of checks without retransmissions of ours; consent checks are among the requests too.

    Packets and bytes are those of data, without checks; `last_...` is when the latest of them went.
    """

    requests_sent: int = 0
    requests_received: int = 0
    responses_sent: int = 0
    responses_received: int = 0
    consent_requests_sent: int = 0
    round_trip: Duration | None = None
    total_round_trip: Duration = 0.0
    packets_sent: int = 0
    bytes_sent: int = 0
    last_sent: Instant | None = None
    packets_received: int = 0
    bytes_received: int = 0
    last_received: Instant | None = None

    def add_sent(self, packets: int, size: int, now: Instant) -> None:
        """Data has left over the pair."""
        self.packets_sent += packets
        self.bytes_sent += size
        self.last_sent = now

    def add_received(self, packets: int, size: int, now: Instant) -> None:
        """Data has come over the pair."""
        self.packets_received += packets
        self.bytes_received += size
        self.last_received = now


@dataclass(frozen=True, slots=True, kw_only=True)
class PairReport:
    """What statistics tell about a pair at one moment. Times are in seconds, `round_trip` is the latest one.

    `base` is that of the local candidate; of an active one of TCP the path leaves from another port. The username
    fragments are those of the session that the pair belongs to; `remote_ufrag` is None before it is known.
    """

    local_ufrag: str
    remote_ufrag: str | None
    path: Path
    base: SocketAddress
    local: Candidate
    remote: Candidate
    state: PairState
    nominated: bool
    selected: bool
    carries_data: bool
    priority: int
    requests_sent: int
    requests_received: int
    responses_sent: int
    responses_received: int
    consent_requests_sent: int
    round_trip: Duration | None
    total_round_trip: Duration
    packets_sent: int
    bytes_sent: int
    last_sent: Instant | None
    packets_received: int
    bytes_received: int
    last_received: Instant | None


class CandidatePair:
    """A local and a remote candidate; checks leave from `path.local`, the base of the local one.

    RFC 8445 makes another pair out of one that succeeded, with the local candidate that the peer saw. Base and remote
    end are the same, so it is kept here as `valid_local`.

    A pair with an active candidate of TCP has a `planned` path, from a port that says nothing. Its `path` is the same
    until there is a connection, and then that of the connection.
    """

    __slots__ = (
        "checks",
        "counts",
        "last_response",
        "local",
        "nominate_on_success",
        "nominated",
        "path",
        "planned",
        "queued",
        "recheck",
        "remote",
        "state",
        "transaction_id",
        "valid_local",
    )

    def __init__(self, local: Candidate, remote: Candidate, path: Path) -> None:
        self.local = local
        self.remote = remote
        self.path = path
        self.planned = path
        self.state = PairState.WAITING
        self.valid_local: Candidate | None = None
        self.nominated = False
        self.nominate_on_success = False  # the controlling peer nominated it before our check was answered
        self.queued = False  # it stands in the queue of triggered checks
        self.recheck = False  # it has succeeded, and is to be checked once more
        self.transaction_id: bytes | None = None  # the check that decides
        self.checks = 0
        self.last_response: Instant | None = None
        self.counts = PairCounts()

    def __repr__(self) -> str:
        return f"CandidatePair({self.path}, {self.state.value})"

    @property
    def valid(self) -> bool:
        return self.state is PairState.SUCCEEDED

    @property
    def live(self) -> bool:
        """Whether a check may still make it valid."""
        return self.state in (PairState.WAITING, PairState.IN_PROGRESS)

    @property
    def relayed(self) -> bool:
        """Whether one of the ends is at a TURN server, as far as we know."""
        return CandidateType.RELAYED in (self.local.type, self.remote.type)

    @property
    def over_tcp(self) -> bool:
        return self.path.transport is Transport.TCP

    @property
    def lacks_connection(self) -> bool:
        """Whether a connection has to be made before it can be checked."""
        return self.local.tcp_type == "active" and self.path is self.planned

    @property
    def costly(self) -> bool:
        """Whether it is worth waiting for another one: it is relayed, or all that is lost on it is waited for."""
        return self.relayed or self.over_tcp

    def priority(self, role: IceRole) -> int:
        """RFC 8445 section 6.1.2.3, where we have `role`."""
        local = self.valid_local or self.local
        if role is IceRole.CONTROLLING:
            return pair_priority(local.priority, self.remote.priority)
        return pair_priority(self.remote.priority, local.priority)

    def add_round_trip(self, duration: Duration) -> None:
        """An answer took so long."""
        self.counts.round_trip = duration
        self.counts.total_round_trip += duration

    def report(
        self,
        role: IceRole,
        local: Credentials,
        remote: Credentials | None,
        *,
        selected: bool,
        carries_data: bool,
    ) -> PairReport:
        """What statistics tell about it now; the credentials are those of its session."""
        counts = self.counts
        return PairReport(
            local_ufrag=local.ufrag,
            remote_ufrag=remote.ufrag if remote is not None else None,
            path=self.path,
            base=self.planned.local,
            local=self.valid_local or self.local,
            remote=self.remote,
            state=self.state,
            nominated=self.nominated,
            selected=selected,
            carries_data=carries_data,
            priority=self.priority(role),
            requests_sent=counts.requests_sent,
            requests_received=counts.requests_received,
            responses_sent=counts.responses_sent,
            responses_received=counts.responses_received,
            consent_requests_sent=counts.consent_requests_sent,
            round_trip=counts.round_trip,
            total_round_trip=counts.total_round_trip,
            packets_sent=counts.packets_sent,
            bytes_sent=counts.bytes_sent,
            last_sent=counts.last_sent,
            packets_received=counts.packets_received,
            bytes_received=counts.bytes_received,
            last_received=counts.last_received,
        )


def pair_priority(controlling: int, controlled: int) -> int:
    """The priority of a pair out of those of the controlling and the controlled side's candidate."""
    return min(controlling, controlled) << 32 | max(controlling, controlled) << 1 | (controlling > controlled)
