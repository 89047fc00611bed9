"""The TURN client engine, by a script of commands, time, and whatever a server or somebody on its path may answer.

Nothing but LocalProtocolError comes out of a command, and nothing at all out of an input; every request parses; and a
client that was closed has, once its transactions have ended, ended too and remembers nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable

from fuzz.script import Script
from icelane.core.clock import Instant
from icelane.core.net import Path, SocketAddress, Transport
from icelane.errors import LocalProtocolError
from icelane.stun.attributes import AttributeType, encode_error_code, encode_uint32, encode_xor_address
from icelane.stun.integrity import long_term_key_md5, verify_integrity
from icelane.stun.message import Message, MessageBuilder, MessageClass, Method, looks_like_stun, parse_message
from icelane.testing.clock import VirtualClock
from icelane.testing.entropy import SeededEntropy
from icelane.testing.network import EngineHost, VirtualNetwork
from icelane.turn.client import ClientState, TurnClient
from icelane.turn.client_event import TurnClientEvent
from icelane.turn.client_request import AllocateOptions
from tests.vectors import stun as vectors

HERE = SocketAddress("192.0.2.10", 40_000)
SERVER = SocketAddress("198.41.0.4", 3478)
PATH = Path(HERE, SERVER, Transport.UDP)
KEY = long_term_key_md5("alice", "example.org", "secret")
PEERS = [SocketAddress("8.8.8.8", 9), SocketAddress("2606:4700::1111", 9), SocketAddress("8.8.4.4", 53)]
CODES = (401, 438, 300, 400, 403, 420, 437, 440, 441, 442, 443, 486, 500, 508, 699)
KINDS = (*sorted(set(AttributeType) - {AttributeType.MESSAGE_INTEGRITY, AttributeType.FINGERPRINT}), 0x7FFF, 0xFFFF)
STEPS_OF_TIME = (0.1, 0.6, 5.0, 40.0, 241.0, 700.0)
MAX_STEPS = 12

SEEDS = [
    # Challenged, allocated; a permission and a channel, both granted; data both ways; closed.
    bytes((0, 0, 1, 1, 0, 1, 2, 0, 3, 0, 1, 2, 0, 4, 1, 1, 2, 0, 5, 0, 3, 97, 98, 99, 6, 8)) + b"\x40\x00\x00\x04data",
    bytes((0, 0, 1, 1, 0, 1, 2, 0, 7, 5, 7, 5, 8, 1, 2, 0)),
    # 438 again and again; 300; a success that nobody signed.
    bytes((0, 0, 1, 17, 0, 1, 17, 0, 1, 17, 0, 1, 17, 0)),
    bytes((0, 0, 1, 33, 0)),
    bytes((0, 0, 1, 1, 0, 1, 6, 0, 7, 3)),
    bytes((6, 80)) + vectors.SAMPLE_IPV4_RESPONSE,
    bytes((0, 0, 9)),
]


class World:
    """A client, and the server that the script speaks for."""

    def __init__(self) -> None:
        self.network = VirtualNetwork(VirtualClock())
        self.engine = TurnClient(PATH, entropy=SeededEntropy(1), username="alice", password="secret")
        self.host: EngineHost[TurnClientEvent] = EngineHost(self.network, self.engine, HERE)
        self.requests: deque[Message] = deque(maxlen=8)
        self.network.attach(SERVER, self.received)

    def received(self, data: bytes, *_: SocketAddress) -> None:
        """The server hears a request or payload."""
        if looks_like_stun(data):
            message = parse_message(data)
            if message.message_class is MessageClass.REQUEST:
                if message.integrity_offset is not None and message.get(AttributeType.REALM) == b"example.org":
                    verify_integrity(message, KEY)
                self.requests.append(message)

    def answer(self, data: bytes) -> None:
        """Send to the client."""
        self.network.send(data, SERVER, HERE)
        self.network.run_until_quiet(1.0)

    def command(self, verb: Callable[[Instant], object]) -> str:
        """Give a command; returns whether it was one that could be given now."""
        try:
            self.host.run(verb)
        except LocalProtocolError:
            return "refused"
        self.network.run_until_quiet(1.0)
        return "done"


def respond(world: World, script: Script) -> Hashable:
    """Answer the oldest request that is left, rightly or not."""
    choices, request = script.number(), (world.requests.popleft() if world.requests else None)
    extra = script.attributes(KINDS)
    if request is None:
        return "nothing was asked"
    response = MessageBuilder.response_to(request, MessageClass.ERROR if choices & 1 else MessageClass.SUCCESS)
    for kind, value in extra:
        response.add(kind, value)
    code = 0
    if choices & 1:
        code = CODES[(choices >> 4) % len(CODES)]
        response.add(AttributeType.ERROR_CODE, encode_error_code(code, ""))
        response.add(AttributeType.REALM, b"example.org")
        response.add(AttributeType.NONCE, b"nonce-%d" % (choices >> 4))
    elif request.method == Method.ALLOCATE:
        relayed = SocketAddress("198.41.0.4", 50_000)
        response.add(AttributeType.XOR_RELAYED_ADDRESS, encode_xor_address(relayed, request.transaction_id))
        response.add(AttributeType.XOR_MAPPED_ADDRESS, encode_xor_address(HERE, request.transaction_id))
        response.add(AttributeType.LIFETIME, encode_uint32(600))
    elif request.method == Method.REFRESH:
        response.add(AttributeType.LIFETIME, encode_uint32(choices << 2))
    if choices & 2:
        response.add_integrity_sha1(KEY)
    if choices & 4:
        response.add_integrity_sha1(b"a wrong key")
    if choices & 8:
        response.add_fingerprint()
    world.answer(response.build())
    return request.method, code, choices & 0xF


def step(world: World, script: Script) -> Hashable:
    """One step of the script."""
    engine, kind = world.engine, script.number() % 10
    match kind:
        case 0:
            lifetime = script.number() or None
            return kind, world.command(lambda now: engine.allocate(AllocateOptions(lifetime=lifetime), now))
        case 1 | 2:
            return respond(world, script)
        case 3:
            host = script.choose(PEERS).host
            return kind, world.command(lambda now: engine.create_permission([host], now))
        case 4:
            peer = script.choose(PEERS)
            return kind, world.command(lambda now: engine.bind_channel(peer, now))
        case 5:
            peer, payload = script.choose(PEERS), script.string()
            return kind, world.command(lambda _: engine.send(payload, peer))
        case 6:
            world.answer(script.string())
        case 7:
            world.network.run_for(script.choose(STEPS_OF_TIME))
        case 8:
            return kind, world.command(engine.close)
        case 9:
            world.host.run(lambda now: engine.handle_closed(PATH, now))
    return kind


def run(data: bytes) -> Hashable:
    """What the last steps did, the state, and the events."""
    world = World()
    script = Script(data)
    outcomes = [step(world, script) for _ in range(MAX_STEPS) if script]
    reached = world.engine.state
    events = frozenset(type(event).__name__ for event in world.host.events)
    world.host.run(world.engine.close)
    world.network.run_for(120.0)  # RFC 8489 section 6.2.1: 39.5 s until the last transaction has timed out
    assert world.engine.state is ClientState.ENDED, f"still {world.engine.state} two minutes after close()"
    assert world.engine.idle, "something is remembered after the end"
    assert world.engine.next_timeout() is None
    return outcomes[-1] if outcomes else None, reached, events
