from __future__ import annotations

from dataclasses import replace

from icelane.core.clock import Instant
from icelane.core.net import NamedPlace, Path, SocketAddress, Transport
from icelane.errors import TransactionTimeoutError, TransportClosedError, TurnError
from icelane.peer.ice_server import MAX_SERVERS
from icelane.peer.relays import (
    ALLOCATE_TIMEOUT,
    MAX_HELD,
    CloseStream,
    OpenStream,
    RelayedAddressFound,
    RelayedData,
    RelayFailed,
    RelayLost,
    Relays,
    RelayServer,
)
from icelane.testing.clock import VirtualClock
from icelane.testing.entropy import SeededEntropy
from icelane.testing.network import Link, VirtualNetwork
from icelane.testing.relay import RelayHost
from icelane.turn.credentials import CredentialStore, StaticUsers
from icelane.turn.peer_policy import PeerPolicy
from icelane.turn.server import TurnServer
from icelane.turn.server_config import TurnServerConfig

BASE = SocketAddress("192.0.2.7", 40_000)
OTHER_BASE = SocketAddress("192.0.2.8", 40_000)
SERVER = SocketAddress("198.41.0.4", 3478)
PEER = SocketAddress("198.41.0.99", 5000)
GONE = Link(loss=1.0)


def turn_server(address: SocketAddress = SERVER, transport: Transport = Transport.UDP, **wishes: str) -> RelayServer:
    return RelayServer(
        address=address,
        transport=transport,
        host_name="turn.example.org",
        url="turn:turn.example.org",
        username=wishes.get("username", "alice"),
        password=wishes.get("password", "secret"),
    )


