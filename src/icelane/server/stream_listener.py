"""Where clients come in over TCP and TLS.

1. accept             ConnectionLimit, of everybody and of the source
2. PROXY header       only from proxies that are named, and then always
3. TLS handshake      only with a TLS context
4. first message      STUN: nobody has a channel yet; HTTP goes its own way on a SharedPort
5. Allocate           from then on until the allocation ends, no deadline but its own

Each of the steps 2 to 5 has a time limit, because a connection that does nothing costs a descriptor (TL-1). Sockets are
accepted here and not by asyncio's server: a header must be read to its last byte and no further before TLS begins, and
`start_tls` would lose a ClientHello that came in the same segment.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from icelane.aio.stream import StreamConnection
from icelane.aio.system import monotonic
from icelane.aio.udp import address_of
from icelane.core.clock import Duration
from icelane.core.net import Path, SocketAddress, Transport
from icelane.errors import IcelaneError, MalformedError
from icelane.server.connection_limit import ConnectionLimit
from icelane.server.connection_log import ConnectionLog
from icelane.server.events import report
from icelane.server.handshake_failure import failure_reason
from icelane.server.proxy_protocol import ProxyHeader
from icelane.server.relay_plane import RelayedClient, SendToClient
from icelane.stun.framing import measure_stun
from icelane.turn.address_range import AddressRange, parse_address_range
from icelane.turn.channel_data import measure_turn

if TYPE_CHECKING:  # who takes no HTTP needs none of it
    from icelane.server.shared_port import SharedPort

# A wake accepts this many at most, so that a flood of connections cannot starve the traffic of those who are in.
MAX_ACCEPTS_PER_WAKE: Final = 64
# TL-2: without a descriptor to spare the listening socket stays readable, so we look away for a while.
ACCEPT_PAUSE: Final[Duration] = 0.5
# Who does not answer our close_notify within this time is not waited for.
SHUTDOWN_TIMEOUT: Final[Duration] = 2.0

_BACKLOG: Final = 1024


@dataclass(frozen=True, kw_only=True)
class StreamDeadlines:
    """TL-1: how long a client may take. Tests shorten them."""

    proxy_header: Duration = 10.0
    handshake: Duration = 10.0
    first_message: Duration = 10.0
    allocate: Duration = 60.0
    """From the first message on, and again from the end of an allocation."""


OpenBridge = Callable[[StreamConnection], tuple[socket.socket, bytes] | None]
"""Joins a connection to a new pair of sockets; returns the other end and what was held, or None without room."""


class _Guest:
    """A connection before it is open. `counted` says whether the limit knows of it by us."""

    __slots__ = ("accepted", "client", "counted", "opened")

    def __init__(self, accepted: socket.socket, client: SocketAddress, counted: bool) -> None:
        self.accepted = accepted
        self.client = client
        self.counted = counted
        self.opened = False


class TlsSource(Protocol):
    """Who has the TLS context; it may be another one for the next connection."""

    @property
    def context(self) -> ssl.SSLContext: ...


class StreamListener:
    """Clients over TCP, or over TLS with `tls`, on one local address."""

    def __init__(
        self,
        listening: socket.socket,
        receive: Callable[[bytes, Path], None],
        closed: Callable[[Path], None],
        *,
        limit: ConnectionLimit,
        log: ConnectionLog,
        tls: TlsSource | None = None,
        proxies: Sequence[AddressRange] = (),
        deadlines: StreamDeadlines | None = None,
        shared: SharedPort | None = None,
    ) -> None:
        """Take over a socket that is bound; `start` begins to accept. With `shared` there is more than TURN here."""
        self.transport = Transport.TCP if tls is None else Transport.TLS
        self.local = address_of(listening.getsockname())
        self.refused = 0
        self._listening = listening
        self._receive = receive
        self._closed = closed
        self._limit = limit
        self._log = log
        self._tls = tls
        self._proxies = tuple(proxies)
        self._deadlines = deadlines or StreamDeadlines()
        self._shared = shared
        self._loop = asyncio.get_running_loop()
        self._connections_by_path: dict[Path, StreamConnection] = {}
        # Those of them that end in another process, which counts them: no more than there are connections.
        self._bridged: set[Path] = set()
        self._deadlines_by_path: dict[Path, asyncio.TimerHandle] = {}
        self._greetings: set[asyncio.Task[None]] = set()
        self._pause: asyncio.TimerHandle | None = None
        self._out_of_descriptors = False
        self._closing = False
        self._all_gone = asyncio.Event()

    def start(self) -> None:
        """Begin to accept."""
        self._listening.listen(_BACKLOG)
        self._loop.add_reader(self._listening.fileno(), self._accept)

    @property
    def connections(self) -> int:
        """How many connections are open, those in a handshake and those that another process counts left out."""
        return len(self._connections_by_path) - len(self._bridged)

    def send(self, data: bytes, path: Path) -> None:
        """Send a control message to a client; a client that does not read loses its connection."""
        connection = self._connections_by_path.get(path)
        if connection is not None:
            connection.send_control(data)

    def relay_sender(self, path: Path) -> SendToClient:
        """A function that sends one message to the client, or drops it while the client does not read."""
        return self._connections_by_path[path].send

    def attach(self, client: RelayedClient) -> None:
        """From now on `client` relays what comes over its connection."""
        connection = self._connections_by_path.get(client.path)
        if connection is None:
            return
        path, receive = client.path, self._receive

        def on_frame(frame: bytes) -> None:
            if not client.relay_from_client(frame):
                receive(frame, path)

        connection.on_frame = on_frame
        connection.on_drained = client.drained
        connection.measure_by(measure_turn)
        self.lift_deadline(path)

    def detach(self, client: RelayedClient) -> None:
        """The client has no routes any more; its connection may be used for another allocation."""
        connection = self._connections_by_path.get(client.path)
        if connection is not None:
            self._listen_to(connection)
            self._expect(connection, self._deadlines.allocate, "no-allocation")

    def take_out(self, path: Path) -> StreamConnection | None:
        """The connection of `path`, if it is open: it will carry something else than messages, for as long as it likes.

        It is counted on until its `connection_lost`.
        """
        self.lift_deadline(path)
        connection = self._connections_by_path.get(path)
        return None if connection is None or connection.closed else connection

    def give_away(self, path: Path, bridge: OpenBridge) -> tuple[socket.socket, bytes] | None:
        """The connection of `path` as a socket for another process, and what has come over it and was not handed out.

        A connection over TLS stays here and is joined to the socket by `bridge`. None when it is gone.
        """
        connection = self.take_out(path)
        if connection is None:
            return None
        try:
            return connection.give_away() if self._tls is None else bridge(connection)
        except OSError:  # no descriptor to spare: the client may come again
            connection.abort()
            return None

    def take_in(self, accepted: socket.socket, path: Path, message: bytes) -> None:
        """Go on with a client's connection that another process has given away after `message` had come over it.

        One over TLS has stayed there, and is counted there; what came is the end of a bridge.
        """
        bridged = self._tls is not None
        if self._closing or not (bridged or self._limit.enter(path.remote.host)):
            accepted.close()
            self._refuse(path.remote, "too-many-connections")
            return
        guest = _Guest(accepted, path.remote, counted=not bridged)
        self._welcome(guest, self._go_on(guest, path, message))

    async def _go_on(self, guest: _Guest, path: Path, message: bytes) -> None:
        def on_opened(connection: StreamConnection) -> None:
            guest.opened = self._on_opened(connection, guest)

        with suppress(OSError):
            await self._loop.connect_accepted_socket(
                lambda: StreamConnection(measure_stun, on_opened=on_opened, path=path, received=message), guest.accepted
            )

    def lift_deadline(self, path: Path) -> None:
        """The connection has a purpose of its own, and may last."""
        timer = self._deadlines_by_path.pop(path, None)
        if timer is not None:
            timer.cancel()

    def close(self) -> None:
        """Stop accepting and close every connection; what a client has not read yet is lost to it."""
        if self._closing:
            return
        self._closing = True
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._listening.fileno())
        self._listening.close()
        for greeting in self._greetings:
            greeting.cancel()
        for connection in list(self._connections_by_path.values()):
            # A client that does not read, or does not answer close_notify, would keep us for as long as it likes.
            waiting = connection.buffered
            connection.close()
            if waiting or self._tls is not None:
                connection.abort()
        if self._shared is not None:
            self._shared.close()

    async def wait_closed(self) -> None:
        """Wait until nothing is left of the connections that `close` has ended."""
        await asyncio.gather(*self._greetings, return_exceptions=True)
        if self._connections_by_path:
            await self._all_gone.wait()

    # Accepting

    def _accept(self) -> None:
        for _ in range(MAX_ACCEPTS_PER_WAKE):
            try:
                accepted, raw = self._listening.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionError:
                continue  # gone before we came
            except OSError as error:
                self._pause_accepting(error)
                return
            self._out_of_descriptors = False
            accepted.setblocking(False)
            self._take_in(accepted, address_of(raw))

    def _pause_accepting(self, error: OSError) -> None:
        if not self._out_of_descriptors:
            reason = "no-descriptors" if error.errno in (errno.EMFILE, errno.ENFILE) else "no-resources"
            report("listener.paused", logging.ERROR, listener=self.local, reason=reason, problem=error.strerror)
        self._out_of_descriptors = True
        self._loop.remove_reader(self._listening.fileno())
        self._pause = self._loop.call_later(ACCEPT_PAUSE, self._resume)

    def _resume(self) -> None:
        self._pause = None
        self._loop.add_reader(self._listening.fileno(), self._accept)

    def _take_in(self, accepted: socket.socket, source: SocketAddress) -> None:
        # The connections of a proxy are those of its clients, who are counted once the header has named them.
        proxied = self._is_proxy(source)
        if self._limit.full or not (proxied or self._limit.enter(source.host)):
            accepted.close()
            self._refuse(source, "too-many-connections" if self._limit.full else "too-many-from-source")
            return
        guest = _Guest(accepted, source, counted=not proxied)
        self._welcome(guest, self._greet(guest))

    def _welcome(self, guest: _Guest, steps: Coroutine[Any, Any, None]) -> None:
        greeting = self._loop.create_task(steps)
        self._greetings.add(greeting)

        def on_done(done: asyncio.Task[None]) -> None:
            # Here and not in the task, which is never begun when it is cancelled at once.
            self._greetings.discard(done)
            if not guest.opened:
                guest.accepted.close()
                if guest.counted:
                    self._limit.leave(guest.client.host)

        greeting.add_done_callback(on_done)

    def _refuse(self, source: SocketAddress, reason: str) -> None:
        self.refused += 1
        self._log.refused(source, self.transport, reason, monotonic())

    def _is_proxy(self, source: SocketAddress) -> bool:
        if not self._proxies:
            return False
        host = parse_address_range(source.host)
        return any(proxy.contains(host) for proxy in self._proxies)

    # Greeting

    async def _greet(self, guest: _Guest) -> None:
        if guest.counted or await self._introduced(guest):
            await self._shake_hands(guest)

    async def _introduced(self, guest: _Guest) -> bool:
        """Let the proxy say whom it speaks for; False when the connection is not wanted."""
        header = ProxyHeader()
        try:
            async with asyncio.timeout(self._deadlines.proxy_header):
                while header.wanted:
                    data = await self._loop.sock_recv(guest.accepted, header.wanted)
                    if not data:
                        raise MalformedError("the connection ends within the header")
                    header.handle_bytes(data)
        except (TimeoutError, MalformedError):
            self._refuse(guest.client, "no-proxy-header")
            return False
        except OSError:
            return False  # reset, which a proxy does when its client is gone
        guest.client = header.source or guest.client
        guest.counted = self._limit.enter(guest.client.host)
        if not guest.counted:
            self._refuse(guest.client, "too-many-connections" if self._limit.full else "too-many-from-source")
        return guest.counted

    def _protocol(self, guest: _Guest) -> asyncio.Protocol:
        def on_opened(connection: StreamConnection) -> None:
            guest.opened = self._on_opened(connection, guest)

        if self._shared is None:
            return StreamConnection(measure_stun, on_opened=on_opened, remote=guest.client)

        def left() -> None:
            self._limit.leave(guest.client.host)

        def opened() -> None:
            guest.opened = True  # from here on it is not the greeting that counts it out

        def on_chosen(connection: StreamConnection) -> None:
            if not self._on_opened(connection, guest):
                left()

        def turn() -> StreamConnection:
            return StreamConnection(measure_stun, on_opened=on_chosen, remote=guest.client)

        return self._shared.protocol(guest.client, opened=opened, turn=turn, left=left)

    async def _shake_hands(self, guest: _Guest) -> None:
        secure = self._tls is not None
        context = self._tls.context if self._tls is not None else None
        try:
            await self._loop.connect_accepted_socket(
                lambda: self._protocol(guest),
                guest.accepted,
                ssl=context,
                ssl_handshake_timeout=self._deadlines.handshake if secure else None,
                ssl_shutdown_timeout=SHUTDOWN_TIMEOUT if secure else None,
            )
        except OSError as error:
            if secure:
                reason, detail = failure_reason(error)
                self._log.handshake_failed(guest.client, self.transport, reason, monotonic(), detail)

    # Connections

    def _on_opened(self, connection: StreamConnection, guest: _Guest) -> bool:
        path = connection.path
        if self._closing or path.local != self.local or path in self._connections_by_path:
            connection.abort()
            return False
        self._connections_by_path[path] = connection
        if not guest.counted:
            self._bridged.add(path)

        def on_closed(error: IcelaneError | None) -> None:
            self._on_closed(path, guest.client, error)

        connection.on_closed = on_closed
        connection.on_frame = lambda frame: self._on_first_frame(connection, frame)
        self._expect(connection, self._deadlines.first_message, "no-message")
        return True

    def _on_closed(self, path: Path, client: SocketAddress, error: IcelaneError | None) -> None:
        self.lift_deadline(path)
        del self._connections_by_path[path]
        if path in self._bridged:
            self._bridged.remove(path)
        else:
            self._limit.leave(client.host)
        if isinstance(error, MalformedError):
            self._log.closed(client, self.transport, "not-stun", monotonic())
        self._closed(path)
        if self._closing and not self._connections_by_path:
            self._all_gone.set()

    def _on_first_frame(self, connection: StreamConnection, frame: bytes) -> None:
        self._listen_to(connection)
        self._expect(connection, self._deadlines.allocate, "no-allocation")
        self._receive(frame, connection.path)

    def _listen_to(self, connection: StreamConnection) -> None:
        path, receive = connection.path, self._receive
        connection.on_frame = lambda frame: receive(frame, path)
        connection.on_drained = None

    def _expect(self, connection: StreamConnection, within: Duration, reason: str) -> None:
        """Close the connection unless something happens to it before."""

        def give_up() -> None:
            del self._deadlines_by_path[path]
            self._log.closed(path.remote, self.transport, reason, monotonic())
            connection.abort()

        path = connection.path
        self.lift_deadline(path)
        self._deadlines_by_path[path] = self._loop.call_later(within, give_up)
