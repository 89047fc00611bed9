"""What an association tells."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from icelane.errors import AssociationError


class AssociationState(enum.Enum):
    """The states of RFC 9260 section 4."""

    CLOSED = "closed"
    COOKIE_WAIT = "cookie-wait"
    COOKIE_ECHOED = "cookie-echoed"
    ESTABLISHED = "established"
    SHUTDOWN_PENDING = "shutdown-pending"
    SHUTDOWN_SENT = "shutdown-sent"
    SHUTDOWN_RECEIVED = "shutdown-received"
    SHUTDOWN_ACK_SENT = "shutdown-ack-sent"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Established:
    """Both ends agreed; that many streams may be used in each direction."""

    outbound_streams: int
    inbound_streams: int


class MessageReceived:
    """A whole message. Its bytes count against the receive window until `release` gives them back."""

    __slots__ = ("data", "ppid", "stream_id")

    def __init__(self, stream_id: int, ppid: int, data: bytes) -> None:
        self.stream_id = stream_id
        self.ppid = ppid
        self.data = data

    def __repr__(self) -> str:
        return f"MessageReceived(stream_id={self.stream_id}, ppid={self.ppid}, {len(self.data)} bytes)"


@dataclass(frozen=True, slots=True)
class StreamsReset:
    """The peer reset its sending side of these streams: all it sent there before has been delivered."""

    stream_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ResetCompleted:
    """The peer confirmed that our sending side of these streams is reset; they may be used anew."""

    stream_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ResetRefused:
    """The peer cannot reset streams, or would not: these go on as they were."""

    stream_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class BufferedAmountLow:
    """What waits to be sent on this stream has sunk to its threshold, or below."""

    stream_id: int


@dataclass(frozen=True, slots=True)
class Terminated:
    """The association is over, in good order when `error` is None. Nothing comes after this."""

    error: AssociationError | None


SctpEvent = (
    Established | MessageReceived | StreamsReset | ResetCompleted | ResetRefused | BufferedAmountLow | Terminated
)


@dataclass(frozen=True, slots=True)
class SctpStatistics:
    """Counters and estimates of one association; bytes are of payload, times in seconds, 0 where not known yet."""

    packets_sent: int
    packets_received: int
    packets_discarded: int
    bytes_sent: int
    bytes_received: int
    messages_sent: int
    messages_received: int
    retransmissions: int
    timeouts: int
    congestion_window: int
    bytes_in_flight: int
    smoothed_round_trip: float
    minimum_round_trip: float
    retransmission_timeout: float
    peer_window: int
    receive_window: int
    buffered_amount: int
