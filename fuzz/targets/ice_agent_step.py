"""The ICE agent, by a script of commands, time, and what a peer, or somebody who is none, may send.

Nothing but LocalProtocolError comes out of a command, and nothing at all out of an input; what is kept is bounded; no
pair is valid or selected to which no answer came that was signed with the peer's password, but between two lite agents;
a closed agent is silent.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import replace

from fuzz.script import Script
from icelane.core.clock import Instant
from icelane.core.net import Path, SocketAddress, Transport
from icelane.errors import IntegrityError, LocalProtocolError
from icelane.ice.agent import IceAgent
from icelane.ice.candidate import ACTIVE_PORT, Candidate, CandidateType, compute_priority
from icelane.ice.check import Check, encode_check, encode_error, encode_success
from icelane.ice.connections import MAX_OPENING
from icelane.ice.credentials import Credentials
from icelane.ice.event import (
    ConnectionUnwanted,
    ConnectionWanted,
    IceEvent,
    IceRole,
    IceState,
    PairSelected,
    PairValidated,
)
from icelane.ice.options import IceOptions, NominationMode
from icelane.stun.attributes import AttributeType
from icelane.stun.integrity import verify_integrity
from icelane.stun.message import Message, MessageBuilder, MessageClass, Method, parse_message
from icelane.testing.clock import VirtualClock
from icelane.testing.entropy import SeededEntropy
from icelane.testing.network import EngineHost, VirtualNetwork

BASES = [SocketAddress("192.0.2.10", 5000), SocketAddress("2001:db8::10", 5000), SocketAddress("198.41.0.4", 50_000)]
ACTIVE = SocketAddress("192.0.2.10", ACTIVE_PORT)
PASSIVE = SocketAddress("192.0.2.10", 4443)
PEERS = [
    SocketAddress("198.51.100.1", 6000),
    SocketAddress("198.51.100.1", 6001),
    SocketAddress("198.51.100.2", 6000),
    SocketAddress("2001:db8::1", 6000),
    SocketAddress("fe80::1", 6000),
]
THEIRS = [Credentials("peer", "the password of the peer, once"), Credentials("twin", "the password of the peer, twice")]
OPTIONS = [
    IceOptions(),
    IceOptions(max_pairs=2),
    IceOptions(nomination=NominationMode.AGGRESSIVE),
    IceOptions(lite=True),
    IceOptions(patience=3.0, consent_interval=1.0, consent_expiry=4.0),
]
KINDS = (*sorted(set(AttributeType) - {AttributeType.MESSAGE_INTEGRITY, AttributeType.FINGERPRINT}), 0x7FFF, 0xFFFF)
CODES = (487, 400, 420, 500)
STEPS_OF_TIME = (0.02, 0.05, 0.2, 1.1, 6.0, 31.0, 45.0)
MAX_STEPS = 24

# Steps: 0 credentials, 1 and 2 our and their candidate, 3 a check of theirs, 4 an answer, 5 time; see `step`.
SEEDS = [
    # Controlling: connected and nominated, consent, a restart.
    bytes((0, 0, 1, 0, 0, 0, 0, 2, 0, 4, 1, 0, 4, 1, 0, 5, 4, 4, 1, 0, 5, 5, 7, 0, 0, 1, 1, 0, 0, 2, 0, 4, 1, 0)),
    # Controlled: a check that nominates, and our own answered.
    bytes((0, 1, 1, 0, 0, 0, 0, 3, 0, 0, 7, 0, 4, 1, 0, 5, 5, 4, 1, 0)),
    # Checks before the credentials; a role conflict either way; lite.
    bytes((0, 0, 1, 0, 0, 3, 0, 0, 7, 0, 0, 0, 4, 2, 0, 4, 1, 0)),
    bytes((0, 0, 1, 0, 0, 0, 0, 2, 0, 3, 0, 0, 3, 255, 4, 3, 0, 5, 3)),
    bytes((3, 1, 1, 0, 0, 0, 0, 3, 0, 0, 7, 0, 5, 4, 5, 5)),
    bytes((0, 0, 1, 0, 0, 0, 0, 2, 0, 4, 1, 0, 6, 0, 5, 5, 9)),
    # Over TCP: connected, answered, nominated, lost and made again; and accepted, with a check that nominates.
    bytes((0, 0, 0, 0, 1, 0, 3, 2, 65, 12, 3, 4, 1, 0, 4, 1, 0, 5, 4, 4, 1, 0, 12, 0, 0, 5, 2, 12, 3, 4, 1, 0)),
    bytes((0, 1, 1, 0, 4, 0, 0, 12, 1, 3, 0, 0, 0, 0, 7, 0, 1, 4, 1, 0, 5, 4)),
]


class FuzzHost(EngineHost[IceEvent]):
    """Connections of TCP are not on the network: the script says what comes of them, and answers on them."""

    def __init__(self, world: World, network: VirtualNetwork, engine: IceAgent) -> None:
        self._world = world
        super().__init__(network, engine, BASES[0])

    def send(self, data: bytes, path: Path) -> None:
        if path.transport is Transport.UDP:
            super().send(data, path)
            return
        assert path in self._world.connected, "sent on a connection that is not there"
        self._world.keep_request(data, path)

    def handle_event(self, event: IceEvent) -> None:
        super().handle_event(event)
        world = self._world
        if isinstance(event, ConnectionWanted):
            world.wanted.append(event.planned)
        elif isinstance(event, ConnectionUnwanted):
            world.connected.discard(event.path)


class World:
    """An agent, and everybody else whom the script speaks for."""

    def __init__(self, script: Script) -> None:
        self.network = VirtualNetwork(VirtualClock())
        self.options = script.choose(OPTIONS)
        role = script.choose(list(IceRole))
        self.engine = IceAgent(role=role, entropy=SeededEntropy(1), options=self.options)
        self.wanted: list[Path] = []
        self.connected: set[Path] = set()
        self.ports = 50_000
        self.host = FuzzHost(self, self.network, self.engine)
        for base in BASES[1:]:
            self.network.attach(base, self.host.receive)
        for peer in PEERS:
            self.network.attach(peer, self._received)
        self.requests: list[tuple[Message, Path]] = []
        self.remote: Credentials | None = None
        self.both_lite = False  # some session was: nothing has to be proved in it
        # Where an answer that was signed as it must be went to the agent, or for a lite agent a nomination.
        self.proved: set[Path] = set()
        self.checked = 0

    def _received(self, data: bytes, source: SocketAddress, destination: SocketAddress) -> None:
        self.keep_request(data, Path(source, destination, Transport.UDP))

    def keep_request(self, data: bytes, path: Path) -> None:
        """The agent has asked something."""
        message = parse_message(data)
        if message.message_class is MessageClass.REQUEST:
            self.requests.append((message, path))
            del self.requests[:-8]

    def tell(self, data: bytes, path: Path) -> None:
        """Send to the agent, and let it answer."""
        if path.transport is Transport.TCP:
            self.host.run(lambda now: self.engine.handle_datagram(data, path, now))
        else:
            self.network.send(data, path.remote, path.local)
        self.network.run_for(0.0)

    def some_path(self, script: Script) -> Path:
        """Somebody's way to the agent."""
        source, base = script.choose(PEERS), script.choose(BASES)
        if script.number() % 3 == 0 and self.connected:
            return script.choose(sorted(self.connected))
        return Path(base, source, Transport.UDP)

    def command(self, verb: Callable[[Instant], object]) -> str:
        """Give a command; returns whether it was one that could be given now."""
        try:
            self.host.run(verb)
        except LocalProtocolError:
            return "refused"
        self.network.run_for(0.0)
        return "done"

    def check(self) -> None:
        """What always holds."""
        engine = self.engine
        pairs = engine.pairs()
        assert len(pairs) <= self.options.max_pairs + 1
        assert len(self.wanted) <= 2 * MAX_OPENING
        for event in self.host.events[self.checked :]:
            if isinstance(event, PairValidated | PairSelected) and not self.both_lite:
                assert event.path in self.proved, f"{event} without a proof"
        self.checked = len(self.host.events)
        for path in (engine.selected, engine.data_path):
            assert path is None or ((path in self.proved or self.both_lite) and engine.accepts(path))
        if engine.state in (IceState.FAILED, IceState.CLOSED):
            assert engine.selected is engine.data_path is None
            assert engine.poll_transmit() is None
        if engine.state in (IceState.CONNECTED, IceState.COMPLETED):
            assert engine.data_path is not None


