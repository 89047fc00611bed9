"""ICMP errors about what a UDP socket sent, from the real kernel on loopback."""

from __future__ import annotations

import asyncio
import socket

import pytest

from icelane.aio.icmp import IcmpReport
from icelane.aio.udp import RawAddress, UdpSocket
from icelane.core.net import AddressFamily, SocketAddress

# What one socket can be woken for a handful of errors; one that spins is woken a hundred times as often.
FEW_WAKES = 20


def closed_port(host: str) -> SocketAddress:
    """A UDP port on which nobody listens at this moment."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.bind((host, 0))
        return SocketAddress(host, probe.getsockname()[1])


class Watched:
    """A socket that watches for ICMP errors, what it heard, and how often the loop woke it."""

    def __init__(self, host: str) -> None:
        self.reports: list[IcmpReport] = []
        self.received: list[bytes] = []
        self.wakes = 0
        self.udp = UdpSocket.bind(SocketAddress(host, 0), self._on_datagram, fragment=True)
        assert self.udp.watch_icmp(self.reports.append)
        asyncio.get_running_loop().add_reader(self.udp.fileno(), self._on_wake)

    def _on_wake(self) -> None:
        self.wakes += 1
        self.udp._drain()

    def _on_datagram(self, data: bytes, source: RawAddress) -> None:
        del source
        self.received.append(data)


async def settle() -> None:
    """Give the loop enough turns that a socket that stays readable is seen to spin."""
    for _ in range(10 * FEW_WAKES):
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("host", "kind", "code"), [("127.0.0.1", 3, 3), ("::1", 1, 4)], ids=["destination unreachable", "ICMPv6"]
)
def test_a_closed_port_is_reported_with_its_type_and_code(host: str, kind: int, code: int) -> None:
    async def scenario() -> None:
        watched, peer = Watched(host), closed_port(host)
        assert watched.udp.send(b"anybody there?", peer)
        await settle()
        assert watched.reports == [IcmpReport(peer, kind, code, 0)]
        assert watched.wakes < FEW_WAKES
        watched.udp.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_closed_port_costs_no_datagram_to_another_peer(host: str) -> None:
    """Linux fails the next call on a socket for the ICMP error of an earlier datagram."""

    async def scenario() -> None:
        watched, peer, listening = Watched(host), closed_port(host), Watched(host)
        for number in range(10):
            assert watched.udp.send(b"lost", peer)
            assert watched.udp.send(b"%d" % number, listening.udp.local)
        await settle()
        assert listening.received == [b"%d" % number for number in range(10)]
        assert [report.destination for report in watched.reports] == [peer] * 10
        assert watched.udp.failed_sends == 0
        watched.udp.close()
        listening.udp.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_datagram_that_is_too_long_is_dropped_and_leaves_the_loop_in_peace(host: str) -> None:
    """TR-14: the kernel queues an error of its own for it, which nothing but reading that queue removes."""

    async def scenario() -> None:
        watched = Watched(host)
        assert not watched.udp.send(bytes(65_535), closed_port(host))
        assert watched.udp.failed_sends == 1
        await settle()
        assert watched.wakes < FEW_WAKES
        assert watched.reports == []
        watched.udp.close()

    asyncio.run(scenario())


def test_a_whole_datagram_that_does_not_fit_the_path_is_dropped_and_leaves_the_loop_in_peace() -> None:
    """TR-14: DONT-FRAGMENT with more than the 65,536 bytes that loopback takes at once."""

    async def scenario() -> None:
        watched = Watched("::1")
        assert watched.udp.local.family is AddressFamily.IPV6
        assert not watched.udp.send_whole(bytes(65_500), closed_port("::1"))
        await settle()
        assert watched.wakes < FEW_WAKES
        watched.udp.close()

    asyncio.run(scenario())
