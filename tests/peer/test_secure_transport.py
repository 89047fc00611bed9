"""Who may speak to DTLS, and when: the whole stack on a virtual network, with somebody else on it."""

from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Callable, Iterable

import pytest

from icelane.core.clock import Instant, UnixSeconds
from icelane.core.net import Path, SocketAddress, Transport
from icelane.crypto.certificate import Certificate
from icelane.datachannel.mux import DataChannels
from icelane.dtls.connection import DtlsState
from icelane.ice.check import Check, encode_check
from icelane.ice.options import IceOptions
from icelane.peer.connection_event import SignalingStateChanged
from icelane.peer.connection_options import PeerOptions
from icelane.sctp.association import SctpAssociation
from icelane.testing.clock import DEFAULT_EPOCH
from icelane.testing.entropy import SeededEntropy
from icelane.testing.peer import PeerHost, pass_candidates, signal
from tests.dtls.raw_peer import RawPeer
from tests.peer.wire import (
    ALICE,
    BOB,
    DELAY,
    MALLORY,
    Mallory,
    Wire,
    connected_peers,
    is_dtls,
    is_stun_answer,
    path_to,
    transport_of,
    two_peers,
)

pytestmark = pytest.mark.twin

CERTIFICATE = Certificate.generate(now=UnixSeconds(DEFAULT_EPOCH))
# Written out: a product whose bounds are broken on purpose must not move these.
MAX_HELD, MAX_HELD_BYTES = 8, 16 * 1024
UNDISTURBED = 0.25  # seconds from the call to the open channel, with DELAY on each way

Started = Callable[[PeerHost], bool]


def client_hello(*suites: int) -> bytes:
    hello = RawPeer(CERTIFICATE, client=True)
    return hello.client_hello(suites=suites) if suites else hello.client_hello()


def has_bases(peer: PeerHost) -> bool:
    return bool(peer.bases)


def has_a_pair_and_no_client_hello(peer: PeerHost) -> bool:
    return peer.engine.transport is not None and peer.engine.transport.ice.agent.data_path is not None


def is_in_the_handshake(peer: PeerHost) -> bool:
    return peer.engine.transport is not None and peer.engine.transport.state is DtlsState.CONNECTING


MOMENTS = pytest.mark.parametrize(
    "moment",
    [has_bases, has_a_pair_and_no_client_hello, is_in_the_handshake],
    ids=["before the first check", "between ICE and the ClientHello", "in the handshake"],
)
HELLOS = pytest.mark.parametrize(
    "hello", [client_hello(), client_hello(0x0000)], ids=["valid", "TLS_NULL_WITH_NULL_NULL"]
)


@pytest.mark.parametrize("victim", ["server", "client"])
@pytest.mark.parametrize("repeated", [False, True], ids=["once", "1,000 a second"])
@HELLOS
@MOMENTS
def test_a_client_hello_from_elsewhere_reaches_nobody(
    moment: Started, hello: bytes, repeated: bool, victim: str
) -> None:
    """DT-1: before the first check, between ICE and the real ClientHello, in the handshake; one, or 1,000 a second."""
    wire = Wire()
    alice, bob = two_peers(wire)
    mallory = Mallory(wire)
    attacked = alice if victim == "server" else bob
    sent, begun = 0, wire.clock.now
    signal(alice, bob)
    while not (alice.opened and bob.opened):
        wire.run_for(0.001)
        if (not sent and moment(attacked)) or (sent and repeated):
            sent += 1
            mallory.send(hello, attacked)
        assert wire.clock.now - begun <= UNDISTURBED
    wire.run_for(DELAY)
    assert sent > (50 if repeated else 0)
    assert transport_of(attacked).discarded == sent
    wire.run_for(0.1)
    assert mallory.heard == []
    signaling = [event.state.value for event in alice.events if isinstance(event, SignalingStateChanged)]
    assert signaling == ["have-local-offer", "stable"]
    alice.send(alice.opened[0], b"undisturbed")
    wire.run_until(lambda: bob.messages)


def test_the_same_time_passes_until_the_channel_opens_whether_somebody_attacks_or_not() -> None:
    """DT-1: the real peer connects in time."""
    took = []
    for attacked in (False, True):
        wire = Wire()
        alice, bob = two_peers(wire)
        mallory = Mallory(wire)
        begun = wire.clock.now
        signal(alice, bob)
        while not (alice.opened and bob.opened):
            wire.run_for(0.001)
            for victim in (alice, bob) if attacked else ():
                mallory.send(client_hello(), victim)
        took.append(wire.clock.now - begun)
    assert took[0] == pytest.approx(took[1], abs=0.002)
    assert took[0] <= UNDISTURBED


