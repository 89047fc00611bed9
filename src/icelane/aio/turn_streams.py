"""Connections with peers through a TCP allocation (RFC 6062), as asyncio streams."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from icelane.aio.driver import Driver
from icelane.aio.stream import StreamConnection
from icelane.core.net import SocketAddress
from icelane.errors import IcelaneError, TransportClosedError
from icelane.turn.client_event import PeerAttempted, PeerConnected, PeerConnectFailed
from icelane.turn.connection_bind import ConnectionBinder, StreamBound, StreamRefused

PeerStream = tuple[asyncio.StreamReader, asyncio.StreamWriter]
"""What `asyncio.open_connection` returns, with a peer at the other end."""

OpenStream = Callable[[int], Awaitable[PeerStream]]
"""Opens a connection to the server and binds it to the connection with a peer of that number."""

# Peers that have connected and nobody has accepted; the server closes the others after 30 s.
MAX_ATTEMPTS: Final = 64


class PeerStreams:
    """The connections of one allocation. `connect` starts what one of the events answers."""

    def __init__(self, connect: Callable[[SocketAddress], None], open_stream: OpenStream) -> None:
        self._connect = connect
        self._open_stream = open_stream
        self._connecting: dict[SocketAddress, asyncio.Future[int]] = {}
        self._attempts: deque[PeerAttempted] = deque()
        self._attempted = asyncio.Event()
        self._error: IcelaneError | None = None

    async def connect(self, peer: SocketAddress) -> PeerStream:
        """A connection with `peer`, from the relayed address."""
        self._check_open()
        self._connect(peer)  # raises for a peer that is connected to already, so there is one waiter for each
        connected: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._connecting[peer] = connected
        try:
            connection_id = await connected
        finally:
            if self._connecting.get(peer) is connected:
                del self._connecting[peer]
        return await self._open_stream(connection_id)

    async def accept(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, SocketAddress]:
        """The next connection that a permitted peer has made, and the peer."""
        while not self._attempts:
            self._check_open()
            self._attempted.clear()
            await self._attempted.wait()
        attempt = self._attempts.popleft()
        return *await self._open_stream(attempt.connection_id), attempt.peer

    def handle_event(self, event: PeerConnected | PeerConnectFailed | PeerAttempted) -> None:
        """The engine has something to say."""
        if isinstance(event, PeerAttempted):
            if len(self._attempts) < MAX_ATTEMPTS:
                self._attempts.append(event)
                self._attempted.set()
            return
        waiter = self._connecting.pop(event.peer, None)
        if waiter is None or waiter.done():
            return
        if isinstance(event, PeerConnected):
            waiter.set_result(event.connection_id)
        else:
            waiter.set_exception(event.error)

    def end(self, error: IcelaneError) -> None:
        """The allocation is over; the server closes what is connected."""
        self._error = error
        self._attempts.clear()
        self._attempted.set()
        for waiter in self._connecting.values():
            if not waiter.done():
                waiter.set_exception(error)
        self._connecting.clear()

    def _check_open(self) -> None:
        if self._error is not None:
            raise self._error.with_traceback(None)


async def bind_stream(connection: StreamConnection, binder: ConnectionBinder, connection_id: int) -> PeerStream:
    """Make a fresh connection to the server a peer's. Closes it, and raises what went wrong, when that fails."""
    loop = asyncio.get_running_loop()
    bound: asyncio.Future[PeerStream] = loop.create_future()

    def on_event(event: StreamBound | StreamRefused) -> None:
        if bound.done():
            return
        if isinstance(event, StreamRefused):
            bound.set_exception(event.error)
        else:
            # Here and not when somebody awakes: the peer's bytes may be in the buffer already.
            bound.set_result(_as_stream(connection, loop))

    def on_closed(error: IcelaneError | None) -> None:
        if not bound.done():
            bound.set_exception(error or TransportClosedError("the connection to the server is closed"))

    driver: Driver[StreamBound | StreamRefused] = Driver(
        binder, transmit=lambda transmit: connection.send_control(transmit.data), on_event=on_event
    )
    connection.on_frame = lambda frame: driver.handle_datagram(frame, connection.path)
    connection.on_closed = on_closed
    try:
        if connection.closed:
            raise TransportClosedError("the connection to the server is closed")
        driver.run(lambda now: binder.bind(connection_id, now))
        return await bound
    except BaseException:
        if bound.done() and not bound.cancelled() and bound.exception() is None:
            bound.result()[1].close()
        connection.abort()
        raise
    finally:
        driver.close()


def _as_stream(connection: StreamConnection, loop: asyncio.AbstractEventLoop) -> PeerStream:
    reader = asyncio.StreamReader(loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    transport, rest = connection.hand_over(protocol)
    if rest:
        reader.feed_data(rest)
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)
