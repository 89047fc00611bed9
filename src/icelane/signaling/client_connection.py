"""The WebSocket under a client: where it leads, by which proxy, and what went wrong when there is none."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from ssl import SSLCertVerificationError, SSLContext, SSLError
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlsplit, urlunsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidProxyStatus, InvalidStatus, InvalidURI, WebSocketException
from websockets.exceptions import ProxyError as WebSocketProxyError
from websockets.typing import Subprotocol

from icelane.aio.client_tls import client_context
from icelane.aio.proxy import HttpProxy, find_proxy
from icelane.core.clock import Duration
from icelane.errors import (
    CertificateRefusedError,
    IcelaneError,
    LocalProtocolError,
    ProxyError,
    TlsHandshakeError,
    TransportClosedError,
)
from icelane.signaling.limits import MAX_QUEUED_BYTES
from icelane.signaling.messages import SIGNAL_PATH, SUBPROTOCOL

OPEN_TIMEOUT: Final[Duration] = 10.0
CLOSE_TIMEOUT: Final[Duration] = 2.0
# One frame of a server: the state of many rooms after a resync may be long.
MAX_RECEIVED: Final = 4 * MAX_QUEUED_BYTES
_SCHEMES: Final = {"wss": "wss", "https": "wss", "ws": "ws", "http": "ws"}
_ALPN: Final = ("http/1.1",)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionOptions:
    """How a server is reached. `headers` go out with each attempt, and to no other server than the one named."""

    authority: Path | str | None = None
    http_proxy: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


class HttpRefusalError(IcelaneError):
    """The server answered with an HTTP status. `retry_after` is in seconds."""

    def __init__(self, status: int, reason: str, retry_after: Duration | None) -> None:
        self.status = status
        self.reason = reason
        self.retry_after = retry_after
        super().__init__(f"HTTP {status} {reason}")


class _Connect(connect):
    """Without redirections: a token is for the server that was named."""

    def process_redirect(self, exc: Exception) -> Exception:
        return exc


def signal_url(text: str, *, allow_cleartext: bool = False) -> str:
    """The URL of the WebSocket for `wss://`, `https://` or, to this machine, `ws://` and `http://`.

    Raises LocalProtocolError, also for a token in the URL, where every log has it.
    """
    parts = urlsplit(text)
    scheme = _SCHEMES.get(parts.scheme)
    if scheme is None or not parts.hostname:
        raise LocalProtocolError("the URL of a signaling server begins with wss:// or https://")
    if parts.username is not None or parts.fragment or _has_token(parts.query):
        text = "the URL of a signaling server has no user, no fragment and no token; a token goes into `token`"
        raise LocalProtocolError(text)
    if scheme == "ws" and not allow_cleartext and not _is_this_machine(parts.hostname):
        raise LocalProtocolError(
            f"without TLS everybody on the way reads what goes to {parts.hostname}; use wss://, or allow_cleartext=True"
        )
    path = parts.path if parts.path not in ("", "/") else SIGNAL_PATH  # the server alone was named
    return urlunsplit((scheme, parts.netloc, path, parts.query, ""))


def _has_token(query: str) -> bool:
    """SG-7: a one-time ticket may stand there, and what a hook is asked."""
    return any(name.lower() == "token" for name, _ in parse_qsl(query, keep_blank_values=True))


async def open_websocket(
    url: str, token: str | None, options: ConnectionOptions, *, is_named: bool
) -> ClientConnection:
    """A WebSocket to `url`. `is_named`: the program named it, and so it gets the program's own headers as well.

    Raises HttpRefusalError, CertificateRefusedError, TlsHandshakeError, ProxyError, TransportClosedError, and
    ConfigurationError for a bad `authority` or a bad proxy in the environment.
    """
    parts = urlsplit(url)
    secure = parts.scheme == "wss"
    host = parts.hostname or ""
    proxy = find_proxy(options.http_proxy, host, parts.port or (443 if secure else 80))
    headers = dict(options.headers) if is_named else {}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    try:
        return await _Connect(
            url,
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            additional_headers=headers,
            user_agent_header="icelane",
            compression=None,
            open_timeout=OPEN_TIMEOUT,
            close_timeout=CLOSE_TIMEOUT,
            ping_interval=None,  # the protocol has its own
            max_size=MAX_RECEIVED,
            max_queue=64,
            proxy=None if proxy is None else _url_of(proxy),
            **_tls(secure, proxy, options),
        )
    except (OSError, WebSocketException, EOFError) as error:
        raise _translated(error, host, proxy) from None


def _tls(secure: bool, proxy: HttpProxy | None, options: ConnectionOptions) -> dict[str, Any]:
    contexts: dict[str, SSLContext] = {}
    if secure:
        contexts["ssl"] = client_context(options.authority, alpn=_ALPN)
    if proxy is not None and proxy.secure:
        contexts["proxy_ssl"] = client_context(options.authority, alpn=_ALPN)
    return contexts


def _translated(error: Exception, host: str, proxy: HttpProxy | None) -> IcelaneError:
    """In our own words, which hold no URL and no header."""
    if isinstance(error, InvalidStatus):
        answer = error.response
        return HttpRefusalError(answer.status_code, answer.reason_phrase, _seconds(answer.headers.get("Retry-After")))
    if isinstance(error, InvalidProxyStatus):
        status = error.response.status_code
        return ProxyError(f"the proxy {proxy} answered {status} for {host}", status=status)
    if isinstance(error, WebSocketProxyError):
        return ProxyError(f"the proxy {proxy} did not lead to {host}")
    if isinstance(error, SSLCertVerificationError):
        return CertificateRefusedError(f"{host}: {error.verify_message}")
    if isinstance(error, SSLError):
        return TlsHandshakeError(f"{host}: no TLS: {error.reason or 'the handshake failed'}")
    if isinstance(error, TimeoutError):
        return TransportClosedError(f"{host}: no connection within {OPEN_TIMEOUT:g} s")
    if isinstance(error, OSError):
        return TransportClosedError(f"{host}: {error.strerror or type(error).__name__}")
    if isinstance(error, InvalidURI | InvalidHandshake):
        return TransportClosedError(f"{host}: what answers there is no signaling server")
    return TransportClosedError(f"{host}: the connection was closed before it was open")


def _url_of(proxy: HttpProxy) -> str:
    user = ""
    if proxy.username is not None:
        user = f"{quote(proxy.username, safe='')}:{quote(proxy.password, safe='')}@"
    return f"{'https' if proxy.secure else 'http'}://{user}{proxy.place}"


def _seconds(value: str | None) -> Duration | None:
    """RFC 9110 section 10.2.3; a date is not worth the trouble here."""
    return float(value) if value is not None and value.isascii() and value.isdigit() and len(value) < 7 else None


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")  # RFC 6761 section 6.3
