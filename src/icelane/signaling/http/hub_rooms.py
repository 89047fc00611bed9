"""The rooms of a hub, as operators see them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol, TypeVar

from msgspec import UNSET, Raw

from icelane.core.clock import Instant
from icelane.signaling.engine import Presence, RoomOptions
from icelane.signaling.http.room_endpoints import RoomPeer, RoomSettings, RoomView
from icelane.signaling.moderation import Moderation, RoomSummary

R = TypeVar("R")


class Service(Protocol):
    """Who drives the hub."""

    @property
    def moderation(self) -> Moderation:
        """What administrators see."""
        ...

    def run(self, verb: Callable[[Instant], R]) -> R:
        """Call a verb with the time, and do what follows."""
        ...


class HubRooms:
    """Satisfies `RoomDirectory`."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._moderation = service.moderation

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
        self._service.run(lambda now: self._moderation.configure(room, options, now))

    async def close(self, room: str, reason: str) -> bool:
        """Send everybody out, and forget it."""
        return self._service.run(lambda now: self._moderation.close_room(room, reason, now))

    async def kick(self, room: str, peer: str, reason: str) -> bool:
        """Send one out."""
        return self._service.run(lambda now: self._moderation.kick(room, peer, reason, now))

    async def lock(self, room: str, locked: bool) -> bool:
        """Let nobody in, or again."""
        return self._service.run(lambda now: self._moderation.lock(room, locked, now))

    async def send(self, room: str, data: Raw, to: str | None) -> bool:
        """Say something in the name of the server."""
        return self._service.run(lambda now: self._moderation.send(room, data, now, to))


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
        client=UNSET if presence.client is None else presence.client,
    )
