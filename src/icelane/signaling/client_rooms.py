"""The rooms that a client is in, as it knows them, and what has changed when the server tells of one anew."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from msgspec import UNSET, Raw

from icelane.signaling.client_event import ClientEvent, Peer, PeerAppeared, PeerChanged, PeerDeparted, RoomChanged
from icelane.signaling.messages import (
    EMPTY_OBJECT,
    Joined,
    LeftReason,
    PeerInfo,
    PeerJoined,
    PeerLeft,
    PeerUpdated,
    RoomState,
    RoomUpdated,
    parse_json_object,
)

# Bytes of a peer's `meta`: what he says, and over it what his token says, which is more than he may say alone.
MAX_SHOWN: Final = 2**16


@dataclass(slots=True, eq=False)
class Room:
    """A room that the program wants to be in. `you` is our own id there, None until we are in. `meta` is our own."""

    name: str
    meta: Raw = field(default_factory=lambda: EMPTY_OBJECT)
    you: str | None = None
    locked: bool = False
    relay_only: bool = False
    peers: dict[str, Peer] = field(default_factory=dict)

    def settle(self, state: Joined | RoomState) -> Iterator[ClientEvent]:
        """The server says how the room is now; what differs from what we knew."""
        now = {info.peer: _peer(self.name, info) for info in state.peers}
        # Who has gone and come back under the same id is another connection; that is told by pushes, or by none.
        yield from self.forget(set(self.peers) - set(now), LeftReason.NODE_LOST)
        for peer in now.values():
            before = self.peers.get(peer.id)
            self.peers[peer.id] = peer
            if before is None:
                yield PeerAppeared(peer)
            elif before.meta != peer.meta:
                yield PeerChanged(peer)
        known, self.you = self.you is not None, state.you
        changes = list(self.handle_changed(state))
        if known:
            yield from changes

    def handle_changed(self, state: Joined | RoomState | RoomUpdated) -> Iterator[ClientEvent]:
        """How it is now."""
        before = self.locked, self.relay_only
        self.locked, self.relay_only = state.locked, state.ice_transport_policy == "relay"
        if before != (self.locked, self.relay_only):
            yield RoomChanged(self.name, self.locked, self.relay_only)

    def forget(self, peers: Iterable[str], reason: LeftReason) -> Iterator[ClientEvent]:
        """These are gone."""
        for peer in [self.peers.pop(peer) for peer in sorted(peers)]:
            yield PeerDeparted(peer, reason)

    def handle_joined(self, push: PeerJoined) -> Iterator[ClientEvent]:
        """Somebody came."""
        known = push.peer in self.peers
        peer = self.peers[push.peer] = _peer(self.name, push)
        yield PeerChanged(peer) if known else PeerAppeared(peer)

    def handle_updated(self, push: PeerUpdated) -> Iterator[ClientEvent]:
        """Somebody says something else."""
        if push.peer in self.peers:
            peer = self.peers[push.peer] = replace(self.peers[push.peer], meta=parse_json_object(push.meta, MAX_SHOWN))
            yield PeerChanged(peer)

    def handle_left(self, push: PeerLeft) -> Iterator[ClientEvent]:
        """Somebody went."""
        if push.peer in self.peers:
            yield from self.forget([push.peer], push.reason)


def _peer(room: str, info: PeerInfo | PeerJoined) -> Peer:
    """Raises MalformedError for a `meta` that is no object."""
    return Peer(
        id=info.peer,
        room=room,
        identity=info.identity,
        polite=info.polite,
        name=None if info.name is UNSET else info.name,
        meta=parse_json_object(info.meta, MAX_SHOWN),
    )
