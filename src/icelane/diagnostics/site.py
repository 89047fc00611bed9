"""Where a server's pages are, and one question to it over HTTP, by the address that the caller wants to be asked."""

from __future__ import annotations

import asyncio
import http.client
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from icelane.aio.client_tls import client_context
from icelane.aio.resolver import Lookup, ServiceRecord, SystemLookup
from icelane.core.clock import Duration
from icelane.errors import MalformedError
from icelane.stun.uri import parse_authority

MAX_ANSWER: Final = 65_536
"""Bytes of an answer that are read; what comes after is nothing that a check looks at."""

_DEFAULT_PORTS: Final = {"https": 443, "http": 80}
_ALPN: Final = ("http/1.1",)


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """`https://host:port`. `authority` is a PEM file with the only authorities to trust, None for this machine's."""

    host: str
    port: int
    secure: bool = True
    authority: str | None = None
    lookup: Lookup = field(default_factory=SystemLookup, repr=False)

    def __str__(self) -> str:
        shown = f"[{self.host}]" if ":" in self.host else self.host
        scheme = "https" if self.secure else "http"
        return f"{scheme}://{shown}" + ("" if self.port == _DEFAULT_PORTS[scheme] else f":{self.port}")

    @property
    def websocket(self) -> str:
        """The same for a WebSocket."""
        return "ws" + str(self).removeprefix("http")


@dataclass(frozen=True, kw_only=True, slots=True)
class Answered:
    """What came back; the names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


def parse_site(text: str, *, authority: str | None = None, lookup: Lookup | None = None) -> Site:
    """The site of a URL such as `https://call.example.org`; a path counts for nothing. Raises MalformedError."""
    try:
        parts = urlsplit(text)
    except ValueError as error:
        raise MalformedError(f"{text!r}: {error}") from None
    if parts.scheme not in _DEFAULT_PORTS or not parts.netloc or "@" in parts.netloc:
        raise MalformedError("the URL of a server is https://HOST, with no user and no password in it")
    host, port = parse_authority(parts.netloc.lower(), text)
    return Site(
        host=host,
        port=port or _DEFAULT_PORTS[parts.scheme],
        secure=parts.scheme == "https",
        authority=authority,
        lookup=lookup or SystemLookup(),
    )


class FixedLookup:
    """The system's names, but for those that are told: what a name will mean before DNS says so."""

    def __init__(self, hosts: Mapping[str, str]) -> None:
        self._hosts = {name.lower(): address for name, address in hosts.items()}
        self._system = SystemLookup()

    async def service_records(self, name: str) -> list[ServiceRecord]:
        """See `Lookup`."""
        if any(name.endswith(f".{host}") for host in self._hosts):
            return []
        return await self._system.service_records(name)

    async def addresses(self, host: str) -> list[str]:
        """See `Lookup`."""
        told = self._hosts.get(host.lower())
        return [told] if told is not None else await self._system.addresses(host)


async def fetch(
    site: Site,
    path: str,
    *,
    timeout: Duration,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    verify: bool = True,
) -> Answered:
    """One question, one answer. Raises ResolutionError, OSError (ssl.SSLError among them) and HTTPException.

    Without `verify` anybody may have answered: for what is not believed anyway, and with no secret in `headers`.
    """
    connected = await connect_any(site.lookup, site.host, site.port, timeout)
    return await asyncio.to_thread(_fetch, site, connected, method, path, dict(headers or {}), timeout, verify)


async def connect_any(lookup: Lookup, host: str, port: int, timeout: Duration) -> socket.socket:
    """A TCP connection to the first of a name's addresses that takes one, as browsers do. Not blocking.

    Raises ResolutionError, TimeoutError, or the OSError of the last address.
    """
    told: OSError | None = None
    async with asyncio.timeout(timeout):
        for address in dict.fromkeys(await lookup.addresses(host)):
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            connecting = socket.socket(family, socket.SOCK_STREAM)
            connecting.setblocking(False)
            try:
                await asyncio.get_running_loop().sock_connect(connecting, (address, port))
            except BaseException as error:
                connecting.close()
                if not isinstance(error, OSError):
                    raise
                told = error
            else:
                return connecting
    raise told or OSError("there is no address to connect to")


def _fetch(
    site: Site,
    connected: socket.socket,
    method: str,
    path: str,
    headers: dict[str, str],
    timeout: Duration,
    verify: bool,
) -> Answered:
    connection = http.client.HTTPConnection(site.host, site.port, timeout=timeout)
    try:
        connected.settimeout(timeout)
        if site.secure:
            connected = _context(site, verify).wrap_socket(connected, server_hostname=site.host)
        connection.sock = connected
        connection.request(method, path, headers={"accept": "application/json", "connection": "close"} | headers)
        response = connection.getresponse()
        names = {name.lower(): value for name, value in response.getheaders()}
        return Answered(status=response.status, headers=names, body=response.read(MAX_ANSWER))
    finally:
        connection.close()
        connected.close()


def _context(site: Site, verify: bool) -> ssl.SSLContext:
    if verify:
        return client_context(site.authority, alpn=_ALPN)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(list(_ALPN))
    return context
