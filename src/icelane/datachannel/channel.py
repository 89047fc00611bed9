"""One channel's state."""

from __future__ import annotations

import enum

from icelane.core.clock import Duration
from icelane.datachannel.dcep import OpenMessage
from icelane.datachannel.event import ChannelId
from icelane.errors import IcelaneError


class ChannelState(enum.Enum):
    """W3C RTCDataChannelState; a channel that is closed is forgotten."""

    CONNECTING = "connecting"
    OPEN = "open"
    CLOSING = "closing"


class Channel:
    """A channel.

    `heard` says that the peer knows of it; `used` that the application has sent something; `reset` and `peer_reset`
    which sides of its stream are reset.
    """

    __slots__ = (
        "announced",
        "asked",
        "error",
        "heard",
        "lifetime",
        "low_threshold",
        "max_retransmits",
        "negotiated",
        "number",
        "ordered",
        "peer_reset",
        "reset",
        "state",
        "stream_id",
        "used",
    )

    def __init__(self, number: ChannelId, asked: OpenMessage, negotiated: bool, announced: bool = False) -> None:
        self.number = number
        self.asked = asked
        self.negotiated = negotiated
        self.announced = announced
        self.ordered = asked.ordered
        self.max_retransmits = asked.max_retransmits
        self.lifetime: Duration | None = None
        if asked.max_packet_life_time is not None:
            self.lifetime = asked.max_packet_life_time / 1000
        self.state = ChannelState.CONNECTING
        self.stream_id: int | None = None
        self.heard = negotiated
        self.used = False
        self.low_threshold = 0
        self.reset = False
        self.peer_reset = False
        self.error: IcelaneError | None = None

    @property
    def sending_on(self) -> int:
        """The stream of an open channel."""
        assert self.stream_id is not None
        return self.stream_id
