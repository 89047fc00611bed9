"""The UDP socket on loopback."""

from __future__ import annotations

import asyncio
import errno
import socket

import pytest

from icelane.aio.udp import MAX_DATAGRAMS_PER_WAKE, RawAddress, UdpSocket, address_of
from icelane.core.net import SocketAddress

IPV4 = SocketAddress("127.0.0.1", 0)
IPV6 = SocketAddress("::1", 0)


class Inbox:
    """Collects datagrams and lets a test wait for a number of them."""

    def __init__(self) -> None:
        self.received: list[tuple[bytes, RawAddress]] = []
        self._arrived = asyncio.Event()

    def __call__(self, data: bytes, source: RawAddress) -> None:
        self.received.append((data, source))
        self._arrived.set()

    async def wait_for(self, count: int) -> list[tuple[bytes, RawAddress]]:
        async with asyncio.timeout(5):
            while len(self.received) < count:
                self._arrived.clear()
                await self._arrived.wait()
        return self.received


@pytest.mark.parametrize("address", [IPV4, IPV6])
def test_datagrams_arrive_with_their_source(address: SocketAddress) -> None:
    async def scenario() -> None:
        inbox = Inbox()
        receiver = UdpSocket.bind(address, inbox)
        sender = UdpSocket.bind(address, Inbox())
        assert sender.send(b"hello", receiver.local)
        assert sender.send(b"", receiver.local)
        received = await inbox.wait_for(2)
        assert [data for data, _ in received] == [b"hello", b""]
        assert address_of(received[0][1]) == sender.local
        sender.close()
        receiver.close()

    asyncio.run(scenario())


def test_one_wake_handles_a_bounded_number_of_datagrams() -> None:
    async def scenario() -> None:
        inbox = Inbox()
        receiver = UdpSocket.bind(IPV4, inbox)
        sender = UdpSocket.bind(IPV4, Inbox())
        for i in range(MAX_DATAGRAMS_PER_WAKE + 10):
            assert sender.send(bytes([i]), receiver.local)
        receiver._drain()
        assert len(inbox.received) == MAX_DATAGRAMS_PER_WAKE
        assert len(await inbox.wait_for(MAX_DATAGRAMS_PER_WAKE + 10)) == MAX_DATAGRAMS_PER_WAKE + 10
        sender.close()
        receiver.close()

    asyncio.run(scenario())


def test_an_ipv6_socket_never_reaches_ipv4() -> None:
    """TR-2: IPV6_V6ONLY is 1, and an IPv4-mapped destination raises."""

    async def scenario() -> None:
        udp = UdpSocket.bind(SocketAddress("::", 0), Inbox())
        with pytest.raises(OSError):
            udp.sendto(b"x", ("::ffff:127.0.0.1", 9))
        assert not udp.send(b"x", ("::ffff:127.0.0.1", 9))
        assert udp.failed_sends == 1
        assert udp._socket.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1
        udp.close()

    asyncio.run(scenario())


def test_sending_to_nobody_and_sending_too_much_are_counted_and_survived() -> None:
    async def scenario() -> None:
        inbox = Inbox()
        gone = UdpSocket.bind(IPV4, Inbox())
        target = gone.local
        gone.close()
        udp = UdpSocket.bind(IPV4, inbox, remote=target)
        refused = asyncio.Event()
        udp.on_error = lambda _: refused.set()
        assert udp.send(b"x", target)
        await asyncio.wait_for(refused.wait(), 5)
        assert udp.receive_errors == 1
        assert not udp.send(bytes(65_535), target)
        assert udp.failed_sends == 1
        udp.close()

    asyncio.run(scenario())