def learn_credentials(world: World, script: Script) -> Hashable:
    """The peer's description comes."""
    choice = script.number()
    credentials = THEIRS[choice & 1]
    outcome = world.command(lambda now: world.engine.set_remote_credentials(credentials, now, lite=bool(choice & 2)))
    if outcome == "done":
        world.remote = credentials
        world.both_lite |= bool(choice & 2) and world.options.lite
    return outcome


def add_local(world: World, script: Script) -> Hashable:
    """One more candidate of ours."""
    kind, base = script.choose(list(CandidateType)), script.choose([*BASES, ACTIVE, PASSIVE])
    candidate = make_candidate(kind, base, 1)
    if base in (ACTIVE, PASSIVE):
        candidate = over_tcp(candidate, "active" if base is ACTIVE else "passive")
    return world.command(lambda now: world.engine.add_local_candidate(candidate, base, now))


def add_remote(world: World, script: Script) -> Hashable:
    """One more candidate of theirs."""
    choice = script.number()
    address = PEERS[choice % len(PEERS)]
    candidate = make_candidate(list(CandidateType)[(choice >> 3) % 4], address, choice)
    if choice & 0x40:
        candidate = over_tcp(candidate, "passive" if choice & 0x80 == 0 else "active")
    return world.command(lambda now: world.engine.add_remote_candidate(candidate, now))


