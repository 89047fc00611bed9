"""The relay plane on asyncio: moves payload by the routes that the engine installed, and decides nothing.

    client -> ChannelData or Send -> route -> relay socket -> peer
    peer   -> relay socket -> route -> ChannelData or Data -> client

One chain of plain calls for each packet: no task, no queue. What no route covers is dropped.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final, Protocol

from icelane.aio.icmp import IcmpReport
from icelane.aio.system import monotonic
from icelane.aio.udp import RawAddress, Reader, UdpSocket, address_of, bind_udp
from icelane.core.entropy import Entropy
from icelane.core.net import Path, SocketAddress, Transport
from icelane.errors import MalformedError
from icelane.server.bandwidth import MakeBucket, Meter, PythonBucket
from icelane.server.traffic import SocketLoss, Traffic
from icelane.turn.attributes import IcmpError
from icelane.turn.routes import (
    AssignRelayPort,
    BindRelayPort,
    ChannelRoute,
    InstallChannelRoute,
    InstallPermissionRoute,
    PermissionRoute,
    ReleaseRelayPort,
    RemoveChannelRoute,
    RemovePermissionRoute,
)
from icelane.turn.translation import build_data_indication, build_icmp_indication, parse_send_indication

SendToClient = Callable[[bytes], object]
"""Sends one message to a client, or drops it; never raises. False when it is known to be dropped."""

# The largest payload that fits into a UDP datagram behind a Data indication over IPv6; more cannot reach the client.
MAX_PAYLOAD: Final = 65_535 - 8 - 40 - 48

_CHANNEL_HEADER_SIZE: Final = 4
_SEND_INDICATION: Final = b"\x00\x16"
_TRANSACTION_ID_SIZE: Final = 12
_NOTHING: Final = Traffic()


class RelayedClient:
    """One client's routes and counters. A listener finds it by source address, then everything is at hand.

    Counters are payload: packets and bytes each way, and packets dropped for any reason.
    """

    __slots__ = (
        "_bytes_from_client",
        "_bytes_to_client",
        "_dropped",
        "_entropy",
        "_meter",
        "_packets_from_client",
        "_packets_to_client",
        "_padded",
        "_send",
        "_traffic_by_route",
        "channels_by_number",
        "path",
        "permissions_by_host",
        "relays",
        "user_key",
    )

    def __init__(self, path: Path, user_key: str, send: SendToClient, entropy: Entropy) -> None:
        self.path = path
        self.user_key = user_key
        self.relays: dict[SocketAddress, Relay] = {}
        self.channels_by_number: dict[int, tuple[RelaySocket, RawAddress]] = {}
        self.permissions_by_host: dict[str, tuple[RelaySocket, PermissionRoute]] = {}
        # By channel, or by the host of a permission: at most one for each route, made when the first packet takes it.
        self._traffic_by_route: dict[int | str, Traffic] = {}
        self._meter: Meter | None = None
        self._packets_from_client = 0
        self._bytes_from_client = 0
        self._packets_to_client = 0
        self._bytes_to_client = 0
        self._dropped = 0
        self._send = send
        self._padded = path.transport.reliable
        self._entropy = entropy

    def traffic(self) -> Traffic:
        """What has been relayed and dropped until now."""
        return Traffic(
            packets_from_client=self._packets_from_client,
            bytes_from_client=self._bytes_from_client,
            packets_to_client=self._packets_to_client,
            bytes_to_client=self._bytes_to_client,
            dropped=self._dropped,
        )

    def channel_traffic(self, number: int) -> Traffic:
        """What one of its channels has relayed until now, each way; what is dropped is nobody's but the client's."""
        return replace(self._traffic_by_route.get(number, _NOTHING))

    def permission_traffic(self, host: str) -> Traffic:
        """What Send and Data indications have carried to and from a permitted host until now."""
        return replace(self._traffic_by_route.get(host, _NOTHING))

    def drained(self) -> None:
        """What one read of the client's stream has brought is complete."""

    def limit(self, meter: Meter | None) -> None:
        """From now on what is relayed is paid for from `meter`; None: everything passes."""
        self._meter = meter

    def relay_from_client(self, data: bytes) -> bool:
        """Relay ChannelData or a Send indication; False for everything else, which is the engine's."""
        if not data:
            return True
        if data[0] & 0xC0 == 0x40:
            self._relay_channel_data(data)
            return True
        if data[:2] == _SEND_INDICATION:
            self._relay_send(data)
            return True
        return False

    def admits(self, size: int) -> bool:
        """Whether so many bytes of payload are within the bandwidth limits now; they are paid for then."""
        return self._meter is None or self._meter.admit(size, monotonic())

    def count_from_client(self, size: int) -> None:
        """Payload of the client has gone to a peer."""
        self._packets_from_client += 1
        self._bytes_from_client += size

    def count_to_client(self, size: int) -> None:
        """Payload of a peer has gone to the client."""
        self._packets_to_client += 1
        self._bytes_to_client += size

    def count_from_client_by(self, route: int | str, size: int) -> None:
        """Payload of the client has gone to a peer, over that channel or by the permission of that host."""
        self.count_from_client(size)
        traffic = self._traffic_of(route)
        traffic.packets_from_client += 1
        traffic.bytes_from_client += size

    def count_to_client_by(self, route: int | str, size: int) -> None:
        """Payload of a peer has gone to the client, over that channel or by the permission of that host."""
        self.count_to_client(size)
        traffic = self._traffic_of(route)
        traffic.packets_to_client += 1
        traffic.bytes_to_client += size

    def drop(self) -> None:
        """Count a packet that goes nowhere."""
        self._dropped += 1

    def relay_channel_payload(self, header: bytes, payload: bytes) -> None:
        """Pass a peer's payload to the client as ChannelData; `header` is the channel number as two bytes."""
        size = len(payload)
        if not self.admits(size):
            self._dropped += 1
            return
        message = header + size.to_bytes(2, "big") + payload
        # RFC 8656 section 12.5: padded on streams, not in datagrams.
        if self._send(message + bytes(-size & 3) if self._padded and size & 3 else message) is False:
            self._dropped += 1
            return
        self.count_to_client_by(header[0] << 8 | header[1], size)

    def relay_data(self, peer: SocketAddress, payload: bytes) -> None:
        """Pass a peer's payload to the client as a Data indication."""
        size = len(payload)
        if size > MAX_PAYLOAD or not self.admits(size):
            self._dropped += 1
            return
        message = build_data_indication(peer, payload, self._entropy.token(_TRANSACTION_ID_SIZE))
        if self._send(message) is False:
            self._dropped += 1
            return
        self.count_to_client_by(peer.host, size)

    def report_icmp(self, peer: SocketAddress, error: IcmpError) -> None:
        """Tell the client that a packet to `peer` came back (RFC 8656 section 11.5)."""
        self._send(build_icmp_indication(peer, error, self._entropy.token(_TRANSACTION_ID_SIZE)))

    def _relay_channel_data(self, data: bytes) -> None:
        size = len(data)
        if size < _CHANNEL_HEADER_SIZE:
            self._dropped += 1
            return
        number = data[0] << 8 | data[1]
        channel = self.channels_by_number.get(number)
        length = data[2] << 8 | data[3]
        end = _CHANNEL_HEADER_SIZE + length
        if channel is None or end > size or not self.admits(length):
            self._dropped += 1
            return
        self.count_from_client_by(number, length)
        relay, peer = channel
        payload = data[_CHANNEL_HEADER_SIZE:end]
        try:
            relay.sendto(payload, peer)
        except OSError as error:
            relay.send_again(payload, peer, error)

    def forget_channel(self, number: int) -> None:
        """It leads nowhere any more; what it has relayed stays in the client's sum."""
        self.channels_by_number.pop(number, None)
        self._traffic_by_route.pop(number, None)

    def forget_permission(self, host: str) -> None:
        """No indication goes there any more; what they have carried stays in the client's sum."""
        self.permissions_by_host.pop(host, None)
        self._traffic_by_route.pop(host, None)

    def _traffic_of(self, route: int | str) -> Traffic:
        traffic = self._traffic_by_route.get(route)
        if traffic is None:
            traffic = self._traffic_by_route[route] = Traffic()
        return traffic

    def _relay_send(self, data: bytes) -> None:
        try:
            indication = parse_send_indication(data)
        except MalformedError:
            self._dropped += 1
            return
        permission = self.permissions_by_host.get(indication.peer.host)
        size = len(indication.payload)
        if permission is None or not permission[1].verdict.allows_port(indication.peer.port) or not self.admits(size):
            self._dropped += 1
            return
        relay, route = permission
        self.count_from_client_by(route.peer_host, size)
        relay.send(indication.payload, (route.verdict.wire_host, indication.peer.port), indication.dont_fragment)


