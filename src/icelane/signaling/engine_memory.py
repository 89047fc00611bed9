"""`memory://`: the engine of one process. Several hubs may share a MemoryBroker, which is how tests have many nodes."""

# ruff: noqa: ARG002 -- an engine that lives elsewhere needs `now`

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from msgspec import Raw

from icelane.core.clock import Instant, later
from icelane.signaling.engine import (
    LEASE,
    RENEWAL,
    Arrived,
    Changed,
    Configured,
    Delivered,
    Delivery,
    Departed,
    Entered,
    LeaseLost,
    NotEntered,
    Presence,
    Published,
    Restricted,
    RoomOptions,
    Superseded,
)
from icelane.signaling.messages import LeftReason, SignalData

# Rooms that stay without anybody in them. More are not kept; only administrators make them.
MAX_KEPT_ROOMS: Final = 10_000


@dataclass(slots=True)
class _Room:
    options: RoomOptions
    members: dict[str, Presence] = field(default_factory=dict)

    def nodes(self) -> set[str]:
        return {presence.node for presence in self.members.values()}


class MemoryBroker:
    """What the nodes share. Bounded by their sessions, and by MAX_KEPT_ROOMS."""

    def __init__(self) -> None:
        self._rooms: dict[str, _Room] = {}
        # Sessions of an identity with their nodes, oldest first.
        self._sessions_by_identity: dict[str, dict[str, str]] = {}
        self._deliveries_by_node: dict[str, deque[Delivery]] = {}
        self._leases: dict[str, Instant] = {}
        self._order = 0
        self._kept = 0

    def attach(self, node: str, now: Instant) -> deque[Delivery]:
        """A node comes up; its deliveries are appended to what is returned."""
        self._leases[node] = later(now, LEASE)
        return self._deliveries_by_node.setdefault(node, deque())

    def enter(self, room: str, presence: Presence, ticket: int, options: RoomOptions, bypass_lock: bool) -> None:
        found = self._rooms.get(room)
        if found is None:
            found = self._rooms[room] = _Room(options)
        refused = self._refuses(found, presence, options, bypass_lock)
        if refused is not None:
            self._tell(presence.node, NotEntered(ticket, full=refused == "full"))
            self._drop_if_empty(room)
            return
        self._order += 1
        presence = presence._replace(order=self._order)
        self._tell(presence.node, Entered(ticket, room, tuple(found.members.values()), found.options))
        found.members[presence.peer] = presence
        self._tell_room(found, Arrived(room, presence))

    def update(self, room: str, peer: str, meta: Raw) -> None:
        found = self._rooms.get(room)
        if found is not None and peer in found.members:
            found.members[peer] = found.members[peer]._replace(meta=meta)
            self._tell_room(found, Changed(room, peer, meta))

    def restrict(self, room: str, peer: str, relay_only: bool) -> None:
        found = self._rooms.get(room)
        if found is not None and peer in found.members:
            found.members[peer] = found.members[peer]._replace(relay_only=relay_only)
            self._tell_room(found, Restricted(room, peer, relay_only))

    def depart(self, room: str, peer: str, reason: LeftReason, message: str) -> None:
        found = self._rooms.get(room)
        if found is None or peer not in found.members:
            return
        nodes = found.nodes()
        del found.members[peer]
        for node in nodes:
            self._tell(node, Departed(room, peer, reason, message))
        self._drop_if_empty(room)

    def configure(self, room: str, options: RoomOptions) -> None:
        found = self._rooms.get(room)
        before = found is not None and found.options.kept
        if options.kept and not before and self._kept >= MAX_KEPT_ROOMS:
            return
        if found is None:
            if not options.kept:
                return
            found = self._rooms[room] = _Room(options)
        self._kept += options.kept - before
        found.options = options
        self._tell_room(found, Configured(room, options))
        self._drop_if_empty(room)

    def publish(self, room: str, sender: str | None, data: Raw, key: str | None) -> None:
        found = self._rooms.get(room)
        if found is not None:
            self._tell_room(found, Published(room, sender, data, key))

    def deliver(self, node: str, delivered: Delivered) -> None:
        self._tell(node, delivered)

    def claim(self, identity: str, session: str, node: str, limit: int) -> None:
        sessions = self._sessions_by_identity.setdefault(identity, {})
        sessions[session] = node
        while len(sessions) > max(limit, 1):
            oldest = next(iter(sessions))
            self._tell(sessions.pop(oldest), Superseded(oldest))

    def release(self, identity: str, session: str) -> None:
        sessions = self._sessions_by_identity.get(identity)
        if sessions is not None:
            sessions.pop(session, None)
            if not sessions:
                del self._sessions_by_identity[identity]

    def renew(self, node: str, now: Instant) -> None:
        lost = node not in self._leases
        self._leases[node] = later(now, LEASE)
        if lost:
            self._tell(node, LeaseLost())
        for other in [other for other, until in self._leases.items() if until <= now]:
            self._lose(other)

    def detach(self, node: str) -> None:
        """A node goes down in order, after its sessions have ended."""
        self._leases.pop(node, None)
        self._deliveries_by_node.pop(node, None)

    def room(self, room: str) -> tuple[RoomOptions, tuple[Presence, ...]] | None:
        """A room that has members or is kept."""
        found = self._rooms.get(room)
        return None if found is None else (found.options, tuple(found.members.values()))

    def rooms(self) -> dict[str, tuple[RoomOptions, tuple[Presence, ...]]]:
        """Every room."""
        return {name: (room.options, tuple(room.members.values())) for name, room in self._rooms.items()}

    @property
    def empty(self) -> bool:
        """Whether nobody is anywhere."""
        return not self._rooms and not self._sessions_by_identity

    def _refuses(self, room: _Room, presence: Presence, options: RoomOptions, bypass_lock: bool) -> str | None:
        if room.options.locked and not bypass_lock:
            return "locked"
        bound = options.max_peers if room.options.max_peers is None else room.options.max_peers
        taken = len(room.members) - (presence.peer in room.members)
        return "full" if bound is not None and taken >= bound else None

    def _lose(self, node: str) -> None:
        del self._leases[node]
        self._deliveries_by_node[node].clear()
        for name, room in list(self._rooms.items()):
            for presence in list(room.members.values()):
                if presence.node == node:
                    self.depart(name, presence.peer, LeftReason.NODE_LOST, "")
        for identity, sessions in list(self._sessions_by_identity.items()):
            for session in [session for session, place in sessions.items() if place == node]:
                self.release(identity, session)
        self._deliveries_by_node[node].clear()

    def _drop_if_empty(self, name: str) -> None:
        room = self._rooms[name]
        if not room.members and not room.options.kept:
            del self._rooms[name]

    def _tell_room(self, room: _Room, delivery: Delivery) -> None:
        for node in room.nodes():
            self._tell(node, delivery)

    def _tell(self, node: str, delivery: Delivery) -> None:
        deliveries = self._deliveries_by_node.get(node)
        if deliveries is not None:
            deliveries.append(delivery)


