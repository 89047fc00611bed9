"""What may come in on the sockets of one transport, in front of DTLS: any first byte, on paths known and unknown.

Nothing comes out of an input but datagrams; what is held stays below its bounds and is held for proven sources alone;
nothing in plaintext reaches the layer above; who is not the peer hears nothing.
"""

from __future__ import annotations

from collections.abc import Hashable

from fuzz.script import Script
from icelane.core.clock import Instant, UnixSeconds, later
from icelane.core.net import Path, SocketAddress, Transport
from icelane.crypto.certificate import Certificate
from icelane.dtls.connection import DtlsConnection, DtlsState
from icelane.dtls.options import DtlsOptions, DtlsRole
from icelane.ice.check import Check, encode_check, encode_success
from icelane.ice.credentials import Credentials
from icelane.ice.event import IceRole
from icelane.peer.ice_transport import IceTransport
from icelane.peer.secure_transport import MAX_HELD, MAX_HELD_BYTES, SecureTransport
from icelane.stun.message import MessageClass, looks_like_stun, parse_message
from icelane.testing.clock import DEFAULT_EPOCH
from icelane.testing.entropy import SeededEntropy

CERTIFICATES = [Certificate.generate(now=UnixSeconds(DEFAULT_EPOCH)) for _ in range(2)]
BASE = SocketAddress("192.0.2.10", 5000)
PEER = SocketAddress("198.51.100.1", 6000)
KNOWN = Path(BASE, PEER, Transport.UDP)
PATHS = [
    KNOWN,
    Path(BASE, SocketAddress("203.0.113.66", 6666), Transport.UDP),
    Path(BASE, SocketAddress(PEER.host, 6001), Transport.UDP),
    Path(SocketAddress("192.0.2.11", 5000), PEER, Transport.UDP),
    Path(BASE, PEER, Transport.TCP),
]
OURS = Credentials("ours", "the password that is ours, and nobody's")
THEIRS = Credentials("peer", "the password of the peer, and nobody's")
STEPS_OF_TIME = (0.02, 0.2, 1.1, 6.0, 31.0)
MAX_STEPS = 24

# Steps: 0 any bytes, 1 a header of DTLS, 2 a check of the peer, 3 its answer, 4 what it knows, 5 time, 6 real records,
# 7 the end.
SEEDS = [
    bytes((0, 5, 0, 2, 0, 0, 1, 3, 0, 4, 6, 0, 0, 0, 6, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 6, 0)),
    bytes((1, 5, 0, 2, 0, 0, 1, 4, 3, 0, 6, 0, 0, 0, 6, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 6, 0)),
    bytes((0, 2, 0, 1, 0, 0, 22, 40, 4, 3, 0, 5, 0, 6, 6, 5, 0)),
    bytes((1, 4, 2, 0, 3, 0, 6, 5, 1, 6, 6, 6, 7)),
    bytes((0, 2, 0, *(part for kind in (20, 22, 23, 24, 63) for part in (1, 0, kind, 30)), 3, 0, 4)),
    bytes((0, *(part for first in range(0, 256, 13) for part in (0, 1, 2, first, 0)))),
    bytes((1, 2, 0, 4, 3, 0, 0, 0, 2, 22, 254, 7, 0, 0, 1, 19)),
]
DICTIONARY = [
    b"\x16\xfe\xfd",
    b"\x17\xfe\xfd\0\1",
    b"\x15\xfe\xfd",
    b"\x14\xfe\xfd",
    b"\x80\x60",
    b"\x40\0",
    b"\x13\x88\x13\x88",
]


