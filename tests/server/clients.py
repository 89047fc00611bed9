"""A TURN client that says exactly what a test wants said, and a peer, both on real sockets in the test's own loop."""

from __future__ import annotations

import asyncio
import secrets
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol, TypeVar, cast

from icelane.aio.udp import RawAddress, UdpSocket, address_of
from icelane.core.net import AddressFamily, SocketAddress, Transport
from icelane.server.config import Config, parse_config
from icelane.server.config.values import Listener as ListenSetting
from icelane.stun.attributes import (
    AttributeType,
    encode_text,
    encode_uint32,
    encode_xor_address,
    parse_error_code,
    parse_text,
    parse_xor_address,
)
from icelane.stun.integrity import long_term_key_md5, verify_integrity
from icelane.stun.message import Message, MessageBuilder, MessageClass, Method, parse_message
from icelane.turn.attributes import (
    PROTOCOL_UDP,
    encode_address_family,
    encode_channel_number,
    encode_requested_transport,
)
from icelane.turn.channel_data import encode_channel_data, encode_channel_data_for_stream
from icelane.turn.translation import DataIndication, build_send_indication, parse_data_indication
from tests.certificates import NAME, trusting
from tests.loops import close_later

REALM: Final = "example.org"
USER: Final = "alice"
PASSWORD: Final = "correct-horse-battery"
PATIENCE: Final = 10.0  # seconds until a test gives up; nothing here takes one when all is well
RETRANSMIT_AFTER: Final = 0.5

_RESET: Final = struct.pack("ii", 1, 0)  # struct linger: on, for no time

T = TypeVar("T")
Attribute = tuple[int, bytes]

REQUESTED_TRANSPORT: Final[Attribute] = (AttributeType.REQUESTED_TRANSPORT, encode_requested_transport(PROTOCOL_UDP))
IPV6: Final[Attribute] = (AttributeType.REQUESTED_ADDRESS_FAMILY, encode_address_family(AddressFamily.IPV6))
EVEN_PORT: Final[Attribute] = (AttributeType.EVEN_PORT, b"\x00")
EVEN_PORT_AND_NEXT: Final[Attribute] = (AttributeType.EVEN_PORT, b"\x80")


def settings(quota: Mapping[str, int] | None = None, *, tls: Mapping[str, str] | None = None, **turn: Any) -> Config:
    """A configuration on loopback with one user; `turn` replaces keys of `[turn]`, `tls` is the section."""
    defaults = {
        "realm": REALM,
        "listen": ["udp://127.0.0.1:0", "tcp://127.0.0.1:0", "udp://[::1]:0", "tcp://[::1]:0"],
        "relay_addresses": ["127.0.0.1", "::1"],
        "dangerously_allow_loopback_peers": True,
        "users": {USER: PASSWORD},
        "quota": dict(quota or {}),
    }
    return parse_config({"turn": defaults | turn} | ({"tls": dict(tls)} if tls else {}))


class Listening(Protocol):
    """A server, in one process or in several."""

    @property
    def listening(self) -> list[ListenSetting]: ...


def address_on(server: Listening, transport: Transport, family: AddressFamily = AddressFamily.IPV4) -> SocketAddress:
    """Where the server takes clients over `transport` and `family`."""
    for listener in server.listening:
        if listener.transport is transport and listener.address.family is family:
            return listener.address
    raise AssertionError(f"no listener for {transport} and {family!r}")


class Inbox(asyncio.Queue[T]):
    """What arrived and has not been looked at."""

    async def take(self) -> T:
        """The next item; fails the test when none comes."""
        async with asyncio.timeout(PATIENCE):
            return await self.get()

    def take_all(self) -> list[T]:
        """Whatever is there now."""
        return [self.get_nowait() for _ in range(self.qsize())]


