"""One port for HTTPS, WebSocket and TURN over TLS: who has come in, and what for.

    ALPN `stun.turn`, `stun.nat-discovery`     TURN
    ALPN `http/1.1`                            HTTP
    neither, and the first byte below 4        TURN: the two upper bits of STUN are zero, its methods are few
    or 64 to 79, but for C, D, G, H and O      TURN, which closes it: nobody has a channel on a connection that begins
    anything else                              HTTP

Browsers offer no ALPN for TURN, hence the byte (RFC 7983 section 7). Its range for ChannelData has the letters that
CONNECT, DELETE, GET, HEAD and OPTIONS begin with. The bytes that were read go to whoever takes the connection over.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Final, cast

from icelane.aio.stream import StreamConnection
from icelane.aio.system import monotonic
from icelane.core.clock import Duration
from icelane.core.net import SocketAddress, Transport
from icelane.server.connection_log import ConnectionLog
from icelane.server.http_connection import HttpConnection
from icelane.server.http_server import HttpServer
from icelane.server.tls import ALPN_PROTOCOLS

# RFC 7983 section 7: STUN begins with 0 to 3, ChannelData with 64 to 79. Methods of HTTP that begin with other letters
# of that range, such as LOCK, are none that anything here is asked with.
FIRST_BYTES_OF_TURN: Final = frozenset((*range(4), *range(64, 80))) - frozenset(b"CDGHO")

OpenTurn = Callable[[], StreamConnection]


class SharedPort:
    """Takes connections of one listener that are through with TLS. Without TLS, everybody has come for HTTP."""

    def __init__(
        self,
        http: HttpServer,
        transport: Transport,
        *,
        log: ConnectionLog,
        first_byte: Duration,
        redirect: str | None = None,
    ) -> None:
        """With `redirect` HTTP is only sent there."""
        self._http = http
        self._transport = transport
        self._log = log
        self._first_byte = first_byte
        self._redirect = redirect
        self._waiting: set[Doorway] = set()

    def protocol(
        self, client: SocketAddress, *, opened: Callable[[], None], turn: OpenTurn, left: Callable[[], None]
    ) -> asyncio.Protocol:
        """A protocol for the transport of `client`. `opened` is called when there is one.

        From then on `left` is called when it is gone, unless it has become a TURN connection: `turn` makes that.
        """

        def http() -> HttpConnection:
            return self._http.connection(client, closed=lambda _: left(), slow=self._slow, redirect=self._redirect)

        return Doorway(
            self._waiting,
            plain=self._transport is not Transport.TLS,
            opened=opened,
            turn=turn,
            http=http,
            left=left,
            late=lambda: self._closed(client, "no-message"),
            within=self._first_byte,
        )

    def close(self) -> None:
        """End those of whom it is not known yet what they want; those of HTTP end with the HttpServer."""
        for doorway in list(self._waiting):
            doorway.abort()

    def _slow(self, connection: HttpConnection) -> None:
        self._closed(connection.client, "no-request")

    def _closed(self, client: SocketAddress, reason: str) -> None:
        self._log.closed(client, self._transport, reason, monotonic())


class Doorway(asyncio.Protocol):
    """Who has just come in, until the first byte."""

    def __init__(
        self,
        waiting: set[Doorway],
        *,
        plain: bool,
        opened: Callable[[], None],
        turn: OpenTurn,
        http: Callable[[], HttpConnection],
        left: Callable[[], None],
        late: Callable[[], None],
        within: Duration,
    ) -> None:
        self._waiting = waiting
        self._plain = plain
        self._opened = opened
        self._turn = turn
        self._http = http
        self._left = left
        self._late = late
        self._within = within
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: the handshake is complete."""
        self._transport = cast(asyncio.Transport, transport)
        self._waiting.add(self)
        self._opened()
        chosen = self._http if self._plain else self._by_name(transport)
        if chosen is not None:
            self._go_on(chosen, b"")
        else:
            self._deadline = asyncio.get_running_loop().call_later(self._within, self._give_up)

    def data_received(self, data: bytes) -> None:
        """asyncio: the first bytes."""
        if data:
            self._go_on(self._turn if data[0] in FIRST_BYTES_OF_TURN else self._http, data)

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: gone, and nobody knows what for it came."""
        del exc
        self._leave_door()
        self._left()

    def abort(self) -> None:
        """End it at once."""
        if self._transport is not None:
            self._transport.abort()

    def _by_name(self, transport: asyncio.BaseTransport) -> Callable[[], asyncio.Protocol] | None:
        secured: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        name = secured.selected_alpn_protocol() if secured is not None else None
        if name is None:
            return None
        return self._turn if name in ALPN_PROTOCOLS else self._http

    def _go_on(self, make: Callable[[], asyncio.Protocol], data: bytes) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        self._leave_door()
        protocol = make()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if data:
            protocol.data_received(data)

    def _leave_door(self) -> None:
        self._transport = None
        self._waiting.discard(self)
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        self._late()
        self.abort()