def test_dtls_of_a_source_that_has_proved_the_password_waits_for_its_pair() -> None:
    """DT-2: held, not more than 8 datagrams and 16 KiB, and handed over at once when the pair is valid."""
    wire = Wire()
    alice, bob = two_peers(wire)
    wire.stops = lambda data, source, _: is_stun_answer(data) and source.host == bob.hosts[0]
    signal(alice, bob)
    wire.run_until(lambda: transport_of(bob).state is DtlsState.CONNECTING)
    wire.run_for(2 * DELAY)
    transport = transport_of(alice)
    assert transport.ice.agent.data_path is None
    assert transport.state is DtlsState.NEW
    assert transport._held
    hello = transport._held[0][0]
    wire.stops = lambda *_: False
    pass_candidates(alice, bob)
    # No second of OpenSSL's: the next check that is answered does it.
    before = wire.clock.now
    wire.run_until(lambda: alice.is_connected and bob.is_connected, timeout=1.0)
    assert wire.clock.now - before <= 0.7
    assert not transport._held
    assert hello


@pytest.mark.parametrize("size", [100, 1200, 5000, 20_000])
def test_what_is_held_is_bounded(size: int) -> None:
    """DT-2: 8 datagrams or 16 KiB, whichever comes first; the rest is dropped and counted."""
    wire = Wire()
    alice, bob = two_peers(wire)
    wire.stops = lambda data, source, _: is_stun_answer(data) and source.host == bob.hosts[0]
    signal(alice, bob)
    transport = transport_of(alice)
    wire.run_until(lambda: transport.ice.agent.has_authenticated(path_to(alice, bob)))
    wire.stops = lambda _, source, __: source.host == bob.hosts[0]
    before = transport.discarded
    for _ in range(1000):
        datagram = b"\x16" + bytes(size - 1)
        alice.run(lambda now, datagram=datagram: alice.engine.handle_batch([(datagram, path_to(alice, bob))], now))  # type: ignore[misc]
        assert len(transport._held) <= MAX_HELD
        assert sum(len(data) for data, _ in transport._held) == transport._held_bytes <= MAX_HELD_BYTES
    assert transport.discarded - before >= 1000 - MAX_HELD
    alice.run(alice.engine.abort)
    assert not transport._held


def test_dtls_that_comes_before_the_answer_waits_for_the_fingerprint() -> None:
    """DT-2: the caller's own check cannot begin before it knows the answer; the callee's ClientHello can."""
    wire = Wire()
    alice, bob = two_peers(wire)
    alice.run(lambda now: alice.engine.set_local_description(None, now))
    offer = alice.engine.negotiation.local_description
    assert offer is not None
    bob.run(lambda now: bob.engine.set_remote_description(offer, now))
    bob.run(lambda now: bob.engine.set_local_description(None, now))
    pass_candidates_to(bob, alice)
    wire.run_for(0.5)  # the answer is slow
    transport = transport_of(alice)
    assert transport_of(bob).state is DtlsState.CONNECTING
    assert transport.state is DtlsState.NEW
    assert transport._dtls is None
    assert transport._held
    answer = bob.engine.negotiation.local_description
    assert answer is not None
    before = wire.clock.now
    alice.run(lambda now: alice.engine.set_remote_description(answer, now))
    wire.run_until(lambda: alice.opened and bob.opened)
    # Our check, then the rest of the handshake and SCTP; nothing of it is waited for.
    assert wire.clock.now - before <= 0.25


def pass_candidates_to(receiver: PeerHost, sender: PeerHost) -> None:
    for found in sender.take_candidates():
        receiver.run(
            lambda now, found=found: receiver.engine.add_remote_candidate(  # type: ignore[misc]
                found.line, found.place.mid, found.place.index, found.ufrag, now
            )
        )


