"""What administrators see and do, whoever they are and however they came."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from msgspec import Raw

from icelane.core.clock import Instant
from icelane.signaling.admitted import Refusal
from icelane.signaling.desk import Desk
from icelane.signaling.engine import Presence, RoomOptions, SignalEngine
from icelane.signaling.limits import SignalingLimits
from icelane.signaling.messages import LeftReason
from icelane.signaling.room_rule import RoomRule, options_for
from icelane.signaling.session import SessionSummary
from icelane.signaling.sessions import Sessions


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomSummary:
    """A room, as administrators see it."""

    room: str
    options: RoomOptions
    peers: tuple[Presence, ...]


class Moderation:
    """Verbs return whether there was anything to do it to. A driver drains the hub after each of them."""

    def __init__(
        self,
        engine: SignalEngine,
        desk: Desk,
        sessions: Sessions,
        rules: tuple[RoomRule, ...],
        limits: SignalingLimits,
        settle: Callable[[Instant], None],
    ) -> None:
        self._engine = engine
        self._desk = desk
        self._sessions = sessions
        self._rules = rules
        self._limits = limits
        self._settle = settle

    def rooms(self) -> list[RoomSummary]:
        """Every room that the engine knows of, in the order of their names."""
        return [
            RoomSummary(room=room, options=options, peers=peers)
            for room, (options, peers) in sorted(self._engine.rooms().items())
        ]

    def room(self, room: str) -> RoomSummary | None:
        """One room."""
        found = self._engine.room(room)
        return None if found is None else RoomSummary(room=room, options=found[0], peers=found[1])

    def sessions(self) -> Iterator[SessionSummary]:
        """The sessions of this node, also those that wait to be resumed."""
        for session in self._desk:
            yield session.summary()

    def clients(self) -> Iterator[tuple[str, str, str]]:
        """Session, address and identity of each, for whoever asks about all of them every few seconds."""
        for session in self._desk:
            yield session.id, session.address, session.admission.identity

    def configure(self, room: str, options: RoomOptions, now: Instant) -> None:
        """Replace how a room is, and make it if it is to be kept."""
        self._engine.configure(room, options, now)
        self._settle(now)

    def lock(self, room: str, locked: bool, now: Instant) -> bool:
        """Let nobody in, or again. A room without anybody is kept for as long as it is locked."""
        found = self._engine.room(room)
        if found is None and not locked:
            return False
        if found is None:
            options = replace(options_for(room, self._rules, self._limits.peers_per_room), locked=True, kept=True)
        else:
            options = replace(found[0], locked=locked, kept=found[0].kept and (locked or bool(found[1])))
        self.configure(room, options, now)
        return True

    def kick(self, room: str, peer: str, reason: str, now: Instant) -> bool:
        """Take a peer out of a room. He may come again, unless a list or a lock says otherwise."""
        found = self._engine.room(room)
        if found is None or all(presence.peer != peer for presence in found[1]):
            return False
        self._engine.depart(room, peer, LeftReason.KICKED, reason, now)
        self._settle(now)
        return True

    def close_room(self, room: str, reason: str, now: Instant) -> bool:
        """Everybody has to leave, and the room is not kept."""
        found = self._engine.room(room)
        if found is None:
            return False
        for presence in found[1]:
            self._engine.depart(room, presence.peer, LeftReason.ROOM_CLOSED, reason, now)
        if found[0].kept:
            self._engine.configure(room, replace(found[0], kept=False, locked=False), now)
        self._settle(now)
        return True

    def send(self, room: str, data: Raw, now: Instant, peer: str | None = None) -> bool:
        """A message from the server, to all in a room or to one of them. `data` is JSON of `encode_json`."""
        found = self._engine.room(room)
        if found is None:
            return False
        if peer is None:
            self._engine.publish(room, None, data, None, now)
        else:
            node = next((presence.node for presence in found[1] if presence.peer == peer), None)
            if node is None:
                return False
            self._engine.deliver(node, peer, None, data, None, now)
        self._settle(now)
        return True

    def end_session(self, session_id: str, refusal: Refusal, now: Instant) -> bool:
        """Whoever may not be here any more: a list has his name now, or his token was revoked."""
        session = self._desk.session(session_id)
        if session is None:
            return False
        self._sessions.end(session, LeftReason.KICKED, now, refusal.code, refusal.error, refusal.reason)
        self._settle(now)
        return True
