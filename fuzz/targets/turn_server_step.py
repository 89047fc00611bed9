"""The TURN server engine, by a script of datagrams, signed requests, time, failures and commands from four clients.

Nothing may escape the engine; every answer parses and goes to a client; strangers get no more than TQ-4 allows; the
plane's commands fit together; and when all is closed nothing is left.
"""

from __future__ import annotations

from collections.abc import Hashable

from fuzz.script import Script
from icelane.core.net import Path, SocketAddress, Transport
from icelane.stun.attributes import AttributeType, encode_uint32, encode_xor_address, parse_error_code
from icelane.stun.integrity import long_term_key_md5
from icelane.stun.message import Message, MessageBuilder, MessageClass, Method, looks_like_stun, parse_message
from icelane.testing.clock import VirtualClock
from icelane.testing.entropy import SeededEntropy
from icelane.testing.network import VirtualNetwork
from icelane.testing.relay import RelayHost
from icelane.turn.behavior import BehaviorOrigins
from icelane.turn.credentials import CredentialStore, StaticUsers
from icelane.turn.peer_policy import PeerPolicy
from icelane.turn.server import TurnServer
from icelane.turn.server_config import TurnServerConfig
from tests.vectors import stun as vectors

SERVER = SocketAddress("198.41.0.4", 3478)
RELAY_ADDRESSES = (SERVER.host, "2a00:1450::4")
ORIGINS = BehaviorOrigins(pairs=((SERVER.host, "198.41.0.5"),), ports=(SERVER.port, 3479))
RELAY_PORTS = range(50_000, 50_004)  # so few that they run out
REALM = "example.org"
USERS = {"alice": "secret", "bob": "hidden"}
CLIENTS = [SocketAddress("203.0.114.1", 4000 + number) for number in range(3)] + [SocketAddress("2a00:1450::99", 4000)]
PEERS = [SocketAddress("8.8.8.8", 9), SocketAddress("2606:4700::1111", 9), SocketAddress(SERVER.host, 50_000),
         SocketAddress("127.0.0.1", 80), SocketAddress("8.8.8.8", 0)]  # fmt: skip

POLICIES = [
    PeerPolicy(relay_addresses=RELAY_ADDRESSES, relay_ports=RELAY_PORTS),
    PeerPolicy(relay_addresses=RELAY_ADDRESSES, relay_ports=RELAY_PORTS, deny=("8.8.8.0/24",)),
]
# One user is known to the server, the other to somebody whom it asks.
CREDENTIALS = CredentialStore(StaticUsers({"alice": USERS["alice"]}))
OUTSIDE = StaticUsers({"bob": USERS["bob"]})
KEYS = {name: long_term_key_md5(name, REALM, password) for name, password in USERS.items()}

METHODS = (Method.ALLOCATE, Method.REFRESH, Method.CREATE_PERMISSION, Method.CHANNEL_BIND, Method.BINDING,
           Method.CONNECT, Method.CONNECTION_BIND, 0x0FF)  # fmt: skip
KINDS = (*sorted(set(AttributeType) - {AttributeType.MESSAGE_INTEGRITY, AttributeType.FINGERPRINT}), 0x7FFF, 0xFFFF)
STEPS_OF_TIME = (0.1, 1.0, 31.0, 301.0, 601.0, 3700.0)
MAX_STEPS = 12

