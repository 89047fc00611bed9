"""Agents on a virtual network, and the little that a peer connection does around them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from icelane.core.clock import Instant
from icelane.core.net import Path, SocketAddress, Transport
from icelane.ice.agent import IceAgent
from icelane.ice.candidate import Candidate, CandidateType, Foundations, compute_priority, parse_candidate
from icelane.ice.event import IceEvent, IceRole, IceState, PairSelected, StateChanged
from icelane.ice.options import IceOptions
from icelane.stun.message import MessageClass, looks_like_stun, parse_message
from icelane.testing.clock import VirtualClock
from icelane.testing.entropy import SeededEntropy
from icelane.testing.network import EngineHost, Link, VirtualNetwork

T = TypeVar("T")

ALICE = SocketAddress("198.51.100.1", 5000)
BOB = SocketAddress("198.51.100.2", 6000)


class IceHost(EngineHost[IceEvent]):
    """An agent with a socket at `address`, and further ones. Candidates travel to the peer as lines of text."""

    def __init__(
        self,
        network: VirtualNetwork,
        address: SocketAddress,
        role: IceRole,
        seed: int,
        options: IceOptions | None = None,
    ) -> None:
        self.engine = IceAgent(role=role, entropy=SeededEntropy(seed), options=options)
        super().__init__(network, self.engine, address)
        self.foundations = Foundations()
        self.candidates: list[Candidate] = []
        self.sent: list[tuple[Instant, bytes, Path]] = []
        self.arrived: list[tuple[bytes, Path]] = []
        self.refused: list[tuple[bytes, Path]] = []
        self.silent = False

    # What the host does

    def add(
        self,
        candidate_type: CandidateType = CandidateType.HOST,
        address: SocketAddress | None = None,
        base: SocketAddress | None = None,
        preference: int = 65_535,
    ) -> Candidate:
        """Give the agent a candidate, on a socket that is opened if need be."""
        address = address or self.address
        base = base or address
        if base not in self.network.addresses:
            self.network.attach(base, self._arrived)
        candidate = Candidate(
            type=candidate_type,
            host=address.host,
            port=address.port,
            priority=compute_priority(candidate_type, preference),
            foundation=self.foundations.of(candidate_type, base.host),
            related=None if candidate_type is CandidateType.HOST else base,
        )
        self.candidates.append(candidate)
        self.run(lambda now: self.engine.add_local_candidate(candidate, base, now))
        return candidate

    def add_relayed(self, address: SocketAddress) -> Candidate:
        """A relayed candidate: the network's address stands for the TURN server's port."""
        return self.add(CandidateType.RELAYED, address)

    def hear(self, peer: IceHost) -> None:
        """The peer's description came: credentials and the candidates so far."""
        self.hear_credentials(peer)
        for candidate in peer.candidates:
            self.hear_candidate(candidate)

    def hear_credentials(self, peer: IceHost, *, lite: bool = False) -> None:
        """The peer's credentials came."""
        credentials = peer.engine.credentials
        self.run(lambda now: self.engine.set_remote_credentials(credentials, now, lite=lite))

    def hear_candidate(self, candidate: Candidate) -> None:
        """A candidate came, as a line."""
        parsed = parse_candidate(str(candidate))
        self.run(lambda now: self.engine.add_remote_candidate(parsed, now))

    def finish(self) -> None:
        """No more candidates, from either side."""
        self.run(self.engine.local_candidates_done)
        self.run(self.engine.remote_candidates_done)

    def say(self, payload: bytes) -> bool:
        """Send data, if there is anywhere to send it."""
        path = self.engine.data_path
        if path is None:
            return False
        self.network.send(payload, path.local, path.remote)
        return True

    # What EngineHost asks for

    def send(self, data: bytes, path: Path) -> None:
        """Remember what left; while `silent`, nothing does."""
        if self.silent:
            return
        self.sent.append((self.network.clock.now, data, path))
        super().send(data, path)

    def receive(self, data: bytes, source: SocketAddress, destination: SocketAddress) -> None:
        """STUN is for the agent, all else is data."""
        if looks_like_stun(data):
            super().receive(data, source, destination)
            return
        path = Path(destination, source, Transport.UDP)
        (self.arrived if self.engine.accepts(path) else self.refused).append((data, path))

    # What tests look at

    @property
    def states(self) -> list[IceState]:
        """The states that were told, in order."""
        return [event.state for event in self.events if isinstance(event, StateChanged)]

    def told(self, kind: type[T]) -> list[T]:
        """The events of a kind."""
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def selections(self) -> list[PairSelected]:
        return self.told(PairSelected)

    def requests(self) -> list[tuple[Instant, Path]]:
        """When and where Binding requests left."""
        return [(at, path) for at, data, path in self.sent if parse_message(data).message_class is MessageClass.REQUEST]

    def has_nowhere_to_send(self) -> bool:
        """Whether no pair is selected and none carries data."""
        return self.engine.selected is None and self.engine.data_path is None

    def state_is(self, *states: IceState) -> bool:
        return self.engine.state in states


def assert_state(state: IceState, *hosts: IceHost) -> None:
    """They are in that state."""
    assert [host.engine.state for host in hosts] == [state] * len(hosts)


def both(verb: Callable[[IceHost, IceHost], object], one: IceHost, other: IceHost) -> None:
    """Do it in both directions."""
    verb(one, other)
    verb(other, one)


def make_network(link: Link | None = None, seed: int = 1) -> VirtualNetwork:
    return VirtualNetwork(VirtualClock(), seed, link or Link(delay=0.02))


def make_pair(
    network: VirtualNetwork,
    *,
    roles: tuple[IceRole, IceRole] = (IceRole.CONTROLLING, IceRole.CONTROLLED),
    options: tuple[IceOptions | None, IceOptions | None] = (None, None),
    addresses: tuple[SocketAddress, SocketAddress] = (ALICE, BOB),
    seed: int = 1,
) -> tuple[IceHost, IceHost]:
    """Two agents with a host candidate each, which have not heard of one another."""
    one, other = (
        IceHost(network, address, role, 10 * seed + number, chosen)
        for number, (address, role, chosen) in enumerate(zip(addresses, roles, options, strict=True))
    )
    for host in (one, other):
        host.add()
    return one, other


def introduce(one: IceHost, other: IceHost) -> None:
    """Tell each all about the other, at once."""
    both(IceHost.hear, one, other)
    both(lambda host, _: host.finish(), one, other)


def connect(one: IceHost, other: IceHost, timeout: float = 10.0) -> None:
    """Introduce them and wait until both have completed, whatever came afterwards."""
    introduce(one, other)
    one.network.run_until(lambda: IceState.COMPLETED in one.states and IceState.COMPLETED in other.states, timeout)


def connected_pair(network: VirtualNetwork | None = None, seed: int = 1) -> tuple[IceHost, IceHost]:
    """Two agents on a link without loss that have completed."""
    one, other = make_pair(network or make_network(), seed=seed)
    connect(one, other)
    return one, other
