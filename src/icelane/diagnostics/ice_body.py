"""What a backend hands to its pages, `{"iceServers": [...]}`, read to be checked as a page would use it."""

from __future__ import annotations

import http.client
import re
import ssl
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct

from icelane.core.clock import Duration
from icelane.diagnostics.relay_check import Login
from icelane.diagnostics.relay_probe import DEFAULT_RELAY_PORTS
from icelane.diagnostics.result import Cause, CheckResult, failed, skipped
from icelane.diagnostics.site import Site, fetch
from icelane.errors import IcelaneError, MalformedError
from icelane.stun.uri import parse_uri

MAX_BODY: Final = 65_536
MAX_SERVERS: Final = 32
"""Entries of one body; above it the body is refused. Browsers warn above four."""
MAX_URLS_PER_SERVER: Final = 32

_PATH: Final = "/v1/ice-servers"
_CHECKS_PATH: Final = "/v1/diag/checks"
_PORT: Final = 65_535
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class _Server(Struct):
    urls: str | tuple[str, ...]
    username: str | None = None
    credential: str | None = None


class _Body(Struct):
    servers: tuple[_Server, ...] = msgspec.field(name="iceServers")


class _Checks(Struct, rename="camel"):
    relay_ports: str


class IceBody(NamedTuple):
    """The URLs, in order, and the first credential, None where no server has one."""

    urls: tuple[str, ...]
    login: Login | None


def parse_ice_body(data: bytes) -> IceBody:
    """Raises MalformedError in words for what no page could use, without a word of what may be secret."""
    if len(data) > MAX_BODY:
        raise MalformedError(f"the body has more than {MAX_BODY} bytes")
    try:
        body = msgspec.json.decode(data, type=_Body)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise MalformedError(f"not a body with iceServers: {error}") from None
    if len(body.servers) > MAX_SERVERS:
        raise MalformedError(f"more than {MAX_SERVERS} servers")
    found: list[str] = []
    login: Login | None = None
    for server in body.servers:
        urls = (server.urls,) if isinstance(server.urls, str) else server.urls
        if len(urls) > MAX_URLS_PER_SERVER:
            raise MalformedError(f"a server has more than {MAX_URLS_PER_SERVER} URLs")
        found += [str(parse_uri(url)) for url in urls]
        if login is None and server.username is not None and server.credential is not None:
            login = Login(username=server.username, password=server.credential)
    return IceBody(tuple(dict.fromkeys(found)), login)


async def ask_for_ice_body(site: Site, token: str, *, timeout: Duration = 5.0) -> IceBody | CheckResult:
    """What the server hands out for a join token or an API key, or why there is nothing: a result called credential.

    The token goes to a server alone whose certificate is good.
    """
    name = "credential"
    if not site.secure and site.host not in _LOOPBACK:
        return skipped(name, "not asked for: the token would go there in clear")
    try:
        answer = await fetch(site, _PATH, method="GET", headers={"authorization": f"Bearer {token}"}, timeout=timeout)
    except ssl.SSLError:
        return skipped(name, "not asked for: TLS comes first")
    except (OSError, http.client.HTTPException):
        return skipped(name, f"not asked for: {site} does not answer")
    if answer.status in (401, 403):
        mend = "make another: `icelane token create --room ROOM --identity NAME`"
        return failed(name, f"{_PATH} answered {answer.status} to the token", Cause.TOKEN_REFUSED, mend)
    try:
        return parse_ice_body(answer.body)
    except MalformedError as error:
        mend = f"`curl -H 'Authorization: Bearer TOKEN' {site}{_PATH}` shows what it says"
        return failed(name, f"{_PATH} answered {answer.status}: {error}", Cause.HTTPS_WRONG, mend)


async def ask_for_relay_ports(site: Site, token: str, *, timeout: Duration = 5.0) -> str:
    """What the server relays on, as it says itself, as `49152-65535`; the default where it does not say."""
    if not site.secure and site.host not in _LOOPBACK:
        return DEFAULT_RELAY_PORTS
    headers = {"authorization": f"Bearer {token}"}
    try:
        answer = await fetch(site, _CHECKS_PATH, method="GET", headers=headers, timeout=timeout)
        return parse_relay_ports(answer.body)
    except (OSError, http.client.HTTPException, IcelaneError):
        return DEFAULT_RELAY_PORTS


def parse_relay_ports(data: bytes) -> str:
    """What `/v1/diag/checks` says of them, fit for a command. Raises MalformedError for anything but a range."""
    try:
        told = msgspec.json.decode(data, type=_Checks).relay_ports
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise MalformedError(f"not a body with relayPorts: {error}") from None
    found = re.fullmatch(r"([0-9]{1,5})-([0-9]{1,5})", told)
    if found is None or not 0 < int(found[1]) <= int(found[2]) <= _PORT:
        raise MalformedError("relayPorts is not FIRST-LAST")
    return told
