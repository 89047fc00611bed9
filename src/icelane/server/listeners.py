"""Where clients come in: UDP sockets and TCP listeners, each with the clients that have routes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Final, Protocol

from icelane.aio.stream import StreamConnection
from icelane.aio.udp import RawAddress, UdpSocket, address_of
from icelane.core.net import AddressFamily, Path, SocketAddress, Transport
from icelane.errors import IcelaneError
from icelane.server.relay_plane import RelayedClient, SendToClient, raw_address
from icelane.turn.channel_data import measure_turn

# Until connection limits are configurable, a listener holds this many; more are refused at once.
MAX_CONNECTIONS: Final = 10_000
_BACKLOG: Final = 1024


class Receiver(Protocol):
    """Takes what no route covers."""

    def __call__(self, data: bytes, path: Path) -> None: ...


class Listener(Protocol):
    """What the server asks of a listener, whatever the transport."""

    @property
    def local(self) -> SocketAddress:
        """The address that is bound."""
        ...

    def send(self, data: bytes, path: Path) -> None:
        """Send a control message to a client, or drop it."""
        ...

    def relay_sender(self, path: Path) -> SendToClient:
        """What the plane uses to reach a client of this listener."""
        ...

    def attach(self, client: RelayedClient) -> None:
        """From now on `client` relays what comes from its address."""
        ...

    def detach(self, client: RelayedClient) -> None:
        """The client has no routes any more."""
        ...

    def close(self) -> None:
        """Stop listening and close what is open."""
        ...


class UdpListener:
    """Clients over UDP on one local address."""

    transport: Final = Transport.UDP

    def __init__(self, address: SocketAddress, receive: Receiver) -> None:
        """Bind `address`; raises OSError when that cannot be."""
        self._receive = receive
        self._clients_by_source: dict[RawAddress, RelayedClient] = {}
        self._udp = UdpSocket.bind(address, self._on_datagram)
        self.local = self._udp.local

    def send(self, data: bytes, path: Path) -> None:
        """Send a control message to a client."""
        self._udp.send(data, path.remote)

    def relay_sender(self, path: Path) -> SendToClient:
        """A function that sends one datagram to the client and never raises."""
        sendto, failed, remote = self._udp.sendto, self._udp.count_failed_send, tuple(path.remote)

        def send(data: bytes) -> None:
            try:
                sendto(data, remote)
            except OSError as error:
                failed(error)

        return send

    def attach(self, client: RelayedClient) -> None:
        """From now on `client` relays what comes from its address."""
        self._clients_by_source[raw_address(client.path.remote)] = client

    def detach(self, client: RelayedClient) -> None:
        """The client has no routes any more."""
        self._clients_by_source.pop(raw_address(client.path.remote), None)

    def close(self) -> None:
        """Free the port."""
        self._udp.close()

    def _on_datagram(self, data: bytes, source: RawAddress) -> None:
        client = self._clients_by_source.get(source)
        if client is None or not client.relay_from_client(data):
            self._receive(data, Path(self.local, address_of(source), Transport.UDP))


class TcpListener:
    """Clients over TCP on one local address, which may be a wildcard."""

    transport: Final = Transport.TCP

    def __init__(self, listening: socket.socket, receive: Receiver, closed: Callable[[Path], None]) -> None:
        """Take over a socket that is bound; `start` begins to accept."""
        self._receive = receive
        self._closed = closed
        self._listening = listening
        self._server: asyncio.Server | None = None
        self._connections_by_path: dict[Path, StreamConnection] = {}
        self.local = address_of(listening.getsockname())
        self.refused = 0

    async def start(self) -> None:
        """Begin to accept."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._accept, sock=self._listening, backlog=_BACKLOG)

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._connections_by_path)

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

    def detach(self, client: RelayedClient) -> None:
        """The client has no routes any more; its connection may be used for another allocation."""
        connection = self._connections_by_path.get(client.path)
        if connection is not None:
            self._listen_to(connection)

    def close(self) -> None:
        """Stop accepting and close every connection; what a client has not read yet is lost to it."""
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections_by_path.values()):
            # A client that does not read would keep its connection, and us, for as long as it likes.
            if connection.buffered:
                connection.abort()
            else:
                connection.close()

    def _accept(self) -> StreamConnection:
        return StreamConnection(measure_turn, on_opened=self._on_opened)

    def _on_opened(self, connection: StreamConnection) -> None:
        if len(self._connections_by_path) >= MAX_CONNECTIONS or connection.path in self._connections_by_path:
            self.refused += 1
            connection.abort()
            return
        self._connections_by_path[connection.path] = connection
        self._listen_to(connection)

        def on_closed(error: IcelaneError | None) -> None:
            del error
            del self._connections_by_path[connection.path]
            self._closed(connection.path)

        connection.on_closed = on_closed

    def _listen_to(self, connection: StreamConnection) -> None:
        path, receive = connection.path, self._receive
        connection.on_frame = lambda frame: receive(frame, path)


def listening_socket(address: SocketAddress) -> socket.socket:
    """A TCP socket that is bound to `address`, for a TcpListener; raises OSError when that cannot be."""
    family = socket.AF_INET6 if address.family is AddressFamily.IPV6 else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setblocking(False)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind(tuple(address))
    except BaseException:
        listening.close()
        raise
    return listening