def test_no_client_hello_leaves_before_a_valid_pair() -> None:
    """DT-2: not while checks go unanswered, and afterwards only along what was answered."""
    wire = Wire()
    alice, bob = two_peers(wire)
    early: list[bytes] = []
    records: list[SocketAddress] = []

    def watch(data: bytes, source: SocketAddress, destination: SocketAddress) -> None:
        if is_dtls(data):
            sender = alice if source in alice.bases else bob
            records.append(destination)
            path = transport_of(sender).ice.agent.data_path
            if path is None or (path.local, path.remote) != (source, destination):
                early.append(data)

    wire.sees = watch
    wire.stops = lambda data, *_: is_stun_answer(data)
    signal(alice, bob)
    wire.run_for(5.0)
    assert records == []
    assert transport_of(bob).state is DtlsState.NEW
    wire.stops = lambda *_: False
    wire.run_until(lambda: alice.opened and bob.opened)
    assert records
    assert early == []


class Watched(DataChannels):
    """Channels that remember what reached them."""

    def __init__(self) -> None:
        super().__init__(SctpAssociation(entropy=SeededEntropy(9)))
        self.reached: list[bytes] = []

    def handle_batch(self, batch: Iterable[bytes], now: Instant) -> None:
        records = list(batch)
        self.reached += records
        super().handle_batch(records, now)


def sctp_init() -> bytes:
    association = SctpAssociation(entropy=SeededEntropy(5))
    association.connect(Instant(0.0))
    packet = association.poll_transmit()
    assert packet is not None
    return packet


@pytest.mark.parametrize("wrapped", [False, True], ids=["as it is", "in a record of epoch 0"])
def test_sctp_before_dtls_makes_no_association(wrapped: bool) -> None:
    """SC-1: on the valid path, before and in the handshake, as it is or in a plaintext record of application data."""
    wire = Wire()
    alice, bob = two_peers(wire)
    watched = Watched()
    alice.engine.channels = watched
    init = sctp_init()
    packet = b"\x17\xfe\xfd" + bytes(8) + len(init).to_bytes(2, "big") + init if wrapped else init
    late: list[tuple[bytes, SocketAddress, SocketAddress]] = []

    def delay(data: bytes, source: SocketAddress, destination: SocketAddress) -> bool:
        if is_dtls(data) and source in bob.bases:
            late.append((data, source, destination))
            return True
        return False

    wire.stops = delay
    signal(alice, bob)
    wire.run_until(lambda: transport_of(alice).ice.agent.data_path is not None)
    for _ in range(20):
        wire.run_for(0.05)
        alice.run(lambda now: alice.engine.handle_batch([(packet, path_to(alice, bob))], now))
    assert transport_of(alice).state is DtlsState.CONNECTING
    assert watched.reached == []
    assert watched.next_timeout() is None
    assert watched.poll_transmit() is None
    assert not watched.is_established
    wire.stops = lambda *_: False
    # Not left to a repetition: without the compiled backend OpenSSL counts its seconds by the machine's clock.
    wire.send(*late[0])
    wire.run_until(lambda: alice.is_connected and bob.is_connected, timeout=5.0)
    assert init not in watched.reached


def strays(count: int, kinds: Iterable[int]) -> list[tuple[bytes, SocketAddress]]:
    firsts = itertools.cycle(kinds)
    return [
        (
            bytes((next(firsts), number & 255)) * 20,
            SocketAddress(f"203.0.113.{number % 250 + 1}", 1024 + number % 50_000),
        )
        for number in range(count)
    ]


NO_STUN = [first for first in range(256) if first > 3]


@pytest.mark.parametrize("when", ["before", "between", "after"])
def test_a_hundred_thousand_datagrams_of_strangers_are_dropped_and_counted(when: str) -> None:
    """IC-3: before the first check, between a valid pair and the selection, after it; nothing of them stays."""
    wire = Wire()
    alice, bob = two_peers(wire)
    alice.run(lambda now: alice.engine.set_local_description(None, now))
    if when != "before":
        signal_on(alice, bob)
        wire.run_until(lambda: transport_of(alice).ice.agent.data_path is not None)
        if when == "after":
            wire.run_until(lambda: transport_of(alice).ice.selected is not None and alice.opened)
            wire.run_for(1.0)
    transport, base = transport_of(alice), alice.bases[0]
    batches = [[(data, Path(base, source, Transport.UDP)) for data, source in strays(1000, NO_STUN)] for _ in range(2)]
    flood(alice, batches[0])
    before, state = transport.discarded, alice.engine.connection_state
    tracemalloc.start()
    for number in range(100):
        flood(alice, batches[number % 2])
    grown = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert grown < 64 * 1024
    assert transport.discarded - before == 100_000
    assert not transport._held
    assert not transport._payloads
    assert alice.engine.connection_state is state
    if when == "before":
        signal_on(alice, bob)
    wire.run_until(lambda: alice.opened and bob.opened)


