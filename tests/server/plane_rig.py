"""A relay plane with listeners, clients and peers on real sockets, and steps that are the same for every plane.

A client's steps arrive in their order, as messages of its own: what changes a route is a message that no route covers,
so that it goes to `Rig.receive`, which stands where the engine does and changes it. So a change takes its place between
the payload before it and the payload behind it, as in life.
"""

from __future__ import annotations

import asyncio
import dataclasses
import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from itertools import chain
from typing import Final

from icelane.aio.udp import address_of, bind_udp
from icelane.core.clock import Instant
from icelane.core.net import Path, SocketAddress, Transport
from icelane.server.connection_limit import ConnectionLimit
from icelane.server.connection_log import ConnectionLog
from icelane.server.listeners import UdpListener
from icelane.server.relay_plane import RelayedClient, RelayPlane
from icelane.server.stream_listener import StreamListener
from icelane.server.traffic import Traffic
from icelane.stun.framing import StreamFramer
from icelane.stun.message import parse_message
from icelane.turn.channel_data import encode_channel_data_for_stream, measure_turn
from icelane.turn.peer_policy import Verdict
from icelane.turn.routes import (
    AssignRelayPort,
    BindId,
    BindRelayPort,
    ChannelRoute,
    InstallChannelRoute,
    InstallPermissionRoute,
    PermissionRoute,
    ReleaseRelayPort,
    RemoveChannelRoute,
    RemovePermissionRoute,
)
from icelane.turn.translation import build_send_indication, parse_data_indication
from tests.server.clients import eventually

CLIENTS: Final = 2
PEERS: Final = 3
NUMBERS: Final = (0x4000, 0x4001, 0x4FFF)
FAR: Final = Instant(1e12)

IPV4: Final = "127.0.0.1"
IPV6: Final = "::1"
PEER_HOSTS: Final = {IPV4: ("127.0.0.2", "127.0.0.3", "127.0.0.4"), IPV6: (IPV6,) * PEERS}
Kind = tuple[Transport, str]
"""How a client comes, and from where."""
KINDS: Final[tuple[Kind, ...]] = (
    (Transport.UDP, IPV4),
    (Transport.UDP, IPV6),
    (Transport.TCP, IPV4),
    (Transport.TCP, IPV6),
)
DATAGRAMS: Final[tuple[Kind, ...]] = ((Transport.UDP, IPV4),) * CLIENTS

_COOKIE: Final = 0x2112A442
_HEADER_SIZE: Final = 20
_CHANGE, _RAW, _LAST = 0x0001, 0x0003, 0x0004  # the methods of requests, as which they travel
_DATA_INDICATION: Final = b"\x00\x17"


@dataclasses.dataclass(frozen=True)
class Bind:
    """Install or move a channel; `name` is one of two by which the client may know the peer's host."""

    client: int
    number: int
    peer: int
    name: int


@dataclasses.dataclass(frozen=True)
class Unbind:
    client: int
    number: int


@dataclasses.dataclass(frozen=True)
class Permit:
    client: int
    peer: int
    name: int


@dataclasses.dataclass(frozen=True)
class Forbid:
    client: int
    peer: int
    name: int


@dataclasses.dataclass(frozen=True)
class End:
    """The client's allocation ends; it has another one when the burst is over."""

    client: int


@dataclasses.dataclass(frozen=True)
class FromClient:
    """ChannelData, whose length may claim more or less than there is, but not on a stream."""

    client: int
    number: int
    payload: bytes
    claimed: int


@dataclasses.dataclass(frozen=True)
class Send:
    client: int
    peer: int
    payload: bytes


@dataclasses.dataclass(frozen=True)
class Raw:
    client: int
    data: bytes


@dataclasses.dataclass(frozen=True)
class FromPeer:
    client: int
    peer: int
    payload: bytes
    times: int


Change = Bind | Unbind | Permit | Forbid | End
Step = Change | FromClient | Send | Raw | FromPeer


