"""TCP relays on asyncio (RFC 6062): listens and connects on relayed addresses, and joins what the engine says.

A connection with a peer is a bare socket until it is bound to a client's: nothing is read from it, so what the peer
sends meanwhile waits in the kernel's buffer and then at the peer itself.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any, Final, NamedTuple

from icelane.aio.stream import StreamConnection, tune_stream
from icelane.aio.tcp import bind_tcp
from icelane.aio.udp import address_of
from icelane.core.clock import Duration
from icelane.core.net import SocketAddress
from icelane.server.relay_plane import RelayedClient
from icelane.server.splice import Splice
from icelane.server.traffic import SocketLoss
from icelane.turn.routes import BindStreams, ClosePeer, ConnectionId, ConnectPeer

# Connections whose client has gone while their peer still has something to read. Each holds about 300 KiB at most; with
# one more the oldest is cut off, so that nobody fills our memory by sending to peers that do not read and leaving.
MAX_LINGERING: Final = 64

_BACKLOG: Final = 64
MAX_ACCEPTS_PER_WAKE: Final = 16
# Without a descriptor to spare the listening socket stays readable, so we look away for a while.
ACCEPT_PAUSE: Final[Duration] = 0.5


class PeerEvents(NamedTuple):
    """Who hears what became of connections with peers: the engine, by way of its driver."""

    accepted: Callable[[SocketAddress, SocketAddress], ConnectionId | None]
    """`accepted(relay, wire_peer)`: a peer connected; None to close it."""
    connected: Callable[[ConnectionId], None]
    """`ConnectPeer` has been carried out."""
    closed: Callable[[ConnectionId], None]
    """It cannot be carried out, or the connection is over."""


class TcpRelay:
    """One relayed address that peers are reached from by TCP."""

    __slots__ = ("_address", "_events", "_listening", "_loop", "_pause", "_plane", "client")

    def __init__(self, address: SocketAddress, events: PeerEvents, plane: TcpRelayPlane) -> None:
        """Bind `address` and listen; raises OSError when that cannot be."""
        self.client: RelayedClient | None = None
        self._address = address
        self._events = events
        self._plane = plane
        self._loop = asyncio.get_running_loop()
        self._pause: asyncio.TimerHandle | None = None
        self._listening = bind_tcp(address)
        try:
            self._listening.listen(_BACKLOG)
            # From now on connections may leave from here too. Not before: two servers could share the port then. Where
            # ports cannot be shared, a client is told that its peer cannot be reached, and peers may still connect.
            if hasattr(socket, "SO_REUSEPORT"):
                self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        except BaseException:
            self._listening.close()
            raise
        self._loop.add_reader(self._listening.fileno(), self._accept)

    def assign(self, client: RelayedClient) -> None:
        """From now on it is `client`'s."""
        self.client = client

    def count_loss(self, loss: SocketLoss) -> None:
        """TCP loses nothing."""

    def close(self) -> None:
        """Stop listening; connections are closed each for itself, by `ClosePeer`."""
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._listening.fileno())
        self._listening.close()

    def _accept(self) -> None:
        for _ in range(MAX_ACCEPTS_PER_WAKE):
            try:
                accepted, raw = self._listening.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionError:
                continue  # gone before we came
            except OSError:
                self._loop.remove_reader(self._listening.fileno())
                self._pause = self._loop.call_later(ACCEPT_PAUSE, self._resume)
                return
            accepted.setblocking(False)
            connection_id = self._events.accepted(self._address, address_of(raw))
            if connection_id is None:
                accepted.close()
            else:
                self._plane.add(connection_id, self._address, accepted)
            if self._listening.fileno() < 0:
                return  # what we told has ended the allocation

    def _resume(self) -> None:
        self._pause = None
        self._loop.add_reader(self._listening.fileno(), self._accept)


class _Peer:
    """A connection with a peer: a socket, then with a `splice`. `task` connects it, or makes its transport."""

    __slots__ = ("relay", "socket", "splice", "task")

    def __init__(self, relay: SocketAddress, connected: socket.socket) -> None:
        self.relay = relay
        self.socket = connected
        self.splice: Splice | None = None
        self.task: asyncio.Task[None] | None = None


