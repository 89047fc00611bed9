"""A transceiver: one way out and one way in, which share a section of media (W3C webrtc-pc section 5.4).

What the application wants of it (`direction`, `preferred_codecs`) and what was agreed on (`current_direction`,
`negotiated`) are two things; an exchange of descriptions brings them together.

    mid is None          no section speaks of it yet
    is_stopping          the application has stopped it; the next exchange rejects its section
    is_stopped           its section is rejected, and what goes on with that place is another transceiver
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from icelane.media.codec import MediaKind, RtpCodec
from icelane.peer.rtp_parameters import RtpParameters
from icelane.sdp.rtp_attributes import Direction

SENDING: Final = (Direction.SENDRECV, Direction.SENDONLY)
RECEIVING: Final = (Direction.SENDRECV, Direction.RECVONLY)

_REVERSED: Final = {Direction.SENDONLY: Direction.RECVONLY, Direction.RECVONLY: Direction.SENDONLY}


@dataclass(slots=True, eq=False, kw_only=True)
class RtpSender:
    """The way out. `track_id` is None where there is nothing to send.

    `label` is how `a=msid` calls the track for the life of the sender, whichever track it is then (RFC 8830). The SSRCs
    are ours from the beginning. `has_sent` holds once an exchange has let it send: then addTrack makes another
    transceiver instead (W3C section 5.1). While an offer of ours is out that takes the way away, it `is_held` already:
    the peer lets the stream go when it answers, and what came then would be another one to it.
    """

    label: str
    ssrc: int
    rtx_ssrc: int
    track_id: str | None = None
    stream_ids: tuple[str, ...] = ()
    has_sent: bool = False
    is_held: bool = False


@dataclass(slots=True, eq=False, kw_only=True)
class RtpReceiver:
    """The way in. `track_id` is our own name for the remote track, `stream_ids` are the peer's names.

    `is_receptive` is W3C's [[Receptive]]: whether packets are taken at all.
    """

    track_id: str
    stream_ids: tuple[str, ...] = ()
    is_receptive: bool = False


@dataclass(slots=True, eq=False, kw_only=True)
class Transceiver:
    """`number` is that of one transceiver for the life of the connection. Read it; the verbs are the connection's.

    `fired_direction` is what the application was told last about the way in. `is_from_add_track` says that a section
    that the peer offers may take it over, `is_from_peer` that it was made for such a section.
    """

    number: int
    kind: MediaKind
    direction: Direction
    sender: RtpSender
    receiver: RtpReceiver
    mid: str | None = None
    current_direction: Direction | None = None
    fired_direction: Direction | None = None
    preferred_codecs: tuple[RtpCodec, ...] = ()
    negotiated: RtpParameters | None = None
    is_from_add_track: bool = False
    is_from_peer: bool = False
    is_stopping: bool = False
    is_stopped: bool = False

    @property
    def wanted_direction(self) -> Direction:
        """What a description of ours says: a transceiver that is stopped wants nothing."""
        return Direction.INACTIVE if self.is_stopping else self.direction

    @property
    def sends(self) -> bool:
        """Whether packets may go out."""
        return not self.is_stopping and not self.sender.is_held and self.current_direction in SENDING

    @property
    def receives(self) -> bool:
        """Whether packets that come in are for somebody."""
        return not self.is_stopping and self.receiver.is_receptive

    def stop(self) -> None:
        """W3C `stop the RTCRtpTransceiver`: the section is rejected."""
        self.is_stopping = self.is_stopped = True
        self.current_direction = None
        self.negotiated = None
        self.receiver.is_receptive = False


class TransceiverState(NamedTuple):
    """What the rollback of an offer brings back."""

    mid: str | None
    stream_ids: tuple[str, ...]
    is_receptive: bool
    fired_direction: Direction | None


def state_of(transceiver: Transceiver) -> TransceiverState:
    """How the transceiver is before an offer is set."""
    receiver = transceiver.receiver
    return TransceiverState(transceiver.mid, receiver.stream_ids, receiver.is_receptive, transceiver.fired_direction)


def reverse(direction: Direction) -> Direction:
    """The same direction, seen from the other side."""
    return _REVERSED.get(direction, direction)


def intersect(one: Direction, other: Direction) -> Direction:
    """What both allow, each seen from our side (RFC 9429 section 5.3.1)."""
    return direction_of(one in SENDING and other in SENDING, one in RECEIVING and other in RECEIVING)


def direction_of(sends: bool, receives: bool) -> Direction:
    """The direction that sends and receives, or does not."""
    if sends:
        return Direction.SENDRECV if receives else Direction.SENDONLY
    return Direction.RECVONLY if receives else Direction.INACTIVE