class Fixture:
    """Relays on a network with a TURN server and a peer."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.network = VirtualNetwork(self.clock, link=Link(delay=0.02))
        self.relays = Relays(entropy=SeededEntropy(1))
        self.events: list[object] = []
        self.commands: list[object] = []
        self.data: list[RelayedData] = []
        self.at_peer: list[tuple[bytes, SocketAddress]] = []
        engine = TurnServer(
            TurnServerConfig(realm="example.org", relay_addresses=(SERVER.host,), policy=PeerPolicy()),
            credentials=CredentialStore(StaticUsers({"alice": "secret"})),
            entropy=SeededEntropy(2),
            wall_clock=self.clock,
        )
        self.server = RelayHost(self.network, engine, SERVER, SeededEntropy(3))
        for base in (BASE, OTHER_BASE):
            self.network.attach(base, self._arrived)
        self.network.attach(PEER, lambda data, source, _: self.at_peer.append((data, source)))
        self.network.add_timed(self)

    def next_timeout(self) -> Instant | None:
        return self.relays.next_timeout()

    def handle_timeout(self) -> None:
        self.relays.handle_timeout(self.clock.now)
        self.drain()

    def drain(self) -> None:
        while (transmit := self.relays.poll_transmit()) is not None:
            self.network.send(transmit.data, transmit.path.local, transmit.path.remote)
        while (event := self.relays.poll_event()) is not None:
            self.events.append(event)
        while (command := self.relays.poll_command()) is not None:
            self.commands.append(command)
        while (data := self.relays.poll_data()) is not None:
            self.data.append(data)

    def add(self, server: RelayServer | None = None, *bases: SocketAddress) -> None:
        for base in bases or (BASE,):
            self.relays.add_base(base, self.clock.now)
        self.relays.add_server(server or turn_server(), self.clock.now)
        self.drain()

    def allocate(self) -> SocketAddress:
        self.add()
        self.network.run_until(lambda: not self.relays.pending)
        found = self.events[-1]
        assert isinstance(found, RelayedAddressFound)
        return found.relayed

    def send(self, data: bytes, relayed: SocketAddress) -> None:
        self.relays.send(data, Path(relayed, PEER, Transport.UDP), self.clock.now)
        self.drain()

    def _arrived(self, data: bytes, source: SocketAddress, destination: SocketAddress) -> None:
        assert self.relays.handle_datagram(data, Path(destination, source, Transport.UDP), self.clock.now)
        self.drain()


def test_every_base_gets_a_relayed_address_of_its_own() -> None:
    fixture = Fixture()
    fixture.add(None, BASE, OTHER_BASE)
    assert fixture.relays.pending
    fixture.network.run_until(lambda: len(fixture.events) == 2)
    found = [event for event in fixture.events if isinstance(event, RelayedAddressFound)]
    assert [event.path.local for event in found] == [BASE, OTHER_BASE]
    assert len({event.relayed for event in found}) == 2
    assert not fixture.relays.pending


def test_the_first_datagrams_for_a_host_wait_for_its_permission_and_lose_nothing() -> None:
    fixture = Fixture()
    relayed = fixture.allocate()
    for number in range(3):
        fixture.send(b"check %d" % number, relayed)
    assert not fixture.at_peer
    fixture.network.run_until(lambda: len(fixture.at_peer) == 3)
    assert fixture.at_peer == [(b"check %d" % number, relayed) for number in range(3)]
    assert fixture.server.dropped == 0


def test_what_waits_for_a_permission_is_bounded_and_the_oldest_goes_first() -> None:
    fixture = Fixture()
    relayed = fixture.allocate()
    for number in range(MAX_HELD + 4):
        fixture.send(b"%d" % number, relayed)
    fixture.network.run_for(1.0)
    assert [int(data) for data, _ in fixture.at_peer] == list(range(4, MAX_HELD + 4))


def test_what_comes_to_the_relayed_address_comes_out_with_the_peer_s_address() -> None:
    fixture = Fixture()
    relayed = fixture.allocate()
    fixture.send(b"hello", relayed)
    fixture.network.run_until(lambda: fixture.at_peer)
    fixture.network.send(b"hello yourself", PEER, relayed)
    fixture.network.run_until(lambda: fixture.data)
    assert fixture.data[0].data == b"hello yourself"
    assert fixture.data[0].path == Path(relayed, PEER, Transport.UDP)


def test_a_bound_channel_carries_the_data_from_then_on() -> None:
    fixture = Fixture()
    relayed = fixture.allocate()
    fixture.send(b"before", relayed)
    fixture.relays.bind_channel(Path(relayed, PEER, Transport.UDP), fixture.clock.now)
    fixture.drain()
    fixture.network.run_for(0.2)
    before = fixture.network.traffic.sent
    fixture.relays.send(b"x" * 100, Path(relayed, PEER, Transport.UDP), fixture.clock.now)
    transmit = fixture.relays.poll_transmit()
    assert transmit is not None
    assert len(transmit.data) == 104
    assert fixture.network.traffic.sent == before


def test_data_from_a_base_that_is_no_relayed_address_goes_nowhere() -> None:
    fixture = Fixture()
    fixture.allocate()
    fixture.send(b"hello", SocketAddress("203.0.113.1", 1))
    assert fixture.relays.poll_transmit() is None


def test_wrong_credentials_are_told_with_the_server_s_code() -> None:
    fixture = Fixture()
    fixture.add(turn_server(password="guessed"))
    fixture.network.run_until(lambda: fixture.events)
    (failed,) = fixture.events
    assert isinstance(failed, RelayFailed)
    assert isinstance(failed.error, TurnError)
    assert failed.error.code == 401
    assert failed.base == BASE
    assert fixture.relays.idle
    assert fixture.next_timeout() is None


def test_a_dead_server_is_given_up_in_time_and_leaves_nothing() -> None:
    fixture = Fixture()
    fixture.network.connect(BASE.host, SERVER.host, GONE)
    fixture.add()
    fixture.network.run_for(ALLOCATE_TIMEOUT)
    (failed,) = fixture.events
    assert isinstance(failed, RelayFailed)
    assert isinstance(failed.error, TransactionTimeoutError)
    assert not fixture.relays.pending
    assert fixture.next_timeout() is None


def test_a_server_over_tls_is_reached_by_a_stream_that_somebody_else_opens() -> None:
    fixture = Fixture()
    server = turn_server(transport=Transport.TLS)
    fixture.add(server)
    (opened,) = fixture.commands
    assert opened == OpenStream(1, server)
    path = Path(BASE, SERVER, Transport.TLS)
    fixture.relays.handle_stream_opened(1, path, fixture.clock.now)
    transmit = fixture.relays.poll_transmit()
    assert transmit is not None
    assert transmit.path == path
    fixture.relays.handle_stream_closed(path, fixture.clock.now)
    fixture.drain()
    assert isinstance(fixture.events[-1], RelayFailed)
    assert fixture.commands[-1] == CloseStream(path)
    assert fixture.relays.idle


def test_a_stream_that_cannot_be_had_is_a_failure_without_a_base() -> None:
    fixture = Fixture()
    fixture.add(turn_server(transport=Transport.TCP))
    fixture.relays.handle_stream_failed(1, TransportClosedError("refused"), fixture.clock.now)
    fixture.drain()
    (failed,) = fixture.events
    assert isinstance(failed, RelayFailed)
    assert failed.base is None
    assert fixture.relays.idle


def test_a_stream_that_comes_after_it_was_given_up_is_closed() -> None:
    fixture = Fixture()
    fixture.add(turn_server(transport=Transport.TCP))
    fixture.network.run_for(ALLOCATE_TIMEOUT)
    assert isinstance(fixture.events[-1], RelayFailed)
    path = Path(BASE, SERVER, Transport.TCP)
    fixture.relays.handle_stream_opened(1, path, fixture.clock.now)
    fixture.drain()
    assert fixture.commands[-1] == CloseStream(path)


def test_a_base_that_is_gone_takes_its_relayed_address_with_it() -> None:
    fixture = Fixture()
    relayed = fixture.allocate()
    fixture.relays.remove_base(BASE, fixture.clock.now)
    fixture.drain()
    assert isinstance(fixture.events[-1], RelayLost)
    assert fixture.events[-1].relayed == relayed
    assert fixture.relays.idle


def test_relayed_addresses_are_given_back_at_the_end() -> None:
    fixture = Fixture()
    fixture.allocate()
    assert fixture.server.relays
    fixture.relays.close(fixture.clock.now)
    fixture.drain()
    fixture.network.run_until(lambda: fixture.relays.idle)
    assert not fixture.server.relays
    assert fixture.next_timeout() is None


def test_the_password_is_not_in_the_repr_of_a_server() -> None:
    assert "secret" not in repr(turn_server())


def test_a_server_that_is_added_again_is_asked_again_where_it_gave_nothing() -> None:
    fixture = Fixture()
    fixture.network.connect(BASE.host, SERVER.host, GONE)
    fixture.add()
    fixture.network.run_until(lambda: not fixture.relays.pending)
    assert isinstance(fixture.events[-1], RelayFailed)
    fixture.network.connect(BASE.host, SERVER.host, Link(delay=0.02))
    assert isinstance(fixture.allocate(), SocketAddress)
    told = len(fixture.events)
    fixture.add()  # and not where it did
    fixture.network.run_for(1.0)
    assert len(fixture.events) == told
    assert len(fixture.server.relays) == 1


def test_a_server_that_a_proxy_finds_is_opened_by_its_name_and_once() -> None:
    fixture = Fixture()
    server = replace(turn_server(), address=NamedPlace("turn.example.org", 443), transport=Transport.TLS)
    fixture.add(server)
    (opening,) = fixture.commands
    assert opening == OpenStream(1, server)
    path = Path(SocketAddress(BASE.host, 50_000), SocketAddress("10.0.0.1", 3128), Transport.TLS)
    fixture.relays.handle_stream_opened(1, path, fixture.clock.now)
    fixture.drain()
    fixture.add(server)
    assert fixture.commands == [opening]
    assert fixture.relays.pending


def test_a_stream_is_opened_again_when_it_was_lost_and_only_then() -> None:
    fixture = Fixture()
    server = turn_server(SERVER, Transport.TCP)
    fixture.add(server)
    fixture.add(server)
    (opening,) = fixture.commands
    assert isinstance(opening, OpenStream)
    path = Path(SocketAddress(BASE.host, 50_000), SERVER, Transport.TCP)
    fixture.relays.handle_stream_opened(opening.number, path, fixture.clock.now)
    fixture.drain()
    fixture.add(server)
    assert fixture.commands == [opening]
    fixture.relays.handle_stream_closed(path, fixture.clock.now)
    fixture.drain()
    fixture.commands.clear()
    fixture.add(server)
    (again,) = fixture.commands
    assert isinstance(again, OpenStream)
    assert again.number != opening.number


def test_a_server_that_is_left_out_relays_until_it_is_released_and_is_told_then() -> None:
    fixture = Fixture()
    relayed = fixture.allocate()
    fixture.relays.keep_servers(frozenset(), fixture.clock.now)
    fixture.send(b"still", relayed)
    fixture.network.run_until(lambda: fixture.at_peer)
    fixture.relays.release_left_out(None, fixture.clock.now)
    fixture.drain()
    fixture.send(b"no more", relayed)
    fixture.network.run_until(lambda: fixture.relays.idle)
    assert not fixture.server.relays
    assert fixture.at_peer == [(b"still", relayed)]
    assert fixture.next_timeout() is None


def test_a_server_that_is_left_out_is_asked_from_no_new_base() -> None:
    fixture = Fixture()
    fixture.allocate()
    fixture.relays.keep_servers(frozenset(), fixture.clock.now)
    before = fixture.network.traffic.sent
    fixture.relays.add_base(OTHER_BASE, fixture.clock.now)
    fixture.drain()
    assert not fixture.relays.pending
    assert fixture.network.traffic.sent == before


def test_a_server_that_has_not_answered_yet_is_left_out_at_once_and_gets_back_what_it_grants() -> None:
    fixture = Fixture()
    fixture.add()
    fixture.relays.keep_servers(frozenset(), fixture.clock.now)
    fixture.drain()
    assert not fixture.relays.pending
    fixture.network.run_until(lambda: fixture.relays.idle)
    assert not fixture.server.relays
    assert not fixture.events


def test_a_stream_to_a_server_that_is_left_out_is_closed_when_it_comes() -> None:
    fixture = Fixture()
    fixture.add(turn_server(transport=Transport.TCP))
    fixture.relays.keep_servers(frozenset(), fixture.clock.now)
    assert not fixture.relays.pending
    path = Path(BASE, SERVER, Transport.TCP)
    fixture.relays.handle_stream_opened(1, path, fixture.clock.now)
    fixture.drain()
    assert fixture.commands[-1] == CloseStream(path)
    assert not fixture.events


def test_a_server_that_is_left_out_under_one_url_and_named_by_another_keeps_its_address() -> None:
    fixture = Fixture()
    relayed = fixture.allocate()
    fixture.relays.keep_servers(frozenset({"turn:198.41.0.4"}), fixture.clock.now)
    fixture.add(replace(turn_server(), url="turn:198.41.0.4"))
    fixture.relays.release_left_out(None, fixture.clock.now)
    fixture.drain()
    fixture.network.run_for(1.0)
    assert len(fixture.server.relays) == 1
    told = fixture.events[-1]
    assert isinstance(told, RelayedAddressFound)
    assert (told.relayed, told.url) == (relayed, "turn:198.41.0.4")


def test_a_server_that_is_named_again_while_it_takes_its_address_back_gives_another() -> None:
    fixture = Fixture()
    fixture.allocate()
    fixture.relays.keep_servers(frozenset(), fixture.clock.now)
    fixture.relays.release_left_out(None, fixture.clock.now)
    fixture.drain()
    fixture.add()
    assert fixture.relays.pending
    fixture.network.run_until(lambda: not fixture.relays.pending)
    assert len([event for event in fixture.events if isinstance(event, RelayedAddressFound)]) == 2
    assert len(fixture.server.relays) == 1
    assert not [event for event in fixture.events if isinstance(event, RelayFailed)]


def test_a_server_that_does_not_take_its_address_back_is_given_up_when_it_is_wanted_again() -> None:
    fixture = Fixture()
    fixture.allocate()
    fixture.network.connect(BASE.host, SERVER.host, GONE)
    fixture.relays.keep_servers(frozenset(), fixture.clock.now)
    fixture.relays.release_left_out(None, fixture.clock.now)
    fixture.drain()
    fixture.add()
    fixture.network.run_for(ALLOCATE_TIMEOUT)
    assert isinstance(fixture.events[-1], RelayFailed)
    assert not fixture.relays.pending


def test_a_server_that_is_named_with_other_credentials_is_one_server() -> None:
    fixture = Fixture()
    for number in range(MAX_SERVERS + 1):
        fixture.relays.add_server(turn_server(password=f"guess {number}"), fixture.clock.now)
    fixture.relays.add_server(turn_server(), fixture.clock.now)
    fixture.add()  # the first base: nobody has been asked yet
    fixture.network.run_until(lambda: not fixture.relays.pending)
    assert isinstance(fixture.events[-1], RelayedAddressFound)


def test_what_is_in_use_is_not_released() -> None:
    fixture = Fixture()
    relayed = fixture.allocate()
    fixture.relays.keep_servers(frozenset(), fixture.clock.now)
    fixture.relays.release_left_out(relayed, fixture.clock.now)
    fixture.drain()
    fixture.network.run_for(1.0)
    assert len(fixture.server.relays) == 1


def test_a_doubt_finds_an_allocation_that_is_there_and_one_that_has_run_out() -> None:
    fixture = Fixture()
    relayed = fixture.allocate()
    told = len(fixture.events)
    fixture.relays.doubt(fixture.clock.now)
    fixture.drain()
    fixture.network.run_for(1.0)
    assert len(fixture.events) == told, "it is there"
    fixture.clock.advance(3600.0)  # while nobody was awake
    fixture.relays.handle_timeout(fixture.clock.now)
    fixture.relays.doubt(fixture.clock.now)
    fixture.drain()
    (lost,) = [event for event in fixture.events if isinstance(event, RelayLost)]
    assert lost.relayed == relayed
    assert fixture.relays.idle
