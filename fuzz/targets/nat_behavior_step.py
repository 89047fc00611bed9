"""NAT behaviour discovery, by a script of what the server, or somebody on its path, may answer to our own requests.

Nothing comes out of an input; every request parses and goes where the server is or what it may name; the discovery ends
within its time with one outcome, and remembers nothing then.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable

from fuzz.script import Script
from icelane.core.clock import later
from icelane.core.net import Path, SocketAddress, Transport
from icelane.stun.attributes import AttributeType, encode_address, encode_error_code, encode_xor_address
from icelane.stun.behavior import BehaviorDiscovered, BehaviorDiscovery, DiscoveryFailed
from icelane.stun.message import Message, MessageBuilder, MessageClass, Method, parse_message
from icelane.testing.clock import VirtualClock
from icelane.testing.entropy import SeededEntropy
from tests.vectors import stun as vectors

SERVER = SocketAddress("198.41.0.4", 3478)
OTHER = SocketAddress("198.41.0.5", 3479)
HERE = (SocketAddress("10.0.0.2", 40_000), SocketAddress("10.0.0.2", 40_001))
MAPPED = (*HERE, SocketAddress("9.9.9.9", 50_000), SocketAddress("9.9.9.9", 50_001),
          SocketAddress("192.168.1.1", 53), SocketAddress("2001:db8::7", 50_000))  # fmt: skip
OTHERS = (OTHER, SERVER, SocketAddress("127.0.0.1", 80), SocketAddress("10.0.0.1", 3479), SocketAddress("224.0.0.1", 1))
SOURCES = (SERVER, OTHER, SocketAddress(SERVER.host, OTHER.port), SocketAddress(OTHER.host, SERVER.port),
           SocketAddress("192.0.2.66", 3478), MAPPED[2], MAPPED[3])  # fmt: skip
PUBLIC = {SERVER, *SOURCES[1:4], MAPPED[2], MAPPED[3]}
KINDS = (AttributeType.XOR_MAPPED_ADDRESS, AttributeType.MAPPED_ADDRESS, AttributeType.OTHER_ADDRESS,
         AttributeType.ERROR_CODE, AttributeType.FINGERPRINT, 0x7FFF, 0xFFFF)  # fmt: skip
CODES = (400, 401, 420, 500)
STEPS_OF_TIME = (0.01, 0.6, 2.0, 5.0)
TIMEOUT = 10.0
MAX_STEPS = 24

# Steps as `step` reads them. A success: 0, request, source, mapped, other, and whether the request is hairpinned.
_FIRST = bytes((0, 0, 0, 2, 0, 0, 0, 1, 0, 3, 0, 0))
_MAPPING = bytes((0, 2, 3, 2, 0, 0, 0, 3, 1, 2, 0, 0, 0, 4, 2, 2, 0, 0))
_FILTERING = bytes((0, 5, 1, 3, 0, 0, 0, 6, 2, 3, 0, 0))
SEEDS = [
    _FIRST + _MAPPING + _FILTERING,
    _FIRST + _MAPPING + bytes((0, 6, 2, 3, 0, 0)),
    _FIRST + _MAPPING + bytes((0, 7, 0, 2, 0, 1, 0)),
    # Another mapping for each, or for each address; answers from where they were asked for, and a 420.
    _FIRST + bytes((0, 2, 3, 4, 0, 0, 0, 3, 1, 3, 0, 0, 0, 4, 2, 2, 0, 0)),
    _FIRST + bytes((0, 2, 3, 3, 0, 0, 0, 3, 1, 3, 0, 0, 0, 4, 2, 2, 0, 0, 0, 5, 0, 2, 0, 0)),
    _FIRST + bytes((3, 5, 0, 3, 0, 1, 2, 1)) + _MAPPING,
    bytes((0, 0, 0, 2, 2, 0, 0, 1, 0, 3, 3, 0)),
    bytes((2, 0, 0, 80)) + vectors.SAMPLE_IPV4_RESPONSE,
    bytes((3, 0, 0, 3, 0, 1, 1, 0)),
    _FIRST + bytes((1, 3, 1, 3)),
]


class World:
    """A discovery, what it has asked, and what came of it."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.engine = BehaviorDiscovery(
            SERVER, mapping=HERE[0], filtering=HERE[1], entropy=SeededEntropy(1), timeout=TIMEOUT
        )
        self.requests: deque[tuple[Message, Path]] = deque(maxlen=16)
        self.outcomes: list[BehaviorDiscovered | DiscoveryFailed] = []

    def drain(self) -> None:
        """Both polls, to the end."""
        while (transmit := self.engine.poll_transmit()) is not None:
            request = parse_message(transmit.data)
            assert request.method == Method.BINDING
            assert transmit.path.local in HERE
            assert transmit.path.remote in PUBLIC, f"sent to {transmit.path.remote}"
            self.requests.append((request, transmit.path))
        while (event := self.engine.poll_event()) is not None:
            self.outcomes.append(event)
        assert len(self.outcomes) <= 1

    def receive(self, data: bytes, local: SocketAddress, source: SocketAddress) -> None:
        """A datagram."""
        self.engine.handle_datagram(data, Path(local, source, Transport.UDP), self.clock.now)
        self.drain()

    def pass_time(self, seconds: float) -> None:
        """Let time pass, waking the engine when it asked for it."""
        end = later(self.clock.now, seconds)
        while (at := self.engine.next_timeout()) is not None and at <= end:
            self.clock.advance(max(0.0, at - self.clock.now))
            self.engine.handle_timeout(self.clock.now)
            self.drain()
        self.clock.advance(max(0.0, end - self.clock.now))


def step(world: World, script: Script) -> Hashable:
    """One step of the script."""
    kind = script.number() % 4
    if kind == 1:
        world.pass_time(script.choose(STEPS_OF_TIME))
        return kind
    request, path = world.requests[script.number() % len(world.requests)]
    source = SOURCES[script.number() % len(SOURCES)]
    if kind == 2:
        world.receive(script.string(), path.local, source)
        return kind
    if kind == 3:
        builder = MessageBuilder.response_to(request, script.number() % 4)
        for name, value in script.attributes(KINDS):
            builder.add(name, value)
        if script.number() % 2:
            builder.add(AttributeType.ERROR_CODE, encode_error_code(script.choose(CODES), ""))
        world.receive(builder.build(), HERE[script.number() % 2], source)
        return kind
    mapped = MAPPED[script.number() % len(MAPPED)]
    builder = MessageBuilder.response_to(request, MessageClass.SUCCESS)
    builder.add(AttributeType.XOR_MAPPED_ADDRESS, encode_xor_address(mapped, request.transaction_id))
    builder.add(AttributeType.OTHER_ADDRESS, encode_address(OTHERS[script.number() % len(OTHERS)]))
    world.receive(builder.build(), path.local, source)
    if script.number() % 2:
        world.receive(request.raw, HERE[script.number() % 2], mapped)
    return kind


def run(data: bytes) -> Hashable:
    """What was found out."""
    world = World()
    world.engine.start(world.clock.now)
    world.drain()
    script = Script(data)
    for _ in range(MAX_STEPS):
        if not script:
            break
        step(world, script)
    world.pass_time(TIMEOUT)
    (outcome,) = world.outcomes
    assert world.engine.next_timeout() is None
    if isinstance(outcome, DiscoveryFailed):
        return type(outcome.error).__name__
    return outcome.mapping, outcome.filtering, outcome.hairpinning, outcome.change_refused, len(outcome.silent)