# Steps as `step` reads them. A signed request: 1, client, method, choices, number of attributes.
_ALLOCATE = bytes((1, 0, 0, 1, 0))
_PERMIT = bytes((1, 0, 2, 1, 0))
_BIND = bytes((1, 0, 3, 1, 0))
_END = bytes((1, 0, 1, 1, 0))
SEEDS = [
    _ALLOCATE + _PERMIT + _BIND + bytes((0, 0, 8)) + b"\x40\x00\x00\x04data" + _END,
    # Every port of IPv4 is taken, by two users and by reservation; then time passes.
    _ALLOCATE + bytes((1, 1, 0, 0, 0, 1, 2, 0, 1, 1, 11, 1, 0x80, 1, 3, 0, 1, 0, 2, 2, 2, 5)),
    # Answers are held, and the client goes away meanwhile.
    bytes((4,)) + _ALLOCATE + bytes((3, 0, 5, 4)) + _ALLOCATE,
    # Policy, revocation, and no more allocations.
    _ALLOCATE + _PERMIT + bytes((6, 0, 1, 7, 0, 9, 0)) + _ALLOCATE,
    bytes((0, 0, 108)) + vectors.SAMPLE_REQUEST,
    bytes((0, 1, 20)) + bytes.fromhex("00010000 2112a442 000000000000000000000000"),
    bytes((0, 2, 36)) + bytes.fromhex("00010010 2112a442 000000000000000000000000 00030004 00000006 00270004 0fa20000"),
]


