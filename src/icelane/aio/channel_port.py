"""What data channels ask of the engine."""

from __future__ import annotations

from icelane.aio.peer_driver import PeerDriver
from icelane.datachannel.event import ChannelId
from icelane.peer.connection import PeerConnection


class ChannelPort:
    """One connection's."""

    __slots__ = ("_driver", "_engine")

    def __init__(self, engine: PeerConnection, driver: PeerDriver) -> None:
        self._engine = engine
        self._driver = driver

    def send(self, channel: ChannelId, data: bytes | str) -> None:
        self._driver.run_with_more(lambda now: self._engine.send(channel, data, now, more=True))

    def close_channel(self, channel: ChannelId) -> None:
        self._driver.run(lambda now: self._engine.close_channel(channel, now))

    def release(self, channel: ChannelId, size: int) -> None:
        self._driver.run_with_more(lambda now: self._engine.release(channel, size, now, more=True))

    def buffered_amount(self, channel: ChannelId) -> int:
        return self._engine.buffered_amount(channel)

    def set_low_threshold(self, channel: ChannelId, amount: int) -> None:
        self._engine.set_low_threshold(channel, amount)

    def stream_id(self, channel: ChannelId) -> int | None:
        return self._engine.stream_id(channel)
