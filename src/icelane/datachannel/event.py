"""What channels tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NewType

from icelane.errors import IcelaneError

ChannelId = NewType("ChannelId", int)
"""Our name for a channel, from its creation to its end; it is not the stream id, and is never used twice."""

NO_CHANNEL: Final = ChannelId(0)


@dataclass(frozen=True, slots=True)
class ChannelOpened:
    """A channel that we created can be used."""

    channel: ChannelId
    stream_id: int


@dataclass(frozen=True, slots=True)
class ChannelAnnounced:
    """The peer created a channel, and it can be used. `max_packet_life_time` is in milliseconds."""

    channel: ChannelId
    stream_id: int
    label: str
    protocol: str
    ordered: bool
    max_retransmits: int | None
    max_packet_life_time: int | None


class MessageReceived:
    """A message. Text is UTF-8, to be decoded with `errors="replace"` as W3C does.

    It counts against the receive window until `release` is called with its length.
    """

    __slots__ = ("channel", "data", "is_text")

    def __init__(self, channel: ChannelId, data: bytes, is_text: bool) -> None:
        self.channel = channel
        self.data = data
        self.is_text = is_text

    def __repr__(self) -> str:
        return f"MessageReceived({self.channel}, {len(self.data)} bytes, is_text={self.is_text})"


@dataclass(frozen=True, slots=True)
class BufferedAmountLow:
    """What waits to be sent on the channel has sunk to its threshold, or below."""

    channel: ChannelId


@dataclass(frozen=True, slots=True)
class ChannelClosing:
    """The peer closes the channel: nothing can be sent on it any more."""

    channel: ChannelId


@dataclass(frozen=True, slots=True)
class ChannelClosed:
    """The channel is gone, in good order when `error` is None; `unsent` bytes have not left, and never will."""

    channel: ChannelId
    error: IcelaneError | None
    unsent: int = 0


ChannelEvent = ChannelOpened | ChannelAnnounced | MessageReceived | BufferedAmountLow | ChannelClosing | ChannelClosed
