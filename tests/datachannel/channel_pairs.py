"""Two ends with data channels on a virtual network."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from icelane.core.clock import Instant
from icelane.core.net import Path, Transport
from icelane.datachannel.event import (
    ChannelAnnounced,
    ChannelClosed,
    ChannelEvent,
    ChannelId,
    ChannelOpened,
    MessageReceived,
)
from icelane.datachannel.mux import DataChannels
from icelane.sctp.association import SctpAssociation
from icelane.sctp.options import SctpOptions
from icelane.testing.clock import VirtualClock
from icelane.testing.entropy import SeededEntropy
from icelane.testing.network import EngineHost, Link, VirtualNetwork
from tests.sctp.pairs import A, B, OnPath

E = TypeVar("E")
T = TypeVar("T")


class ChannelEnd(EngineHost[ChannelEvent]):
    """Channels of one end; messages are released as they come."""

    def __init__(self, network: VirtualNetwork, client: bool, seed: int, options: SctpOptions) -> None:
        here, there = (A, B) if client else (B, A)
        self.channels = DataChannels(SctpAssociation(entropy=SeededEntropy(seed), options=options))
        self.channels.set_remote(5000, options.max_message_size)
        self.client = client
        super().__init__(network, OnPath(self.channels, Path(here, there, Transport.UDP)), here)
        self._owed: list[MessageReceived] = []

    def handle_event(self, event: ChannelEvent) -> None:
        super().handle_event(event)
        if isinstance(event, MessageReceived):
            self._owed.append(event)

    def run(self, verb: Callable[[Instant], T]) -> T:
        result = super().run(verb)
        while self._owed:
            message = self._owed.pop()
            super().run(lambda now: self.channels.release(message.channel, len(message.data), now))  # noqa: B023
        return result

    def start(self) -> None:
        """DTLS is there."""
        self.run(lambda now: self.channels.set_role(self.client, now))
        self.run(self.channels.connect)

    def open(self, label: str = "", **how: object) -> ChannelId:
        return self.run(lambda now: self.channels.open(label, now, **how))  # type: ignore[arg-type]  # one of the keywords

    def say(self, channel: ChannelId, data: str | bytes | bytearray | memoryview) -> None:
        self.run(lambda now: self.channels.send(channel, data, now))

    def close_channel(self, channel: ChannelId) -> None:
        self.run(lambda now: self.channels.close_channel(channel, now))

    def told(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]

    def heard(self, channel: ChannelId) -> list[str | bytes]:
        """The messages of a channel."""
        return [
            message.data.decode() if message.is_text else message.data
            for message in self.told(MessageReceived)
            if message.channel == channel
        ]

    def closed(self, channel: ChannelId) -> ChannelClosed | None:
        return next((event for event in self.told(ChannelClosed) if event.channel == channel), None)

    def announced(self, label: str) -> ChannelId:
        """The channel that the peer created with that label."""
        return next(event.channel for event in self.told(ChannelAnnounced) if event.label == label)

    def raw(self, stream_id: int, ppid: int, data: bytes) -> None:
        """Send what no channel would."""
        self.run(lambda now: self.channels.association.send(stream_id, ppid, data, now))


class ChannelPair:
    """`a` is the DTLS client."""

    def __init__(self, link: Link | None = None, seed: int = 1, options: SctpOptions | None = None) -> None:
        self.clock = VirtualClock()
        self.network = VirtualNetwork(self.clock, seed, link or Link(delay=0.01))
        self.a = ChannelEnd(self.network, True, 2 * seed, options or SctpOptions())
        self.b = ChannelEnd(self.network, False, 2 * seed + 1, options or SctpOptions())

    def start(self) -> ChannelPair:
        for end in (self.a, self.b):
            end.start()
        self.network.run_until(lambda: all(end.channels.is_established for end in (self.a, self.b)))
        return self

    def connected(self, label: str = "chat", **how: object) -> tuple[ChannelId, ChannelId]:
        """A channel from `a`, at both ends."""
        here = self.a.open(label, **how)
        self.network.run_until(lambda: any(event.label == label for event in self.b.told(ChannelAnnounced)))
        assert any(event.channel == here for event in self.a.told(ChannelOpened))
        return here, self.b.announced(label)

    def close(self, timeout: float = 60.0) -> None:
        """End everything in good order; nothing is left."""
        self.a.run(self.a.channels.close)
        self.network.run_until(lambda: self.a.channels.is_over and self.b.channels.is_over, timeout)
        self.network.run_until_quiet()
        for end in (self.a, self.b):
            assert len(end.channels) == 0
            assert end.channels.association.idle
            assert end.channels.next_timeout() is None
