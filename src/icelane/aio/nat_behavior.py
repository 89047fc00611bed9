"""Ask a STUN server with two addresses what the NAT between us and it does (RFC 5780).

found = await nat_behavior("stun:stun.example.org")
print(found.mapping, found.filtering)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from icelane.aio.driver import Driver
from icelane.aio.icmp import IcmpReport
from icelane.aio.resolver import Lookup
from icelane.aio.sockets import source_towards
from icelane.aio.stun_client import ask_in_turn, find_targets
from icelane.aio.system import monotonic
from icelane.aio.udp import RawAddress, UdpSocket, address_of
from icelane.core.clock import Duration, later
from icelane.core.engine import Transmit
from icelane.core.entropy import Entropy
from icelane.core.net import Path, SocketAddress, Transport
from icelane.crypto.provider import SystemEntropy
from icelane.errors import IcelaneError, TransportClosedError
from icelane.stun.behavior import DEFAULT_TIMEOUT, BehaviorDiscovered, BehaviorDiscovery, DiscoveryFailed
from icelane.stun.uri import StunUri, TurnUri

# Half of it is how long an answer may take: with less, every slow one would be taken for a filter.
MIN_TIMEOUT: Final[Duration] = 1.0


async def nat_behavior(
    server: str | StunUri | TurnUri | SocketAddress,
    *,
    timeout: Duration = DEFAULT_TIMEOUT,
    lookup: Lookup | None = None,
    entropy: Entropy | None = None,
) -> BehaviorDiscovered:
    """What maps and filters between this host and `server`, a URI or an address, over UDP.

    It takes up to `timeout` seconds, half of that wherever something is filtered. The places that a name leads to are
    tried one after the other until one answers. Raises MalformedError for a bad URI, ResolutionError, StunError when a
    server answered with an error, and the error that says most when none answered: TransactionTimeoutError where UDP
    is blocked, TransportClosedError where the network or the server's host refuses it.
    """
    entropy = entropy or SystemEntropy()
    deadline = later(monotonic(), timeout)
    targets = await find_targets(server, Transport.UDP, timeout, lookup, entropy)
    return await ask_in_turn(
        targets, deadline, lambda target, share: _ask(target.address, share, entropy), least=MIN_TIMEOUT
    )


async def _ask(server: SocketAddress, timeout: Duration, entropy: Entropy) -> BehaviorDiscovered:
    outcome: asyncio.Future[BehaviorDiscovered] = asyncio.get_running_loop().create_future()
    sockets: dict[SocketAddress, UdpSocket] = {}

    def fail(error: IcelaneError) -> None:
        if not outcome.done():
            outcome.set_exception(error)

    def send(transmit: Transmit) -> None:
        udp = sockets[transmit.path.local]
        failures = udp.failed_sends
        udp.send(transmit.data, transmit.path.remote)
        # Of the server's other addresses the engine tells that they were silent.
        if udp.failed_sends > failures and transmit.path.remote == server:
            fail(TransportClosedError(f"{server}: the network refuses to send there"))

    def hear(event: BehaviorDiscovered | DiscoveryFailed) -> None:
        if isinstance(event, DiscoveryFailed):
            fail(event.error)
        elif not outcome.done():
            outcome.set_result(event)

    def refused(report: IcmpReport) -> None:
        if report.destination == server:
            fail(TransportClosedError(f"{server}: nobody listens there, or a firewall says so"))

    try:
        own = SocketAddress(_source_towards(server), 0)
        mapping, filtering = (_bind(own, sockets) for _ in range(2))
        engine = BehaviorDiscovery(
            server, mapping=mapping.local, filtering=filtering.local, entropy=entropy, timeout=timeout
        )
        driver: Driver[BehaviorDiscovered | DiscoveryFailed] = Driver(engine, transmit=send, on_event=hear)
        for udp in (mapping, filtering):
            udp.on_datagram = _receiver(driver, udp.local)
            udp.watch_icmp(refused)
        try:
            driver.run(engine.start)
            return await outcome
        finally:
            driver.close()
    finally:
        outcome.cancel()
        for udp in sockets.values():
            udp.close()


def _bind(own: SocketAddress, sockets: dict[SocketAddress, UdpSocket]) -> UdpSocket:
    """A port of its own. Not connected: what answers from elsewhere is what is asked about."""
    udp = UdpSocket.bind(own, lambda *_: None)
    sockets[udp.local] = udp
    return udp


def _receiver(
    driver: Driver[BehaviorDiscovered | DiscoveryFailed], local: SocketAddress
) -> Callable[[bytes, RawAddress], None]:
    return lambda data, source: driver.handle_datagram(data, Path(local, address_of(source), Transport.UDP))


def _source_towards(server: SocketAddress) -> str:
    """`source_towards`, which raises TransportClosedError when there is no way."""
    try:
        return source_towards(server)
    except OSError as error:
        raise TransportClosedError(f"{server}: {error.strerror or error}") from error
