"""Commands to a running server, one JSON object a line, answered by one JSON object a line; no sockets here.

    {"command": "sessions"}                           {"ok": true, "at": 12.5, "sessions": [...], "omitted": 0}
    {"command": "sessions", "routes": true}           the same, and of each session its routes with their counters:
                                                      channels, and permissions with what indications have carried
    {"command": "users"}                              {"ok": true, "at": 12.5, "users": [...], "omitted": 0}
    {"command": "kick", "session": "192.0.2.1:50000"} {"ok": true, "ended": 1}
    {"command": "revoke", "name": "carol"}            {"ok": true, "ended": 2}
    {"command": "revoke", "kid": "2026a"}
    {"command": "reload"}                             {"ok": true, "changed": [...], "restart": [...], ...}
    {"command": "drain"}                              {"ok": true, "allocations": 7}

What cannot be done is `{"ok": false, "error": ..., "problems": [{"message": ..., "key": ..., "file": ...}]}`. `at` is a
clock of the server in seconds, by which two answers make rates.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final, Protocol

from icelane.core.clock import Instant
from icelane.core.net import Path
from icelane.errors import ConfigurationError, LocalProtocolError
from icelane.server.config import problems_of
from icelane.server.config.values import parse_kid
from icelane.server.relay_plane import RelayedClient, RelayPlane
from icelane.server.reload import Reloaded
from icelane.server.traffic import Traffic
from icelane.turn.allocation import Allocation
from icelane.turn.allocation_table import AllocationTable
from icelane.turn.credentials import MAX_USERNAME_BYTES
from icelane.turn.revocation import Revocation

# The longest request has a user name of 508 bytes, each perhaps escaped.
MAX_LINE: Final = 65_536
# Rows of one answer: ten thousand would keep the loop from relaying for too long. What is left out is counted.
MAX_ROWS: Final = 1000
# Channels and permissions of one session that are told of, channels first; a call has one or two of each.
MAX_ROUTES: Final = 32


class Administered(Protocol):
    """What is asked of a server."""

    @property
    def allocations(self) -> AllocationTable:
        """The live allocations."""
        ...

    @property
    def plane(self) -> RelayPlane:
        """The relay's clients and their counters."""
        ...

    def revoke(self, entry: Revocation) -> int:
        """Take a credential back; how many allocations ended."""
        ...

    def end(self, clients: Collection[Path]) -> int:
        """End allocations; how many there were."""
        ...


class RequestError(Exception):
    """The request cannot be carried out; the text is for the person who made it."""


Request = Mapping[str, Any]
Answer = dict[str, Any]
"""What follows `"ok": true`."""

SESSION_COMMANDS: Final = ("sessions", "users", "kick", "revoke")


class Admin:
    """Answers for a server. `sessions` carries out `commands`, `reload` reads the configuration again.

    `drain` begins the server's end and returns how many allocations there are. All raise RequestError,
    LocalProtocolError or ConfigurationError for what cannot be done.
    """

    def __init__(
        self,
        *,
        sessions: Callable[[Request, Instant], Awaitable[Answer]],
        reload: Callable[[], Awaitable[Reloaded]],
        drain: Callable[[], int],
        commands: Collection[str] = SESSION_COMMANDS,
    ) -> None:
        self._commands = commands
        self._sessions = sessions
        self._reload = reload
        self._drain = drain

    async def answer(self, line: bytes, now: Instant) -> bytes:
        """The answer to one line, with the line feed at its end. Never raises for what a client can send."""
        return json.dumps(await self._document(line, now)).encode() + b"\n"

    async def _document(self, line: bytes, now: Instant) -> Answer:
        try:
            request = _parse(line)
            command = request.get("command")
            if command in self._commands:
                return {"ok": True} | await self._sessions(request, now)
            if command == "reload":
                return {"ok": True} | vars(await self._reload())
            if command == "drain":
                return {"ok": True, "allocations": self._drain()}
            raise RequestError(f"the commands are {', '.join((*self._commands, 'reload', 'drain'))}")
        except ConfigurationError as error:
            problems = [
                {"message": problem.message, "key": problem.key, "file": problem.file} for problem in problems_of(error)
            ]
            return {"ok": False, "error": "the old configuration still counts", "problems": problems}
        except (RequestError, LocalProtocolError) as error:
            return {"ok": False, "error": str(error)}


