"""A relayed address on a TURN server, once it is there: permissions, channels, datagrams, and the end."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Hashable
from types import TracebackType
from typing import Final, Protocol, Self, TypeVar

from icelane.aio.driver import Driver
from icelane.aio.turn_streams import OpenStream, PeerStream, PeerStreams
from icelane.core.clock import Duration
from icelane.core.net import Path, SocketAddress, canonical_host
from icelane.errors import IcelaneError, LocalProtocolError, TransportClosedError
from icelane.turn.attributes import IcmpError
from icelane.turn.client import TurnClient
from icelane.turn.client_event import (
    Allocated,
    AllocationFailed,
    AllocationLost,
    AllocationRefreshed,
    AllocationReleased,
    ChannelBound,
    ChannelFailed,
    DataReceived,
    IcmpReceived,
    PeerAttempted,
    PeerConnected,
    PeerConnectFailed,
    PermissionGranted,
    PermissionRefused,
    Redirected,
    TurnClientEvent,
)
from icelane.turn.client_peer import MAX_HOSTS_PER_REQUEST
from icelane.turn.client_request import AllocateOptions

Peer = SocketAddress | tuple[str, int]

# A server that does not answer the last Refresh forgets the allocation by itself.
CLOSE_TIMEOUT: Final[Duration] = 2.0
# Datagrams that nobody has received yet; the newest is dropped, as the kernel does with a full socket.
MAX_QUEUED: Final = 1024

_LifeEvent = Allocated | AllocationFailed | Redirected | AllocationRefreshed | AllocationLost | AllocationReleased

K = TypeVar("K", bound=Hashable)

_log = logging.getLogger(__name__)


class Link(Protocol):
    """What carries bytes to the server."""

    def send(self, data: bytes) -> bool:
        """Relayed payload, which may be dropped."""
        ...

    def send_control(self, data: bytes) -> bool:
        """A request."""
        ...

    def close(self) -> None:
        """Let go."""
        ...


class TurnRelay:
    """An allocation that lives. Made by `connect_turn`; ended by `close`, or by leaving `async with`.

    `on_data(payload, peer)` and `on_icmp(peer, error)` may be set at any time. An exception in one goes to the loop's
    exception handler and ends nothing. `dropped` counts datagrams that came while MAX_QUEUED waited for `receive`.
    """

    def __init__(self, engine: TurnClient, link: Link, open_stream: OpenStream | None = None) -> None:
        """`open_stream` binds connections with peers, where the server is reached over a stream."""
        self.on_data: Callable[[bytes, SocketAddress], object] | None = None
        self.on_icmp: Callable[[SocketAddress, IcmpError], object] | None = None
        self.dropped = 0
        self._engine = engine
        self._link = link
        self._driver: Driver[TurnClientEvent] = Driver(
            engine, transmit=lambda transmit: link.send_control(transmit.data), on_event=self._handle_event
        )
        self._loop = asyncio.get_running_loop()
        self._allocated: asyncio.Future[Allocated | Redirected] = self._loop.create_future()
        self._allocation: Allocated | None = None
        self._lifetime = 0
        self._ended: asyncio.Future[IcelaneError] = self._loop.create_future()
        self._queue: deque[tuple[bytes, SocketAddress]] = deque()
        self._receivers: deque[asyncio.Future[None]] = deque()
        self._permit_waiters: dict[tuple[str, ...], list[asyncio.Future[None]]] = {}
        self._bind_waiters: dict[SocketAddress, list[asyncio.Future[None]]] = {}
        self._streams = PeerStreams(self._start_connect, open_stream) if open_stream is not None else None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def relayed_address(self) -> SocketAddress:
        """The address that peers send to; of a dual allocation the first, which is IPv4."""
        return self.relayed_addresses[0]

    @property
    def relayed_addresses(self) -> tuple[SocketAddress, ...]:
        """The one address that peers send to, or both of a dual allocation."""
        return self._granted.relayed

    @property
    def mapped_address(self) -> SocketAddress:
        """Where the server sees us."""
        return self._granted.mapped

    @property
    def lifetime(self) -> int:
        """The lifetime that the server granted last, in seconds; refreshes are automatic."""
        return self._lifetime

    @property
    def reservation_token(self) -> bytes | None:
        """Claims the next higher port for another allocation, where AllocateOptions asked to reserve it."""
        return self._granted.reservation_token

    @property
    def additional_error(self) -> IcelaneError | None:
        """Why a dual allocation has one address only."""
        return self._granted.additional_error

    @property
    def path(self) -> Path:
        """Both ends of the way to the server, and the transport."""
        return self._engine.path

    @property
    def closed(self) -> bool:
        """Whether nothing is relayed any more."""
        return self._ended.done()

    async def permit(self, *peers: str | Peer) -> None:
        """Let the hosts of `peers`, IP addresses or pairs of address and port, send to the relayed address.

        Raises TurnError when the server refuses one; of those asked for together none is granted then.
        """
        hosts = [canonical_host(peer if isinstance(peer, str) else peer[0]) for peer in peers]
        missing = [host for host in dict.fromkeys(hosts) if not self._engine.has_granted(host)]
        waiters = []
        for start in range(0, len(missing), MAX_HOSTS_PER_REQUEST):
            batch = tuple(missing[start : start + MAX_HOSTS_PER_REQUEST])
            self._check_open()
            self._start_permission(batch)
            waiters.append(self._wait_for(self._permit_waiters, batch))
        for outcome in await asyncio.gather(*waiters, return_exceptions=True):
            if outcome is not None:
                raise outcome

    async def bind_channel(self, peer: Peer) -> None:
        """Make data to and from `peer` cost four bytes of header; permits its host too. Raises TurnError."""
        peer = canonical_peer(peer)
        self._check_open()
        if self._engine.has_channel(peer):
            return
        self._driver.run(lambda now: self._engine.bind_channel(peer, now))
        await self._wait_for(self._bind_waiters, peer)

    def send(self, data: bytes | bytearray | memoryview, peer: Peer, *, dont_fragment: bool = False) -> bool:
        """Relay a datagram to `peer`; False when it was dropped here because the network is busy.

        Raises LocalProtocolError without a permission for the peer, TransportClosedError after the end.
        """
        self._check_open()
        if type(peer) is not SocketAddress:
            peer = canonical_peer(peer)
        payload = data if isinstance(data, bytes) else bytes(data)
        return self._link.send(self._engine.encapsulate(payload, peer, dont_fragment=dont_fragment))

    async def receive(self) -> tuple[bytes, SocketAddress]:
        """The next datagram and the peer that sent it; after the end, what is left and then the error that ended it."""
        while not self._queue:
            self._check_open()
            receiver: asyncio.Future[None] = self._loop.create_future()
            self._receivers.append(receiver)
            try:
                await receiver
            except asyncio.CancelledError:
                if receiver in self._receivers:
                    self._receivers.remove(receiver)
                elif not receiver.cancelled():
                    self._wake_receiver()  # it was our turn, and we go
                raise
        return self._queue.popleft()

    async def connect(self, peer: Peer) -> PeerStream:
        """TCP allocation: a connection with `peer`, from the relayed address, as reader and writer.

        Raises TurnError when the server refuses or cannot reach the peer, LocalProtocolError on an allocation that is
        no `AllocateOptions(tcp=True)`. The streams end with the allocation.
        """
        self._check_open()
        return await self._peer_streams().connect(canonical_peer(peer))

    async def accept(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, SocketAddress]:
        """TCP allocation: the next connection that a peer with a permission makes, as reader and writer, and the peer.

        Raises what ended the allocation, TurnError when the peer did not wait.
        """
        self._check_open()
        return await self._peer_streams().accept()

    async def close(self, timeout: Duration = CLOSE_TIMEOUT) -> None:
        """Give the allocation back, waiting at most `timeout` seconds for the server; again is harmless."""
        try:
            if not self._ended.done():
                self._driver.run(self._engine.close)
                await asyncio.wait([self._ended], timeout=timeout)
        finally:
            self._end(TransportClosedError("the relay was closed"))

    async def wait_closed(self) -> IcelaneError:
        """Wait for the end and return what ended it; TransportClosedError for `close`."""
        return await asyncio.shield(self._ended)

    # For `connect_turn` and the link only

    def handle_data(self, data: bytes) -> None:
        """Bytes came from the server."""
        self._driver.handle_datagram(data, self._engine.path)

    def handle_closed(self, error: IcelaneError | None) -> None:
        """The connection to the server is gone."""
        if not self._ended.done():
            self._driver.run(lambda now: self._engine.handle_closed(self._engine.path, now))
            self._end(error or TransportClosedError("the connection to the server is closed"))

    def handle_unreachable(self, error: OSError) -> None:
        """The kernel knows that nobody listens at the server's port: believed until there is an allocation."""
        if not self._allocated.done():
            text = f"{self._engine.path.remote}: {error.strerror or error}"
            self._allocated.set_exception(TransportClosedError(text))

    async def allocate(self, options: AllocateOptions) -> Redirected | None:
        """Wait for an allocation, or for where to go instead."""
        self._driver.run(lambda now: self._engine.allocate(options, now))
        answer = await self._allocated
        return answer if isinstance(answer, Redirected) else None

    def abort(self) -> None:
        """Let go of everything at once."""
        if not self._allocated.cancel() and not self._allocated.cancelled():
            self._allocated.exception()  # seen, even if nobody waits for it any more
        self._end(TransportClosedError("the relay was closed"))

    @property
    def _granted(self) -> Allocated:
        assert self._allocation is not None, "connect_turn returns relays with an allocation only"
        return self._allocation

    def _check_open(self) -> None:
        if self._ended.done():
            raise self._ended.result().with_traceback(None)

    def _peer_streams(self) -> PeerStreams:
        if self._streams is None:
            raise LocalProtocolError("connections are of TCP allocations: AllocateOptions(tcp=True)")
        return self._streams

    def _start_connect(self, peer: SocketAddress) -> None:
        self._driver.run(lambda now: self._engine.connect_peer(peer, now))

    def _start_permission(self, hosts: tuple[str, ...]) -> None:
        self._driver.run(lambda now: self._engine.create_permission(hosts, now))

    def _wait_for(self, waiters: dict[K, list[asyncio.Future[None]]], key: K) -> asyncio.Future[None]:
        waiter: asyncio.Future[None] = self._loop.create_future()
        waiters.setdefault(key, []).append(waiter)
        return waiter

    def _handle_event(self, event: TurnClientEvent) -> None:
        if isinstance(event, DataReceived):
            self._handle_payload(event)
        elif isinstance(event, PermissionGranted):
            _settle_all(self._permit_waiters.pop(event.hosts, []), None)
        elif isinstance(event, PermissionRefused):
            _log.info("a TURN server refused %d permissions: %s", len(event.hosts), event.error)
            _settle_all(self._permit_waiters.pop(event.hosts, []), event.error)
        elif isinstance(event, ChannelBound):
            _settle_all(self._bind_waiters.pop(event.peer, []), None)
        elif isinstance(event, ChannelFailed):
            _log.info("a TURN server refused a channel: %s", event.error)
            _settle_all(self._bind_waiters.pop(event.peer, []), event.error)
        elif isinstance(event, PeerConnected | PeerConnectFailed | PeerAttempted):
            self._peer_streams().handle_event(event)
        elif isinstance(event, IcmpReceived):
            if self.on_icmp is not None:
                self._call(self.on_icmp, event.peer, event.error)
        else:
            self._handle_life(event)

    def _handle_life(
        self,
        event: Allocated | AllocationFailed | Redirected | AllocationRefreshed | AllocationLost | AllocationReleased,
    ) -> None:
        if isinstance(event, Allocated):
            self._allocation = event
            self._lifetime = event.lifetime
            _answer(self._allocated, event)
        elif isinstance(event, Redirected):
            _answer(self._allocated, event)
        elif isinstance(event, AllocationRefreshed):
            self._lifetime = event.lifetime
        elif isinstance(event, AllocationReleased):
            self._end(TransportClosedError("the relay was closed"))
        elif not self._allocated.done():
            self._allocated.set_exception(event.error)
        else:
            self._end(event.error)

    def _handle_payload(self, event: DataReceived) -> None:
        if self.on_data is not None:
            self._call(self.on_data, event.payload, event.peer)
        elif len(self._queue) < MAX_QUEUED:
            self._queue.append((event.payload, event.peer))
            self._wake_receiver()
        else:
            self.dropped += 1

    def _wake_receiver(self) -> None:
        while self._receivers:
            receiver = self._receivers.popleft()
            if not receiver.done():
                receiver.set_result(None)
                return

    def _call(self, handler: Callable[..., object], *arguments: object) -> None:
        try:
            handler(*arguments)
        except Exception as error:
            context = {"message": "a handler of a TURN relay failed", "exception": error}
            self._loop.call_exception_handler(context)

    def _end(self, error: IcelaneError) -> None:
        if self._ended.done():
            return
        self._ended.set_result(error)
        self._driver.close()
        self._link.close()
        if not self._allocated.done():
            self._allocated.set_exception(error)
        for waiters in (*self._permit_waiters.values(), *self._bind_waiters.values()):
            _settle_all(waiters, error)
        self._permit_waiters.clear()
        self._bind_waiters.clear()
        if self._streams is not None:
            self._streams.end(error)
        while self._receivers:
            self._wake_receiver()


def canonical_peer(peer: Peer) -> SocketAddress:
    return SocketAddress(canonical_host(peer[0]), peer[1])


def _answer(future: asyncio.Future[Allocated | Redirected], answer: Allocated | Redirected) -> None:
    if not future.done():
        future.set_result(answer)


def _settle_all(waiters: list[asyncio.Future[None]], error: IcelaneError | None) -> None:
    for waiter in waiters:
        if waiter.done():
            continue
        if error is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(error)
