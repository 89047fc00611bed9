"""A TURN server on a virtual network: the engine, and a plane that relays by its routes without sockets."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TypeVar, assert_never

from icelane.core.clock import Instant
from icelane.core.entropy import Entropy
from icelane.core.net import Path, SocketAddress, Transport
from icelane.errors import LocalProtocolError, MalformedError
from icelane.stun.message import TRANSACTION_ID_SIZE
from icelane.testing.network import EngineHost, VirtualNetwork
from icelane.turn.channel_data import encode_channel_data, looks_like_channel_data, parse_channel_data
from icelane.turn.credentials import Credential
from icelane.turn.routes import (
    AssignRelayPort,
    BindRelayPort,
    BindStreams,
    ChannelRoute,
    ClaimRelayPort,
    ClosePeer,
    Command,
    ConnectPeer,
    InstallChannelRoute,
    InstallPermissionRoute,
    LookUpCredential,
    PassOn,
    PermissionRoute,
    ReleaseRelayPort,
    RemoveChannelRoute,
    RemovePermissionRoute,
    ReturnRelayPort,
)
from icelane.turn.server import Event, TurnServer
from icelane.turn.translation import build_data_indication, is_send_indication, parse_send_indication

K = TypeVar("K")
T = TypeVar("T")

LookUp = Callable[[str, str], Credential | None]
"""`look_up(username, realm)`: the credential that somebody outside knows."""


class RelayHost(EngineHost[Event]):
    """`engine` at `address`, reached over UDP. Its relay ports are addresses of the same network.

    A relay port is bound at once, unless somebody is there, and `look_up` is asked at once, where there is one; while
    `holding`, only when `answer_next` is called.
    `dropped` counts the payload that no route covered.
    """

    def __init__(
        self,
        network: VirtualNetwork,
        engine: TurnServer,
        address: SocketAddress,
        entropy: Entropy,
        look_up: LookUp | None = None,
    ) -> None:
        super().__init__(network, engine, address)
        self.engine = engine
        self.dropped = 0
        self.holding = False
        self._entropy = entropy
        self._look_up = look_up
        self._answers: deque[Callable[[Instant], None]] = deque()
        self._clients_by_relay: dict[SocketAddress, Path | None] = {}
        self._channels_by_client_and_number: dict[tuple[Path, int], ChannelRoute] = {}
        # A client may name one peer in two ways, local and external, and each name stands for itself.
        self._channels_by_relay_and_peer: dict[tuple[SocketAddress, SocketAddress], list[ChannelRoute]] = {}
        self._permissions_by_client_and_host: dict[tuple[Path, str], PermissionRoute] = {}
        self._permissions_by_relay_and_host: dict[tuple[SocketAddress, str], list[PermissionRoute]] = {}

    @property
    def empty(self) -> bool:
        """Whether no port is bound and no route is left."""
        return not (
            self._clients_by_relay
            or self._channels_by_client_and_number
            or self._channels_by_relay_and_peer
            or self._permissions_by_client_and_host
            or self._permissions_by_relay_and_host
        )

    @property
    def relays(self) -> frozenset[SocketAddress]:
        """The relay ports that are bound."""
        return frozenset(self._clients_by_relay)

    def run(self, verb: Callable[[Instant], T]) -> T:
        """Mutate, drain, and tell the engine what became of its commands, each in a mutation of its own."""
        if self.engine.poll_command() is not None:
            raise AssertionError("a command appeared without a mutation")
        result = super().run(verb)
        while self._answers and not self.holding:
            self.answer_next()
        return result

    def answer_next(self) -> None:
        """Tell the engine what became of its oldest command that needs an answer, if there is one."""
        if self._answers:
            super().run(self._answers.popleft())

    def receive(self, data: bytes, source: SocketAddress, destination: SocketAddress) -> None:
        """Relay payload by a route; hand everything else to the engine."""
        path = Path(destination, source, Transport.UDP)
        if looks_like_channel_data(data):
            self._relay_channel_data(data, path)
        elif is_send_indication(data):
            self._relay_send_indication(data, path)
        else:
            super().receive(data, source, destination)

    def drain_more(self) -> None:
        """Carry out the engine's commands, in their order."""
        while (command := self.engine.poll_command()) is not None:
            self._execute(command)

    def _execute(self, command: Command) -> None:
        match command:
            case BindRelayPort():
                self._bind(command)
            case AssignRelayPort(relay, client):
                self._clients_by_relay[relay] = client
            case ReleaseRelayPort(relay):
                del self._clients_by_relay[relay]
                self.network.detach(relay)
            case InstallChannelRoute(route):
                self._forget_channel(self._channels_by_client_and_number.get((route.client, route.channel)))
                self._channels_by_client_and_number[route.client, route.channel] = route
                self._channels_by_relay_and_peer.setdefault((route.relay, route.wire_peer), []).append(route)
            case RemoveChannelRoute(route):
                self._forget_channel(self._channels_by_client_and_number.pop((route.client, route.channel)))
            case InstallPermissionRoute(route):
                self._forget_permission(self._permissions_by_client_and_host.get((route.client, route.peer_host)))
                self._permissions_by_client_and_host[route.client, route.peer_host] = route
                self._permissions_by_relay_and_host.setdefault((route.relay, route.verdict.wire_host), []).append(route)
            case RemovePermissionRoute(route):
                self._forget_permission(self._permissions_by_client_and_host.pop((route.client, route.peer_host)))
            case LookUpCredential():
                self._answers.append(lambda now: self._answer_lookup(command, now))
            case ConnectPeer() | BindStreams() | ClosePeer():
                raise LocalProtocolError("the test network has no TCP")
            case ClaimRelayPort() | ReturnRelayPort() | PassOn():
                raise LocalProtocolError("a server of the test network has no siblings")
            case _:
                assert_never(command)

    def _forget_channel(self, route: ChannelRoute | None) -> None:
        if route is not None:
            _take_out(self._channels_by_relay_and_peer, (route.relay, route.wire_peer), route)

    def _forget_permission(self, route: PermissionRoute | None) -> None:
        if route is not None:
            _take_out(self._permissions_by_relay_and_host, (route.relay, route.verdict.wire_host), route)

    def _bind(self, command: BindRelayPort) -> None:
        wanted = [command.relay]
        if command.and_next:
            wanted.append(SocketAddress(command.relay.host, command.relay.port + 1))
        if self.network.addresses & set(wanted):
            self._answers.append(lambda now: self.engine.handle_relay_failed(command.bind_id, now))
            return
        for relay in wanted:
            self.network.attach(relay, self._from_peer)
            self._clients_by_relay[relay] = None
        self._answers.append(lambda now: self.engine.handle_relay_bound(command.bind_id, now))

    def _answer_lookup(self, command: LookUpCredential, now: Instant) -> None:
        if self._look_up is None:
            self.engine.handle_lookup_failed(command.lookup_id, now)
        else:
            self.engine.provide_credential(command.lookup_id, self._look_up(command.username, command.realm), now)

    def _relay_channel_data(self, data: bytes, client: Path) -> None:
        try:
            message = parse_channel_data(data)
        except MalformedError:
            self.dropped += 1
            return
        route = self._channels_by_client_and_number.get((client, message.number))
        if route is None:
            self.dropped += 1
            return
        self.network.send(message.payload, route.relay, route.wire_peer)

    def _relay_send_indication(self, data: bytes, client: Path) -> None:
        try:
            indication = parse_send_indication(data)
        except MalformedError:
            self.dropped += 1
            return
        route = self._permissions_by_client_and_host.get((client, indication.peer.host))
        if route is None or not route.verdict.allows_port(indication.peer.port):
            self.dropped += 1
            return
        peer = SocketAddress(route.verdict.wire_host, indication.peer.port)
        self.network.send(indication.payload, route.relay, peer)

    def _from_peer(self, data: bytes, source: SocketAddress, relay: SocketAddress) -> None:
        channels = self._channels_by_relay_and_peer.get((relay, source))
        if channels is not None:
            self.send(encode_channel_data(channels[0].channel, data), channels[0].client)
            return
        routes = self._permissions_by_relay_and_host.get((relay, source.host), [])
        route = next((one for one in routes if one.verdict.allows_port(source.port)), None)
        if route is None:
            self.dropped += 1
            return
        peer = SocketAddress(route.peer_host, source.port)
        self.send(build_data_indication(peer, data, self._entropy.token(TRANSACTION_ID_SIZE)), route.client)


def _take_out(table: dict[K, list[T]], key: K, route: T) -> None:
    """Remove one route, and its place in the table with the last of them."""
    table[key].remove(route)
    if not table[key]:
        del table[key]
