"""What went over each channel, for statistics."""

from __future__ import annotations

from dataclasses import dataclass, field

from icelane.datachannel.event import (
    ChannelAnnounced,
    ChannelClosed,
    ChannelClosing,
    ChannelEvent,
    ChannelId,
    ChannelOpened,
)


@dataclass(slots=True)
class ChannelCount:
    """One channel that there is. Bytes are those of messages, without any header. `state` is its `readyState`."""

    label: str
    protocol: str
    state: str = "connecting"
    was_open: bool = False
    messages_sent: int = 0
    bytes_sent: int = 0
    messages_received: int = 0
    bytes_received: int = 0


@dataclass(slots=True)
class ChannelCounts:
    """All channels of a connection; those that are closed are in `closed` alone."""

    opened: int = 0
    closed: int = 0
    by_channel: dict[ChannelId, ChannelCount] = field(default_factory=dict)

    def add(self, channel: ChannelId, label: str, protocol: str) -> None:
        """A channel was created here."""
        self.by_channel[channel] = ChannelCount(label, protocol)

    def note(self, event: ChannelEvent) -> None:
        """A channel has come further."""
        if isinstance(event, ChannelAnnounced):
            self.add(event.channel, event.label, event.protocol)
        if isinstance(event, ChannelAnnounced | ChannelOpened):
            self.opened += 1
            count = self.by_channel[event.channel]
            count.was_open = True
            if count.state == "connecting":
                count.state = "open"
        elif isinstance(event, ChannelClosing):
            self.note_closing(event.channel)
        elif isinstance(event, ChannelClosed):
            self.closed += self.by_channel.pop(event.channel).was_open

    def note_closing(self, channel: ChannelId) -> None:
        """One of the sides wants the channel closed."""
        count = self.by_channel.get(channel)
        if count is not None:
            count.state = "closing"

    def note_sent(self, channel: ChannelId, size: int) -> None:
        """A message was queued."""
        count = self.by_channel.get(channel)
        if count is not None:
            count.messages_sent += 1
            count.bytes_sent += size

    def note_received(self, channel: ChannelId, size: int) -> None:
        """A message came."""
        count = self.by_channel.get(channel)
        if count is not None:
            count.messages_received += 1
            count.bytes_received += size