class MemoryEngine:
    """A node's end of a MemoryBroker; satisfies `icelane.signaling.engine.SignalEngine`."""

    def __init__(self, now: Instant, node: str = "local", broker: MemoryBroker | None = None) -> None:
        self._node = node
        self.broker = MemoryBroker() if broker is None else broker
        self._deliveries = self.broker.attach(node, now)
        self._renew_at = later(now, RENEWAL)

    @property
    def node(self) -> str:
        """The name of this node."""
        return self._node

    def enter(
        self, room: str, presence: Presence, ticket: int, options: RoomOptions, bypass_lock: bool, now: Instant
    ) -> None:
        """See SignalEngine; the answer is there at once."""
        self.broker.enter(room, presence, ticket, options, bypass_lock)

    def update(self, room: str, peer: str, meta: Raw, now: Instant) -> None:
        """See SignalEngine."""
        self.broker.update(room, peer, meta)

    def restrict(self, room: str, peer: str, relay_only: bool, now: Instant) -> None:
        """See SignalEngine."""
        self.broker.restrict(room, peer, relay_only)

    def depart(self, room: str, peer: str, reason: LeftReason, message: str, now: Instant) -> None:
        """See SignalEngine."""
        self.broker.depart(room, peer, reason, message)

    def configure(self, room: str, options: RoomOptions, now: Instant) -> None:
        """See SignalEngine."""
        self.broker.configure(room, options)

    def publish(self, room: str, sender: str | None, data: Raw, key: str | None, now: Instant) -> None:
        """See SignalEngine."""
        self.broker.publish(room, sender, data, key)

    def deliver(
        self, node: str, peer: str, sender: str | None, data: Raw | SignalData, key: str | None, now: Instant
    ) -> None:
        """See SignalEngine."""
        self.broker.deliver(node, Delivered(peer, sender, data, key))

    def claim(self, identity: str, session: str, limit: int, now: Instant) -> None:
        """See SignalEngine."""
        self.broker.claim(identity, session, self._node, limit)

    def release(self, identity: str, session: str, now: Instant) -> None:
        """See SignalEngine."""
        self.broker.release(identity, session)

    def room(self, room: str) -> tuple[RoomOptions, tuple[Presence, ...]] | None:
        """See SignalEngine."""
        return self.broker.room(room)

    def rooms(self) -> Mapping[str, tuple[RoomOptions, tuple[Presence, ...]]]:
        """See SignalEngine."""
        return self.broker.rooms()

    def handle_timeout(self, now: Instant) -> None:
        """See SignalEngine."""
        if now >= self._renew_at:
            self._renew_at = later(now, RENEWAL)
            self.broker.renew(self._node, now)

    def poll_delivery(self) -> Delivery | None:
        """See SignalEngine."""
        return self._deliveries.popleft() if self._deliveries else None

    def next_timeout(self) -> Instant | None:
        """See SignalEngine."""
        return self._renew_at