class Sessions:
    """Tells of the sessions of one server, and ends them."""

    def __init__(self, server: Administered) -> None:
        self._server = server
        self._handlers: dict[str, Callable[[Request, Instant], Answer]] = {
            "sessions": self._sessions,
            "users": self._users,
            "kick": self._kick,
            "revoke": self._revoke,
        }

    def answer(self, request: Request, now: Instant) -> Answer:
        """The answer to one of the SESSION_COMMANDS. Raises RequestError or LocalProtocolError."""
        return self._handlers[request["command"]](request, now)

    def _sessions(self, request: Request, now: Instant) -> Answer:
        wanted, routes = request.get("user"), request.get("routes") is True
        chosen = [one for one in self._server.allocations if wanted is None or one.user_key == wanted]
        rows = [self._session(one, now) | (self._routes(one) if routes else {}) for one in chosen[:MAX_ROWS]]
        return {"at": now, "sessions": rows, "omitted": len(chosen) - len(rows)}

    def _session(self, allocation: Allocation, now: Instant) -> Answer:
        client = allocation.client
        return {
            "session": session_name(allocation),
            "transport": client.transport.value,
            "client": str(client.remote),
            "user": allocation.user_key,
            "username": allocation.username,
            "kid": allocation.kid,
            "relays": [str(relay.external) for relay in allocation.relays.values()],
            "permissions": len(allocation.permissions_by_host),
            "channels": len(allocation.channels_by_number),
            "expiresIn": round(allocation.expires_at - now, 1),
            **_counters([self._server.plane.clients.get(client)]),
        }

    def _routes(self, allocation: Allocation) -> Answer:
        client = self._server.plane.clients.get(allocation.client)
        there_are = len(allocation.channels_by_number) + len(allocation.permissions_by_host)
        routes = list(islice(_routes(allocation, client), MAX_ROUTES)) if client is not None else []
        return {"routes": routes, "routesOmitted": there_are - len(routes)}

    def _users(self, request: Request, now: Instant) -> Answer:
        del request
        clients_by_user: dict[str, list[RelayedClient | None]] = {}
        for allocation in self._server.allocations:
            found = self._server.plane.clients.get(allocation.client)
            clients_by_user.setdefault(allocation.user_key, []).append(found)
        rows = [
            {"user": user, "sessions": len(clients), **_counters(clients)}
            for user, clients in list(clients_by_user.items())[:MAX_ROWS]
        ]
        return {"at": now, "users": rows, "omitted": len(clients_by_user) - len(rows)}

    def _kick(self, request: Request, now: Instant) -> Answer:
        del now
        name = _text(request, "session")
        clients = {
            one.client for one in self._server.allocations if name in (session_name(one), str(one.client.remote))
        }
        if not clients:
            raise RequestError(f"there is no session {name}")
        return {"ended": self._server.end(clients)}

    def _revoke(self, request: Request, now: Instant) -> Answer:
        del now
        return {"ended": self._server.revoke(revocation_in(request))}


def revocation_in(request: Request) -> Revocation:
    """What a request wants to be taken back. Raises RequestError."""
    if ("name" in request) == ("kid" in request):
        raise RequestError("revoke takes a name or a kid")
    if "name" in request:
        return Revocation(name=_text(request, "name"))
    try:
        return Revocation(kid=parse_kid(request["kid"]))
    except ValueError as error:
        raise RequestError(str(error)) from None


def session_name(allocation: Allocation) -> str:
    """What a session is called: its first relayed address, which no other has and the log shows, too."""
    return str(next(iter(allocation.relays.values())).external)


def _routes(allocation: Allocation, client: RelayedClient) -> Iterator[Answer]:
    for number, channel in allocation.channels_by_number.items():
        yield {"channel": f"{number:#06x}", "peer": str(channel.peer), **_counted(client.channel_traffic(number))}
    for host in allocation.permissions_by_host:
        yield {"permission": host, **_counted(client.permission_traffic(host))}


def _parse(line: bytes) -> Mapping[str, Any]:
    try:
        request = json.loads(line)
    except (ValueError, RecursionError):
        raise RequestError("a request is one line with one JSON object") from None
    if not isinstance(request, dict):
        raise RequestError("a request is one line with one JSON object")
    return request


def _text(request: Mapping[str, Any], name: str) -> str:
    value = request.get(name)
    if not isinstance(value, str) or not 0 < len(value.encode(errors="replace")) <= MAX_USERNAME_BYTES:
        raise RequestError(f"{name} is a text of 1 to {MAX_USERNAME_BYTES} bytes")
    return value


def _counters(clients: Iterable[RelayedClient | None]) -> dict[str, int]:
    total = Traffic()
    for client in clients:
        if client is not None:
            total.add(client.traffic())
    return _counted(total) | {"dropped": total.dropped}


def _counted(traffic: Traffic) -> dict[str, int]:
    return {
        "packetsFromClient": traffic.packets_from_client,
        "bytesFromClient": traffic.bytes_from_client,
        "packetsToClient": traffic.packets_to_client,
        "bytesToClient": traffic.bytes_to_client,
    }
