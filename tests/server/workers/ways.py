"""The ways in which a client's payload goes through a server to an echo and comes back, one class for each kind."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Final, Protocol, TypeVar, cast

from icelane.core.clock import Instant
from icelane.core.net import SocketAddress, Transport
from icelane.server.workers import messages
from icelane.server.workers.process import SilentError
from icelane.server.workers.supervisor import Supervisor, partition
from icelane.stun.attributes import AttributeType, encode_uint32
from icelane.stun.message import Method, parse_message
from icelane.turn.translation import parse_data_indication
from tests.loops import close_later, close_now
from tests.server.clients import EVEN_PORT_AND_NEXT, Client, Echo, Inbox, Refused, _TcpLink, address_on
from tests.server.test_tcp_relay_plane import allocated, connect

CHANNEL: Final = 0x4001
WORKERS: Final = 2
T = TypeVar("T")
_LENGTH: Final = struct.Struct("!H")


class Place:
    """What a client needs to know: the server, and both echoes. `worker` of a way is whose death cuts it."""

    def __init__(self, server: Supervisor) -> None:
        self.server = server
        self.echo = Echo()
        self.stream_echo: SocketAddress
        self._parts = [partition(server.config, index, WORKERS) for index in range(WORKERS)]

    async def start(self) -> None:
        """Begin to listen for streams."""
        listening = await asyncio.get_running_loop().create_server(_StreamEcho, "127.0.0.1", 0)
        close_later(listening)
        self.stream_echo = SocketAddress(*listening.sockets[0].getsockname())

    def owner_of(self, client: Client) -> int:
        """Whose the relay port of a client is."""
        port = client.relayed[0].port
        return next(index for index, ports in enumerate(self._parts) if port in ports)

    async def server_of(self, client: Client) -> int:
        """Who relays for a client: its port may be borrowed. Raises TimeoutError when it has just died."""
        relay = str(client.relayed[0])
        for worker in list(self.server.workers):
            with suppress(SilentError):
                answer = await worker.ask(messages.Administer({"command": "sessions"}, Instant(0.0)))
                result = answer.result
                rows = result.answer["sessions"] if isinstance(result, messages.SessionAnswer) and result.answer else ()
                if any(row["relays"] == [relay] for row in rows):
                    return worker.index
        raise TimeoutError


class Way(Protocol):
    """One client's. `open` raises OSError, TimeoutError or Refused; `close` is safe after it, whatever it did."""

    worker: int

    async def open(self, place: Place) -> None: ...

    def send(self, payload: bytes) -> None: ...

    async def receive(self) -> bytes: ...

    async def give_back(self) -> None: ...

    def close(self) -> None: ...


class Indications:
    """Send there, Data back."""

    def __init__(self, transport: Transport) -> None:
        self.worker = -1
        self._transport = transport
        self._client: Client | None = None
        self._echo: SocketAddress

    @property
    def client(self) -> Client:
        assert self._client is not None, "it is open"
        return self._client

    async def open(self, place: Place) -> None:
        self._echo = place.echo.address
        self._client = await Client.connect(address_on(place.server, self._transport), self._transport)
        await _unless_closed(self._client, self._set_up(place))

    def send(self, payload: bytes) -> None:
        self.client.send_to(self._echo, payload)

    async def receive(self) -> bytes:
        return parse_data_indication(parse_message(await self.client.inbox.get())).payload

    async def give_back(self) -> None:
        await _give_back(self._client)

    def close(self) -> None:
        if self._client is not None:
            close_now(self._client)

    async def _set_up(self, place: Place) -> None:
        await self._allocate(place)
        await self._lead_to(self._echo)

    async def _allocate(self, place: Place) -> None:
        await self.client.allocate()
        self.worker = place.owner_of(self.client)

    async def _lead_to(self, peer: SocketAddress) -> None:
        await self.client.permit(peer)


