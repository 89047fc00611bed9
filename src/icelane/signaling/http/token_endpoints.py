"""`/v1/tokens` and `/v1/tickets`: how somebody gets in.

A backend makes a join token for its user with its API key. A page that has a cookie or a token gets a ticket, good once
within a minute, so that nothing that lives longer stands in the URL of a WebSocket.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import msgspec
from msgspec import UNSET, Struct, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from icelane.core.clock import UnixSeconds
from icelane.errors import LocalProtocolError
from icelane.signaling.admission.ticket import LIFETIME
from icelane.signaling.admitted import Admission
from icelane.signaling.http.caller import Callers, check_user, operator_of, user_of
from icelane.signaling.http.endpoint import Endpoint, json_of, json_response
from icelane.signaling.http.problem import Problem, bad_request
from icelane.signaling.ice_servers import clamped
from icelane.signaling.messages import iso_time

DEFAULT_TTL: Final = 600


@dataclass(frozen=True, kw_only=True)
class TokenOrder:
    """What a token is to say. `grants` None is the usual ones, `policy` None is not to say anything about ICE."""

    identity: str
    rooms: Sequence[str] = ()
    ttl: int = DEFAULT_TTL
    name: str | None = None
    grants: Sequence[str] | None = None
    meta: Mapping[str, object] = field(default_factory=dict)
    policy: str | None = None


class TokenMaker(Protocol):
    """Signs join tokens."""

    def make(self, order: TokenOrder) -> tuple[str, UnixSeconds]:
        """A token and when it ends. Raises LocalProtocolError for what no token could say."""
        ...


class TicketMaker(Protocol):
    """Keeps tickets."""

    def make(self, admission: Admission) -> str | None:
        """A ticket that admits once as `admission` does; None when too many are out."""
        ...


def _livekit(name: str) -> Any:
    return msgspec.field(default=UNSET, name=name)


class IceOrder(Struct, kw_only=True):
    """`all` or `relay`."""

    policy: str | UnsetType = UNSET


class TokenRequest(Struct, kw_only=True, rename="camel"):
    """`identity` and a `room`, or several `rooms`; the other names are LiveKit's for the same."""

    identity: str | UnsetType = UNSET
    room: str | UnsetType = UNSET
    rooms: tuple[str, ...] | UnsetType = UNSET
    name: str | UnsetType = UNSET
    ttl: float | UnsetType = UNSET
    grants: tuple[str, ...] | UnsetType = UNSET
    meta: dict[str, Any] | UnsetType = UNSET
    ice: IceOrder | UnsetType = UNSET
    participant_identity: str | UnsetType = _livekit("participant_identity")
    participant_name: str | UnsetType = _livekit("participant_name")
    participant_metadata: str | UnsetType = _livekit("participant_metadata")
    participant_attributes: dict[str, str] | UnsetType = _livekit("participant_attributes")
    room_name: str | UnsetType = _livekit("room_name")

    @property
    def from_livekit(self) -> bool:
        """Whether the answer has to have their names too."""
        return self.participant_identity is not UNSET or self.room_name is not UNSET


class TokenAnswer(Struct, kw_only=True, rename="camel", omit_defaults=True):
    """Where to go with it. `server_url` and `participant_token` repeat that for those who ask in LiveKit's words."""

    url: str
    token: str
    identity: str
    expires_at: str
    ttl: int
    room: str | UnsetType = UNSET
    rooms: tuple[str, ...] | UnsetType = UNSET
    server_url: str | UnsetType = _livekit("server_url")
    participant_token: str | UnsetType = _livekit("participant_token")

    def __repr__(self) -> str:
        return f"TokenAnswer({self.identity!r})"


class TicketAnswer(Struct, kw_only=True, rename="camel"):
    """Append `?ticket=...` to `url`."""

    ticket: str
    url: str
    expires_in: int

    def __repr__(self) -> str:
        return "TicketAnswer()"


class TokenEndpoints:
    """`signal_url` says where clients connect, `wss://HOST/v1/signal`. Without a maker there is no endpoint."""

    def __init__(
        self,
        callers: Callers,
        signal_url: Callable[[], str],
        *,
        tokens: TokenMaker | None = None,
        tickets: TicketMaker | None = None,
    ) -> None:
        self._callers = callers
        self._url = signal_url
        self._tokens = tokens
        self._tickets = tickets

    def endpoints(self) -> list[Endpoint]:
        """For the table."""
        made = []
        if self._tokens is not None:
            made.append(
                Endpoint(
                    method="POST",
                    path="/v1/tokens",
                    handler=self._make_token,
                    summary="A join token for a user",
                    caller="operator",
                    request=TokenRequest,
                    answer=TokenAnswer,
                    status=201,
                    tags=("tokens",),
                )
            )
        if self._tickets is not None:
            made.append(
                Endpoint(
                    method="POST",
                    path="/v1/tickets",
                    handler=self._make_ticket,
                    summary="A ticket for one WebSocket",
                    caller="user",
                    answer=TicketAnswer,
                    status=201,
                    tags=("tokens",),
                )
            )
        return made

    async def _make_token(self, request: Request) -> Response:
        assert self._tokens is not None, "without it there is no such endpoint"
        await operator_of(self._callers, request)
        asked = await json_of(request, TokenRequest)
        order = _order(asked)
        check_user(self._callers, order.identity)
        try:
            token, expires_at = self._tokens.make(order)
        except LocalProtocolError as error:
            raise bad_request(str(error), "bad_token_request") from None
        one_room, url = len(order.rooms) == 1, self._url()
        answer = TokenAnswer(
            url=url,
            token=token,
            identity=order.identity,
            expires_at=iso_time(expires_at),
            ttl=order.ttl,
            room=order.rooms[0] if one_room else UNSET,
            rooms=UNSET if one_room else tuple(order.rooms),
            server_url=url if asked.from_livekit else UNSET,
            participant_token=token if asked.from_livekit else UNSET,
        )
        return json_response(answer, 201)

    async def _make_ticket(self, request: Request) -> Response:
        assert self._tickets is not None, "without it there is no such endpoint"
        ticket = self._tickets.make(await user_of(self._callers, request))
        if ticket is None:
            raise Problem(status=503, code="busy", title="too many tickets are out", retryable=True, retry_after=5.0)
        return json_response(TicketAnswer(ticket=ticket, url=self._url(), expires_in=int(LIFETIME)), 201)


def _order(asked: TokenRequest) -> TokenOrder:
    identity = _first(asked.identity, asked.participant_identity)
    if identity is None:
        raise bad_request("identity is missing", "bad_token_request")
    room = _first(asked.room, asked.room_name)
    if room is not None and asked.rooms is not UNSET:
        raise bad_request("say room or rooms", "bad_token_request")
    meta: dict[str, object] = dict(asked.meta) if asked.meta is not UNSET else {}
    if asked.participant_attributes is not UNSET:
        meta |= asked.participant_attributes
    if asked.participant_metadata is not UNSET:
        meta["metadata"] = asked.participant_metadata
    return TokenOrder(
        identity=identity,
        rooms=(room,) if room is not None else (() if asked.rooms is UNSET else asked.rooms),
        ttl=clamped(DEFAULT_TTL if asked.ttl is UNSET else asked.ttl),
        name=_first(asked.name, asked.participant_name),
        grants=None if asked.grants is UNSET else asked.grants,
        meta=meta,
        policy=None if asked.ice is UNSET else _first(asked.ice.policy),
    )


def _first(*texts: str | UnsetType) -> str | None:
    return next((text for text in texts if text is not UNSET), None)
