"""One TCP or TLS connection that carries framed messages, for clients and for listeners.

    connection = await open_stream(remote, measure_turn, on_frame=engine_input, on_closed=engine_closed)
    connection.send(message)

    await loop.create_server(lambda: StreamConnection(measure_turn, on_opened=welcome), host, port)

Nothing waits: whole frames are handed over as they arrive, and what cannot be sent is dropped or ends the connection,
as the two ways to send say. The memory of a connection whose peer does not read is bounded by MAX_CONTROL_BUFFER.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl as tls
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path as File
from typing import Any, Final, cast

from icelane.aio.proxy import HttpProxy
from icelane.aio.proxy_tunnel import Progress, open_tunnel, timed_out
from icelane.aio.tcp import LocalHosts, connect_tcp
from icelane.aio.udp import address_of
from icelane.core.clock import Duration
from icelane.core.net import NamedPlace, Path, SocketAddress, Transport
from icelane.errors import (
    CertificateRefusedError,
    IcelaneError,
    MalformedError,
    TlsHandshakeError,
    TransactionTimeoutError,
    TransportClosedError,
)
from icelane.stun.framing import Measure, StreamFramer

# Relayed payload waits here at most while the peer does not read; more is dropped, as a UDP network would. It comes on
# top of the kernel's buffer, so it only has to bridge the time in which Python does something else.
MAX_RELAY_BUFFER: Final = 256 * 1024
# Answers and requests may use more, because losing one breaks the protocol. Beyond it the connection is aborted.
MAX_CONTROL_BUFFER: Final = 512 * 1024
# TL-8: a peer that acknowledges nothing for this long, or keeps its window shut, is gone.
USER_TIMEOUT_MS: Final = 60_000

# What OpenSSL says of bytes that are no TLS record at all, by its version.
_NOT_TLS: Final = frozenset({
    "WRONG_VERSION_NUMBER",
    "UNKNOWN_PROTOCOL",
    "HTTP_REQUEST",
    "PACKET_LENGTH_TOO_LONG",
    "RECORD_LAYER_FAILURE",
    "UNEXPECTED_MESSAGE",
})  # fmt: skip

OnFrame = Callable[[bytes], None]
OnClosed = Callable[["IcelaneError | None"], None]


class StreamConnection(asyncio.Protocol):
    """The connection, once `on_opened` has run or `open_stream` has returned.

    `on_frame(frame)` runs for each whole message, `on_closed(error)` exactly once at the end: with None when this side
    closed, MalformedError when the peer sent something else than frames, TransportClosedError otherwise. Each may be
    replaced at any time. `on_drained()`, where it is set, runs after the last message of what one read has brought.
    `dropped` counts messages that found the buffer full.
    """

    def __init__(
        self,
        measure: Measure,
        *,
        on_frame: OnFrame | None = None,
        on_closed: OnClosed | None = None,
        on_opened: Callable[[StreamConnection], None] | None = None,
        remote: SocketAddress | None = None,
        path: Path | None = None,
        received: bytes = b"",
    ) -> None:
        """`remote` is who is there, where that is somebody else than the socket says: a client behind a proxy.

        `path` is what the connection is known by where the socket knows nothing of it, and `received` what has come
        over it while it was somebody else's.
        """
        self.on_frame: OnFrame = on_frame or _ignore_frame
        self.on_closed: OnClosed = on_closed or _ignore_closed
        self.on_drained: Callable[[], None] | None = None
        self.dropped = 0
        self.path = NO_PATH
        self._known_path = path
        self._received = received
        self._framer = StreamFramer(measure)
        self._on_opened = on_opened
        self._remote = remote
        self._transport: asyncio.Transport | None = None
        self._closing = False
        self._error: IcelaneError | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: the connection, and over TLS the handshake, is complete."""
        self._transport = cast(asyncio.Transport, transport)
        path = self._known_path or path_of(transport)
        self.path = path if self._remote is None else path._replace(remote=self._remote)
        tune_stream(transport.get_extra_info("socket"))
        if self._on_opened is not None:
            self._on_opened(self)
        if self._received:
            received, self._received = self._received, b""
            self.data_received(received)

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes came in."""
        if self._closing:
            return
        framer = self._framer
        try:
            framer.handle_bytes(data)
            while (frame := framer.poll_frame()) is not None:
                self.on_frame(frame)
                if self.closed:
                    break
        except MalformedError as error:
            self.abort(error)
        if self.on_drained is not None:
            self.on_drained()

    def eof_received(self) -> bool:
        """asyncio: the peer has finished sending; nothing is kept half open."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: the connection is gone."""
        self._transport = None
        error = self._error
        if not self._closing:
            error = TransportClosedError(f"the peer closed the connection{f': {exc}' if exc else ''}")
        self._closing = True
        self.on_closed(error)

    def send(self, data: bytes) -> bool:
        """Send a relayed message; False when it was dropped because the peer reads too slowly, or the end is near."""
        transport = self._transport
        if transport is None or self._closing:
            return False
        if transport.get_write_buffer_size() + len(data) > MAX_RELAY_BUFFER:
            self.dropped += 1
            return False
        transport.write(data)
        return True

    def send_control(self, data: bytes) -> bool:
        """Send a message that must not be lost; False when there was no room and the connection was aborted for it."""
        transport = self._transport
        if transport is None or self._closing:
            return False
        if transport.get_write_buffer_size() + len(data) > MAX_CONTROL_BUFFER:
            self.dropped += 1
            self.abort(TransportClosedError("the peer does not read what it is sent"))
            return False
        transport.write(data)
        return True

    def close(self) -> None:
        """Send what is buffered, then close; again is harmless."""
        if self._transport is not None and not self._closing:
            self._closing = True
            self._transport.close()

    def abort(self, error: IcelaneError | None = None) -> None:
        """Close at once and lose what is buffered; `error` is what `on_closed` will be told."""
        if self._transport is None:
            return
        if not self._closing:
            self._error = error
        self._closing = True
        self._transport.abort()

    def measure_by(self, measure: Measure) -> None:
        """From the next frame on, other kinds of frames may come."""
        self._framer.measure = measure

    def hand_over(self, protocol: asyncio.BaseProtocol) -> tuple[asyncio.Transport, bytes]:
        """Give the connection to `protocol`, whose `connection_made` is called.

        Returns the transport, and what was received for `protocol` already.

        May be called within `on_frame`. Nothing is heard of the connection here any more; whoever wants `on_closed` to
        run at its end calls `connection_lost`. Raises TransportClosedError when the connection is gone.
        """
        transport = self._transport
        if transport is None or self._closing:
            raise TransportClosedError("the connection is closed")
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        return transport, self._framer.take_rest()

    def give_away(self) -> tuple[socket.socket, bytes]:
        """The connection as a socket for another process, and what was received and not handed out.

        May be called within `on_frame`. This end of it is closed, which the peer does not notice. Raises
        TransportClosedError when the connection is gone. Not for TLS, whose keys stay here.
        """
        transport = self._transport
        if transport is None or self._closing:
            raise TransportClosedError("the connection is closed")
        transport.pause_reading()
        given = socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno()))
        rest = self._framer.take_rest()
        self.abort()
        return given, rest

    @property
    def closed(self) -> bool:
        """Whether nothing more can be sent."""
        return self._closing or self._transport is None

    @property
    def buffered(self) -> int:
        """How many bytes wait for the kernel to take them."""
        return self._transport.get_write_buffer_size() if self._transport is not None else 0


