"""Commands about rooms over the admin socket, each one JSON object, as `icelane room` sends them.

{"command": "room-list"}                                  {"ok": true, "rooms": [...], "omitted": 0}
{"command": "room-list", "peers": true}                   the same, with `peers` of each
{"command": "room-show", "room": "demo"}                  {"ok": true, "room": "demo", "peers": [...], ...}
{"command": "room-kick", "room": "demo", "peer": "p_..."} {"ok": true}
{"command": "room-lock", "room": "demo", "locked": true}  {"ok": true, "locked": true}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from icelane.server.admin import Answer, Request, RequestError
from icelane.signaling.http.room_endpoints import MAX_ROOMS, RoomDirectory, RoomView
from icelane.signaling.limits import MAX_REASON, MAX_ROOM_NAME

# Of all rooms in one answer; rooms behind them are told without.
MAX_PEERS: Final = 2000

COMMANDS: Final = ("room-list", "room-show", "room-kick", "room-lock")


class RoomCommands:
    """Carries them out on `rooms`."""

    def __init__(self, rooms: RoomDirectory) -> None:
        self._rooms = rooms

    async def answer(self, request: Request) -> Answer:
        """What follows `"ok": true`. Raises RequestError."""
        match request["command"]:
            case "room-list":
                views = sorted(await self._rooms.rooms(), key=lambda view: view.room)
                return _list(views, with_peers=request.get("peers") is True)
            case "room-show":
                view = await self._rooms.room(_text(request, "room"))
                if view is None:
                    raise _no_room(request)
                return _row(view) | {"peers": _peers(view)}
            case "room-kick":
                room, peer = _text(request, "room"), _text(request, "peer")
                if not await self._rooms.kick(room, peer, str(request.get("reason", ""))[:MAX_REASON]):
                    raise RequestError(f"there is no peer {peer} in {room}")
                return {}
            case "room-lock":
                locked = request.get("locked") is not False
                if not await self._rooms.lock(_text(request, "room"), locked):
                    raise _no_room(request)
                return {"locked": locked}
            case other:
                raise RequestError(f"there is no command {other}")


def _list(views: Sequence[RoomView], *, with_peers: bool) -> Answer:
    shown = views[:MAX_ROOMS]
    rows = [_row(view) for view in shown]
    if with_peers:
        left = MAX_PEERS
        for row, view in zip(rows, shown, strict=True):
            row["peers"] = _peers(view)[:left]
            left -= len(row["peers"])
    return {"rooms": rows, "omitted": len(views) - len(shown)}


def _row(view: RoomView) -> dict[str, Any]:
    settings: Mapping[str, Any] = msgspec.to_builtins(view.settings)
    return {"room": view.room, "members": len(view.peers), **settings}


def _peers(view: RoomView) -> list[dict[str, Any]]:
    return [msgspec.json.decode(msgspec.json.encode(peer)) for peer in view.peers]


def _text(request: Request, name: str) -> str:
    value = request.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= MAX_ROOM_NAME:
        raise RequestError(f"{name} is a text of 1 to {MAX_ROOM_NAME} characters")
    return value


def _no_room(request: Request) -> RequestError:
    return RequestError(f"there is no room {request.get('room')}")
