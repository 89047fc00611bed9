"""Finding out about a NAT over real sockets on loopback, where the only one is a server of the test's own."""

from __future__ import annotations

import asyncio

import pytest

from icelane.aio.nat_behavior import nat_behavior
from icelane.aio.resolver import ServiceRecord
from icelane.aio.udp import OnDatagram, RawAddress, UdpSocket, address_of
from icelane.core.net import Path, SocketAddress, Transport
from icelane.errors import MalformedError, ResolutionError, StunError, TransactionTimeoutError, TransportClosedError
from icelane.server.turn_server import TurnServer
from icelane.stun.attributes import AttributeType, encode_error_code
from icelane.stun.behavior import Behavior
from icelane.stun.message import MessageBuilder, MessageClass, parse_message
from icelane.testing.clock import VirtualClock
from icelane.testing.entropy import SeededEntropy
from icelane.turn.behavior import BehaviorOrigins
from icelane.turn.credentials import CredentialStore
from icelane.turn.peer_policy import PeerPolicy
from icelane.turn.server import TurnServer as TurnEngine
from icelane.turn.server_config import TurnServerConfig
from tests.loops import Run, close_later
from tests.server.test_behavior_addresses import HOSTS, settings, two_ports

UNREACHABLE = SocketAddress("240.0.0.1", 3478)  # class E: the kernel has no route there


class Filter:
    """A server's four sockets, and a NAT between them and us that keeps back what comes from `kept_back`."""

    def __init__(self, *kept_back: tuple[int, int]) -> None:
        """`kept_back` are the sources that the filter stops, by index of address and port."""
        ports = two_ports()
        origins = BehaviorOrigins(pairs=(HOSTS,), ports=ports)
        self._engine = TurnEngine(
            TurnServerConfig(realm="x", relay_addresses=HOSTS, policy=PeerPolicy(), behavior=origins),
            credentials=CredentialStore(),
            entropy=SeededEntropy(1),
            wall_clock=VirtualClock(),
        )
        self._kept_back = {SocketAddress(HOSTS[host], ports[port]) for host, port in kept_back}
        self._asked: dict[SocketAddress, set[SocketAddress]] = {}
        addresses = [SocketAddress(host, port) for host in HOSTS for port in ports]
        self._sockets = {address: UdpSocket.bind(address, self._receiver(address)) for address in addresses}
        self.address = SocketAddress(HOSTS[0], ports[0])
        close_later(self)

    def close(self) -> None:
        for udp in self._sockets.values():
            udp.close()

    def _receiver(self, local: SocketAddress) -> OnDatagram:
        return lambda data, source: self._receive(data, source, local)

    def _receive(self, data: bytes, source: RawAddress, local: SocketAddress) -> None:
        client = address_of(source)
        asked = self._asked.setdefault(client, set())
        asked.add(local)
        self._engine.handle_datagram(data, Path(local, client, Transport.UDP), VirtualClock().now)
        while (transmit := self._engine.poll_transmit()) is not None:
            origin = transmit.path.local
            if origin in asked or origin not in self._kept_back:
                self._sockets[origin].send(transmit.data, transmit.path.remote)


@pytest.mark.parametrize(
    ("kept_back", "filtering"),
    [
        ((), Behavior.ENDPOINT_INDEPENDENT),
        (((1, 0), (1, 1)), Behavior.ADDRESS_DEPENDENT),
        (((0, 1), (1, 0), (1, 1)), Behavior.ADDRESS_AND_PORT_DEPENDENT),
    ],
)
def test_what_does_not_come_back_is_filtered(
    run: Run, kept_back: tuple[tuple[int, int], ...], filtering: Behavior
) -> None:
    async def main() -> None:
        found = await nat_behavior(Filter(*kept_back).address, timeout=2.0)
        assert found.filtering is filtering
        assert found.mapping is Behavior.ENDPOINT_INDEPENDENT
        assert not found.translated
        assert found.local.host == HOSTS[0]

    run(main())


def test_our_server_is_asked_by_its_url(run: Run) -> None:
    async def main() -> None:
        ports = two_ports()
        async with TurnServer(settings(ports)):
            found = await nat_behavior(f"stun:{HOSTS[1]}:{ports[1]}")
        assert found.filtering is found.mapping is Behavior.ENDPOINT_INDEPENDENT
        assert found.other == (HOSTS[0], ports[0])

    run(main())


def test_a_server_that_never_answers_is_a_timeout(run: Run) -> None:
    async def main() -> None:
        silent = UdpSocket.bind(SocketAddress(HOSTS[0], 0), lambda *_: None)
        close_later(silent)
        async with asyncio.timeout(10):
            await nat_behavior(silent.local, timeout=1.0)

    with pytest.raises(TransactionTimeoutError):
        run(main())


def test_a_port_that_nobody_listens_at_is_known_at_once(run: Run) -> None:
    async def main() -> None:
        async with asyncio.timeout(5):
            await nat_behavior(SocketAddress(HOSTS[0], two_ports()[0]), timeout=60.0)

    with pytest.raises(TransportClosedError, match="nobody listens there"):
        run(main())


def test_a_network_that_refuses_to_send_is_known_at_once(run: Run) -> None:
    async def main() -> None:
        async with asyncio.timeout(5):
            await nat_behavior(UNREACHABLE, timeout=60.0)

    with pytest.raises(TransportClosedError):
        run(main())


def test_an_error_of_the_server_is_told(run: Run) -> None:
    async def main() -> None:
        def refuse(data: bytes, source: RawAddress) -> None:
            builder = MessageBuilder.response_to(parse_message(data), MessageClass.ERROR)
            server.send(builder.add(AttributeType.ERROR_CODE, encode_error_code(400, "Bad Request")).build(), source)

        server = UdpSocket.bind(SocketAddress(HOSTS[0], 0), refuse)
        close_later(server)
        await nat_behavior(server.local)

    with pytest.raises(StunError, match="400"):
        run(main())


@pytest.mark.parametrize(("url", "error"), [("http://x", MalformedError), ("stun:nowhere.invalid", ResolutionError)])
def test_a_url_that_leads_nowhere_is_refused(run: Run, url: str, error: type[Exception]) -> None:
    class Nowhere:
        async def service_records(self, name: str) -> list[ServiceRecord]:
            return []

        async def addresses(self, host: str) -> list[str]:
            raise ResolutionError(f"{host} has no address")

    async def main() -> None:
        await nat_behavior(url, lookup=Nowhere())

    with pytest.raises(error):
        run(main())


def test_of_several_addresses_the_first_that_answers_is_asked(run: Run) -> None:
    class Two:
        async def service_records(self, name: str) -> list[ServiceRecord]:
            return []

        async def addresses(self, host: str) -> list[str]:
            return ["127.0.0.3", HOSTS[0]]

    async def main() -> None:
        ports = two_ports()
        async with TurnServer(settings(ports)):
            found = await nat_behavior(f"stun:turn.example.org:{ports[0]}", lookup=Two())
        assert found.server.host == HOSTS[0]

    run(main())