class World:
    """The transport, and the peer's end of DTLS without a network."""

    def __init__(self, script: Script) -> None:
        self.now = Instant(100.0)
        self.role = script.choose([DtlsRole.SERVER, DtlsRole.CLIENT])
        ice = IceTransport(role=IceRole.CONTROLLING, credentials=OURS, entropy=SeededEntropy(1))
        self.transport = SecureTransport(ice, CERTIFICATES[0], options=DtlsOptions())
        ice.start_gathering(self.now)
        ice.add_base(BASE, 1, self.now)
        ice.set_remote_credentials(THEIRS, self.now)
        ice.add_remote_candidate(f"candidate:1 1 udp 2130706431 {PEER.host} {PEER.port} typ host", self.now)
        self.knows = False
        self.proved: set[Path] = set()
        self.answered: set[Path] = set()
        self.requests: list[tuple[bytes, Path]] = []
        their_role = DtlsRole.CLIENT if self.role is DtlsRole.SERVER else DtlsRole.SERVER
        self.peer = DtlsConnection(CERTIFICATES[1], role=their_role, options=DtlsOptions())
        self.peer.start(self.now)
        self.drain()

    def give(self, data: bytes, path: Path) -> None:
        """A datagram comes."""
        self.transport.handle_datagram(data, path, self.now)
        self.transport.settle(self.now)
        self.drain()

    def drain(self) -> None:
        """Look at everything that comes out."""
        transport = self.transport
        while (transmit := transport.poll_transmit()) is not None:
            if looks_like_stun(transmit.data):
                if parse_message(transmit.data).message_class is MessageClass.REQUEST:
                    self.requests = [*self.requests[-7:], (transmit.data, transmit.path)]
            else:
                assert self.knows, "DTLS began before it was known with whom"
                assert transmit.path in self.answered, "a record to where nobody has answered"
                self.peer.handle_datagram(transmit.data, self.now)
        while transport.poll_event() is not None:
            pass
        while transport.poll_command() is not None:
            pass
        assert transport.take_payloads() == [], "plaintext reached SCTP"
        held = [data for data, _ in transport._held]
        assert len(held) <= MAX_HELD
        assert sum(map(len, held)) == transport._held_bytes <= MAX_HELD_BYTES
        assert self.proved.issuperset(path for _, path in transport._held), "held for a stranger"

    def learn(self) -> None:
        """The answer comes."""
        self.knows = True
        fingerprint = CERTIFICATES[1].fingerprint("sha-256")
        self.transport.set_remote([("sha-256", fingerprint)], self.role, self.now)
        self.drain()

    def pass_time(self, by: float) -> None:
        """Time passes, with every deadline in it."""
        end = later(self.now, by)
        for _ in range(200):
            at = self.transport.next_timeout()
            if at is None or at > end:
                break
            self.now = max(self.now, at)
            self.transport.handle_timeout(self.now)
            self.drain()
        self.now = end


def run(data: bytes) -> Hashable:
    """What became of the transport, and how much it has dropped."""
    script = Script(data)
    world = World(script)
    steps: list[object] = []
    for _ in range(MAX_STEPS):
        if not script:
            break
        steps.append(step(world, script))
    transport = world.transport
    dropped = min(transport.discarded, 8)
    return tuple(steps[-4:]), transport.state, transport.ice.agent.state, dropped, len(transport._held)


def step(world: World, script: Script) -> object:
    kind = script.number() % 8
    if kind == 0:
        world.give(script.string() or b"\0", script.choose(PATHS))
    elif kind == 1:
        path, first, size = script.choose(PATHS), script.number(), script.number() * 40
        world.give(bytes((first, 254, 253)) + bytes(8) + size.to_bytes(2, "big") + bytes(size), path)
    elif kind == 2:
        path = script.choose(PATHS)
        check = Check(priority=1, use_candidate=bool(script.number() & 1), role=IceRole.CONTROLLED, tie_breaker=7)
        world.proved.add(path)
        transaction_id = bytes(11) + bytes([script.number()])
        world.give(encode_check(transaction_id, check, local=THEIRS, remote=OURS), path)
    elif kind == 3 and world.requests:
        request, path = world.requests[-1 - script.number() % len(world.requests)]
        world.proved.add(path)
        world.answered.add(path)
        world.give(encode_success(parse_message(request), BASE, THEIRS.password), path)
    elif kind == 4:
        world.learn()
    elif kind == 5:
        world.pass_time(script.choose(STEPS_OF_TIME))
    elif kind == 6:
        while (record := world.peer.poll_transmit()) is not None:
            world.give(record, script.choose(PATHS[:2]))
    elif kind == 7:
        world.transport.close(world.now)
        world.drain()
        assert world.transport.state in (DtlsState.CLOSED, DtlsState.FAILED)
        assert not world.transport._held
    return kind
