"""TCP allocations in the TURN server engine, by a script of signed requests, peers, answers of the plane, and time.

Nothing may escape the engine; its commands fit together: a connection is bound once, by its user, while it waits, and
closed once; and when all is closed nothing is left.
"""

from __future__ import annotations

from collections.abc import Hashable

from fuzz.script import Script
from icelane.core.clock import Instant
from icelane.core.net import Path, SocketAddress, Transport
from icelane.stun.attributes import AttributeType, encode_uint32, encode_xor_address
from icelane.stun.integrity import long_term_key_md5
from icelane.stun.message import MessageBuilder, MessageClass, Method, parse_message
from icelane.testing.clock import VirtualClock
from icelane.testing.entropy import SeededEntropy
from icelane.turn.credentials import CredentialStore, StaticUsers
from icelane.turn.peer_policy import PeerPolicy
from icelane.turn.routes import (
    AssignRelayPort,
    BindRelayPort,
    BindStreams,
    ClosePeer,
    Command,
    ConnectionId,
    ConnectPeer,
    ReleaseRelayPort,
)
from icelane.turn.server import TurnServer
from icelane.turn.server_config import TurnServerConfig

SERVER = SocketAddress("198.41.0.4", 3478)
REALM = "example.org"
USERS = {"alice": "secret", "bob": "hidden"}
KEYS = {name: long_term_key_md5(name, REALM, password) for name, password in USERS.items()}
CLIENTS = [Path(SERVER, SocketAddress("203.0.114.1", 4000 + number), Transport.TCP) for number in range(5)]
PEERS = [SocketAddress("8.8.8.8", 9), SocketAddress("8.8.8.8", 10), SocketAddress("1.1.1.1", 9),
         SocketAddress(SERVER.host, 50_000), SocketAddress("127.0.0.1", 80)]  # fmt: skip
RELAYS = [SocketAddress(SERVER.host, 50_000), SocketAddress(SERVER.host, 50_001)]
POLICIES = [
    PeerPolicy(relay_addresses=(SERVER.host,), relay_ports=range(50_000, 50_002), deny=deny)
    for deny in ((), ("8.8.8.0/24",))
]
METHODS = (Method.ALLOCATE, Method.CONNECT, Method.CONNECTION_BIND, Method.CREATE_PERMISSION, Method.REFRESH)
STEPS_OF_TIME = (0.1, 29.0, 31.0, 301.0, 601.0)
MAX_STEPS = 16

# Steps as `step` reads them: a request is 0, client, method, choices.
_ALLOCATE, _PERMIT = bytes((0, 0, 0, 0)), bytes((0, 0, 3, 0))
SEEDS = [
    _ALLOCATE + bytes((0, 0, 1, 0)) + bytes((1, 0, 0)) + bytes((0, 1, 2, 0)) + bytes((4, 1)) + bytes((0, 0, 4, 0)),
    _ALLOCATE + _PERMIT + bytes((2, 0, 0, 2, 1, 0)) + bytes((0, 1, 2, 0)) + bytes((1, 0, 1)),
    _ALLOCATE + bytes((0, 0, 1, 0)) + bytes((3, 2)) + _ALLOCATE + bytes((0, 0, 1, 16, 5, 1)),
    _ALLOCATE + bytes((0, 1, 0, 1, 0, 0, 1, 0, 1, 0, 0, 0, 2, 2, 1, 0, 3, 2, 0, 0, 4, 2, 0)),
]  # fmt: skip


