"""The rooms of a hub, as operators see them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from msgspec import UNSET, Raw

from icelane.aio.system import monotonic
from icelane.signaling.engine import Presence, RoomOptions
from icelane.signaling.http.room_endpoints import RoomPeer, RoomSettings, RoomView
from icelane.signaling.moderation import Moderation, RoomSummary


class HubRooms:
    """Satisfies `RoomDirectory`. `drain` carries out what the hub wants after each verb."""

    def __init__(self, moderation: Moderation, drain: Callable[[], None]) -> None:
        self._moderation = moderation
        self._drain = drain

    async def rooms(self) -> Sequence[RoomView]:
        """All of them."""
        return [_view(summary) for summary in self._moderation.rooms()]

    async def room(self, room: str) -> RoomView | None:
        """One, with its peers."""
        summary = self._moderation.room(room)
        return None if summary is None else _view(summary)

    async def configure(self, room: str, settings: RoomSettings) -> None:
        """Make it, or change it. It stays when nobody is in it."""
        before = self._moderation.room(room)
        options = before.options if before is not None else RoomOptions()
        options = replace(
            options,
            locked=settings.locked,
            relay_only=settings.relay_only,
            max_peers=None if settings.max_peers is UNSET else settings.max_peers,
            kept=True,
        )
        self._moderation.configure(room, options, monotonic())
        self._drain()

    async def close(self, room: str, reason: str) -> bool:
        """Send everybody out, and forget it."""
        return self._did(self._moderation.close_room(room, reason, monotonic()))

    async def kick(self, room: str, peer: str, reason: str) -> bool:
        """Send one out."""
        return self._did(self._moderation.kick(room, peer, reason, monotonic()))

    async def lock(self, room: str, locked: bool) -> bool:
        """Let nobody in, or again."""
        return self._did(self._moderation.lock(room, locked, monotonic()))

    async def send(self, room: str, data: Raw, to: str | None) -> bool:
        """Say something in the name of the server."""
        return self._did(self._moderation.send(room, data, monotonic(), to))

    def _did(self, done: bool) -> bool:
        self._drain()
        return done


def _view(summary: RoomSummary) -> RoomView:
    options = summary.options
    return RoomView(
        room=summary.room,
        settings=RoomSettings(
            locked=options.locked,
            relay_only=options.relay_only,
            max_peers=UNSET if options.max_peers is None else options.max_peers,
        ),
        peers=tuple(_peer(presence) for presence in summary.peers),
    )


def _peer(presence: Presence) -> RoomPeer:
    return RoomPeer(
        peer=presence.peer,
        identity=presence.identity,
        name=UNSET if presence.name is None else presence.name,
        meta=presence.meta,
        node=presence.node,
    )