def make_candidate(kind: CandidateType, address: SocketAddress, number: int) -> Candidate:
    """A candidate at that address."""
    return Candidate(
        type=kind,
        host=address.host,
        port=address.port,
        priority=compute_priority(kind, number),
        foundation=str(number),
    )


def over_tcp(candidate: Candidate, tcp_type: str) -> Candidate:
    """The same, of TCP."""
    return replace(candidate, transport="tcp", tcp_type=tcp_type)


def connection(world: World, script: Script) -> Hashable:
    """What becomes of a connection: made, refused, accepted, or lost."""
    choice, engine = script.number(), world.engine
    if choice % 4 == 0 and world.connected:
        path = script.choose(sorted(world.connected))
        world.connected.discard(path)
        return "lost", world.command(lambda now: engine.handle_disconnected(path, now))
    world.ports += 1
    if choice % 4 == 1:
        world.connected.add(Path(PASSIVE, SocketAddress("198.51.100.1", world.ports), Transport.TCP))
        return "accepted"
    if not world.wanted:
        return "none is wanted"
    planned = world.wanted.pop(0)
    if choice % 4 == 2:
        return "refused", world.command(lambda now: engine.handle_connect_failed(planned, now))
    path = Path(SocketAddress(planned.local.host, world.ports), planned.remote, Transport.TCP)
    world.connected.add(path)
    return "made", world.command(lambda now: engine.handle_connected(planned, path, now))


def request(world: World, script: Script) -> Hashable:
    """A check of the peer, or of somebody else."""
    path = world.some_path(script)
    choices, tie_breaker = script.number(), script.number()
    ours, theirs = world.engine.credentials, THEIRS[choices >> 3 & 1]
    right = choices & 1
    check = Check(
        priority=choices << 8,
        use_candidate=bool(choices & 2),
        role=(IceRole.CONTROLLING if choices & 4 else IceRole.CONTROLLED) if not choices & 0x80 else None,
        tie_breaker=tie_breaker << 56,
    )
    receiver = Credentials(ours.ufrag, ours.password if right else "wrong")
    data = encode_check(script.number().to_bytes(12, "big"), check, local=theirs, remote=receiver)
    if right and check.use_candidate and world.options.lite and (world.remote or theirs) == theirs:
        world.proved.add(path)
    world.tell(data, path)
    return right, check.role, check.use_candidate