@dataclass(slots=True)
class Opening:
    """How far `open_stream` has come, for whoever stops waiting for it."""

    handshaking: bool = False
    asking: HttpProxy | None = None
    progress: Progress = field(default_factory=Progress)

    def timed_out(self, remote: SocketAddress | NamedPlace, waited: Duration) -> IcelaneError:
        """What to raise then."""
        if self.asking is not None:
            return timed_out(self.asking, self.progress.step, waited)
        if self.handshaking:
            return TlsHandshakeError(f"{remote}: connected by TCP, and no TLS handshake within {waited:.1f} s")
        return TransactionTimeoutError(f"{remote}: no answer within {waited:.1f} s")


async def open_stream(
    remote: SocketAddress | NamedPlace,
    measure: Measure,
    *,
    on_frame: OnFrame | None = None,
    on_closed: OnClosed | None = None,
    local: SocketAddress | LocalHosts | None = None,
    ssl: tls.SSLContext | None = None,
    server_name: str | None = None,
    opening: Opening | None = None,
    proxy: HttpProxy | None = None,
    authority: File | str | None = None,
) -> StreamConnection:
    """Connect to `remote` by TCP, and with `ssl` by TLS to the host `server_name`; `opening` is kept up to date.

    It leaves from `local`, through a proxy as well. A NamedPlace is reached through `proxy` alone, which is the remote
    end of the path then; `authority` is a PEM file with whom to trust about a proxy of `https:`. Raises
    CertificateRefusedError when the certificate is not good for that name, TlsHandshakeError when no TLS comes of it,
    ProxyError when the proxy does not lead there, TransportClosedError when anything else fails; how long it may take
    is for the caller to say.
    """
    opening = opening or Opening()
    connection = StreamConnection(measure, on_frame=on_frame, on_closed=on_closed)
    try:
        if proxy is not None:
            opening.asking = proxy
            tunnel = await open_tunnel(proxy, remote, local=local, authority=authority, progress=opening.progress)
            opening.asking = None
            opening.handshaking = ssl is not None
            await _use_tunnel(connection, tunnel, ssl, server_name)
        else:
            await _connect(connection, remote, local, ssl, server_name, opening)
    except IcelaneError:
        raise
    except tls.SSLCertVerificationError as error:
        raise CertificateRefusedError(f"{server_name}: {error.verify_message or error.reason}") from error
    except OSError as error:
        if ssl is None:
            raise TransportClosedError(f"cannot connect to {remote}: {error.strerror or error}") from error
        raise TlsHandshakeError(f"{remote}: {_why_no_tls(error)}") from error
    opening.handshaking = False
    return connection