class ChannelMessages(Indications):
    """ChannelData both ways."""

    def send(self, payload: bytes) -> None:
        self.client.send_on(CHANNEL, payload)

    async def receive(self) -> bytes:
        frame = await self.client.inbox.get()
        return frame[4 : 4 + int.from_bytes(frame[2:4], "big")]

    async def _lead_to(self, peer: SocketAddress) -> None:
        await self.client.bind(CHANNEL, peer)


class Reserved(ChannelMessages):
    """A second allocation takes the port that a first one has reserved (RFC 8656 section 7.2), maybe of a sibling."""

    def __init__(self) -> None:
        super().__init__(Transport.UDP)
        self._first: Client | None = None

    async def give_back(self) -> None:
        await super().give_back()
        await _give_back(self._first)

    def close(self) -> None:
        super().close()
        if self._first is not None:
            close_now(self._first)

    async def _allocate(self, place: Place) -> None:
        self._first = await Client.connect(address_on(place.server, Transport.UDP))
        response = await self._first.allocate(EVEN_PORT_AND_NEXT)
        token = response.get(AttributeType.RESERVATION_TOKEN)
        assert token is not None
        await self.client.allocate((AttributeType.RESERVATION_TOKEN, token))
        assert self.client.relayed[0].port == self._first.relayed[0].port + 1
        # Whose the port is may die: the socket is with whoever has borrowed it.
        self.worker = await place.server_of(self.client)


class DataConnection:
    """A stream to a peer over TCP (RFC 6062), with two bytes of length before each piece."""

    def __init__(self) -> None:
        self.worker = -1
        self._client: Client | None = None
        self._data: Client | None = None
        self._frames = _Frames()

    async def open(self, place: Place) -> None:
        self._client = client = await allocated(place.server)
        self.worker = place.owner_of(client)
        number = await _unless_closed(client, connect(client, place.stream_echo))
        self._data = data = await Client.connect(address_on(place.server, Transport.TCP), Transport.TCP)
        binding = data.request(Method.CONNECTION_BIND, (AttributeType.CONNECTION_ID, encode_uint32(number)))
        await _unless_closed(data, binding)
        assert isinstance(data._link, _TcpLink)
        data._link.transport.set_protocol(self._frames)

    def send(self, payload: bytes) -> None:
        assert self._data is not None, "it is open"
        self._data.send(_LENGTH.pack(len(payload)) + payload)

    async def receive(self) -> bytes:
        return await self._frames.inbox.get()

    async def give_back(self) -> None:
        await _give_back(self._client)

    def close(self) -> None:
        for client in (self._client, self._data):
            if client is not None:
                close_now(client)


async def _unless_closed(client: Client, work: Coroutine[Any, Any, T]) -> T:
    """What comes of the work. Raises ConnectionResetError when the client's connection is gone before it is done."""
    working, closing = asyncio.ensure_future(work), asyncio.ensure_future(client.closed.wait())
    try:
        await asyncio.wait({working, closing}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ConnectionResetError
        return working.result()
    finally:
        for one in (working, closing):
            one.cancel()
        await asyncio.gather(working, closing, return_exceptions=True)


async def _give_back(client: Client | None) -> None:
    """End an allocation, if there is one and somebody to tell."""
    # Also where the answer has not come before time was up.
    if client is not None and client._key is not None and not client.closed.is_set():
        # RuntimeError: uvloop, of a connection that is gone.
        with suppress(Refused, TimeoutError, OSError, RuntimeError):
            await _unless_closed(client, client.refresh(0))


def way_of(kind: str) -> Way:
    """A new one."""
    if kind == "reserved port":
        return Reserved()
    if kind == "TCP data":
        return DataConnection()
    transport, _, means = kind.partition(" ")
    return (ChannelMessages if means == "channel" else Indications)(Transport(transport.lower()))


class _Frames(asyncio.Protocol):
    def __init__(self) -> None:
        self.inbox: Inbox[bytes] = Inbox()
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= _LENGTH.size:
            end = _LENGTH.size + _LENGTH.unpack_from(self._buffer)[0]
            if len(self._buffer) < end:
                return
            self.inbox.put_nowait(self._buffer[_LENGTH.size : end])
            self._buffer = self._buffer[end:]


class _StreamEcho(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)