class RelaySocket:
    """One relayed transport address: a UDP socket and the peers that may speak to it."""

    __slots__ = ("_channels_by_peer", "_client", "_permissions_by_wire_host", "_udp", "sendto")

    def __init__(self, bound: socket.socket, reader: Reader | None = None, new_at: SocketAddress | None = None) -> None:
        """Take over a socket that is bound, to be read by `reader` or else by the loop; raises OSError.

        `new_at` says that it is new, and where it is bound.
        """
        try:
            self._udp = UdpSocket(bound, self._on_datagram, asyncio.get_running_loop(), reader, new_at=new_at)
            self._udp.fragment(True)
            self._udp.watch_icmp(self._on_icmp)
        except BaseException:
            bound.close()
            raise
        self.sendto = self._udp.sendto
        self._client: RelayedClient | None = None
        # A client may name one peer in two ways, local and external, and each name stands for itself: the first counts.
        self._channels_by_peer: dict[RawAddress, tuple[bytes, ...]] = {}
        self._permissions_by_wire_host: dict[str, tuple[PermissionRoute, ...]] = {}

    @property
    def client(self) -> RelayedClient | None:
        """Whose it is; None while it waits for its reservation to be claimed."""
        return self._client

    @property
    def udp(self) -> UdpSocket:
        """The socket."""
        return self._udp

    def assign(self, client: RelayedClient) -> None:
        """From now on it is `client`'s."""
        self._client = client

    def channel_of(self, peer: RawAddress) -> int | None:
        """The channel that payload from there leaves by, None when there is none."""
        headers = self._channels_by_peer.get(peer)
        return int.from_bytes(headers[0], "big") if headers is not None else None

    def permits(self, wire_host: str) -> bool:
        """Whether any port of that host may send."""
        return wire_host in self._permissions_by_wire_host

    def send_again(self, payload: bytes, peer: RawAddress, error: OSError) -> None:
        """See UdpSocket."""
        self._udp.send_again(payload, peer, error)

    def send(self, payload: bytes, peer: RawAddress, dont_fragment: bool) -> None:
        """Send to a peer, with the DF bit when the client asked for it."""
        if dont_fragment:
            self._udp.send_whole(payload, peer)
        else:
            self._udp.send(payload, peer)

    def add_channel(self, number: int, peer: RawAddress) -> None:
        """Payload from the peer goes out as ChannelData."""
        header = number.to_bytes(2, "big")
        known = self._channels_by_peer.get(peer, ())
        if header not in known:
            self._channels_by_peer[peer] = (*known, header)

    def remove_channel(self, number: int, peer: RawAddress) -> None:
        """No more ChannelData for that peer, unless another channel leads to it."""
        header = number.to_bytes(2, "big")
        left = tuple([one for one in self._channels_by_peer.pop(peer, ()) if one != header])
        if left:
            self._channels_by_peer[peer] = left

    def add_permission(self, route: PermissionRoute) -> None:
        """Payload from any port of the peer that the verdict allows goes out as Data."""
        wire_host = route.verdict.wire_host
        others = self._permissions_by_wire_host.get(wire_host)
        if others is None:
            self._permissions_by_wire_host[wire_host] = (route,)
            return
        if len(others) == 1 and others[0].peer_host == route.peer_host:
            self._permissions_by_wire_host[wire_host] = (route,)
            return
        known = {one.peer_host: one for one in others}
        known[route.peer_host] = route
        self._permissions_by_wire_host[wire_host] = tuple(known.values())

    def remove_permission(self, route: PermissionRoute) -> None:
        """Payload from the peer is dropped, unless it is permitted by another name."""
        known = self._permissions_by_wire_host.pop(route.verdict.wire_host, ())
        left = tuple([one for one in known if one.peer_host != route.peer_host])
        if left:
            self._permissions_by_wire_host[route.verdict.wire_host] = left

    def count_loss(self, loss: SocketLoss) -> None:
        """Add what the socket has lost."""
        loss.add(self._udp)

    def close(self) -> None:
        """Free the port."""
        self._udp.close()

    def _on_datagram(self, data: bytes, source: RawAddress) -> None:
        client = self._client
        if client is None:
            return
        headers = self._channels_by_peer.get(source)
        if headers is not None:
            client.relay_channel_payload(headers[0], data)
            return
        peer = self._permitted(address_of(source))
        if peer is not None:
            client.relay_data(peer, data)
        else:
            client.drop()

    def _on_icmp(self, report: IcmpReport) -> None:
        peer = self._permitted(report.destination)
        if self._client is not None and peer is not None:
            self._client.report_icmp(peer, IcmpError(report.icmp_type, report.code, report.info))

    def _permitted(self, source: SocketAddress) -> SocketAddress | None:
        """The peer as its client names it, None when the client has no permission for it."""
        for route in self._permissions_by_wire_host.get(source.host, ()):
            if route.verdict.allows_port(source.port):
                return SocketAddress(route.peer_host, source.port)
        return None