class Ends:
    """Sockets of clients and peers, which the planes talk to in turn."""

    def __init__(self, stack: ExitStack, kinds: Sequence[Kind] = DATAGRAMS) -> None:
        self.kinds = kinds
        self.clients = [
            stack.enter_context(open_udp(host)) if transport is Transport.UDP else None for transport, host in kinds
        ]
        self._peers = {
            host: [stack.enter_context(open_udp(peer)) for peer in PEER_HOSTS[host]] for host in {at for _, at in kinds}
        }

    def peers(self, client: int) -> list[socket.socket]:
        """The peers that this client can reach: those of its family."""
        return self._peers[self.kinds[client][1]]

    def at_peers(self) -> Iterator[tuple[SocketAddress, bytes, SocketAddress]]:
        """What has come to the peers: to whom, what, from whom."""
        for peer in chain.from_iterable(self._peers.values()):
            for data, source in read_all(peer):
                yield address_of(peer.getsockname()), data, source


class Rig:
    """One plane with a listener for each kind of client, and a relay for each client."""

    def __init__(self, plane: RelayPlane, ends: Ends) -> None:
        """`open` makes one."""
        self.plane = plane
        self.ends = ends
        self.for_engine: list[list[bytes]] = [[] for _ in ends.kinds]
        self.relays: list[SocketAddress] = []
        self.clients: list[RelayedClient] = []
        self._paths: list[Path] = []
        self._listeners: dict[Kind, UdpListener | StreamListener] = {}
        self._streams: dict[int, tuple[socket.socket, StreamFramer]] = {}
        self._accepted: list[Path] = []
        self._client_of_relay: dict[SocketAddress, int] = {}
        self._steps: list[Change] = []
        self._last: set[int] = set()
        self._ended: set[int] = set()
        self._channels: dict[tuple[int, int], ChannelRoute] = {}
        self._permissions: dict[tuple[int, str], PermissionRoute] = {}
        plane.start()

    @classmethod
    async def open(cls, plane: RelayPlane, ends: Ends) -> Rig:
        """Listen, and let every client come in."""
        rig = cls(plane, ends)
        for index, kind in enumerate(ends.kinds):
            if kind not in rig._listeners:
                rig._listeners[kind] = rig._listen(kind)
            listener = rig._listeners[kind]
            end = ends.clients[index]
            if end is None:
                await rig._connect(index, listener)
            else:
                rig._paths.append(Path(listener.local, address_of(end.getsockname()), Transport.UDP))
            rig.relays.append(listener.local)
            rig.clients.append(rig._allocate(index))
        return rig

    async def play(self, burst: Sequence[Step]) -> None:
        """Let everything of a burst arrive at once; but peers wait until the routes are what they will be."""
        if any(isinstance(step, Change) for step in burst):
            await self._arrive([step for step in burst if not isinstance(step, FromPeer)])
            await self._arrive([step for step in burst if isinstance(step, FromPeer)])
        else:
            await self._arrive(burst)

    def apply(self, step: Step) -> None:
        """Change a route here and now, or let something arrive."""
        if isinstance(step, Change):
            self._change(step)
        elif isinstance(step, FromPeer):
            self._from_peer(step)
        else:
            self._from(step.client, self._message(step))

    async def heard(self) -> tuple[list[list[bytes]], dict[tuple[SocketAddress, int], list[bytes]]]:
        """What each client has heard, and what each peer has heard of each client."""
        at_peers: dict[tuple[SocketAddress, int], list[bytes]] = {}
        for peer, data, source in self.ends.at_peers():
            at_peers.setdefault((peer, self._client_of_relay[source]), []).append(data)
        return [await self._heard_by(client) for client in range(len(self.clients))], at_peers

    def receive(self, data: bytes, path: Path) -> None:
        """What no route covers."""
        if path not in self._paths:
            self._accepted.append(path)  # the first message over a connection
            return
        client = self._paths.index(path)
        method, _, cookie, transaction_id = struct.unpack(">HHI12s", data[:_HEADER_SIZE].ljust(_HEADER_SIZE, b"\0"))
        if (method, cookie) == (_CHANGE, _COOKIE):
            self._change(self._steps[int.from_bytes(transaction_id, "big")])
        elif (method, cookie) == (_LAST, _COOKIE):
            self._last.add(client)
        else:
            self.for_engine[client].append(data)

    def counters(self) -> list[Traffic]:
        """Of each client, of each of its channels and of each of its permissions."""
        return [
            *self.plane.traffic().values(),
            *(client.traffic() for client in self.clients),
            *(self.clients[client].channel_traffic(number) for client, number in sorted(self._channels)),
            *(self.clients[client].permission_traffic(host) for client, host in sorted(self._permissions)),
        ]

    async def close(self) -> None:
        for relay in self.relays:
            self.plane.release(ReleaseRelayPort(relay))
        for listener in self._listeners.values():
            listener.close()
            await listener.wait_closed()
        for stream, _ in self._streams.values():
            stream.close()
        self.plane.close()

    # Coming in

    def _listen(self, kind: Kind) -> UdpListener | StreamListener:
        transport, host = kind
        if transport is Transport.UDP:
            return UdpListener(bind_udp(SocketAddress(host, 0)), self.receive, self.plane.listener_reader)
        listening = socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        listening.setblocking(False)
        listener = StreamListener(
            listening,
            self.receive,
            lambda _: None,
            limit=ConnectionLimit(total=CLIENTS, per_source=CLIENTS),
            log=ConnectionLog(lambda: None),
        )
        listener.start()
        return listener

    async def _connect(self, index: int, listener: UdpListener | StreamListener) -> None:
        stream = socket.create_connection(listener.local)
        stream.setblocking(False)
        self._streams[index] = stream, StreamFramer(measure_turn)
        stream.sendall(_request(_RAW))
        await _until(lambda: bool(self._accepted))
        self._paths.append(self._accepted.pop())

    def _allocate(self, index: int) -> RelayedClient:
        relay = _free(self.ends.kinds[index][1])
        assert self.plane.bind(BindRelayPort(BindId(index), relay, and_next=False, transport=Transport.UDP))
        listener, path = self._listeners[self.ends.kinds[index]], self._paths[index]
        client = self.plane.assign(AssignRelayPort(relay, path, "alice"), listener.relay_sender(path))
        listener.attach(client)
        self.relays[index] = relay
        self._client_of_relay[relay] = index
        return client

    # What arrives

    async def _arrive(self, steps: Sequence[Step]) -> None:
        self._last.clear()
        for client in range(len(self.clients)):
            own = [step for step in steps if step.client == client and not isinstance(step, FromPeer)]
            messages = [*map(self._message, own), _request(_LAST)]
            if client in self._streams:
                messages = [b"".join(messages)]
            for message in messages:
                self._from(client, message)
        for step in steps:
            if isinstance(step, FromPeer):
                self._from_peer(step)
        await _until(lambda: len(self._last) == len(self.clients))
        await until_quiet()
        self._steps.clear()
        for client in self._ended:
            self.clients[client] = self._allocate(client)
        self._ended.clear()

    def _message(self, step: Step) -> bytes:
        match step:
            case FromClient(client, number, payload, claimed):
                if client in self._streams:
                    return encode_channel_data_for_stream(number, payload)
                return struct.pack(">HH", number, max(0, len(payload) + claimed)) + payload
            case Send(client, peer, payload):
                return build_send_indication(
                    address_of(self.ends.peers(client)[peer].getsockname()), payload, bytes(12)
                )
            case Raw(client, data):
                return _request(_RAW, data + bytes(-len(data) & 3)) if client in self._streams else data
            case FromPeer():
                raise AssertionError("a peer's is no message of a client")
            case _:
                self._steps.append(step)
                return _request(_CHANGE, index=len(self._steps) - 1)

    def _from(self, client: int, data: bytes) -> None:
        if client in self._streams:
            self._streams[client][0].sendall(data)
            return
        end = self.ends.clients[client]
        assert end is not None, "either a stream or a socket of its own"
        end.sendto(data, tuple(self._paths[client].local))

    def _from_peer(self, step: FromPeer) -> None:
        for _ in range(step.times):
            self.ends.peers(step.client)[step.peer].sendto(step.payload, tuple(self.relays[step.client]))

    # Changes

    def _change(self, step: Change) -> None:
        if step.client in self._ended:
            return
        match step:
            case Bind(client, number, peer, name):
                self._bind(client, number, peer, name)
            case Unbind(client, number):
                channel = self._channels.pop((client, number), None)
                if channel is not None:
                    self.plane.route(RemoveChannelRoute(channel))
            case Permit(client, peer, name):
                permission = self._permission(client, peer, name)
                self._permissions[client, permission.peer_host] = permission
                self.plane.route(InstallPermissionRoute(permission))
            case Forbid(client, peer, name):
                known = self._permissions.pop((client, self._permission(client, peer, name).peer_host), None)
                if known is not None:
                    self.plane.route(RemovePermissionRoute(known))
            case End(client):
                self._end(client)

    def _bind(self, client: int, number: int, peer: int, name: int) -> None:
        wire = address_of(self.ends.peers(client)[peer].getsockname())
        named = SocketAddress(_name(wire.host, name), wire.port)
        route = ChannelRoute(self.clients[client].path, number, self.relays[client], named, wire, FAR)
        self._channels[client, number] = route
        self.plane.route(InstallChannelRoute(route))

    def _permission(self, client: int, peer: int, name: int) -> PermissionRoute:
        host = address_of(self.ends.peers(client)[peer].getsockname()).host
        verdict = Verdict(allowed=True, wire_host=host)
        return PermissionRoute(self.clients[client].path, self.relays[client], _name(host, name), verdict, FAR)

    def _end(self, client: int) -> None:
        for key in [key for key in self._channels if key[0] == client]:
            self.plane.route(RemoveChannelRoute(self._channels.pop(key)))
        for permission in [key for key in self._permissions if key[0] == client]:
            self.plane.route(RemovePermissionRoute(self._permissions.pop(permission)))
        gone = self.plane.release(ReleaseRelayPort(self.relays[client]))
        assert gone is not None, "it was the client's only one"
        self._listeners[self.ends.kinds[client]].detach(gone)
        self._ended.add(client)

    # What has come

    async def _heard_by(self, client: int) -> list[bytes]:
        end = self.ends.clients[client]
        return [data for data, _ in read_all(end)] if end is not None else await self._heard_on_stream(client)

    async def _heard_on_stream(self, client: int) -> list[bytes]:
        """All that is before something that is written now."""
        stream, framer = self._streams[client]
        self._listeners[self.ends.kinds[client]].send(_request(_LAST), self._paths[client])
        frames: list[bytes] = []

        def is_complete() -> bool:
            try:
                framer.handle_bytes(stream.recv(1 << 16))
            except BlockingIOError:
                return False
            while (frame := framer.poll_frame()) is not None:
                frames.append(frame)
            return bool(frames) and frames[-1] == _request(_LAST)

        await _until(is_complete)
        return frames[:-1]


