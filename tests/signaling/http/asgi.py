"""Asks an ASGI application without a server, and fakes for what endpoints stand on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from msgspec import Raw
from starlette.applications import Starlette
from starlette.requests import Request

from icelane.core.clock import UnixSeconds
from icelane.errors import LocalProtocolError
from icelane.signaling.admitted import Admission, IcePolicy, Refusal
from icelane.signaling.close_code import CloseCode
from icelane.signaling.http.caller import Caller, Operator
from icelane.signaling.http.endpoint import routes
from icelane.signaling.http.room_endpoints import RoomPeer, RoomSettings, RoomView
from icelane.signaling.http.surface import HttpSurface
from icelane.signaling.http.token_endpoints import TokenOrder
from icelane.signaling.ice_servers import IceServers, IceSettings
from icelane.turn.credentials import Secret

SECRET = Secret(kid="k1", secret="a secret of more than sixteen bytes")
URLS = (
    "turns:turn.example.org:443?transport=tcp",
    "turn:turn.example.org:3478?transport=tcp",
    "turn:turn.example.org:3478?transport=udp",
    "stun:turn.example.org:3478",
)
APP_ORIGIN = "https://app.example.org"
ALICE = Admission(identity="alice", rooms=("demo", "team-*"))
OPERATOR = Operator("backend")
NOBODY = Refusal(code=CloseCode.TOKEN_EXPIRED, error="unauthorized", reason="a valid token is needed")
DENIED = Refusal(code=CloseCode.DENIED, error="denied", status=403)

AS_ALICE = {"authorization": "Bearer alice"}
AS_OPERATOR = {"authorization": "Bearer backend"}
JSON = {"content-type": "application/json"}


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class FrozenClock:
    """Calendar time that stands still."""

    def __init__(self, at: float = 1_800_000_000.0) -> None:
        self.at = at

    def unix_time(self, now: float) -> UnixSeconds:
        return UnixSeconds(self.at)


@dataclass
class FakeCallers:
    """Knows callers by their bearer token."""

    known: dict[str, Caller | Refusal] = field(default_factory=lambda: {"alice": ALICE, "backend": OPERATOR})
    refusal: Refusal | None = None
    asked: int = 0
    denied: set[str] = field(default_factory=set)
    decide_ice: Callable[[Admission, str], Awaitable[IcePolicy | Refusal]] | None = None

    def passes(self, request: Request) -> Refusal | None:
        return self.refusal

    async def identify(self, request: Request) -> Caller | Refusal:
        self.asked += 1
        return self.known.get(request.headers.get("authorization", "").removeprefix("Bearer "), NOBODY)

    def address(self, request: Request) -> str:
        return "203.0.113.7"

    def allows_origin(self, origin: str) -> bool:
        return origin == APP_ORIGIN

    def refuses(self, identity: str) -> Refusal | None:
        return DENIED if identity in self.denied else None

    async def before_ice(self, admission: Admission, address: str) -> IcePolicy | Refusal:
        return admission.ice if self.decide_ice is None else await self.decide_ice(admission, address)


@dataclass
class FakeRevoker:
    """Remembers what was taken back."""

    taken: list[str] = field(default_factory=list)
    full: bool = False

    async def revoke(self, username: str) -> int:
        if self.full:
            raise LocalProtocolError("too many")
        self.taken.append(username)
        return 1


@dataclass
class FakeTokens:
    """Makes tokens that say what was ordered."""

    orders: list[TokenOrder] = field(default_factory=list)

    def make(self, order: TokenOrder) -> tuple[str, UnixSeconds]:
        if not order.identity:
            raise LocalProtocolError("an identity has 1 to 256 printable characters")
        self.orders.append(order)
        return f"token-for-{order.identity}", UnixSeconds(1_800_000_000.0 + order.ttl)


@dataclass
class FakeTickets:
    """Makes one ticket for each admission."""

    left: int = 10

    def make(self, admission: Admission) -> str | None:
        self.left -= 1
        return f"ticket-for-{admission.identity}" if self.left >= 0 else None


@dataclass
class FakeRooms:
    """Rooms in a dictionary."""

    views: dict[str, RoomView] = field(default_factory=dict)
    said: list[tuple[str, bytes, str | None]] = field(default_factory=list)

    async def rooms(self) -> Sequence[RoomView]:
        return list(self.views.values())

    async def room(self, room: str) -> RoomView | None:
        return self.views.get(room)

    async def configure(self, room: str, settings: RoomSettings) -> None:
        peers = self.views[room].peers if room in self.views else ()
        self.views[room] = RoomView(room=room, settings=settings, peers=peers)

    async def close(self, room: str, reason: str) -> bool:
        return self.views.pop(room, None) is not None

    async def kick(self, room: str, peer: str, reason: str) -> bool:
        view = self.views.get(room)
        left = tuple(one for one in view.peers if one.peer != peer) if view is not None else ()
        if view is None or len(left) == len(view.peers):
            return False
        self.views[room] = RoomView(room=room, settings=view.settings, peers=left)
        return True

    async def lock(self, room: str, locked: bool) -> bool:
        view = self.views.get(room, RoomView(room=room, settings=RoomSettings()))
        self.views[room] = RoomView(room=room, settings=RoomSettings(locked=locked), peers=view.peers)
        return True

    async def send(self, room: str, data: Raw, to: str | None) -> bool:
        self.said.append((room, bytes(data), to))
        return room in self.views


def peer(name: str) -> RoomPeer:
    return RoomPeer(peer=f"p_{name}", identity=name, meta=Raw(b"{}"))


@dataclass
class World:
    """An application on fakes."""

    callers: FakeCallers = field(default_factory=FakeCallers)
    revoker: FakeRevoker = field(default_factory=FakeRevoker)
    tokens: FakeTokens = field(default_factory=FakeTokens)
    tickets: FakeTickets = field(default_factory=FakeTickets)
    rooms: FakeRooms = field(default_factory=FakeRooms)
    clock: FrozenClock = field(default_factory=FrozenClock)
    compat: tuple[str, ...] = ()
    urls: tuple[str, ...] = URLS
    ready: bool = True
    pages: bool = False
    public_url: str = "https://call.example.org"

    def __post_init__(self) -> None:
        self.ice = IceServers(IceSettings(urls=self.urls, secrets=(SECRET,)), wall_clock=self.clock)
        self.surface = HttpSurface(
            callers=self.callers,
            readiness=self._readiness,
            signal_url=lambda: "wss://call.example.org/v1/signal",
            ice=self.ice,
            revoker=self.revoker,
            tokens=self.tokens,
            tickets=self.tickets,
            rooms=self.rooms,
            compat=self.compat,
            public_url=lambda: self.public_url,
            pages=self.pages,
        )
        self.app = Starlette(routes=routes(self.surface.endpoints(), self.callers))
        self.app.router.redirect_slashes = False  # as signaling_app has it

    async def _readiness(self) -> tuple[bool, Mapping[str, object]]:
        return self.ready, {"status": "ok" if self.ready else "not-ready"}

    def ask(
        self,
        method: str,
        path: str,
        *headers: Mapping[str, str],
        body: bytes = b"",
        chunks: Sequence[bytes] | None = None,
        raw_headers: Sequence[tuple[bytes, bytes]] = (),
    ) -> Answer:
        """One request."""
        merged = {name: value for one in headers for name, value in one.items()}
        return asyncio.run(ask(self.app, method, path, merged, chunks or [body], raw_headers))


async def ask(
    app: Any,
    method: str,
    path: str,
    headers: Mapping[str, str],
    chunks: Sequence[bytes],
    raw_headers: Sequence[tuple[bytes, bytes]] = (),
) -> Answer:
    """Ask any ASGI application."""
    target, _, query = path.partition("?")
    raw = [(b"host", b"evil.example"), *((name.encode(), value.encode()) for name, value in headers.items())]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "https",
        "path": unquote(target),
        "raw_path": target.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [*raw, *raw_headers],
        "client": ("198.51.100.1", 40000),
        "server": ("192.0.2.1", 443),
        "state": {},
    }
    waiting = list(chunks)
    sent: list[Mapping[str, Any]] = []

    async def receive() -> Mapping[str, Any]:
        if not waiting:
            return {"type": "http.disconnect"}
        chunk = waiting.pop(0)
        return {"type": "http.request", "body": chunk, "more_body": bool(waiting)}

    async def send(message: Mapping[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return Answer(status=sent[0]["status"], headers=found, body=b"".join(one.get("body", b"") for one in sent[1:]))