class Relay(Protocol):
    """A relayed transport address, whatever reaches its peers."""

    @property
    def client(self) -> RelayedClient | None:
        """Whose it is."""
        ...

    def assign(self, client: RelayedClient) -> None:
        """From now on it is `client`'s."""
        ...

    def count_loss(self, loss: SocketLoss) -> None:
        """Add what the socket has lost."""
        ...

    def close(self) -> None:
        """Free the port."""
        ...


class RelayPlane:
    """Carries out the engine's commands on real sockets.

    `listener_reader` reads what clients send over UDP, None for the loop; `bucket` makes what bandwidth is taken from.
    """

    name = "pure"

    def __init__(self, entropy: Entropy) -> None:
        self.listener_reader: Reader | None = None
        self.bucket: MakeBucket = PythonBucket
        self._entropy = entropy
        self._relays_by_address: dict[SocketAddress, Relay] = {}
        self._clients_by_path: dict[Path, RelayedClient] = {}
        self._gone = {transport: Traffic() for transport in Transport}
        self._gone_sockets = SocketLoss()

    @property
    def clients(self) -> dict[Path, RelayedClient]:
        """The clients that hold a relayed address, by 5-tuple; not to be changed."""
        return self._clients_by_path

    @property
    def ports(self) -> int:
        """How many relay ports are bound, reserved ones included."""
        return len(self._relays_by_address)

    def traffic(self) -> dict[Transport, Traffic]:
        """What was relayed since the start, by the transport between client and server; visits every client."""
        sums = {transport: replace(gone) for transport, gone in self._gone.items()}
        for path, client in self._clients_by_path.items():
            sums[path.transport].add(client.traffic())
        return sums

    def loss(self) -> SocketLoss:
        """What the relay sockets lost since the start; visits every socket."""
        loss = replace(self._gone_sockets)
        for relay in self._relays_by_address.values():
            relay.count_loss(loss)
        return loss

    def activity(self) -> Mapping[str, int]:
        """How often the kernel was asked, and for how much; nothing where every packet is asked for by itself."""
        return {}

    def start(self) -> None:
        """Read on the running loop from now on."""

    def bind(self, command: BindRelayPort) -> bool:
        """Bind the port, or both; False when either is taken by somebody else."""
        address = command.relay
        try:
            relay = self._open(bind_udp(address), address)
        except OSError:
            return False
        if command.and_next:
            following = SocketAddress(address.host, address.port + 1)
            try:
                self._relays_by_address[following] = self._open(bind_udp(following), following)
            except OSError:
                relay.close()
                return False
        self._relays_by_address[address] = relay
        return True

    def adopt(self, address: SocketAddress, relay: Relay) -> None:
        """Take a relay that somebody else has bound, to be assigned and released like those of `bind`."""
        self._relays_by_address[address] = relay

    def lend(self, address: SocketAddress) -> socket.socket:
        """The socket of a relay that is nobody's, for another process; it is closed here. Raises OSError."""
        relay = self._relays_by_address[address]
        assert isinstance(relay, RelaySocket), "what is reserved is relayed by UDP"
        lent = relay.udp.duplicate()
        self.release(ReleaseRelayPort(address))
        return lent

    def borrow(self, address: SocketAddress, bound: socket.socket) -> None:
        """Take in a relay socket of another process, to be assigned and released like those of `bind`."""
        self._relays_by_address[address] = self._open(bound)

    def assign(self, command: AssignRelayPort, send: SendToClient) -> RelayedClient:
        """Give a bound port to its client, which is reached by `send`."""
        client = self._clients_by_path.get(command.client)
        if client is None:
            client = self._meet(command, send)
            self._clients_by_path[command.client] = client
        relay = self._relays_by_address[command.relay]
        relay.assign(client)
        client.relays[command.relay] = relay
        return client

    def release(self, command: ReleaseRelayPort) -> RelayedClient | None:
        """Close a port; returns its client when that was its last one."""
        relay = self._relays_by_address.pop(command.relay, None)
        if relay is None:
            return None
        relay.count_loss(self._gone_sockets)
        relay.close()
        client = relay.client
        if client is None:
            return None
        client.relays.pop(command.relay, None)
        if client.relays:
            return None
        if self._clients_by_path.pop(client.path, None) is not None:
            self._gone[client.path.transport].add(client.traffic())
        return client

    def route(
        self,
        command: InstallChannelRoute | RemoveChannelRoute | InstallPermissionRoute | RemovePermissionRoute,
    ) -> None:
        """Install or remove a route."""
        route = command.route
        relay = self._relays_by_address[route.relay]
        assert isinstance(relay, RelaySocket), "only UDP is relayed by routes"
        client = self._clients_by_path[route.client]
        # No match statement: the oldest Cython that compiles this module has none.
        if isinstance(command, InstallChannelRoute):
            _install_channel(client, relay, command.route)
        elif isinstance(command, RemoveChannelRoute):
            client.forget_channel(command.route.channel)
            relay.remove_channel(command.route.channel, raw_address(command.route.wire_peer))
        elif isinstance(command, InstallPermissionRoute):
            _install_permission(client, relay, command.route)
        else:
            client.forget_permission(command.route.peer_host)
            relay.remove_permission(command.route)

    def close(self) -> None:
        """Close every port."""
        for relay in self._relays_by_address.values():
            relay.close()
        self._relays_by_address.clear()
        self._clients_by_path.clear()

    # What another plane does in its own way

    def _open(self, bound: socket.socket, new_at: SocketAddress | None = None) -> RelaySocket:
        return RelaySocket(bound, None, new_at)

    def _meet(self, command: AssignRelayPort, send: SendToClient) -> RelayedClient:
        return RelayedClient(command.client, command.user_key, send, self._entropy)


def _install_channel(client: RelayedClient, relay: RelaySocket, route: ChannelRoute) -> None:
    bound = (relay, raw_address(route.wire_peer))
    before = client.channels_by_number.get(route.channel, bound)
    if before != bound:
        before[0].remove_channel(route.channel, before[1])
    client.channels_by_number[route.channel] = bound
    relay.add_channel(route.channel, bound[1])


def _install_permission(client: RelayedClient, relay: RelaySocket, route: PermissionRoute) -> None:
    known = client.permissions_by_host.get(route.peer_host)
    # Where the name leads may have changed with the external addresses.
    if known is not None and known[1].verdict.wire_host != route.verdict.wire_host:
        relay.remove_permission(known[1])
    client.permissions_by_host[route.peer_host] = (relay, route)
    relay.add_permission(route)


def raw_address(address: SocketAddress) -> RawAddress:
    """`address` as `recvfrom` spells it, so that it can be a key: with flow and scope for IPv6."""
    if ":" in address[0]:
        return (address[0], address[1], 0, 0)
    return (address[0], address[1])