class World:
    """A server, its plane, and what was last heard of it."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.network = VirtualNetwork(self.clock)
        self.engine = TurnServer(
            TurnServerConfig(
                realm=REALM,
                relay_addresses=RELAY_ADDRESSES,
                relay_ports=RELAY_PORTS,
                policy=POLICIES[0],
                credential_lookup=True,
                behavior=ORIGINS,
            ),
            credentials=CREDENTIALS,
            entropy=SeededEntropy(1),
            wall_clock=self.clock,
        )
        self.host = RelayHost(self.network, self.engine, SERVER, SeededEntropy(2), OUTSIDE.find)
        self.nonces: dict[SocketAddress, bytes] = {}
        self.replies: list[Message] = []
        self.transactions = 0
        for client in CLIENTS:
            self.network.attach(client, self.received)

    def received(self, data: bytes, source: SocketAddress, client: SocketAddress) -> None:
        """A client hears something: an answer of the engine or payload of the plane."""
        if not looks_like_stun(data):
            return
        message = parse_message(data)
        assert source == SERVER or (message.method == Method.BINDING and ORIGINS.covers(source))
        if message.message_class is MessageClass.INDICATION:
            return
        self.replies.append(message)
        nonce = message.get(AttributeType.NONCE)
        if nonce is not None:
            self.nonces[client] = nonce

    def deliver(self, data: bytes, client: SocketAddress) -> list[Message]:
        """Hand `data` to the server, and return what it answered."""
        self.replies.clear()
        self.network.send(data, client, SERVER)
        self.network.run_until_quiet()
        return list(self.replies)

    def deliver_from_stranger(self, data: bytes, client: SocketAddress) -> tuple[Hashable, ...]:
        """The same for what nobody signed: TQ-4 holds."""
        replies = self.deliver(data, client)
        for reply in replies:
            limit = 1.0
            if reply.message_class is MessageClass.SUCCESS:
                assert reply.method == Method.BINDING, f"{reply!r} without authentication"
                # RFC 5780: the second address goes into every answer, which tells only on the shortest requests.
                limit = 3.4 if reply.has(AttributeType.OTHER_ADDRESS) and len(data) <= 28 else 2.5
            elif (error := reply.get(AttributeType.ERROR_CODE)) is not None and parse_error_code(error).code == 401:
                limit = 5.0
            assert len(reply.raw) <= limit * len(data), f"{len(data)} bytes in, {len(reply.raw)} out: {reply!r}"
        return tuple((reply.method, reply.message_class) for reply in replies)


def signed_request(world: World, script: Script, client: SocketAddress) -> Hashable:
    """A request that is what its method needs, plus what the script adds, under a right signature."""
    method = script.choose(METHODS)
    choices = script.number()
    username = "alice" if choices & 1 else "bob"
    world.transactions += not choices & 2  # or a retransmission's id
    transaction_id = world.transactions.to_bytes(12, "big")
    builder = MessageBuilder(method, MessageClass.REQUEST, transaction_id)
    for kind, value in script.attributes(KINDS):
        builder.add(kind, value)
    if not choices & 4:
        for kind, value in _needed(method, choices, transaction_id):
            builder.add(kind, value)
    builder.add(AttributeType.USERNAME, username.encode())
    builder.add(AttributeType.REALM, REALM.encode())
    builder.add(AttributeType.NONCE, world.nonces.get(client, b"f//499k954d6OL34oL9FSTvy64sA"))
    builder.add_integrity_sha1(KEYS[username])
    if choices & 8:
        builder.add(AttributeType.LIFETIME, bytes(4))  # ST-4: an attacker's, not to be believed
    replies = world.deliver(builder.build(), client)
    return method, *((reply.message_class, _code(reply)) for reply in replies)


def _needed(method: int, choices: int, transaction_id: bytes) -> list[tuple[int, bytes]]:
    peer = encode_xor_address(PEERS[(choices >> 4) % len(PEERS)], transaction_id)
    match method:
        case Method.ALLOCATE:
            return [(AttributeType.REQUESTED_TRANSPORT, b"\x11\0\0\0")]
        case Method.REFRESH:
            return [(AttributeType.LIFETIME, encode_uint32(choices >> 4))]
        case Method.CREATE_PERMISSION:
            return [(AttributeType.XOR_PEER_ADDRESS, peer)]
        case Method.CHANNEL_BIND:
            return [(AttributeType.CHANNEL_NUMBER, b"\x40\0\0\0"), (AttributeType.XOR_PEER_ADDRESS, peer)]
    return []


def _code(reply: Message) -> int:
    error = reply.get(AttributeType.ERROR_CODE)
    return parse_error_code(error).code if error is not None else 0


def step(world: World, script: Script) -> Hashable:
    """One step of the script."""
    kind = script.number() % 10
    client = CLIENTS[0] if kind in (2, 4, 5) else script.choose(CLIENTS)
    match kind:
        case 0:
            return world.deliver_from_stranger(script.string(), client)
        case 1 | 8:
            return signed_request(world, script, client)
        case 2:
            world.network.run_for(script.choose(STEPS_OF_TIME))
        case 3:
            path = Path(SERVER, client, Transport.UDP)
            world.host.run(lambda now: world.engine.handle_closed(path, now))
        case 4:
            world.host.holding = not world.host.holding
            world.host.run(lambda _: None)  # what was held is answered now, and not in a step of somebody else
        case 5:
            world.host.answer_next()
        case 6:
            world.host.run(lambda _: world.engine.set_peer_policy(script.choose(POLICIES)))
        case 7:
            ended = world.host.run(lambda _: world.engine.revoke(lambda one: one.username == "alice"))
            return "revoked", ended > 0
        case 9:
            world.host.run(lambda _: world.engine.drain())
    return kind


def run(data: bytes) -> Hashable:
    """What the last steps answered."""
    world = World()
    for client in CLIENTS:
        challenge = MessageBuilder(Method.ALLOCATE, MessageClass.REQUEST, bytes(12)).build()
        assert world.deliver_from_stranger(challenge, client)
    script = Script(data)
    outcomes: list[Hashable] = []
    while script and len(outcomes) < MAX_STEPS:
        outcomes.append(step(world, script))
        world.network.run_until_quiet()  # answers belong to their step
    live = len(world.engine.allocations)
    assert live <= len(CLIENTS)
    assert len(world.host.relays) <= len(RELAY_PORTS) * len(RELAY_ADDRESSES)
    world.host.run(lambda _: world.engine.close())
    world.host.holding = False
    world.host.run(lambda now: world.engine.handle_timeout(now))
    assert world.engine.idle, "something is remembered after everything was closed"
    assert world.engine.next_timeout() is None
    assert world.host.empty, f"the plane still holds {world.host.relays}"
    return tuple(outcomes[-2:]), live
