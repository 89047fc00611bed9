"""Relayed gathering, and the traffic through what it found (RFC 8445 section 5.1.1.2, RFC 8656).

    relays = Relays(entropy=entropy)
    relays.add_base(base, now)                     # servers over UDP are reached from every base of their family
    relays.add_server(RelayServer(...), now)       # over TCP or TLS: command OpenStream, answered by handle_stream_...
    ...
    relays.handle_datagram(data, path, now)        # True when `path` leads to one of the servers
    relays.send(data, Path(relayed, peer, UDP), now)

To whoever is above, a relayed address is a base like any other: what leaves it is put into TURN's messages here, and
what arrives at it comes out as RelayedData. A permission is asked for when the first datagram leaves for a host, which
waits for it, so that a connectivity check is not lost to a relay that does not know the peer yet.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from icelane.core.clock import Duration, Instant, TimerTable, later
from icelane.core.engine import Transmit
from icelane.core.entropy import Entropy
from icelane.core.net import AddressFamily, NamedPlace, Path, SocketAddress, Transport
from icelane.errors import IcelaneError, LocalProtocolError, TransactionTimeoutError, TransportClosedError, TurnError
from icelane.peer.ice_server import MAX_SERVERS
from icelane.turn.client import TurnClient
from icelane.turn.client_event import (
    Allocated,
    AllocationFailed,
    AllocationLost,
    AllocationReleased,
    ChannelFailed,
    DataReceived,
    PermissionGranted,
    PermissionRefused,
    Redirected,
    TurnClientEvent,
)
from icelane.turn.client_request import AllocateOptions

MAX_BASES: Final = 64
# Connecting, the TLS handshake, the challenge and the answer, on a slow link.
ALLOCATE_TIMEOUT: Final[Duration] = 10.0
# Datagrams that wait for the permission of one host; a peer sends no more checks than that in its round trip, and what
# is beyond is dropped, as UDP allows.
MAX_HELD: Final = 16
# RFC 8656 section 7.4: the server has no address of the family that was asked for.
_ADDRESS_FAMILY_NOT_SUPPORTED: Final = 440


@dataclass(frozen=True, kw_only=True, slots=True)
class RelayServer:
    """A TURN server at one address. `host_name` is what its certificate must be valid for, over TLS.

    Over TCP and TLS, `address` may be a name that a proxy will look up.
    """

    address: SocketAddress | NamedPlace
    transport: Transport
    host_name: str
    url: str
    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class RelayedAddressFound:
    """`relayed` is a base from now on; `mapped` is how the server on `path` sees us."""

    relayed: SocketAddress
    mapped: SocketAddress
    path: Path
    url: str


@dataclass(frozen=True, slots=True)
class RelayFailed:
    """No relayed address from this server; `base` is where it was asked from, None when it was not reached."""

    base: SocketAddress | None
    server: SocketAddress | NamedPlace
    url: str
    error: IcelaneError


@dataclass(frozen=True, slots=True)
class RelayLost:
    """`relayed` is no base any more."""

    relayed: SocketAddress
    url: str
    error: IcelaneError


RelayEvent = RelayedAddressFound | RelayFailed | RelayLost


@dataclass(frozen=True, slots=True)
class OpenStream:
    """Connect to the server by TCP or TLS; answered by `handle_stream_opened` or `handle_stream_failed`."""

    number: int
    server: RelayServer


@dataclass(frozen=True, slots=True)
class CloseStream:
    """The stream of this path is not needed any more."""

    path: Path


RelayCommand = OpenStream | CloseStream


class RelayedData:
    """A datagram for us came to a relayed address. Made for every packet, so slotted and not frozen."""

    __slots__ = ("data", "path")

    def __init__(self, path: Path, data: bytes) -> None:
        self.path = path
        self.data = data


class _Relay:
    """One path to one server. `left_out`: the configuration names it no more. `released`: it is being given back."""

    __slots__ = ("client", "held_by_host", "left_out", "mapped", "relayed", "released", "second_try", "server")

    def __init__(self, client: TurnClient, server: RelayServer, *, second_try: bool = False) -> None:
        self.client = client
        self.server = server
        self.second_try = second_try
        self.left_out = False
        self.released = False
        self.relayed: tuple[SocketAddress, ...] = ()
        self.mapped: SocketAddress | None = None
        self.held_by_host: dict[str, deque[tuple[bytes, SocketAddress]]] = {}


class Relays:
    """Every TURN server of one ICE transport, and the way to it."""

    def __init__(self, *, entropy: Entropy) -> None:
        """`has_ipv6`, which may be set at any time: the machine has IPv6, though no base is of it."""
        self.has_ipv6 = False
        self._entropy = entropy
        self._bases: list[SocketAddress] = []
        self._servers: list[RelayServer] = []
        self._relays_by_path: dict[Path, _Relay] = {}
        self._relays_by_relayed: dict[SocketAddress, _Relay] = {}
        self._opening: dict[int, tuple[RelayServer, tuple[SocketAddress, ...]]] = {}
        self._wanted_again: dict[Path, RelayServer] = {}
        self._stream_count = 0
        self._allocate_deadlines: TimerTable[Path | int] = TimerTable()
        self._closing = False
        self._transmits: deque[Transmit] = deque()
        self._events: deque[RelayEvent] = deque()
        self._commands: deque[RelayCommand] = deque()
        self._data: deque[RelayedData] = deque()

    # Inputs

    def handle_datagram(self, data: bytes, path: Path, now: Instant) -> bool:
        """A datagram or a framed message came on `path`; whether a server of ours is there."""
        relay = self._relays_by_path.get(path)
        if relay is None:
            return False
        relay.client.handle_datagram(data, path, now)
        self._drain(relay, now)
        return True

    def handle_stream_opened(self, number: int, path: Path, now: Instant) -> None:
        """The stream that `OpenStream` asked for is there."""
        opening = self._opening.pop(number, None)
        self._allocate_deadlines.cancel(number)
        if opening is None or self._closing:
            self._commands.append(CloseStream(path))
            return
        server, visited = opening
        self._allocate(path, server, visited, now)

    def handle_stream_failed(self, number: int, error: IcelaneError, now: Instant) -> None:  # noqa: ARG002
        """The stream that `OpenStream` asked for cannot be had."""
        opening = self._opening.pop(number, None)
        self._allocate_deadlines.cancel(number)
        if opening is not None:
            server, _ = opening
            self._events.append(RelayFailed(None, server.address, server.url, error))

    def handle_stream_closed(self, path: Path, now: Instant) -> None:
        """The stream of `path` is gone."""
        relay = self._relays_by_path.get(path)
        if relay is not None:
            relay.client.handle_closed(path, now)
            self._drain(relay, now)

    def handle_timeout(self, now: Instant) -> None:
        """A deadline passed."""
        while (key := self._allocate_deadlines.pop_due(now)) is not None:
            self._give_up(key, now)
        for relay in list(self._relays_by_path.values()):
            at = relay.client.next_timeout()
            if at is not None and at <= now:
                relay.client.handle_timeout(now)
                self._drain(relay, now)

    # Commands

    def add_base(self, base: SocketAddress, now: Instant) -> None:
        """Reach the servers over UDP from here, too; beyond MAX_BASES it is left out."""
        if base in self._bases or len(self._bases) >= MAX_BASES or self._closing:
            return
        self._bases.append(base)
        for server in self._servers:
            if server.transport is Transport.UDP:
                self._allocate_from(base, server, now)

    def remove_base(self, base: SocketAddress, now: Instant) -> None:
        """The socket is gone, and with it what was reached from it."""
        if base in self._bases:
            self._bases.remove(base)
        for path, relay in list(self._relays_by_path.items()):
            if path.local == base:
                self._end(relay, TransportClosedError("the interface is gone"), now)

    def add_server(self, server: RelayServer, now: Instant) -> bool:
        """Ask there for a relayed address, unless it has given one or is being asked; False beyond MAX_SERVERS.

        Adding a server once more asks again where that failed, and where the way there was lost since.
        """
        others = [known for known in self._servers if not _is_same_place(known, server)]
        if self._closing or len(others) >= MAX_SERVERS:
            return self._closing
        self._servers = [*others, server]  # with the credentials of now
        if server.transport is Transport.UDP:
            for base in self._bases:
                self._allocate_from(base, server, now)
        elif not self._is_reached(server):
            self._open_stream(server, (), now)
        return True

    def keep_servers(self, urls: frozenset[str], now: Instant) -> None:
        """Leave out the servers of other URLs: they are not asked any more, and what they gave waits for its release.

        One that is added by another URL before that is as it was.
        """
        self._servers = [server for server in self._servers if server.url in urls]
        for number, (server, _) in list(self._opening.items()):
            if server.url not in urls:
                del self._opening[number]  # its stream is closed when it comes
                self._allocate_deadlines.cancel(number)
        for relay in list(self._relays_by_path.values()):
            relay.left_out = relay.server.url not in urls
            if relay.left_out and not relay.relayed:
                self._release(relay, now)

    def keep_all(self) -> None:
        """What waits for its release is to stay."""
        for relay in self._relays_by_path.values():
            relay.left_out = False

    def tell_again(self) -> None:
        """RelayedAddressFound once more for every address of a server that is not left out."""
        for relay in self._relays_by_path.values():
            if not relay.left_out:
                self._tell_found(relay)

    def release_left_out(self, in_use: SocketAddress | None, now: Instant) -> None:
        """Give back what servers that are left out gave, but for `in_use`; nothing is relayed there any more."""
        for relay in list(self._relays_by_path.values()):
            if relay.left_out and in_use not in relay.relayed:
                self._release(relay, now)

    def send(self, data: bytes, path: Path, now: Instant) -> None:
        """Relay a datagram from the relayed address `path.local`; from an unknown one it is dropped."""
        relay = self._relays_by_relayed.get(path.local)
        if relay is None:
            return
        host = path.remote.host
        held = relay.held_by_host.get(host)
        if held is None and relay.client.permits(host):
            self._transmits.append(Transmit(relay.client.path, relay.client.encapsulate(data, path.remote)))
            return
        if held is None:
            try:
                relay.client.create_permission([host], now)
            except LocalProtocolError:
                return  # the bound of permissions is reached, or the allocation is ending
            held = relay.held_by_host[host] = deque(maxlen=MAX_HELD)
            self._drain(relay, now)
        held.append((data, path.remote))

    def bind_channel(self, path: Path, now: Instant) -> None:
        """Data between the relayed address and the peer of `path` is to cost four bytes of header from now on."""
        relay = self._relays_by_relayed.get(path.local)
        if relay is None:
            return
        try:
            relay.client.bind_channel(path.remote, now)
        except LocalProtocolError:
            return
        self._drain(relay, now)

    def keep_peers(self, peers: Collection[SocketAddress]) -> None:
        """The servers are asked for no other peers any more; what they were asked for runs out."""
        hosts = {peer.host for peer in peers}
        for relay in self._relays_by_path.values():
            relay.client.keep_peers(peers)
            for host in relay.held_by_host.keys() - hosts:
                del relay.held_by_host[host]

    def take_over(self, ended: Relays) -> None:
        """Go on with what `ended`, which was closed, has not given back yet; to be called before anything else.

        The next allocation from the same port waits for that: two at once are refused (RFC 8656 section 7.2), and the
        Refresh that ends the first one would end the second if it were repeated.
        """
        self._stream_count = ended._stream_count  # those that are still being opened are closed when they come
        for path, relay in ended._relays_by_path.items():
            relay.released = True
            ended._forget_relayed(relay)
            self._relays_by_path[path] = relay
        ended._relays_by_path.clear()

    def doubt(self, now: Instant) -> None:
        """The machine has slept, or its network has changed: ask each server whether it still relays for us."""
        for relay in list(self._relays_by_path.values()):
            relay.client.confirm(now)
            self._drain(relay, now)

    def close(self, now: Instant) -> None:
        """Give every relayed address back; `idle` once the servers know."""
        self._closing = True
        self._opening.clear()
        self._wanted_again.clear()
        self._allocate_deadlines.clear()
        for relay in list(self._relays_by_path.values()):
            relay.client.close(now)
            self._drain(relay, now)

    # Outputs

    def poll_transmit(self) -> Transmit | None:
        """The next message to a server, or None."""
        return self._transmits.popleft() if self._transmits else None

    def poll_event(self) -> RelayEvent | None:
        """The next thing that happened, or None."""
        return self._events.popleft() if self._events else None

    def poll_command(self) -> RelayCommand | None:
        """The next stream to open or to close, or None."""
        return self._commands.popleft() if self._commands else None

    def poll_data(self) -> RelayedData | None:
        """The next datagram that came to a relayed address, or None."""
        return self._data.popleft() if self._data else None

    def next_timeout(self) -> Instant | None:
        """When `handle_timeout` wants to be called, or None."""
        earliest = self._allocate_deadlines.next()
        for relay in self._relays_by_path.values():
            at = relay.client.next_timeout()
            if at is not None and (earliest is None or at < earliest):
                earliest = at
        return earliest

    # Properties and privates

    @property
    def pending(self) -> bool:
        """Whether a server has not said yet whether it relays for us."""
        return len(self._allocate_deadlines) > 0

    @property
    def idle(self) -> bool:
        """Whether there is no way to any server."""
        return not self._relays_by_path and not self._opening

    def server_of(self, relayed: SocketAddress) -> RelayServer | None:
        """The server that has this relayed address for us."""
        relay = self._relays_by_relayed.get(relayed)
        return relay.server if relay is not None else None

    def _is_reached(self, server: RelayServer) -> bool:
        """Whether there is a stream to it, or to where it has redirected us."""
        known = [relay.server for relay in self._relays_by_path.values() if not relay.released]
        known += [opening for opening, _ in self._opening.values()]
        family = server.address.family  # None for one that a proxy finds, and then redirects may lead to either
        return any(
            one.url == server.url
            and one.transport is server.transport
            and (one.address.family is family or one.address.family is None or family is None)
            for one in known
        )

    def _allocate_from(self, base: SocketAddress, server: RelayServer, now: Instant) -> None:
        if isinstance(server.address, SocketAddress) and base.family is server.address.family:
            self._allocate(Path(base, server.address, Transport.UDP), server, (), now)

    def _open_stream(self, server: RelayServer, visited: tuple[SocketAddress, ...], now: Instant) -> None:
        self._stream_count += 1
        self._opening[self._stream_count] = (server, visited)
        self._allocate_deadlines.set(self._stream_count, later(now, ALLOCATE_TIMEOUT))
        self._commands.append(OpenStream(self._stream_count, server))

    def _allocate(
        self,
        path: Path,
        server: RelayServer,
        visited: tuple[SocketAddress, ...],
        now: Instant,
        family: AddressFamily | None = None,
    ) -> None:
        known = self._relays_by_path.get(path)
        if known is not None:
            self._reuse(known, server, now)
            return
        client = TurnClient(
            path,
            entropy=self._entropy,
            username=server.username,
            password=server.password,
            visited=visited,
            is_proxied=path.remote != server.address,
        )
        relay = _Relay(client, server, second_try=family is not None)
        self._relays_by_path[path] = relay
        self._allocate_deadlines.set(path, later(now, ALLOCATE_TIMEOUT))
        client.allocate(AllocateOptions(family=family, dual=family is None and self._wants_ipv6), now)
        self._drain(relay, now)

    def _reuse(self, relay: _Relay, server: RelayServer, now: Instant) -> None:
        """A server is wanted where we are known already, for example because two URLs lead to the same place."""
        path = relay.client.path
        if relay.released:
            # RFC 8656 section 7.2: another allocation from the same port is refused as long as the first one lives.
            self._wanted_again[path] = server
            self._allocate_deadlines.set(path, later(now, ALLOCATE_TIMEOUT))
        elif relay.left_out:
            relay.left_out, relay.server = False, server
            self._tell_found(relay)

    def _release(self, relay: _Relay, now: Instant) -> None:
        if relay.released:
            return
        relay.released = True
        self._allocate_deadlines.cancel(relay.client.path)
        self._forget_relayed(relay)
        relay.held_by_host.clear()
        relay.client.close(now)
        self._drain(relay, now)

    @property
    def _wants_ipv6(self) -> bool:
        return self.has_ipv6 or any(base.family is AddressFamily.IPV6 for base in self._bases)

    def _give_up(self, key: Path | int, now: Instant) -> None:
        error = TransactionTimeoutError(f"no relayed address within {ALLOCATE_TIMEOUT} s")
        if isinstance(key, int):
            self.handle_stream_failed(key, error, now)
        else:
            relay = self._relays_by_path[key]
            server = self._wanted_again.pop(key, relay.server)
            self._forget(relay)
            self._events.append(RelayFailed(key.local, key.remote, server.url, error))

    def _drain(self, relay: _Relay, now: Instant) -> None:
        client = relay.client
        while (transmit := client.poll_transmit()) is not None:
            self._transmits.append(transmit)
        while (event := client.poll_event()) is not None:
            if type(event) is DataReceived:
                for relayed in relay.relayed:
                    if relayed.family is event.peer.family:
                        self._data.append(RelayedData(Path(relayed, event.peer, Transport.UDP), event.payload))
            else:
                self._handle_event(relay, event, now)

    def _handle_event(self, relay: _Relay, event: TurnClientEvent, now: Instant) -> None:
        if isinstance(event, Allocated):
            self._handle_allocated(relay, event)
        elif isinstance(event, AllocationFailed):
            self._handle_refused(relay, event.error, now)
        elif isinstance(event, Redirected):
            self._follow(relay, event, now)
        elif isinstance(event, AllocationLost):
            self._end(relay, event.error, now)
        elif isinstance(event, AllocationReleased):
            self._handle_released(relay, now)
        elif isinstance(event, PermissionGranted):
            self._release_held(relay, event.hosts)
        elif isinstance(event, PermissionRefused):
            for host in event.hosts:
                relay.held_by_host.pop(host, None)
        elif isinstance(event, ChannelFailed):
            return  # Send indications go on

    def _handle_allocated(self, relay: _Relay, event: Allocated) -> None:
        path = relay.client.path
        self._allocate_deadlines.cancel(path)
        relay.relayed, relay.mapped = event.relayed, event.mapped
        for relayed in event.relayed:
            self._relays_by_relayed[relayed] = relay
        self._tell_found(relay)

    def _tell_found(self, relay: _Relay) -> None:
        if relay.mapped is not None:
            for relayed in relay.relayed:
                self._events.append(RelayedAddressFound(relayed, relay.mapped, relay.client.path, relay.server.url))

    def _handle_released(self, relay: _Relay, now: Instant) -> None:
        path = relay.client.path
        server = self._wanted_again.pop(path, None)
        self._forget(relay)
        if server is not None:
            self._allocate(path, server, (), now)

    def _handle_refused(self, relay: _Relay, error: IcelaneError, now: Instant) -> None:
        path = relay.client.path
        is_family = isinstance(error, TurnError) and error.code == _ADDRESS_FAMILY_NOT_SUPPORTED
        if is_family and not relay.second_try and not self._closing:
            # The server relays for IPv6 alone: ask on the same path, where the refusal left nothing behind.
            del self._relays_by_path[path]
            self._allocate(path, relay.server, (), now, AddressFamily.IPV6)
            return
        self._forget(relay)
        self._events.append(RelayFailed(path.local, path.remote, relay.server.url, error))

    def _follow(self, relay: _Relay, event: Redirected, now: Instant) -> None:
        """300 Try Alternate: the same wishes at another server, which `turn.redirect` did not refuse."""
        visited, path = relay.client.visited, relay.client.path
        old = relay.server
        server = RelayServer(
            address=event.server,
            transport=old.transport,
            host_name=event.domain or old.host_name,
            url=old.url,
            username=old.username,
            password=old.password,
        )
        self._forget(relay)
        if self._closing:
            return
        if path.transport is Transport.UDP:
            self._allocate(Path(path.local, event.server, Transport.UDP), server, visited, now)
        else:
            self._open_stream(server, visited, now)

    def _release_held(self, relay: _Relay, hosts: tuple[str, ...]) -> None:
        for host in hosts:
            for data, peer in relay.held_by_host.pop(host, ()):
                self._transmits.append(Transmit(relay.client.path, relay.client.encapsulate(data, peer)))

    def _end(self, relay: _Relay, error: IcelaneError, now: Instant) -> None:  # noqa: ARG002
        relayed = relay.relayed
        path = relay.client.path
        waited = path in self._allocate_deadlines
        self._forget(relay)
        if waited:
            self._events.append(RelayFailed(path.local, path.remote, relay.server.url, error))
        for address in relayed:
            self._events.append(RelayLost(address, relay.server.url, error))

    def _forget(self, relay: _Relay) -> None:
        path = relay.client.path
        self._relays_by_path.pop(path, None)
        self._wanted_again.pop(path, None)
        self._allocate_deadlines.cancel(path)
        self._forget_relayed(relay)
        if path.transport is not Transport.UDP:
            self._commands.append(CloseStream(path))

    def _forget_relayed(self, relay: _Relay) -> None:
        for relayed in relay.relayed:
            self._relays_by_relayed.pop(relayed, None)
        relay.relayed = ()


def _is_same_place(one: RelayServer, other: RelayServer) -> bool:
    """Whether they differ in credentials at most."""
    return (one.url, one.address, one.transport) == (other.url, other.address, other.transport)