def _why_no_tls(error: OSError) -> str:
    if isinstance(error, tls.SSLError) and error.reason in _NOT_TLS:
        return "what answers there does not speak TLS"
    if isinstance(error, tls.SSLError) and error.reason:
        return f"the TLS handshake failed: {error.reason.lower().replace('_', ' ')}"
    said = error.strerror or str(error)
    return f"the connection ended during the TLS handshake{f': {said}' if said else ''}"


async def _connect(
    connection: StreamConnection,
    remote: SocketAddress | NamedPlace,
    local: SocketAddress | LocalHosts | None,
    ssl: tls.SSLContext | None,
    server_name: str | None,
    opening: Opening,
) -> None:
    if isinstance(remote, NamedPlace):
        raise TransportClosedError(f"there is no proxy to {remote} any more")
    try:
        connected = await connect_tcp(remote, local)
    except OSError as error:
        raise TransportClosedError(f"cannot connect to {remote}: {error.strerror or error}") from error
    opening.handshaking = ssl is not None
    await asyncio.get_running_loop().create_connection(
        lambda: connection,
        sock=connected,
        ssl=ssl,
        server_hostname=server_name if ssl is not None else None,
    )


async def _use_tunnel(
    connection: StreamConnection, tunnel: asyncio.Transport, ssl: tls.SSLContext | None, server_name: str | None
) -> None:
    tune_stream(tunnel.get_extra_info("socket"))
    if ssl is None:
        tunnel.set_protocol(connection)
        connection.connection_made(tunnel)
        tunnel.resume_reading()
    else:
        loop = asyncio.get_running_loop()
        secured = await loop.start_tls(tunnel, connection, ssl, server_hostname=server_name)
        if secured is None:
            raise ConnectionResetError("the tunnel has ended")
        connection.connection_made(secured)
    # The socket says TLS where only the proxy is spoken to by TLS.
    connection.path = connection.path._replace(transport=Transport.TCP if ssl is None else Transport.TLS)


# A connection that is gone before it was looked at.
NO_PATH: Final = Path(SocketAddress("0.0.0.0", 0), SocketAddress("0.0.0.0", 0), Transport.TCP)


def path_of(transport: asyncio.BaseTransport) -> Path:
    """Both ends of a connection; NO_PATH for one that has been reset already."""
    kind = Transport.TLS if transport.get_extra_info("ssl_object") is not None else Transport.TCP
    # A peer that has reset the connection already has no address any more; the end is reported in a moment.
    local, remote = transport.get_extra_info("sockname"), transport.get_extra_info("peername")
    if not local or not remote:
        return NO_PATH
    return Path(address_of(local), address_of(remote), kind)


def tune_stream(connected: Any) -> None:
    """Set what every TCP connection of ours has; None and a socket that is reset already are harmless."""
    if connected is None:
        return
    try:
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
    except OSError:
        # Already reset by the peer: connection_lost follows.
        return


def _ignore_frame(frame: bytes) -> None:
    """Until somebody listens."""


def _ignore_closed(error: IcelaneError | None) -> None:
    """Until somebody listens."""
