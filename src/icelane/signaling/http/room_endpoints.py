"""`/v1/rooms`: what operators see of rooms, and what they do about them.

A room's settings have an ETag. `If-Match` keeps a change from overwriting one that somebody else has just made (412),
`If-None-Match: *` makes a room only where there is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from icelane.crypto.provider import sha256
from icelane.signaling.http.caller import Callers, operator_of
from icelane.signaling.http.endpoint import Endpoint, json_of, json_response
from icelane.signaling.http.problem import Problem, bad_request, not_found
from icelane.signaling.limits import MAX_PEERS_PER_ROOM, MAX_REASON, MAX_ROOM_NAME
from icelane.signaling.messages import ClientInfo

# Of one answer; the rest is counted.
MAX_ROOMS: Final = 1000
_ETAG_DIGITS: Final = 32


class RoomSettings(Struct, kw_only=True, rename="camel", frozen=True):
    """How a room is. `maxPeers` is left out where the configured bound counts."""

    locked: bool = False
    relay_only: bool = False
    max_peers: int | UnsetType = UNSET


class RoomPeer(Struct, kw_only=True, rename="camel", frozen=True, omit_defaults=True):
    """Somebody in a room. `meta` is what the others see; `client` is the program that he says he uses."""

    peer: str
    identity: str
    name: str | UnsetType = UNSET
    meta: Raw
    node: str | UnsetType = UNSET
    client: ClientInfo | UnsetType = UNSET


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomView:
    """A room."""

    room: str
    settings: RoomSettings
    peers: tuple[RoomPeer, ...] = ()

    @property
    def etag(self) -> str:
        """Of the settings alone: who comes and goes changes nothing about them."""
        return f'"{sha256(msgspec.json.encode(self.settings)).hex()[:_ETAG_DIGITS]}"'


class RoomDirectory(Protocol):
    """Where rooms are kept. A room that is not there is None or False."""

    async def rooms(self) -> Sequence[RoomView]:
        """All of them, without their peers if that is easier."""
        ...

    async def room(self, room: str) -> RoomView | None:
        """One, with its peers."""
        ...

    async def configure(self, room: str, settings: RoomSettings) -> None:
        """Make it, or change it. It stays when nobody is in it."""
        ...

    async def close(self, room: str, reason: str) -> bool:
        """Send everybody out, and forget it."""
        ...

    async def kick(self, room: str, peer: str, reason: str) -> bool:
        """Send one out; False when there is no such peer in it."""
        ...

    async def lock(self, room: str, locked: bool) -> bool:
        """Let nobody in, or again; False when there is nothing to open."""
        ...

    async def send(self, room: str, data: Raw, to: str | None) -> bool:
        """Say something in the name of the server, to all or one."""
        ...


class RoomSummary(Struct, kw_only=True, rename="camel"):
    """A line of the list."""

    room: str
    peers: int
    settings: RoomSettings


class RoomList(Struct, kw_only=True, rename="camel"):
    """`omitted` counts what has found no place."""

    rooms: tuple[RoomSummary, ...]
    omitted: int


class RoomDetails(Struct, kw_only=True, rename="camel"):
    """One room."""

    room: str
    settings: RoomSettings
    peers: tuple[RoomPeer, ...]


class PeerList(Struct, kw_only=True):
    """Who is in a room."""

    peers: tuple[RoomPeer, ...]


class LockRequest(Struct, kw_only=True):
    """An empty body locks."""

    locked: bool = True


class MessageRequest(Struct, kw_only=True):
    """`to` is a peer; without it everybody in the room gets it."""

    data: Raw
    to: str | UnsetType = UNSET


class RoomEndpoints:
    """For operators."""

    def __init__(self, callers: Callers, rooms: RoomDirectory) -> None:
        self._callers = callers
        self._rooms = rooms

    def endpoints(self) -> list[Endpoint]:
        """For the table."""
        room = "/v1/rooms/{room}"

        def made(method: str, path: str, handler: Any, summary: str, **more: Any) -> Endpoint:
            return Endpoint(
                method=method, path=path, handler=handler, summary=summary, caller="operator", tags=("rooms",), **more
            )

        return [
            made("GET", "/v1/rooms", self._list, "Every room", answer=RoomList),
            made("GET", room, self._show, "One room", answer=RoomDetails),
            made("PUT", room, self._put, "Make or change a room", request=RoomSettings, answer=RoomDetails),
            made("DELETE", room, self._close, "Close a room", status=204),
            made("GET", room + "/peers", self._peers, "Who is in a room", answer=PeerList),
            made("DELETE", room + "/peers/{peer}", self._kick, "Send somebody out", status=204),
            made("POST", room + "/messages", self._send, "Say something to a room", request=MessageRequest, status=202),
            made("POST", room + "/lock", self._lock, "Lock or open a room", request=LockRequest, answer=RoomDetails),
        ]

    async def _list(self, request: Request) -> Response:
        await operator_of(self._callers, request)
        rooms = sorted(await self._rooms.rooms(), key=lambda view: view.room)
        shown = tuple(
            RoomSummary(room=view.room, peers=len(view.peers), settings=view.settings) for view in rooms[:MAX_ROOMS]
        )
        return json_response(RoomList(rooms=shown, omitted=len(rooms) - len(shown)))

    async def _show(self, request: Request) -> Response:
        view = await self._view(request)
        if view.etag in _tags(request, "if-none-match"):
            return Response(status_code=304, headers={"etag": view.etag})
        return _details(view)

    async def _put(self, request: Request) -> Response:
        await operator_of(self._callers, request)
        name = _name(request)
        settings = await json_of(request, RoomSettings)
        if settings.max_peers is not UNSET and not 1 <= settings.max_peers <= MAX_PEERS_PER_ROOM:
            raise bad_request(f"maxPeers is 1 to {MAX_PEERS_PER_ROOM}", "bad_room")
        before = await self._rooms.room(name)
        _check_preconditions(request, before)
        await self._rooms.configure(name, settings)
        after = await self._rooms.room(name) or RoomView(room=name, settings=settings)
        return _details(after, 200 if before is not None else 201)

    async def _close(self, request: Request) -> Response:
        view = await self._view(request)
        _check_preconditions(request, view)
        if not await self._rooms.close(view.room, _reason(request)):
            raise not_found("there is no such room")
        return Response(status_code=204)

    async def _peers(self, request: Request) -> Response:
        return json_response(PeerList(peers=(await self._view(request)).peers))

    async def _kick(self, request: Request) -> Response:
        await operator_of(self._callers, request)
        if not await self._rooms.kick(_name(request), request.path_params["peer"], _reason(request)):
            raise not_found("there is no such peer in that room")
        return Response(status_code=204)

    async def _send(self, request: Request) -> Response:
        await operator_of(self._callers, request)
        message = await json_of(request, MessageRequest)
        # Copied: a Raw is a view of the body, which goes away.
        data = Raw(bytes(message.data))
        if not await self._rooms.send(_name(request), data, None if message.to is UNSET else message.to):
            raise not_found("there is no such room, or no such peer in it")
        return Response(status_code=202)

    async def _lock(self, request: Request) -> Response:
        await operator_of(self._callers, request)
        name, lock = _name(request), await json_of(request, LockRequest)
        if not await self._rooms.lock(name, lock.locked):
            raise not_found("there is no such room")
        return _details(await self._rooms.room(name) or RoomView(room=name, settings=RoomSettings()))

    async def _view(self, request: Request) -> RoomView:
        await operator_of(self._callers, request)
        view = await self._rooms.room(_name(request))
        if view is None:
            raise not_found("there is no such room")
        return view


def _name(request: Request) -> str:
    name: str = request.path_params["room"]
    if not 0 < len(name) <= MAX_ROOM_NAME or not name.isprintable():
        raise bad_request(f"a room's name has 1 to {MAX_ROOM_NAME} printable characters", "bad_room")
    return name


def _reason(request: Request) -> str:
    return request.query_params.get("reason", "")[:MAX_REASON]


def _details(view: RoomView, status: int = 200) -> Response:
    body = RoomDetails(room=view.room, settings=view.settings, peers=view.peers)
    return json_response(body, status, {"etag": view.etag})


def _check_preconditions(request: Request, view: RoomView | None) -> None:
    """RFC 9110 section 13.1.1 and 13.1.2."""
    match, none_match = _tags(request, "if-match"), _tags(request, "if-none-match")
    failed = (match and (view is None or not match & {view.etag, "*"})) or (
        none_match and view is not None and none_match & {view.etag, "*"}
    )
    if failed:
        raise Problem(
            status=412,
            code="precondition_failed",
            title="the room is not as you think",
            hint="read it again, and send its new ETag",
            headers={} if view is None else {"etag": view.etag},
        )


def _tags(request: Request, header: str) -> set[str]:
    return {tag.strip() for line in request.headers.getlist(header) for tag in line.split(",") if tag.strip()}
