"""The way to a server through an HTTP proxy: a connection to the proxy, TLS with it if it is `https:`, and CONNECT.

    transport = await open_tunnel(proxy, place)        # nobody reads it yet
    transport.set_protocol(...); transport.resume_reading()

Whatever goes wrong is a ProxyError, which says so in words and never holds what the proxy is told of its user.
"""

from __future__ import annotations

import asyncio
import ssl as tls
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from icelane.aio.client_tls import client_context
from icelane.aio.connect_method import AnswerReader, ProxyAnswer, encode_connect
from icelane.aio.proxy import HttpProxy
from icelane.aio.resolver import SystemLookup
from icelane.aio.tcp import LocalHosts, connect_tcp
from icelane.core.clock import Duration
from icelane.core.net import NamedPlace, SocketAddress, canonical_host
from icelane.errors import MalformedError, ProxyError, ResolutionError
from icelane.stun.uri import is_ip_address

# Below the ten seconds that a relay has to allocate (`peer.relays`), so that who is too slow is told by its name.
PROXY_TIMEOUT: Final[Duration] = 8.0
# Addresses of the proxy's name that are tried, one after the other.
MAX_ADDRESSES: Final = 4

_ALPN: Final = ("http/1.1",)
_REFUSALS: Final = {
    400: "does not understand the request",
    401: "does not take the user and password that it was given",  # as tinyproxy says it
    403: "does not allow connections to {place}",
    404: "does not find {place}",
    405: "allows no CONNECT",
    429: "is asked too often",
    500: "has failed",
    501: "knows no CONNECT",
    502: "cannot reach {place}",
    503: "cannot connect to {place} now",
    504: "got no answer from {place} in time",
}


@dataclass(slots=True)
class Progress:
    """What is waited for, for whoever stops waiting."""

    step: str = ""


async def open_tunnel(
    proxy: HttpProxy,
    place: SocketAddress | NamedPlace,
    *,
    local: SocketAddress | LocalHosts | None = None,
    authority: Path | str | None = None,
    progress: Progress | None = None,
) -> asyncio.Transport:
    """A connection at whose other end is `place`; reading is paused. `authority` counts for a proxy of `https:`.

    Raises ProxyError, after PROXY_TIMEOUT seconds at the latest, and ConfigurationError for a bad `authority`.
    """
    progress = progress or Progress()
    context = client_context(authority, alpn=_ALPN) if proxy.secure else None
    try:
        async with asyncio.timeout(PROXY_TIMEOUT) as limit:
            transport, exchange = await _reach(proxy, place, local, context, progress)
            try:
                progress.step = "does not answer CONNECT"
                answer = await exchange.answered
            except BaseException:
                transport.abort()
                raise
    except TimeoutError:
        if not limit.expired():
            raise
        raise timed_out(proxy, progress.step, PROXY_TIMEOUT) from None
    if not answer.is_open:
        transport.abort()
        raise ProxyError(f"the proxy {proxy} {_refusal(answer, proxy, place)}", status=answer.status)
    if transport.is_closing():
        raise ProxyError(f"the proxy {proxy} has closed the connection to {place}", status=answer.status)
    return transport


def timed_out(proxy: HttpProxy, step: str, waited: Duration) -> ProxyError:
    """For whoever has waited in vain until `Progress.step` is over."""
    return ProxyError(f"the proxy {proxy} {step} within {waited:g} s")


class _Exchange(asyncio.Protocol):
    """One request and its answer."""

    def __init__(self, proxy: HttpProxy, request: bytes) -> None:
        self._proxy = proxy
        self._request = request
        self._reader = AnswerReader()
        self._transport: asyncio.Transport | None = None
        self.answered: asyncio.Future[ProxyAnswer] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: the proxy is there, and over TLS it is who it should be."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes came in."""
        if self.answered.done():
            return
        try:
            self._reader.handle_bytes(data)
        except MalformedError as error:
            self._fail(f"does not speak HTTP as a proxy does: {error}")
            return
        answer = self._reader.answer
        if answer is None:
            return
        if answer.is_open and self._reader.rest:
            # Of TLS and of TURN, the client speaks first, so these are no bytes of the server.
            self._fail("sent more than its answer to CONNECT")
            return
        assert self._transport is not None
        self._transport.pause_reading()
        self.answered.set_result(answer)

    def eof_received(self) -> bool:
        """asyncio: the proxy has finished sending."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: the connection is gone."""
        reason = f": {getattr(exc, 'strerror', None) or exc}" if exc is not None else ""
        self._fail(f"closed the connection instead of answering CONNECT{reason}")

    def _fail(self, reason: str) -> None:
        if not self.answered.done():
            self.answered.set_exception(ProxyError(f"the proxy {self._proxy} {reason}"))
            # Who has asked may have stopped waiting: then nobody is told, and asyncio has nothing to complain of.
            self.answered.exception()


async def _reach(
    proxy: HttpProxy,
    place: SocketAddress | NamedPlace,
    local: SocketAddress | LocalHosts | None,
    context: tls.SSLContext | None,
    progress: Progress,
) -> tuple[asyncio.Transport, _Exchange]:
    """Connect to the proxy and ask."""
    request = encode_connect(str(place), proxy.username, proxy.password)
    progress.step = "was not found by its name"
    hosts = await _addresses(proxy)
    progress.step = "does not accept a connection"
    connected = None
    for left in range(len(hosts), 0, -1):
        try:
            connected = await connect_tcp(SocketAddress(hosts[-left], proxy.port), local)
            break
        except OSError as error:
            if left == 1:
                raise ProxyError(f"cannot connect to the proxy {proxy}: {error.strerror or error}") from error
    progress.step = "has accepted, and does not finish the TLS handshake" if context else "does not answer CONNECT"
    try:
        transport, exchange = await asyncio.get_running_loop().create_connection(
            lambda: _Exchange(proxy, request),
            sock=connected,
            ssl=context,
            server_hostname=proxy.host if context is not None else None,
        )
    except tls.SSLCertVerificationError as error:
        reason = error.verify_message or error.reason
        raise ProxyError(f"the certificate of the proxy {proxy} is refused: {reason}") from error
    except OSError as error:
        reason = (getattr(error, "reason", None) or error.strerror or str(error)).lower().replace("_", " ")
        raise ProxyError(f"the TLS handshake with the proxy {proxy} failed: {reason}") from error
    return transport, exchange


async def _addresses(proxy: HttpProxy) -> list[str]:
    if is_ip_address(proxy.host):
        return [canonical_host(proxy.host)]
    try:
        found = await SystemLookup().addresses(proxy.host)
    except ResolutionError as error:
        raise ProxyError(f"the proxy {proxy} was not found by its name: {error}") from None
    return list(dict.fromkeys(found))[:MAX_ADDRESSES]


def _refusal(answer: ProxyAnswer, proxy: HttpProxy, place: SocketAddress | NamedPlace) -> str:
    if answer.status == 407:
        return _why_unauthenticated(answer, proxy)
    words = _REFUSALS.get(answer.status, "does not connect to {place}").format(place=place)
    return f"{words}: it answered {answer.status}"


def _why_unauthenticated(answer: ProxyAnswer, proxy: HttpProxy) -> str:
    """407: what it asks for, and what it was given."""
    wanted = " or ".join(answer.schemes) or "nothing that it names"
    asks = f"asks who we are, by {wanted}: it answered 407"
    if answer.schemes and "basic" not in map(str.lower, answer.schemes):
        return f"{asks}; of these none is supported, only Basic is"
    if proxy.username is None:
        return f"{asks}, and no user and password were given"
    return f"{asks}, and it does not take the user and password that it was given"
