"""One HTTP or WebSocket connection on a transport that somebody else has opened.

    transport  <->  HttpConnection  <->  a protocol object of uvicorn

It stands between the two for what uvicorn leaves open: who the client is behind a PROXY header, how long a request may
take to come in (slow headers, SG-11), and how much may wait for a client that does not read. The protocol object of a
WebSocket takes the place of that of HTTP behind it, so all of this holds for both.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol, cast

from icelane.aio.stream import tune_stream
from icelane.core.clock import Duration
from icelane.core.net import SocketAddress

# uvicorn stops asking an application for more at 64 KiB, and answers pings without asking anybody. Who has not read
# that much by then is flooding us with pings, or gone: the connection is aborted.
MAX_WRITE_BUFFER: Final = 4 << 20


@dataclass(frozen=True, slots=True)
class TlsFacts:
    """What was agreed on; None of them is secret. `version` is OpenSSL's name, such as `TLSv1.3`."""

    version: str
    cipher: str
    alpn: str | None


class InnerProtocol(Protocol):
    """What is used of a protocol object of uvicorn."""

    def connection_made(self, transport: Any, /) -> None: ...

    def data_received(self, data: bytes, /) -> None: ...

    def eof_received(self) -> bool | None: ...

    def connection_lost(self, exc: Exception | None, /) -> None: ...

    def pause_writing(self) -> None: ...

    def resume_writing(self) -> None: ...

    def shutdown(self) -> None: ...


class HttpConnection(asyncio.Protocol):
    """The connection, from `connection_made` on. `slow` is called when a request head has not come in time."""

    def __init__(
        self,
        make: Callable[[HttpConnection], InnerProtocol],
        client: SocketAddress,
        *,
        head_within: Duration,
        closed: Callable[[HttpConnection], None],
        slow: Callable[[HttpConnection], None],
        redirect: str | None = None,
    ) -> None:
        """`redirect` is where everything that is asked here stands instead."""
        self.client = client
        self.redirect = redirect
        self.local = SocketAddress("0.0.0.0", 0)
        self.tls: TlsFacts | None = None
        self._make = make
        self._head_within = head_within
        self._closed = closed
        self._slow = slow
        self._inner: InnerProtocol | None = None
        self._transport: asyncio.Transport | None = None
        self._requests = 0
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: the transport is ready, whatever had it before."""
        self._transport = cast(asyncio.Transport, transport)
        tune_stream(transport.get_extra_info("socket"))
        name = transport.get_extra_info("sockname")
        if name:
            self.local = SocketAddress(str(name[0]), int(name[1]))
        self.tls = tls_facts(transport)
        self._inner = self._make(self)
        self._inner.connection_made(_Behind(self, self._transport))
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes came in."""
        if self._inner is not None:
            if not self._requests and self._deadline is None:
                self._expect_head()
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        """asyncio: the client has finished sending."""
        return self._inner.eof_received() if self._inner is not None else None

    def pause_writing(self) -> None:
        """asyncio: the client does not read."""
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        """asyncio: it reads again."""
        if self._inner is not None:
            self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: it is over."""
        self._forget_deadline()
        inner, self._inner = self._inner, None
        self._transport = None
        if inner is not None:
            inner.connection_lost(exc)
        self._closed(self)

    def begin_request(self) -> None:
        """A request has come in as far as its head, or a WebSocket's has."""
        self._requests += 1
        self._forget_deadline()

    def end_request(self) -> None:
        """It has been answered. What comes next has a deadline again, and uvicorn closes what stays idle."""
        self._requests -= 1

    def shut_down(self) -> None:
        """End it when what is being answered is answered."""
        if self._inner is not None:
            try:
                self._inner.shutdown()
            except Exception:  # in the middle of something that has no end of its own
                self.abort()

    def abort(self) -> None:
        """End it at once."""
        if self._transport is not None:
            self._transport.abort()

    def become(self, inner: InnerProtocol) -> None:
        """Another protocol object goes on: HTTP has become WebSocket."""
        if self._inner is not None:
            self._inner = inner

    def write(self, data: bytes) -> None:
        """Send, unless too much waits already."""
        transport = self._transport
        if transport is None:
            return
        if transport.get_write_buffer_size() + len(data) > MAX_WRITE_BUFFER:
            transport.abort()
        else:
            transport.write(data)

    def _expect_head(self) -> None:
        self._deadline = asyncio.get_running_loop().call_later(self._head_within, self._give_up)

    def _forget_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        self._slow(self)
        self.abort()


class _Behind(asyncio.Transport):
    """The transport as uvicorn sees it: the client is whom the proxy has named."""

    def __init__(self, connection: HttpConnection, transport: asyncio.Transport) -> None:
        super().__init__()
        self._connection = connection
        self._transport = transport

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        if name == "peername":
            return tuple(self._connection.client)
        if name == "sockname":
            return tuple(self._connection.local)
        if name == "socket":
            return default  # it would be asked for its own peer
        return self._transport.get_extra_info(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._connection.become(cast(InnerProtocol, protocol))

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        self._connection.write(bytes(data))

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def close(self) -> None:
        self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()

    def get_write_buffer_size(self) -> int:
        return self._transport.get_write_buffer_size()


def tls_facts(transport: asyncio.BaseTransport) -> TlsFacts | None:
    """What TLS has agreed on; None without it."""
    secured: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
    if secured is None:
        return None
    cipher = secured.cipher()
    return TlsFacts(secured.version() or "", cipher[0] if cipher else "", secured.selected_alpn_protocol())
