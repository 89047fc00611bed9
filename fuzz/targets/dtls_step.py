"""A DTLS connection, by a script of datagrams from its real peer, changed or not, and from anybody else.

Nothing comes out of an input but events; whoever is believed has the certificate that was signalled; a handshake that
is over within its time is over for good; and a connected one delivers only what the peer sent.
"""

from __future__ import annotations

from collections.abc import Hashable

from fuzz.script import Script
from icelane.core.clock import Instant, UnixSeconds, later
from icelane.crypto.certificate import Certificate
from icelane.dtls.connection import DtlsConnection, DtlsState, HandshakeCompleted
from icelane.dtls.options import DtlsRole
from icelane.errors import InvalidStateError

CERTIFICATES = [Certificate.generate(now=UnixSeconds(1.8e9)) for _ in range(2)]
PAYLOAD = b"from the peer"
STEPS_OF_TIME = (0.1, 0.3, 1.0, 31.0)
MAX_STEPS = 24
# A script that answers itself for ever is none.
MAX_WAITING = 64

SEEDS = [
    bytes((0, 0, 0, 0, 0, 0)),  # both ends connect; the victim is the server
    bytes((1, 0, 0, 0, 0, 5, 0, 0)),
    bytes((0, 1, 3, 7, 1, 40, 255, 0, 0, 0, 0)),
    bytes((0, 2, 0, 0, 2, 0, 0, 0)),
    bytes((0, 3, 16)) + b"\x16\xfe\xfd\x00\x00" + bytes(11) + bytes((0, 0, 0)),
    bytes((1, 0, 0, 0, 0, 3, 15)) + b"\x15\xfe\xfd\x00\x00" + bytes(6) + b"\x00\x02\x02\x28" + bytes((5, 0, 6, 0)),
    bytes((0, 4, 3, 4, 3)),
]
DICTIONARY = [b"\x16\xfe\xfd", b"\x17\xfe\xfd\x00\x01", b"\x15\xfe\xfd\x00\x00", b"\x14\xfe\xfd"]


class World:
    """The connection that is attacked, and its honest peer."""

    def __init__(self, role: DtlsRole) -> None:
        other = DtlsRole.SERVER if role is DtlsRole.CLIENT else DtlsRole.CLIENT
        self.now = Instant(0.0)
        self.victim = DtlsConnection(CERTIFICATES[0], role=role)
        self.peer = DtlsConnection(CERTIFICATES[1], role=other)
        self.victim.set_remote_fingerprints([("sha-256", CERTIFICATES[1].fingerprint())], self.now)
        self.peer.set_remote_fingerprints([("sha-256", CERTIFICATES[0].fingerprint())], self.now)
        self.to_victim: list[bytes] = []
        self.completed = 0
        for connection in (self.victim, self.peer):
            connection.start(self.now)
        self.drain()

    def drain(self) -> None:
        """What the victim says reaches the peer; what the peer says waits for the script."""
        for _ in range(MAX_WAITING):
            if (datagram := self.victim.poll_transmit()) is None:
                break
            self.peer.handle_datagram(datagram, self.now)
        while (datagram := self.peer.poll_transmit()) is not None:
            self.to_victim.append(datagram)
        del self.to_victim[MAX_WAITING:]
        while (event := self.victim.poll_event()) is not None:
            if isinstance(event, HandshakeCompleted):
                self.completed += 1
                assert event.security.remote_certificate == CERTIFICATES[1].der
        while (payload := self.victim.poll_data()) is not None:
            assert payload == PAYLOAD
            assert self.completed == 1

    def give(self, datagram: bytes) -> None:
        """The victim gets a datagram."""
        self.victim.handle_datagram(datagram, self.now)
        self.drain()


def mutated(datagram: bytes, script: Script) -> bytes:
    """One byte changed, or the end cut off."""
    at, value = (script.number() << 8 | script.number()) % max(len(datagram), 1), script.number()
    if value == 0:
        return datagram[:at]
    return datagram[:at] + bytes((datagram[at] ^ value,)) + datagram[at + 1 :] if datagram else datagram


def step(world: World, script: Script) -> Hashable:
    """One step of the script."""
    kind = script.number() % 8
    waiting = world.to_victim
    match kind:
        case 0 if waiting:
            world.give(waiting.pop(0))
        case 1 if waiting:
            world.give(mutated(waiting[0], script))
        case 2 if waiting:
            world.give(waiting[-1])
        case 3:
            world.give(script.string())
        case 4:
            world.now = later(world.now, script.choose(STEPS_OF_TIME))
            world.victim.handle_timeout(world.now)
            world.peer.handle_timeout(world.now)
            world.drain()
        case 5:
            try:
                world.peer.send(PAYLOAD, world.now)
            except InvalidStateError:
                return kind, "not connected"
            world.drain()
        case 6 if waiting:
            world.give(b"".join(waiting))
            waiting.clear()
        case 7 if len(waiting) > 1:
            waiting.reverse()
    return kind


def run(data: bytes) -> Hashable:
    """What the last step did, and the states of both ends."""
    script = Script(data)
    world = World(script.choose(list(DtlsRole)))
    outcomes = [step(world, script) for _ in range(MAX_STEPS) if script]
    reached = world.victim.state, world.peer.state
    assert world.completed == (world.victim.security is not None)
    world.now = later(world.now, 31.0)
    world.victim.handle_timeout(world.now)
    world.drain()
    assert world.victim.state is not DtlsState.CONNECTING
    assert world.victim.next_timeout() is None
    return outcomes[-1] if outcomes else None, reached
