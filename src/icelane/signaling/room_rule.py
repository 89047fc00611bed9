"""How rooms are that nobody has made: by their names."""

from __future__ import annotations

from dataclasses import dataclass

from icelane.signaling.admitted import is_meant
from icelane.signaling.engine import RoomOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomRule:
    """For rooms of this name, or of these when it ends in `*`. `max_peers` None is the configured bound."""

    room: str
    relay_only: bool = False
    max_peers: int | None = None


def options_for(room: str, rules: tuple[RoomRule, ...], max_peers: int) -> RoomOptions:
    """By the first rule that matches; without one, a room is open to `max_peers`."""
    for rule in rules:
        if is_meant(room, rule.room):
            return RoomOptions(relay_only=rule.relay_only, max_peers=rule.max_peers or max_peers)
    return RoomOptions(max_peers=max_peers)
