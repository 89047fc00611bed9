"""Admission for tests: whoever says a name is that, and what else happens is up to the test."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator

from icelane.core.clock import Duration, Instant
from icelane.signaling.admission.request import (
    Connected,
    ConnectRequest,
    IceRequest,
    JoinRequest,
    Left,
    MessageRequest,
    TlsFacts,
    connect_request,
)
from icelane.signaling.admitted import Admission, IcePolicy, Refusal
from icelane.signaling.close_code import CloseCode
from icelane.signaling.messages import IceServer, IceServersBody
from icelane.turn.access_list import Client


class FakePlace:
    """A place among the connections, counted."""

    def __init__(self, gate: FakeGate) -> None:
        self._gate = gate
        gate.places += 1

    def close(self) -> None:
        self._gate.places -= 1


class FakeGate:
    """Satisfies `icelane.signaling.gate.Gate`. The token that comes first in the order of carriers is the identity."""

    def __init__(self) -> None:
        self.places = 0
        self.max_places = 1000
        self.screened: Refusal | None = None
        self.admissions: dict[str, Admission | Refusal] = {}
        self.requests: list[ConnectRequest] = []
        self.notices: list[Connected | Left] = []
        self.denied: set[str] = set()
        self.refuse_joins: set[str] = set()
        self.asks_about_joins = True
        self.asks_about_messages = False
        self.asks_about_ice = False
        self.decide_ice: IcePolicy | Refusal | None = None
        self.refuse_data: object = "never"
        self.delay = 0.0
        self.raises: BaseException | None = None

    def request(
        self,
        *,
        peer: str,
        raw_headers: Iterable[tuple[bytes, bytes]],
        query: bytes = b"",
        path: str = "/",
        transport: str = "websocket",
        tls: TlsFacts | None = None,
    ) -> ConnectRequest:
        return connect_request(peer=peer, raw_headers=raw_headers, query=query, path=path, transport=transport, tls=tls)

    def open_connection(self, request: ConnectRequest) -> FakePlace | Refusal:
        if self.places >= self.max_places:
            return Refusal(code=CloseCode.RATE_LIMITED, error="too_many_connections", retry_after=5.0, status=429)
        return FakePlace(self)

    def screen(self, request: ConnectRequest) -> Refusal | None:
        return self.screened

    async def admit(self, request: ConnectRequest, *, screened: bool = False) -> Admission | Refusal:
        self.requests.append(request)
        await asyncio.sleep(self.delay)
        if self.raises is not None:
            raise self.raises
        token = next(iter(request.carried.values()), None)
        if token is None:
            return Refusal(code=CloseCode.TOKEN_EXPIRED, error="unauthorized", reason="a valid token is needed")
        token = token.removeprefix("Bearer ")
        return self.admissions.get(token) or Admission(identity=token, rooms=("*",))

    async def before_join(self, event: JoinRequest) -> Refusal | None:
        if event.room in self.refuse_joins:
            return Refusal(code=CloseCode.DENIED, error="not_today", reason="come tomorrow")
        return None

    async def before_message(self, event: MessageRequest, ip: str) -> Refusal | None:
        refused = event.data == self.refuse_data
        return Refusal(code=CloseCode.DENIED, error="swearing", reason="language") if refused else None

    async def before_ice(self, event: IceRequest, policy: IcePolicy) -> IcePolicy | Refusal:
        return policy if self.decide_ice is None else self.decide_ice

    def message_wait(self, identity: str, room: str, kind: str) -> Duration | None:
        return 3.0 if identity == "chatty" else None

    def tell(self, notice: Connected | Left) -> None:
        self.notices.append(notice)

    def refused_now(self, clients: Iterable[Client[str]]) -> Iterator[tuple[str, Refusal]]:
        for client in clients:
            if client.identity in self.denied:
                yield client.key, Refusal(code=CloseCode.DENIED, error="denied")


class FakeIce:
    """Satisfies `icelane.signaling.gate.IceSource`."""

    def __init__(self, ttl: int = 600) -> None:
        self.ttl = ttl

    def ice_servers(self, admission: Admission, now: Instant) -> IceServersBody:
        server = IceServer(urls=("turn:turn.example.org:3478",), username=f"9:{admission.identity}", credential="c")
        policy = admission.ice.transport_policy.value
        return IceServersBody(ice_servers=(server,), ice_transport_policy=policy, ttl=self.ttl)