class TcpRelayPlane:
    """Carries out the engine's commands about connections with peers.

    `connections` counts those that there have been, `bytes` of them are in the clients' counters.
    """

    def __init__(self, events: PeerEvents) -> None:
        self.connections = 0
        self._events = events
        self._relays_by_address: dict[SocketAddress, TcpRelay] = {}
        self._peers_by_id: dict[ConnectionId, _Peer] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._splices: set[Splice] = set()
        self._lingering: dict[Splice, None] = {}  # in the order in which they began to
        self._closing = False
        self._all_gone = asyncio.Event()

    def __len__(self) -> int:
        """How many connections with peers there are."""
        return len(self._peers_by_id)

    def listen(self, address: SocketAddress) -> TcpRelay | None:
        """A relay on `address`; None when somebody else has it."""
        try:
            relay = TcpRelay(address, self._events, self)
        except OSError:
            return None
        self._relays_by_address[address] = relay
        return relay

    def forget(self, address: SocketAddress) -> None:
        """The relay on `address` has been closed."""
        self._relays_by_address.pop(address, None)

    def add(self, connection_id: ConnectionId, relay: SocketAddress, connected: socket.socket) -> None:
        """A connection that a peer has made."""
        tune_stream(connected)
        self.connections += 1
        self._peers_by_id[connection_id] = _Peer(relay, connected)

    def connect(self, command: ConnectPeer) -> None:
        """Begin to connect; `peer_connected` or `peer_closed` follows, never in this call."""
        try:
            connecting = bind_tcp(command.relay, shared=True)
        except OSError:
            asyncio.get_running_loop().call_soon(self._events.closed, command.connection_id)
            return
        peer = self._peers_by_id[command.connection_id] = _Peer(command.relay, connecting)
        self._start(peer, self._connect(command.connection_id, peer, command.wire_peer))

    def bind(self, command: BindStreams, connection: StreamConnection) -> None:
        """Answer the client, then join its connection and the peer's."""
        peer = self._peers_by_id[command.connection_id]
        relay = self._relays_by_address[peer.relay]
        client = relay.client
        assert client is not None, "a connection belongs to a relay that is somebody's"

        def on_gone() -> None:
            self._splices.discard(splice)
            self._lingering.pop(splice, None)
            if self._closing and not self._splices:
                self._all_gone.set()

        def on_closed() -> None:
            self._linger(splice)
            if self._peers_by_id.pop(command.connection_id, None) is not None:
                self._events.closed(command.connection_id)

        peer.splice = splice = Splice(
            admit=client.admits,
            count_from_client=client.count_from_client,
            count_to_client=client.count_to_client,
            on_client_lost=connection.connection_lost,
            on_closed=on_closed,
            on_gone=on_gone,
        )
        self._splices.add(splice)
        connection.send_control(command.response)
        _, rest = connection.hand_over(splice.client)
        self._start(peer, self._join(peer, splice, rest))

    def close_peer(self, command: ClosePeer) -> None:
        """Close a connection, whatever it is doing."""
        peer = self._peers_by_id.pop(command.connection_id, None)
        if peer is None:
            return
        if peer.splice is not None:
            # While it is joined the task goes on to its end, which closes what it has made: uvloop closes the transport
            # of one that is cancelled, and does not tell its protocol.
            peer.splice.close()
        elif peer.task is not None:
            peer.task.cancel()
        else:
            peer.socket.close()

    def close(self) -> None:
        """Close every connection; what is still being sent over those that have ended is lost."""
        self._closing = True
        for connection_id in list(self._peers_by_id):
            self.close_peer(ClosePeer(connection_id))
        for splice in list(self._splices):
            splice.close()
        self._relays_by_address.clear()

    async def wait_closed(self) -> None:
        """Wait until nothing is left of what `close` has closed."""
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._splices:
            await self._all_gone.wait()

    def _linger(self, splice: Splice) -> None:
        self._lingering[splice] = None
        if len(self._lingering) > MAX_LINGERING:
            next(iter(self._lingering)).close()

    async def _connect(self, connection_id: ConnectionId, peer: _Peer, wire_peer: SocketAddress) -> None:
        try:
            await asyncio.get_running_loop().sock_connect(peer.socket, tuple(wire_peer))
        except OSError:
            peer.socket.close()
            if self._peers_by_id.pop(connection_id, None) is not None:
                self._events.closed(connection_id)
            return
        tune_stream(peer.socket)
        self.connections += 1
        self._events.connected(connection_id)

    async def _join(self, peer: _Peer, splice: Splice, rest: bytes) -> None:
        # Nothing can go wrong here but the peer being gone, which its end of the splice hears.
        await asyncio.get_running_loop().connect_accepted_socket(lambda: splice.peer, peer.socket)
        splice.start(rest)

    def _start(self, peer: _Peer, work: Coroutine[Any, Any, None]) -> None:
        peer.task = task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)

        def on_done(done: asyncio.Task[None]) -> None:
            # Here and not in the task, which is never begun when it is cancelled at once.
            self._tasks.discard(done)
            peer.task = None
            if done.cancelled():
                peer.socket.close()

        task.add_done_callback(on_done)
