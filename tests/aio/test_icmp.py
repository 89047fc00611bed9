"""ICMP errors about what a UDP socket sent, from the real kernel on loopback."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest

from icelane.aio.icmp import IcmpReport
from icelane.aio.udp import RawAddress, UdpSocket
from icelane.core.net import AddressFamily, SocketAddress
from tests.loops import Run, close_later

# What one socket can be woken for a handful of errors; one that spins is woken a hundred times as often.
FEW_WAKES = 20


def closed_port(host: str) -> SocketAddress:
    """A UDP port on which nobody listens at this moment."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.bind((host, 0))
        return SocketAddress(host, probe.getsockname()[1])


class CountingSocket(UdpSocket):
    """Counts how often the loop wakes it."""

    wakes = 0

    def _drain(self) -> None:
        self.wakes += 1
        super()._drain()


class Watched:
    """A socket that watches for ICMP errors, and what it heard."""

    def __init__(self, host: str) -> None:
        self.reports: list[IcmpReport] = []
        self.received: list[bytes] = []
        self.udp = CountingSocket.bind(SocketAddress(host, 0), self._on_datagram, fragment=True)
        assert self.udp.watch_icmp(self.reports.append)
        close_later(self.udp)

    @property
    def wakes(self) -> int:
        assert isinstance(self.udp, CountingSocket)
        return self.udp.wakes

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
def test_a_closed_port_is_reported_with_its_type_and_code(run: Run, host: str, kind: int, code: int) -> None:
    async def scenario() -> None:
        watched, peer = Watched(host), closed_port(host)
        assert watched.udp.send(b"anybody there?", peer)
        await settle()
        assert watched.reports == [IcmpReport(peer, kind, code, 0)]
        assert watched.wakes <= FEW_WAKES

    run(scenario())


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_closed_port_costs_no_datagram_to_another_peer(run: Run, host: str) -> None:
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

    run(scenario())


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_datagram_that_is_too_long_is_dropped_and_leaves_the_loop_in_peace(run: Run, host: str) -> None:
    """TR-14: the kernel queues an error of its own for it, which nothing but reading that queue removes."""

    async def scenario() -> None:
        watched = Watched(host)
        assert not watched.udp.send(bytes(65_535), closed_port(host))
        assert watched.udp.failed_sends == 1
        await settle()
        assert watched.wakes <= FEW_WAKES
        assert watched.reports == []

    run(scenario())


def test_a_whole_datagram_that_does_not_fit_the_path_is_dropped_and_leaves_the_loop_in_peace(run: Run) -> None:
    """TR-14: DONT-FRAGMENT with more than the 65,536 bytes that loopback takes at once."""

    async def scenario() -> None:
        watched = Watched("::1")
        assert watched.udp.local.family is AddressFamily.IPV6
        assert not watched.udp.send_whole(bytes(65_500), closed_port("::1"))
        await settle()
        assert watched.wakes <= FEW_WAKES

    run(scenario())


def test_a_socket_that_met_an_icmp_error_still_receives(run: Run) -> None:
    """libuv stops reading a descriptor for good when the kernel flags an error on it."""

    async def scenario() -> None:
        watched, other = Watched("127.0.0.1"), Watched("127.0.0.1")
        assert watched.udp.send(b"lost", closed_port("127.0.0.1"))
        await settle()
        assert len(watched.reports) == 1
        assert other.udp.send(b"hello", watched.udp.local)
        await settle()
        assert watched.received == [b"hello"]

    run(scenario())


def test_a_connected_socket_that_was_refused_still_receives(run: Run) -> None:
    async def scenario() -> None:
        server = closed_port("127.0.0.1")
        received: list[bytes] = []
        errors: list[OSError] = []
        local = SocketAddress("127.0.0.1", 0)
        client = UdpSocket.bind(local, lambda data, _: received.append(data), remote=tuple(server))
        client.on_error = errors.append
        close_later(client)
        assert client.send(b"anybody there?", server)
        await settle()
        assert [type(error) for error in errors] == [ConnectionRefusedError]
        late = UdpSocket.bind(server, lambda *_: None)
        close_later(late)
        assert late.send(b"now", client.local)
        await settle()
        assert received == [b"now"]

    run(scenario())


def test_sockets_that_watch_leave_nothing_open_behind_them(run: Run) -> None:
    async def scenario() -> None:
        before = os.listdir("/proc/self/fd")
        watched = [Watched("127.0.0.1") for _ in range(3)]
        for one in watched:
            one.udp.close()
        assert os.listdir("/proc/self/fd") == before

    run(scenario())