class Peer:
    """A UDP socket that knows nothing of TURN: `inbox` holds (payload, source)."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self.inbox: Inbox[tuple[bytes, SocketAddress]] = Inbox()
        self._udp = UdpSocket.bind(SocketAddress(host, port), self._on_datagram)
        self.address = self._udp.local
        close_later(self)

    def send(self, payload: bytes, to: SocketAddress) -> None:
        """Send one datagram."""
        if not self._udp.send(payload, to):
            raise AssertionError(f"{len(payload)} bytes to {to} did not leave")

    def close(self) -> None:
        self._udp.close()

    def _on_datagram(self, data: bytes, source: RawAddress) -> None:
        self.inbox.put_nowait((data, address_of(source)))


class Echo:
    """A peer that sends back what it gets."""

    def __init__(self) -> None:
        self._udp = UdpSocket.bind(SocketAddress("127.0.0.1", 0), self._on_datagram)
        self.address = self._udp.local
        close_later(self)

    def close(self) -> None:
        self._udp.close()

    def _on_datagram(self, data: bytes, source: RawAddress) -> None:
        self._udp.send(data, source)


class Refused(Exception):
    """The server answered with an error; `code` is that of ERROR-CODE."""

    def __init__(self, message: Message) -> None:
        value = message.get(AttributeType.ERROR_CODE)
        assert value is not None, "an error response without ERROR-CODE"
        self.code, self.reason = parse_error_code(value)
        self.message = message
        super().__init__(f"{self.code} {self.reason}")


class Client:
    """One 5-tuple. `inbox` holds what is no response: Data indications and ChannelData, padding and all."""

    def __init__(self, username: str, password: str) -> None:
        self.inbox: Inbox[bytes] = Inbox()
        self.closed = asyncio.Event()
        self.relayed: list[SocketAddress] = []
        self._username = username
        self._password = password
        self._challenge: list[Attribute] = []
        self._key: bytes | None = None
        self._waiting: dict[bytes, asyncio.Future[Message]] = {}
        self._encode_channel = encode_channel_data
        self._link: _UdpLink | _TcpLink

    @classmethod
    async def connect(
        cls,
        server: SocketAddress,
        transport: Transport = Transport.UDP,
        *,
        source: str = "",
        username: str = USER,
        password: str = PASSWORD,
    ) -> Client:
        """A client of `server`, which has heard nothing of it yet; it sends from `source` if that is given."""
        client = cls(username, password)
        if transport is Transport.UDP:
            client._link = _UdpLink(server, source, client._on_frame)
            close_later(client)
            return client
        client._encode_channel = encode_channel_data_for_stream
        loop = asyncio.get_running_loop()
        local = (source, 0) if source else None
        _, client._link = await loop.create_connection(
            lambda: _TcpLink(client._on_frame, client.closed.set),
            server.host,
            server.port,
            local_addr=local,
            ssl=trusting() if transport is Transport.TLS else None,
            server_hostname=NAME if transport is Transport.TLS else None,
        )
        close_later(client)
        return client

    @classmethod
    async def allocated(
        cls,
        server: SocketAddress,
        transport: Transport = Transport.UDP,
        *attributes: Attribute,
        source: str = "",
        username: str = USER,
        password: str = PASSWORD,
    ) -> Client:
        """`connect` and `allocate` at once."""
        client = await cls.connect(server, transport, source=source, username=username, password=password)
        await client.allocate(*attributes)
        return client

    def send(self, data: bytes) -> None:
        """Send these bytes as they are."""
        self._link.send(data)

    async def request(self, method: Method, *attributes: Attribute) -> Message:
        """The success response; raises Refused for an error other than a challenge that can be met."""
        for _ in range(2):
            try:
                return await self.request_once(method, *attributes)
            except Refused as refused:
                if refused.code not in (401, 438) or (refused.code == 401 and self._key is not None):
                    raise
                self._take_challenge(refused.message)
        return await self.request_once(method, *attributes)

    async def request_once(self, method: Method, *attributes: Attribute) -> Message:
        """One request, signed if there has been a challenge, and its answer."""
        transaction_id = secrets.token_bytes(12)
        response = await self._exchange(self.build(method, *attributes, transaction_id=transaction_id), transaction_id)
        if response.message_class is MessageClass.ERROR:
            raise Refused(response)
        if self._key is not None:
            verify_integrity(response, self._key)
        return response

    def build(self, method: Method, *attributes: Attribute, transaction_id: bytes = bytes(12)) -> bytes:
        """One request, signed if there has been a challenge; `send` it, and nobody waits for its answer."""
        builder = MessageBuilder(method, MessageClass.REQUEST, transaction_id)
        for kind, value in attributes:
            if kind == AttributeType.XOR_PEER_ADDRESS:
                # Written for transaction id zero by `peer`: only an IPv6 address depends on it.
                value = encode_xor_address(parse_xor_address(value, bytes(12)), transaction_id)
            builder.add(kind, value)
        if self._key is not None:
            for kind, value in self._challenge:
                builder.add(kind, value)
            builder.add_integrity_sha1(self._key)
        return builder.build()

    async def allocate(self, *attributes: Attribute) -> Message:
        """Allocate; the relayed addresses are in `relayed` then."""
        response = await self.request(Method.ALLOCATE, REQUESTED_TRANSPORT, *attributes)
        values = response.get_all(AttributeType.XOR_RELAYED_ADDRESS)
        self.relayed = [parse_xor_address(value, response.transaction_id) for value in values]
        return response

    async def refresh(self, lifetime: int) -> Message:
        return await self.request(Method.REFRESH, (AttributeType.LIFETIME, encode_uint32(lifetime)))

    async def permit(self, *peers: SocketAddress) -> Message:
        return await self.request(Method.CREATE_PERMISSION, *(peer_attribute(peer) for peer in peers))

    async def bind(self, number: int, peer: SocketAddress) -> Message:
        channel = (AttributeType.CHANNEL_NUMBER, encode_channel_number(number))
        return await self.request(Method.CHANNEL_BIND, channel, peer_attribute(peer))

    def send_to(self, peer: SocketAddress, payload: bytes, *, dont_fragment: bool = False) -> None:
        """A Send indication."""
        self.send(build_send_indication(peer, payload, secrets.token_bytes(12), dont_fragment))

    def send_on(self, number: int, payload: bytes) -> None:
        """ChannelData, padded where it must be."""
        self.send(self._encode_channel(number, payload))

    async def receive(self) -> DataIndication:
        """The next Data indication; fails the test when something else comes."""
        return parse_data_indication(parse_message(await self.inbox.take()))

    def pause(self) -> None:
        """TCP: stop reading."""
        assert isinstance(self._link, _TcpLink)
        self._link.transport.pause_reading()

    def resume(self) -> None:
        """TCP: read on."""
        assert isinstance(self._link, _TcpLink)
        self._link.transport.resume_reading()

    @property
    def local(self) -> SocketAddress:
        """Where it sends from."""
        return self._link.local

    def close(self) -> None:
        self._link.close()

    def abort(self) -> None:
        """TCP: reset the connection."""
        assert isinstance(self._link, _TcpLink)
        self._link.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._link.transport.abort()

    def _take_challenge(self, message: Message) -> None:
        realm, nonce = message.get(AttributeType.REALM), message.get(AttributeType.NONCE)
        assert realm is not None, "a challenge without REALM"
        assert nonce is not None, "a challenge without NONCE"
        self._key = long_term_key_md5(self._username, parse_text(realm), self._password)
        self._challenge = [
            (AttributeType.USERNAME, encode_text(self._username)),
            (AttributeType.REALM, realm),
            (AttributeType.NONCE, nonce),
        ]

    async def _exchange(self, data: bytes, transaction_id: bytes) -> Message:
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._waiting[transaction_id] = answer
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    self.send(data)
                    done, _ = await asyncio.wait([answer], timeout=self._link.retransmit_after)
                    if done:
                        return answer.result()
        finally:
            del self._waiting[transaction_id]

    def _on_frame(self, frame: bytes) -> None:
        if frame[0] & 0xC0 == 0:
            message = parse_message(frame)
            if message.message_class is not MessageClass.INDICATION:
                answer = self._waiting.get(message.transaction_id)
                if answer is not None and not answer.done():
                    answer.set_result(message)
                return
        self.inbox.put_nowait(frame)


def peer_attribute(peer: SocketAddress) -> Attribute:
    """XOR-PEER-ADDRESS for `Client.request`, which writes it anew for its transaction."""
    return (AttributeType.XOR_PEER_ADDRESS, encode_xor_address(peer, bytes(12)))


class _UdpLink:
    retransmit_after = RETRANSMIT_AFTER

    def __init__(self, server: SocketAddress, source: str, on_frame: Callable[[bytes], None]) -> None:
        any_host = "::" if server.family is AddressFamily.IPV6 else "0.0.0.0"
        local = SocketAddress(source or any_host, 0)
        self._udp = UdpSocket.bind(local, lambda data, _: on_frame(data), remote=tuple(server))
        self._server = server

    @property
    def local(self) -> SocketAddress:
        return self._udp.local

    def send(self, data: bytes) -> None:
        self._udp.send(data, self._server)

    def close(self) -> None:
        self._udp.close()


class _TcpLink(asyncio.Protocol):
    """Splits by its own reading of RFC 8656 section 12.5, so that a mistake of the product's framer shows."""

    retransmit_after = None

    def __init__(self, on_frame: Callable[[bytes], None], on_closed: Callable[[], None]) -> None:
        self._on_frame = on_frame
        self._on_closed = on_closed
        self._buffer = b""
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        self.local = address_of(transport.get_extra_info("sockname"))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= 4:
            length = int.from_bytes(self._buffer[2:4], "big")
            size = 20 + length if self._buffer[0] & 0xC0 == 0 else 4 + length + -length % 4
            if len(self._buffer) < size:
                return
            frame, self._buffer = self._buffer[:size], self._buffer[size:]
            self._on_frame(frame)

    def connection_lost(self, exc: Exception | None) -> None:
        self._on_closed()

    def send(self, data: bytes) -> None:
        self.transport.write(data)

    def close(self) -> None:
        self.transport.close()


async def eventually(condition: Callable[[], bool], pause: Callable[[], Awaitable[None]] | None = None) -> None:
    """Let the loop run until `condition` holds; fails the test when it never does."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await (pause() if pause is not None else asyncio.sleep(0.002))
