"""What admission is asked about, and what it answers: a connection as it came in, `Allow`, `Deny`.

    async def before_connect(request: ConnectRequest) -> Allow | Deny:
        if request.ip in banned:
            return Deny("banned", "ask the office")
        return Allow(identity="alice", rooms=("lobby", "team-*"))

All three are public: hooks are written in them, and what a webhook gets and answers is the same in JSON.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import parse_qsl

from icelane.core.clock import Duration, UnixSeconds
from icelane.errors import MalformedError
from icelane.signaling.admission.forwarded import TrustedProxies, canonical_address
from icelane.signaling.admission.headers import Headers, parse_cookies, parse_subprotocols
from icelane.signaling.admitted import AdmissionLimits, Grant, IcePolicy
from icelane.signaling.error_code import ErrorCode

# A token travels in a header, a sub-protocol, a query or a frame; what is longer is refused unread (SG-6).
MAX_TOKEN: Final = 8192
# Of a query string, and of how many parts; what is longer is nobody's who means well.
MAX_QUERY: Final = 8192
MAX_QUERY_PARTS: Final = 100

# Names in a query that carry what opens doors. They are taken out of `query`, so that no hook logs them.
TICKET: Final = "ticket"
TOKEN: Final = "token"  # noqa: S105  (a name)

_TLS_VERSIONS: Final = {0x0303: "TLSv1.2", 0x0304: "TLSv1.3"}
_BEARER: Final = "bearer."
_CSRF: Final = "csrf."
CSRF_HEADER: Final = "x-csrf-token"

_NOTHING: Final[Mapping[str, object]] = MappingProxyType({})
_NO_TEXT: Final[Mapping[str, str]] = MappingProxyType({})


class Carrier(enum.Enum):
    """How a connection says who it is, in the order in which that counts: the first that is there."""

    AUTHORIZATION = "authorization"
    COOKIE = "cookie"
    SUBPROTOCOL = "sub-protocol"
    HELLO = "hello"
    TICKET = "ticket"
    QUERY = "query"


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFacts:
    """What is known of the TLS under a connection; empty where it ended at a proxy."""

    version: str = ""
    cipher: str = ""
    server_name: str = ""
    alpn: str = ""


def tls_facts_of(scope: Mapping[str, Any]) -> TlsFacts | None:
    """What a scope of ASGI says of TLS, by its extension or by its scheme; None where there is none.

    Our own server writes the names of OpenSSL beside the numbers of the extension.
    """
    tls = (scope.get("extensions") or {}).get("tls")
    if tls is None:
        return TlsFacts() if scope.get("scheme") in ("https", "wss") else None
    return TlsFacts(
        version=str(tls.get("version") or _TLS_VERSIONS.get(tls.get("tls_version"), "")),
        cipher=str(tls.get("cipher") or ""),
        server_name=str(tls.get("server_name") or ""),
        alpn=str(tls.get("alpn") or ""),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectRequest:
    """Somebody wants in. What stands here is what he says, but for `ip`, `tls`, `node` and `claims`.

    `ip` is canonical, and that of the client where trusted proxies stand between. `cookies` are empty unless the
    page's Origin is allowed and something came along that a foreign page could not have sent: `token` or `csrf`.
    `claims` are those of a token whose signature was verified, and empty for one that is not ours. `data` is what the
    client's hello carries for the program.
    """

    ip: str
    headers: Headers = field(default_factory=Headers)
    cookies: Mapping[str, str] = field(default_factory=lambda: _NO_TEXT, repr=False)
    origin: str | None = None
    token: str | None = field(default=None, repr=False)
    claims: Mapping[str, object] = field(default_factory=lambda: _NOTHING, repr=False)
    query: Mapping[str, str] = field(default_factory=lambda: _NO_TEXT, repr=False)
    data: object = field(default=None, repr=False)
    transport: str = "websocket"
    tls: TlsFacts | None = None
    node: str = ""
    path: str = "/"
    # What the carriers held; `token` is what is left of them once the order has been applied.
    subprotocols: Sequence[str] = field(default=(), repr=False)
    hello_token: str | None = field(default=None, repr=False)
    ticket: str | None = field(default=None, repr=False)
    query_token: str | None = field(default=None, repr=False)

    def with_hello(self, token: str | None, data: object = None) -> ConnectRequest:
        """The same request once the first frame has come."""
        return replace(self, hello_token=token, data=data)

    @property
    def csrf(self) -> str | None:
        """The value that proves that the page could read what we told it: a header, a sub-protocol, or in hello."""
        header = self.headers.get(CSRF_HEADER)
        if header is not None:
            return header
        offered = next((one for one in self.subprotocols if one.startswith(_CSRF)), None)
        if offered is None and self.hello_token is not None and self.hello_token.startswith(_CSRF):
            offered = self.hello_token
        return None if offered is None else offered.removeprefix(_CSRF)

    @property
    def carried(self) -> Mapping[Carrier, str]:
        """What each carrier but the cookie holds. The hello's is not one when it is a CSRF value."""
        found: dict[Carrier, str] = {}
        authorization = self.headers.lines("authorization")
        if authorization:
            # Two of them are a disagreement between a proxy and us about which counts: neither does.
            found[Carrier.AUTHORIZATION] = authorization[0] if len(authorization) == 1 else ""
        bearer = next((one for one in self.subprotocols if one.startswith(_BEARER)), None)
        if bearer is not None:
            found[Carrier.SUBPROTOCOL] = bearer.removeprefix(_BEARER)
        if self.hello_token is not None and not self.hello_token.startswith(_CSRF):
            found[Carrier.HELLO] = self.hello_token
        if self.ticket is not None:
            found[Carrier.TICKET] = self.ticket
        if self.query_token is not None:
            found[Carrier.QUERY] = self.query_token
        return found


