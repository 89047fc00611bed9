"""Runs of datagrams on loopback, and what happens where they cannot be had."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Sequence
from typing import Any

import pytest

from icelane.aio import udp_runs
from icelane.aio.udp import UdpSocket
from icelane.aio.udp_offload import MAX_RUN_BYTES, MAX_SEGMENTS, kernel_is_trusted, run_length
from icelane.aio.udp_runs import MAX_PLAIN, RunUdpSocket
from icelane.core.net import SocketAddress
from tests.aio.test_udp import IPV4, IPV6, Inbox

pytestmark = pytest.mark.twin

# Equal ones and a shorter end, one alone, growing ones, an empty one, more than one call takes.
SIZES = [1200] * 5 + [300] + [40, 1200, 1200, 0, 1200] + [1000] * 150 + [1]


def numbered(sizes: Sequence[int]) -> list[bytes]:
    return [(b"%04d" % number * (size // 4 + 1))[:size] for number, size in enumerate(sizes)]


@pytest.mark.parametrize("address", [IPV4, IPV6])
@pytest.mark.parametrize("sends_runs", [True, False])
@pytest.mark.parametrize("kind", [RunUdpSocket, UdpSocket])
def test_every_datagram_arrives_as_it_was_whichever_end_knows_runs(
    address: SocketAddress, sends_runs: bool, kind: type[UdpSocket]
) -> None:
    async def scenario() -> None:
        inbox = Inbox()
        receiver, sender = kind.bind(address, inbox), RunUdpSocket.bind(address, Inbox())
        sender.sends_runs = sender.sends_runs and sends_runs
        datagrams = numbered(SIZES)
        sender.send_all(datagrams, receiver.local)
        received = await inbox.wait_for(len(datagrams))
        assert [data for data, _ in received] == datagrams
        assert {source[:2] for _, source in received} == {tuple(sender.local)}
        assert (sender.dropped, sender.failed_sends) == (0, 0)
        sender.close()
        receiver.close()

    asyncio.run(scenario())


def test_a_wake_ends_with_one_call_of_on_drained() -> None:
    async def scenario() -> None:
        inbox, wakes = Inbox(), []
        receiver, sender = RunUdpSocket.bind(IPV4, inbox), RunUdpSocket.bind(IPV4, Inbox())
        receiver.on_drained = lambda: wakes.append(len(inbox.received))
        sender.send_all(numbered([1200] * 30), receiver.local)
        await inbox.wait_for(30)
        assert wakes == [30]
        sender.close()
        receiver.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("error", [errno.EIO, errno.EMSGSIZE, errno.EINVAL])
def test_a_destination_that_takes_no_runs_gets_single_datagrams_from_then_on(
    error: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[Any] = []

    def refuse(udp: socket.socket, datagrams: Sequence[bytes], address: Any) -> None:
        tried.append(address)
        raise OSError(error, "no")

    async def scenario() -> None:
        monkeypatch.setattr(udp_runs, "send_run", refuse)
        inbox = Inbox()
        receiver, sender = UdpSocket.bind(IPV4, inbox), RunUdpSocket.bind(IPV4, Inbox())
        sender.sends_runs = True
        for _ in range(3):
            sender.send_all(numbered([100] * 4), receiver.local)
        assert len(await inbox.wait_for(12)) == 12
        assert tried == [receiver.local]
        for port in range(1, MAX_PLAIN + 1):
            sender.send_all(numbered([100] * 2), ("127.0.0.1", port))
        sender.send_all(numbered([100] * 2), receiver.local)
        assert tried.count(receiver.local) == 2, "at the bound all are tried again"
        sender.close()
        receiver.close()

    asyncio.run(scenario())


def test_a_full_buffer_drops_the_run_and_counts_its_datagrams(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(udp: socket.socket, datagrams: Sequence[bytes], address: Any) -> None:
        raise BlockingIOError(errno.EAGAIN, "full")

    async def scenario() -> None:
        monkeypatch.setattr(udp_runs, "send_run", refuse)
        sender = RunUdpSocket.bind(IPV4, Inbox())
        sender.sends_runs = True
        sender.send_all(numbered([100] * 4), sender.local)
        assert (sender.dropped, sender.failed_sends) == (4, 0)
        sender.close()

    asyncio.run(scenario())


def test_a_run_is_equal_datagrams_and_perhaps_a_shorter_one_within_the_limits() -> None:
    assert run_length([1200, 1200, 300, 1200], 0) == 3
    assert run_length([1200, 1200, 300, 1200], 2) == 1
    assert run_length([300, 1200], 0) == 1
    assert run_length([10] * 100, 0) == MAX_SEGMENTS
    assert run_length([1200] * 100, 0) == MAX_RUN_BYTES // 1200
    assert [run_length([1200, 0, 0], start) for start in range(3)] == [1, 1, 1]


def test_kernels_that_send_runs_with_wrong_contents_are_not_trusted_with_any() -> None:
    releases = ("6.18.44-fc", "7.0", "7.0.3-1-generic", "7.1.4", "7.1.5", "7.2.0-rc1", "strange")
    assert [kernel_is_trusted(release) for release in releases] == [True, False, False, False, True, True, False]