class World:
    """The engine, and what its plane holds."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.engine = TurnServer(
            TurnServerConfig(
                realm=REALM,
                relay_addresses=(SERVER.host,),
                relay_ports=range(50_000, 50_002),
                policy=POLICIES[0],
                tcp_allocations=True,
            ),
            credentials=CredentialStore(StaticUsers(USERS)),
            entropy=SeededEntropy(1),
            wall_clock=self.clock,
        )
        self.nonces: dict[Path, bytes] = {}
        self.transactions = 0
        self.asker = ""
        self.owners: dict[SocketAddress, str] = {}  # of relayed addresses
        self.relays: set[SocketAddress] = set()
        self.connections: dict[ConnectionId, SocketAddress] = {}  # the relayed address of each
        self.connecting: set[ConnectionId] = set()
        self.bound: dict[ConnectionId, Path] = {}
        for client in CLIENTS:
            self.deliver(MessageBuilder(Method.ALLOCATE, MessageClass.REQUEST, bytes(12)).build(), client)

    @property
    def now(self) -> Instant:
        return self.clock.now

    def deliver(self, data: bytes, client: Path) -> None:
        """Hand the engine a message."""
        if client not in self.bound.values():
            self.engine.handle_datagram(data, client, self.now)
        self.drain()

    def drain(self) -> None:
        """Carry out what the engine says."""
        answers = []
        while (command := self.engine.poll_command()) is not None:
            if isinstance(command, BindRelayPort):
                answers.append(command)
            self.carry_out(command)
        while (transmit := self.engine.poll_transmit()) is not None:
            message = parse_message(transmit.data)
            assert transmit.path not in self.bound.values(), "a message among a peer's bytes"
            nonce = message.get(AttributeType.NONCE)
            if nonce is not None:
                self.nonces[transmit.path] = nonce
        while self.engine.poll_event() is not None:
            pass
        for answer in answers:
            self.engine.handle_relay_bound(answer.bind_id, self.now)
            self.drain()

    def carry_out(self, command: Command) -> None:
        """Hold what a plane would hold."""
        match command:
            case BindRelayPort(relay=relay):
                assert relay not in self.relays
                self.relays.add(relay)
            case AssignRelayPort(relay=relay, user_key=user):
                self.owners[relay] = user
            case ReleaseRelayPort(relay):
                assert relay not in self.connections.values(), "a port is given back that has connections"
                self.relays.remove(relay)
                self.owners.pop(relay, None)
            case ConnectPeer(connection_id, relay, wire_peer):
                assert relay in self.owners
                assert wire_peer.host not in ("127.0.0.1", relay.host) or wire_peer.port in (50_000, 50_001)
                assert connection_id not in self.connections
                self.connections[connection_id] = relay
                self.connecting.add(connection_id)
            case BindStreams(connection_id, client, _):
                assert connection_id not in self.connecting, "bound before it is connected"
                assert connection_id not in self.bound, "bound twice"
                assert self.owners[self.connections[connection_id]] == self.asker, "bound by somebody else"
                self.bound[connection_id] = client
            case ClosePeer(connection_id):
                self.gone(connection_id)

    def gone(self, connection_id: ConnectionId) -> None:
        """A connection is over."""
        del self.connections[connection_id]
        self.connecting.discard(connection_id)
        self.bound.pop(connection_id, None)


def request(world: World, script: Script) -> Hashable:
    """A signed request."""
    client, method, choices = script.choose(CLIENTS), script.choose(METHODS), script.number()
    world.asker = "bob" if choices & 1 else "alice"
    world.transactions += 1
    transaction_id = world.transactions.to_bytes(12, "big")
    builder = MessageBuilder(method, MessageClass.REQUEST, transaction_id)
    known = list(world.connections) or [ConnectionId(0)]
    match method:
        case Method.ALLOCATE:
            builder.add(AttributeType.REQUESTED_TRANSPORT, b"\x11\0\0\0" if choices & 2 else b"\x06\0\0\0")
        case Method.CONNECT | Method.CREATE_PERMISSION:
            peer = PEERS[(choices >> 2) % len(PEERS)]
            builder.add(AttributeType.XOR_PEER_ADDRESS, encode_xor_address(peer, transaction_id))
        case Method.CONNECTION_BIND:
            builder.add(AttributeType.CONNECTION_ID, encode_uint32(known[(choices >> 2) % len(known)]))
        case _:
            builder.add(AttributeType.LIFETIME, encode_uint32(choices & 2))
    builder.add(AttributeType.USERNAME, world.asker.encode()).add(AttributeType.REALM, REALM.encode())
    builder.add(AttributeType.NONCE, world.nonces[client]).add_integrity_sha1(KEYS[world.asker])
    world.deliver(builder.build(), client)
    return method


def step(world: World, script: Script) -> Hashable:
    """One step of the script."""
    kind = script.number() % 6
    engine, ids = world.engine, list(world.connections)
    match kind:
        case 0:
            return request(world, script)
        case 1 if ids:
            connection_id = script.choose(ids)
            if script.number() & 1:
                world.gone(connection_id)
                engine.handle_peer_closed(connection_id, world.now)
            else:
                world.connecting.discard(connection_id)
                engine.handle_peer_connected(connection_id, world.now)
        case 2:
            relay, peer = script.choose(RELAYS), script.choose(PEERS)
            accepted = engine.handle_peer_accepted(relay, peer, world.now)
            if accepted is not None:
                assert accepted not in world.connections
                world.connections[accepted] = relay
        case 3:
            world.clock.advance(script.choose(STEPS_OF_TIME))
            engine.handle_timeout(world.now)
        case 4:
            client = script.choose(CLIENTS)
            engine.handle_closed(client, world.now)
        case 5:
            engine.set_peer_policy(script.choose(POLICIES))
    world.drain()
    return kind


def run(data: bytes) -> Hashable:
    """What the last steps were, and what they left."""
    world, script = World(), Script(data)
    outcomes: list[Hashable] = []
    while script and len(outcomes) < MAX_STEPS:
        outcomes.append(step(world, script))
    left = len(world.connections), len(world.bound), len(world.engine.allocations)
    world.engine.close()
    world.drain()
    world.engine.handle_timeout(world.now)
    world.drain()
    assert world.engine.idle, "something is remembered after everything was closed"
    assert world.engine.next_timeout() is None
    assert not [*world.connections, *world.bound, *world.relays], "the plane still holds something"
    return tuple(outcomes[-2:]), left
