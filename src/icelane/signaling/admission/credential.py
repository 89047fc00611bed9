"""What a connection shows to say who it is, and whether that is right.

    Authorization: Bearer TOKEN | Bearer API-KEY | Basic base64(name:API-KEY)
    a cookie with a token, beside an allowed Origin and its CSRF value
    the sub-protocol bearer.TOKEN          hello.token          ?ticket=          ?token= where that is switched on

The first that is there counts, and it alone: whoever shows a bad token is not let in by a good cookie.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from icelane.core.clock import Instant, UnixSeconds
from icelane.errors import MalformedError, RemoteProtocolError
from icelane.signaling.admission.api_key import ApiKeys
from icelane.signaling.admission.join_token import parse_join_claims
from icelane.signaling.admission.json_web_token import TokenFault, TokenRefusedError, TokenVerifier, parse_token
from icelane.signaling.admission.origin import OriginVerdict
from icelane.signaling.admission.request import MAX_TOKEN, Allow, Carrier, ConnectRequest
from icelane.signaling.admission.session_cookie import shows_csrf
from icelane.signaling.admission.ticket import TicketStore
from icelane.signaling.admitted import Grant

_NO_CLAIMS: Final[Mapping[str, object]] = MappingProxyType({})
_EVERYTHING: Final = frozenset(Grant)


class CredentialRefusedError(RemoteProtocolError):
    """What was shown is not good. `reason` is a word for logs and metrics; nothing here holds a part of it."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What came out. `allow` is None when nobody was named: nothing was shown, or a `token` that is not ours.

    `final` says that nobody else is to be asked: an API key is the operator's own, and for a ticket somebody was asked
    when it was issued.
    """

    allow: Allow | None = None
    token: str | None = field(default=None, repr=False)
    claims: Mapping[str, object] = field(default_factory=lambda: _NO_CLAIMS)
    api_key: str | None = None
    final: bool = False


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """Everything by which somebody may be known. `cookies` are the names of those that hold a token."""

    tokens: TokenVerifier
    api_keys: ApiKeys
    tickets: TicketStore
    cookies: frozenset[str] = frozenset()
    query_tokens: bool = False

    async def examine(
        self, request: ConnectRequest, verdict: OriginVerdict, unix_time: UnixSeconds, now: Instant
    ) -> Shown:
        """Who shows himself. Raises CredentialRefusedError or TokenRefusedError."""
        owner = self.backend_of(request)
        if owner is not None:
            return _backend(owner)
        carried = request.carried
        if Carrier.AUTHORIZATION in carried:
            return await self._authorization(carried[Carrier.AUTHORIZATION], unix_time)
        cookie = self._cookie(request, verdict)
        if cookie is not None:
            return await self._token(cookie, unix_time)
        for carrier in (Carrier.SUBPROTOCOL, Carrier.HELLO):
            if carrier in carried:
                return await self._token(carried[carrier], unix_time)
        if Carrier.TICKET in carried:
            return self._ticket(carried[Carrier.TICKET], now)
        if Carrier.QUERY in carried:
            if not self.query_tokens:
                raise CredentialRefusedError("token-in-query")
            return await self._token(carried[Carrier.QUERY], unix_time)
        return Shown()

    def backend_of(self, request: ConnectRequest) -> str | None:
        """Whose API key a request shows, if it is one."""
        lines = request.headers.lines("authorization")
        if len(lines) != 1 or not len(self.api_keys) or len(lines[0]) > MAX_TOKEN:
            return None
        scheme, _, rest = lines[0].partition(" ")
        if scheme.lower() == "bearer":
            return self.api_keys.owner_of(rest.strip(" "))
        if scheme.lower() != "basic":
            return None
        try:
            name, key = parse_basic(rest.strip(" "))
        except CredentialRefusedError:
            return None
        return self.api_keys.owner_of(key, name)

    def _cookie(self, request: ConnectRequest, verdict: OriginVerdict) -> str | None:
        """The token in a cookie, where it counts (SG-2)."""
        if verdict is not OriginVerdict.ALLOWED:
            return None
        for name in self.cookies & request.cookies.keys():
            if shows_csrf(request.cookies[name], request.csrf):
                return request.cookies[name]
        return None

    async def _authorization(self, value: str, unix_time: UnixSeconds) -> Shown:
        scheme, _, rest = value.partition(" ")
        rest = rest.strip(" ")
        if scheme.lower() == "basic":
            parse_basic(rest)
            raise CredentialRefusedError("unknown-api-key")
        if scheme.lower() != "bearer" or not rest:
            raise CredentialRefusedError("malformed-authorization")
        return await self._token(rest, unix_time)

    async def _token(self, text: str, unix_time: UnixSeconds) -> Shown:
        """A token: one of ours, or what only a hook can make sense of."""
        if len(text) > MAX_TOKEN:
            raise TokenRefusedError(TokenFault.MALFORMED, "too long")
        try:
            known = self.tokens.knows(parse_token(text))
        except MalformedError:
            known = False
        if not known:
            return Shown(token=text)
        claims = await self.tokens.verify(text, unix_time)
        try:
            allow = parse_join_claims(claims)
        except MalformedError as error:
            raise TokenRefusedError(TokenFault.BAD_CLAIMS, str(error)) from None
        return Shown(allow=allow, token=text, claims=claims)

    def _ticket(self, text: str, now: Instant) -> Shown:
        allow = self.tickets.redeem(text, now) if len(text) <= MAX_TOKEN else None
        if allow is None:
            raise CredentialRefusedError("unknown-ticket")
        return Shown(allow=allow, final=True)


def _backend(owner: str) -> Shown:
    allow = Allow(identity=f"api:{owner}", rooms=("*",), grants=_EVERYTHING)
    return Shown(allow=allow, api_key=owner, final=True)


def parse_basic(text: str) -> tuple[str, str]:
    """Name and password of Basic authentication (RFC 7617). Raises CredentialRefusedError."""
    try:
        decoded = base64.b64decode(text, validate=True).decode() if len(text) <= MAX_TOKEN else ""
    except (binascii.Error, ValueError):
        decoded = ""
    name, colon, key = decoded.partition(":")
    if not colon or not key:
        raise CredentialRefusedError("malformed-authorization")
    return name, key


def withholds_cookies(request: ConnectRequest, verdict: OriginVerdict) -> bool:
    """Whether no hook may see the cookies of a request: those alone that a browser sends for any page (SG-2)."""
    return verdict is not OriginVerdict.ALLOWED or not (request.carried or request.csrf)