def flood(peer: PeerHost, batch: list[tuple[bytes, Path]]) -> None:
    peer.run(lambda now: peer.engine.handle_batch(batch, now))


def signal_on(offerer: PeerHost, answerer: PeerHost) -> None:
    """The rest of an exchange whose offer is set."""
    offer = offerer.engine.negotiation.local_description
    assert offer is not None
    answerer.run(lambda now: answerer.engine.set_remote_description(offer, now))
    answerer.run(lambda now: answerer.engine.set_local_description(None, now))
    answer = answerer.engine.negotiation.local_description
    assert answer is not None
    offerer.run(lambda now: offerer.engine.set_remote_description(answer, now))
    pass_candidates(offerer, answerer)


@pytest.mark.parametrize("first", [0x16, 0x17, 0x80, 0xBF, 0x40, 0x13], ids=hex)
def test_after_the_nomination_nothing_from_elsewhere_moves_the_destination(first: int) -> None:
    """IC-4: not even the peer's own records, which somebody has seen and sends from another address or port."""
    wire = Wire()
    alice, bob = connected_peers(wire)
    seen: list[bytes] = []

    def overhear(data: bytes, source: SocketAddress, _destination: SocketAddress) -> None:
        if source in bob.bases:
            seen.append(data)

    wire.sees = overhear
    bob.send(bob.opened[0], b"a valid record")
    wire.run_for(0.1)
    wire.sees = lambda *_: None
    transport = transport_of(alice)
    path, selected = transport.ice.agent.data_path, transport.ice.selected
    alice.keeps_sent = True
    for source in (MALLORY, SocketAddress(bob.hosts[0], 7), SocketAddress("127.0.0.1", bob.bases[0].port)):
        replayed = [(data, Path(alice.bases[0], source, Transport.UDP)) for data in seen]
        made = [(bytes((first,)) + bytes(99), Path(alice.bases[0], source, Transport.UDP))] * 10
        flood(alice, replayed + made)
    alice.send(alice.opened[0], b"to whom")
    wire.run_for(10.0)
    assert transport.ice.agent.data_path == path
    assert transport.ice.selected == selected
    assert {sent.remote for sent, _ in alice.sent} == {bob.bases[0]}
    assert bob.messages[-1][1] == b"to whom"
    assert len([data for _, data in alice.messages if data == b"a valid record"]) == 1


def nominating_check(number: int, signer: PeerHost) -> bytes:
    """A check that `signer` signs, and that may be sent from elsewhere."""
    agent = transport_of(signer).ice.agent
    assert agent.remote_credentials is not None
    check = Check(priority=1, use_candidate=True, role=agent.role, tie_breaker=number)
    return encode_check(number.to_bytes(12, "big"), check, local=agent.credentials, remote=agent.remote_credentials)


@pytest.mark.parametrize("forges", [False, True])
def test_a_lite_agent_has_reached_its_peer_when_all_of_its_handshake_went_there(*, forges: bool) -> None:
    """IC-3: and not when some of it went elsewhere, where a check with another source on it had led it."""
    wire = Wire()
    alice = PeerHost(wire, ALICE, seed=1)
    bob = PeerHost(wire, BOB, seed=2, options=PeerOptions(ice=IceOptions(lite=True)))
    alice.create_channel("chat")
    # Whom it is led to passes it on, so that nothing is lost by it.
    wire.attach(MALLORY, lambda data, *_: wire.send(data, bob.bases[0], alice.bases[0]))
    signal(alice, bob)
    wire.run_until(lambda: is_in_the_handshake(bob))
    agent = transport_of(bob).ice.agent
    assert agent.unproven == agent.accepted != frozenset()
    if forges:
        wire.send(nominating_check(1, alice), MALLORY, bob.bases[0])
        wire.run_for(DELAY)
        assert agent.data_path is not None
        assert agent.data_path.remote == MALLORY
    wire.run_until(lambda: alice.opened and bob.opened)
    assert (path_to(bob, alice) in agent.unproven) is forges