def test_an_undividable_datagram_longer_than_the_mtu_is_refused_here() -> None:
    async def scenario() -> None:
        inbox = Inbox()
        receiver = UdpSocket.bind(IPV4, inbox)
        sender = UdpSocket.bind(IPV4, Inbox())
        assert sender.send_whole(b"small", receiver.local)
        # 65 508 bytes and more do not fit into an IPv4 packet at all; the loopback MTU is 65 536.
        assert not sender.send_whole(bytes(65_508), receiver.local)
        assert sender.failed_sends == 1
        assert (await inbox.wait_for(1))[0][0] == b"small"
        sender.close()
        receiver.close()

    asyncio.run(scenario())


def test_a_socket_may_be_closed_by_its_own_callback_and_twice() -> None:
    async def scenario() -> None:
        closed = asyncio.Event()

        def close(data: bytes, source: RawAddress) -> None:
            receiver.close()
            receiver.close()
            closed.set()

        receiver = UdpSocket.bind(IPV4, close)
        sender = UdpSocket.bind(IPV4, Inbox())
        target = receiver.local
        sender.send(b"1", target)
        sender.send(b"2", target)
        await asyncio.wait_for(closed.wait(), 5)
        assert receiver.closed
        assert receiver.fileno() == -1
        assert receiver.receive_errors == 0
        assert not receiver.send(b"x", target)
        assert not receiver.send_whole(b"x", target)
        sender.close()

    asyncio.run(scenario())


def test_a_port_in_use_raises_and_leaves_nothing_open() -> None:
    async def scenario() -> None:
        first = UdpSocket.bind(IPV4, Inbox())
        with pytest.raises(OSError, match="in use"):
            UdpSocket.bind(first.local, Inbox())
        first.close()
        again = UdpSocket.bind(first.local, Inbox())
        assert again.local == first.local
        again.close()

    asyncio.run(scenario())


def test_an_exception_in_the_callback_does_not_end_the_reading() -> None:
    async def scenario() -> None:
        reported: list[dict[str, object]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
        inbox = Inbox()

        def picky(data: bytes, source: RawAddress) -> None:
            if data == b"bad":
                raise RuntimeError("refused")
            inbox(data, source)

        receiver = UdpSocket.bind(IPV4, picky)
        sender = UdpSocket.bind(IPV4, Inbox())
        sender.send(b"bad", receiver.local)
        sender.send(b"good", receiver.local)
        assert (await inbox.wait_for(1))[0][0] == b"good"
        assert len(reported) == 1
        sender.close()
        receiver.close()

    asyncio.run(scenario())


def test_it_works_on_uvloop() -> None:
    uvloop = pytest.importorskip("uvloop")

    async def scenario() -> None:
        inbox = Inbox()
        receiver = UdpSocket.bind(IPV4, inbox)
        sender = UdpSocket.bind(IPV4, Inbox(), remote=receiver.local)
        for i in range(100):
            sender.send(bytes([i]), receiver.local)
        assert [data[0] for data, _ in await inbox.wait_for(100)] == list(range(100))
        sender.close()
        receiver.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scenario())


def test_raw_addresses_become_canonical() -> None:
    assert address_of(("192.0.2.1", 5)) == ("192.0.2.1", 5)
    assert address_of(("fe80::1%lo", 5, 0, 1)) == ("fe80::1", 5)
    assert address_of(("::127.0.0.1", 5, 0, 0)) == ("::7f00:1", 5)


def test_who_wants_to_know_is_told_of_each_send_that_failed() -> None:
    async def scenario() -> None:
        udp = UdpSocket.bind(IPV4, lambda *_: None)
        failed: list[int | None] = []
        udp.send(b"", ("127.0.0.1", 0))
        udp.on_failed_send = lambda error: failed.append(error.errno)
        assert not udp.send(b"", ("127.0.0.1", 0))
        assert not udp.send(bytes(70_000), udp.local)
        udp.count_failed_send(OSError(errno.ENOBUFS, "busy"))
        assert failed == [errno.EINVAL, errno.EMSGSIZE]
        udp.close()

    asyncio.run(scenario())