def connect_request(
    *,
    peer: str,
    raw_headers: Iterable[tuple[bytes, bytes]],
    query: bytes = b"",
    path: str = "/",
    transport: str = "websocket",
    tls: TlsFacts | None = None,
    node: str = "",
    proxies: TrustedProxies | None = None,
) -> ConnectRequest:
    """A request out of what ASGI says of it; `peer` is the socket's other end, after a PROXY header.

    Raises MalformedError when the query, a Cookie or a sub-protocol list does not parse: such a request is answered
    with 400 and nothing else is done about it.
    """
    headers = Headers.of_asgi(raw_headers)
    parts = parse_query(query)
    ip = proxies.client_of(peer, headers) if proxies is not None else canonical_address(peer)
    return ConnectRequest(
        ip=ip,
        headers=headers,
        cookies=MappingProxyType(parse_cookies(headers["cookie"])) if "cookie" in headers else _NO_TEXT,
        origin=headers.get("origin"),
        query=MappingProxyType({name: value for name, value in parts.items() if name not in (TICKET, TOKEN)}),
        transport=transport,
        tls=tls,
        node=node,
        path=path,
        subprotocols=parse_subprotocols(headers.get("sec-websocket-protocol", "")),
        ticket=parts.get(TICKET),
        query_token=parts.get(TOKEN),
    )


def parse_query(query: bytes) -> dict[str, str]:
    """The parts of a query string; of two with one name the first counts. Raises MalformedError."""
    if len(query) > MAX_QUERY:
        raise MalformedError("a query is too long")
    found: dict[str, str] = {}
    try:
        pairs = parse_qsl(
            query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_QUERY_PARTS
        )
    except ValueError:
        pairs = None
    if pairs is None:  # raised out here: the exception carries the query, which may hold a token
        raise MalformedError("a query does not parse")
    for name, value in pairs:
        found.setdefault(name, value)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Allow:
    """Let somebody in. What is None is what his token says, and where that says nothing, the default.

    `identity` must come from one of the two. `rooms` are exact or end in `*`. `meta` is shown to the others in a room,
    `labels` never leave the server. `expires_at` is calendar time in seconds since 1970; a token's own expiry counts
    when it is earlier.
    """

    identity: str | None = None
    name: str | None = None
    rooms: tuple[str, ...] | None = None
    grants: frozenset[Grant] | None = None
    meta: Mapping[str, object] | None = None
    labels: Mapping[str, str] | None = None
    limits: AdmissionLimits | None = None
    expires_at: UnixSeconds | None = None
    ice: IcePolicy | None = None


@dataclass(frozen=True, slots=True)
class Deny:
    """Keep somebody out. `code` is a stable word for programs, `reason` is shown to people; both reach the client.

    `reconnect` tells the client to try again, `retry_after` after how many seconds.
    """

    code: str = ErrorCode.DENIED.value
    reason: str = ""
    reconnect: bool = False
    retry_after: Duration | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinRequest:
    """`before_join`: somebody whom admission let in wants into a room that his admission covers."""

    identity: str
    room: str
    meta: Mapping[str, object] = field(default_factory=lambda: _NOTHING)
    labels: Mapping[str, str] = field(default_factory=lambda: _NO_TEXT)
    ip: str = ""
    session: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageRequest:
    """`before_message`: a frame to a peer, or to a whole room (`to` is `*`). `kind` is `signal`, `message`, or
    `update`, with what somebody says of himself as `data`."""

    identity: str
    room: str
    to: str
    kind: str
    data: object = field(default=None, repr=False)
    labels: Mapping[str, str] = field(default_factory=lambda: _NO_TEXT)
    session: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class IceRequest:
    """`before_ice`: TURN credentials are about to be made. An `Allow` with `ice` puts another policy in their place."""

    identity: str
    labels: Mapping[str, str] = field(default_factory=lambda: _NO_TEXT)
    ip: str = ""
    session: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """`on_connected`: a session began at `at`. Best effort: it may be lost, and come late."""

    identity: str
    session: str
    ip: str
    at: UnixSeconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """`on_left`: a session is over, for the reason that its last room was told. Best effort."""

    identity: str
    session: str
    reason: str
    at: UnixSeconds
