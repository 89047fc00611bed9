"""An SCTP association, by a script of commands, time, honest traffic and chunks that a peer may make up.

Nothing but what the contracts name comes out; what is kept is bounded; and an association that was aborted remembers
nothing and wants nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from struct import pack

from fuzz.script import Script
from icelane.core.clock import Instant, later
from icelane.errors import LocalProtocolError, OperationError
from icelane.sctp.association import SctpAssociation
from icelane.sctp.checksum import seal
from icelane.sctp.chunks import ChunkType, encode_chunk, encode_data_header, encode_header
from icelane.sctp.control_chunks import InitChunk, OutgoingResetRequest, encode_reset_request, encode_reset_response
from icelane.sctp.event import AssociationState, MessageReceived, Terminated
from icelane.sctp.inbound import WINDOW_SLACK
from icelane.sctp.options import SctpOptions
from icelane.testing.entropy import SeededEntropy

OPTIONS = SctpOptions(receive_window=20_000, max_message_size=5_000, send_buffer=50_000, path_mtu=256)
SIZES = (1, 10, 200, 250, 1000, 5_000, 6_000)
STEPS_OF_TIME = (0.0, 0.01, 0.1, 0.3, 1.0, 3.0, 31.0)
AHEADS = (1, 2, 3, 5, 9, 0, -1, 100, 70_000, 2**31)
MAX_STEPS = 24

SEEDS = [
    bytes((0, 0, 1, 2, 0, 1, 2, 3, 3, 0)),
    bytes((1, 3, 0, 1, 3, 1, 2, 2, 2, 2, 3, 2, 4, 0)),
    bytes((4, 0, 3, 0, 0, 4, 1, 1, 0, 0, 4, 2, 2, 0, 0, 2)),
    bytes((1, 1, 0, 5, 1, 2, 1, 1, 2, 3, 2, 5, 0, 0)),
    bytes((6, 2, 0, 6, 3, 1, 7, 0, 1, 7, 1, 0, 2, 2)),
    bytes((8, 3, 2, 2, 3, 2, 2, 3, 3)),
    bytes((9, 192, 3, 1, 2, 3, 9, 5, 0, 3, 2)),
]


class World:
    """Two associations; `a` is also sent what the script makes up."""

    def __init__(self) -> None:
        self.now = Instant(1000.0)
        self.a = SctpAssociation(entropy=SeededEntropy(1), options=OPTIONS)
        self.b = SctpAssociation(entropy=SeededEntropy(2), options=OPTIONS)
        for end in (self.a, self.b):
            end.connect(self.now)
        self.kinds: set[str] = set()
        self.owed = self.owed_messages = 0
        self.exchange(255)
        assert self.a.state is self.b.state is AssociationState.ESTABLISHED

    def exchange(self, lost: int) -> None:
        """Carry packets both ways for a while; bits of `lost` that are 0 are packets that are lost."""
        for turn in range(8):
            silent = True
            for source, target in ((self.a, self.b), (self.b, self.a)):
                for n in range(40):
                    packet = source.poll_transmit()
                    if packet is None:
                        break
                    silent = False
                    assert len(packet) <= OPTIONS.path_mtu
                    if lost >> ((turn + n) % 8) & 1:
                        target.handle_datagram(packet, self.now)
                self.drain()
            if silent:
                break
            self.now = later(self.now, 0.001)

    def drain(self) -> None:
        """Take the events of both."""
        while (event := self.a.poll_event()) is not None:
            self.kinds.add(type(event).__name__)
            if isinstance(event, MessageReceived):
                assert 0 < len(event.data) <= OPTIONS.max_message_size
                self.owed += len(event.data)
                self.owed_messages += 1
        while (event := self.b.poll_event()) is not None:
            if isinstance(event, MessageReceived):
                self.b.release(len(event.data), self.now)

    def make_up(self, *chunks: bytes) -> None:
        """Let `a` receive these chunks as if from its peer."""
        tag = self.a._life.handshake.local_tag
        self.a.handle_datagram(seal(encode_header(5000, 5000, tag) + b"".join(chunks)), self.now)

    def check(self) -> None:
        """What must hold after each step."""
        transfer = self.a._life.transfer
        if transfer is not None:
            inbound = transfer.inbound
            assert 0 <= inbound.held + inbound.unreleased <= OPTIONS.receive_window + WINDOW_SLACK
        statistics = self.a.statistics
        assert statistics.bytes_in_flight >= 0
        assert 0 <= statistics.buffered_amount <= OPTIONS.send_buffer

    def command(self, verb: Callable[[], object]) -> str:
        """Give a command; returns whether it was one that could be given now."""
        try:
            verb()
        except (LocalProtocolError, OperationError):
            return "refused"
        return "done"


def made_up_chunk(world: World, script: Script) -> bytes:
    """A chunk of one of the kinds that matter, with numbers near those that are right."""
    transfer = world.a._life.transfer
    outbound = world.a._life.outbound
    heard = transfer.inbound.cumulative if transfer is not None else 0
    ahead = script.choose(AHEADS)
    match script.number() % 7:
        case 0:
            flags, stream_id, ssn = script.number() & 0xF, script.number() % 4, script.number() % 4
            payload = bytes(script.choose((1, 5, 0, 200, 1000, 4000)))
            head = encode_data_header(flags, len(payload), heard + ahead, stream_id, ssn, 51)
            return head + payload + bytes(-len(payload) & 3)
        case 1:
            gaps = [script.number() for _ in range(script.number() % 5 * 2)]
            body = pack(">IIHH", (outbound.cumulative + ahead) & 0xFFFFFFFF, script.number() * 100, len(gaps) // 2, 0)
            return encode_chunk(ChunkType.SACK, 0, body + pack(f">{len(gaps)}H", *gaps))
        case 2:
            streams = [script.number() % 4 for _ in range(script.number() % 4 * 2)]
            body = pack(f">I{len(streams)}H", (heard + ahead) & 0xFFFFFFFF, *streams)
            return encode_chunk(ChunkType.FORWARD_TSN, 0, body)
        case 3 if transfer is not None:
            number = (transfer.reset._expected + script.choose((0, 0, -1, 1))) & 0xFFFFFFFF
            request = OutgoingResetRequest(number, 0, (heard + ahead) & 0xFFFFFFFF, (script.number() % 4,))
            return encode_chunk(ChunkType.RE_CONFIG, 0, encode_reset_request(request))
        case 4 if transfer is not None:
            number = (transfer.reset._sequence_number - 1) & 0xFFFFFFFF
            return encode_chunk(ChunkType.RE_CONFIG, 0, encode_reset_response(number, script.number() % 8))
        case 5:
            init = InitChunk(script.number(), 9000, script.number(), script.number(), 5)
            return encode_chunk(script.choose((ChunkType.INIT, ChunkType.INIT_ACK)), 0, init.encode())
        case _:
            return encode_chunk(script.number(), script.number(), script.string())


def step(world: World, script: Script) -> Hashable:
    """One step of the script."""
    a, kind = world.a, script.number() % 10
    match kind:
        case 0 | 1:
            size, stream_id, how = script.choose(SIZES), script.number() % 4, script.number()
            retransmissions = 0 if how & 2 else None
            lifetime = 0.05 if how & 4 else None
            return kind, world.command(
                lambda: (a if kind == 0 else world.b).send(
                    stream_id, 51, bytes(size), world.now,
                    ordered=not how & 1, max_retransmissions=retransmissions, lifetime=lifetime,
                )
            )  # fmt: skip
        case 2:
            world.exchange(script.number() | 1)
        case 3:
            world.now = later(world.now, script.choose(STEPS_OF_TIME))
            for end in (a, world.b):
                end.handle_timeout(world.now)
        case 4 | 5:
            world.make_up(*(made_up_chunk(world, script) for _ in range(1 + script.number() % 3)))
        case 6:
            stream_id = script.number() % 4
            return kind, world.command(lambda: a.reset_streams([stream_id], world.now))
        case 7:
            a.release(world.owed, world.now, messages=world.owed_messages)
            world.owed = world.owed_messages = 0
        case 8:
            world.command(lambda: (a if script.number() & 1 else world.b).close(world.now))
        case 9:
            world.make_up(encode_chunk(script.number(), 0, script.string()))
    return kind


def run(data: bytes) -> Hashable:
    """What the last steps did, the state, and the events."""
    world = World()
    script = Script(data)
    outcomes: list[Hashable] = []
    for _ in range(MAX_STEPS):
        if not script:
            break
        outcomes.append(step(world, script))
        world.drain()
        world.check()
    reached = world.a.state
    world.a.abort("", world.now)
    for _ in range(64):
        if world.a.poll_transmit() is None:
            break
    else:
        raise AssertionError("an association that has ended goes on sending")
    world.drain()
    assert world.a.idle
    assert world.a.next_timeout() is None
    assert Terminated.__name__ in world.kinds
    return outcomes[-1] if outcomes else None, reached, frozenset(world.kinds)