def respond(world: World, script: Script) -> Hashable:
    """Answer the newest request that is left, rightly or not."""
    choices = script.number()
    extra = script.attributes(KINDS, 2)
    if not world.requests:
        return "nothing was asked"
    asked, path = world.requests.pop()
    password = signer(asked) if choices & 1 else "wrong"
    source = path.remote if not choices & 4 or path.transport is Transport.TCP else script.choose(PEERS)
    if choices & 2:
        data = encode_error(asked, CODES[(choices >> 4) % len(CODES)], password)
    elif extra:
        builder = MessageBuilder.response_to(asked)
        for kind, value in extra:
            builder.add(kind, value)
        data = builder.add_integrity_sha1(password.encode()).build()
    else:
        mapped = path.local if not choices & 8 else SocketAddress("203.0.113.9", choices)
        data = encode_success(asked, mapped, password)
    if path.transport is Transport.TCP and path not in world.connected:
        return "the connection is gone"
    if choices & 1 and not choices & 2 and source == path.remote:
        world.proved.add(path)
    world.tell(data, path._replace(remote=source))
    return choices & 0xF


def signer(asked: Message) -> str:
    """The password with which the agent signed."""
    for credentials in THEIRS:
        try:
            verify_integrity(asked, credentials.password.encode())
        except IntegrityError:
            continue
        return credentials.password
    raise AssertionError("the agent signed with a password that it was never given")


def nonsense(world: World, script: Script) -> None:
    """Any bytes, or a message with any attributes, signed or not."""
    choices, path = script.number(), world.some_path(script)
    if choices & 1:
        world.tell(script.string(), path)
        return
    message_class = list(MessageClass)[choices >> 1 & 3]
    builder = MessageBuilder(Method.BINDING, message_class, script.number().to_bytes(12, "big"))
    ours = world.engine.credentials
    if choices & 8:
        builder.add(AttributeType.USERNAME, f"{ours.ufrag}:{THEIRS[0].ufrag}".encode())
    for kind, value in script.attributes(KINDS):
        builder.add(kind, value)
    if choices & 16:
        builder.add_integrity_sha1(ours.password.encode())
        if world.options.lite and message_class is MessageClass.REQUEST:
            world.proved.add(path)
    world.tell(builder.build(), path)


def step(world: World, script: Script) -> Hashable:
    """One step of the script."""
    engine, kind = world.engine, script.number() % 13
    match kind:
        case 0:
            return kind, learn_credentials(world, script)
        case 1:
            return kind, add_local(world, script)
        case 2:
            return kind, add_remote(world, script)
        case 3:
            return kind, request(world, script)
        case 4:
            return kind, respond(world, script)
        case 5:
            world.network.run_for(script.choose(STEPS_OF_TIME))
        case 6:
            base = script.choose([*BASES, ACTIVE, PASSIVE])
            transport = Transport.TCP if base in (ACTIVE, PASSIVE) else Transport.UDP
            return kind, world.command(lambda now: engine.remove_base(base, now, transport))
        case 7:
            return kind, world.command(engine.restart if script.number() % 4 else engine.undo_restart)
        case 8:
            done = engine.local_candidates_done if script.number() % 2 else engine.remote_candidates_done
            return kind, world.command(done)
        case 9:
            return kind, world.command(engine.close if script.number() == 7 else engine.note_authenticated_data)
        case 10:
            role = script.choose(list(IceRole))
            return kind, world.command(lambda _: engine.set_role(role))
        case 11:
            nonsense(world, script)
        case 12:
            return kind, connection(world, script)
    return kind


def run(data: bytes) -> Hashable:
    """What the last step did, the state, and the events."""
    script = Script(data)
    world = World(script)
    outcome: Hashable = None
    for _ in range(MAX_STEPS):
        if not script:
            break
        outcome = step(world, script)
        world.check()
    reached = world.engine.state
    events = frozenset(type(event).__name__ for event in world.host.events)
    world.host.run(world.engine.close)
    assert world.engine.next_timeout() is None
    world.check()
    return outcome, reached, events, len(world.engine.pairs())