def comparable(heard: list[bytes], burst: Sequence[Step]) -> list[bytes]:
    """What a client has heard, indications without what is random in them; in no order where several peers spoke."""
    plain = [_plain(data) for data in heard]
    return sorted(plain) if sum(isinstance(step, FromPeer) for step in burst) > 1 else plain


def _plain(data: bytes) -> bytes:
    if data[:2] != _DATA_INDICATION:
        return data
    indication = parse_data_indication(parse_message(data))
    return f"{indication.peer}: ".encode() + indication.payload


async def until_quiet() -> None:
    """Loopback delivers within the call, so a few turns of the loop have seen everything."""
    for _ in range(8):
        await asyncio.sleep(0)


async def _until(condition: Callable[[], bool]) -> None:
    await eventually(condition, lambda: asyncio.sleep(0))


def open_udp(host: str = IPV4) -> socket.socket:
    """A socket that does not block, on a port of its own."""
    opened = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    opened.setblocking(False)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    opened.bind((host, 0))
    return opened


def read_all(end: socket.socket) -> Iterator[tuple[bytes, SocketAddress]]:
    """What waits there now."""
    while True:
        try:
            data, source = end.recvfrom(65536)
        except BlockingIOError:
            return
        except ConnectionRefusedError:
            continue
        yield data, address_of(source)


def _request(method: int, body: bytes = b"", index: int = 0) -> bytes:
    return struct.pack(">HHI", method, len(body), _COOKIE) + index.to_bytes(12, "big") + body


def _free(host: str) -> SocketAddress:
    with open_udp(host) as probe:
        return address_of(probe.getsockname())


def _name(host: str, name: int) -> str:
    """A client may know a peer by the address on the wire, or by an external one that stands for it."""
    if name == 0:
        return host
    return "2001:db8::1" if host == IPV6 else host.replace("127.0.0.", "203.0.113.")
