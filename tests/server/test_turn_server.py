"""The server as an object: it starts, serves by its configuration, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import socket
import time

import pytest

from icelane.aio.system import SystemWallClock, monotonic
from icelane.core.clock import Instant, UnixSeconds
from icelane.core.net import SocketAddress, Transport
from icelane.errors import ConfigurationError
from icelane.server.turn_server import TurnServer
from icelane.stun.attributes import AttributeType, parse_uint32
from icelane.stun.message import Method
from tests.loops import Run, close_opened
from tests.server.clients import EVEN_PORT_AND_NEXT, IPV6, Client, Peer, Refused, address_on, eventually, settings

CHANNEL = 0x4000
RESERVED_BY_BUSY = 2


def open_sockets() -> set[str]:
    """The sockets of this process, told apart by their inode."""
    names = set()
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            names.add(os.readlink(f"/proc/self/fd/{descriptor}"))
        except FileNotFoundError:
            continue  # the one that listed the directory
    return {name for name in names if name.startswith("socket:")}


def scheduled_timers() -> int:
    """How many timers will still fire, where the loop lets itself be asked."""
    timers: list[asyncio.TimerHandle] = getattr(asyncio.get_running_loop(), "_scheduled", [])
    return sum(not timer.cancelled() for timer in timers)


async def keep_busy(server: TurnServer) -> list[Client]:
    """Clients over both transports, with channels, traffic and a reserved port for one of each."""
    peer = Peer()
    clients = []
    for transport in (Transport.UDP, Transport.TCP):
        for attributes in ((), (IPV6,), (EVEN_PORT_AND_NEXT,)):
            client = await Client.allocated(address_on(server, transport), transport, *attributes)
            clients.append(client)
            if attributes != (IPV6,):
                await client.bind(CHANNEL, peer.address)
                client.send_on(CHANNEL, b"hello")
                assert (await peer.inbox.take())[0] == b"hello"
    return clients


class SteppedClock:
    """The machine's wall clock, set forward or back by an administrator."""

    def __init__(self) -> None:
        self.offset = 0.0
        self._clock = SystemWallClock()

    def unix_time(self, now: Instant) -> UnixSeconds:
        return UnixSeconds(self._clock.unix_time(now) + self.offset)


def test_what_is_listened_on_is_told_with_the_ports_that_the_system_chose(run: Run) -> None:
    async def scenario() -> None:
        async with TurnServer(settings()) as server:
            told = [(listener.transport, listener.host) for listener in server.listening]
            assert told == [
                (Transport.UDP, "127.0.0.1"),
                (Transport.TCP, "127.0.0.1"),
                (Transport.UDP, "::1"),
                (Transport.TCP, "::1"),
            ]
            assert all(listener.port for listener in server.listening)
            for listener in server.listening:
                client = await Client.connect(listener.address, listener.transport)
                await client.request_once(Method.BINDING)

    run(scenario())


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM], ids=["udp", "tcp"])
def test_a_port_that_is_taken_stops_the_start_and_names_the_key(run: Run, kind: socket.SocketKind) -> None:
    async def scenario() -> None:
        with socket.socket(socket.AF_INET, kind) as taken:
            taken.bind(("127.0.0.1", 0))
            if kind is socket.SOCK_STREAM:
                taken.listen()
            port = taken.getsockname()[1]
            scheme = "udp" if kind is socket.SOCK_DGRAM else "tcp"
            before = open_sockets()
            # The listeners before the one that fails are closed again.
            listen = ["tcp://127.0.0.1:0", "udp://127.0.0.1:0", f"{scheme}://127.0.0.1:{port}"]
            server = TurnServer(settings(listen=listen))
            with pytest.raises(ConfigurationError) as caught:
                await server.start()
            assert caught.value.key == "turn.listen"
            assert f"{scheme}://127.0.0.1:{port}" in str(caught.value)
            assert "in use" in str(caught.value)
            await server.close()
            await asyncio.sleep(0)
            assert open_sockets() == before

    run(scenario())


def test_an_address_that_the_machine_does_not_have_stops_the_start(run: Run) -> None:
    async def scenario() -> None:
        with pytest.raises(ConfigurationError, match="does not have that address") as caught:
            await TurnServer(settings(listen=["udp://192.0.2.1:3478"])).start()
        assert caught.value.key == "turn.listen"

    run(scenario())


def test_closing_ends_every_allocation_and_leaves_no_socket_task_or_timer(run: Run) -> None:
    """Back to the start: descriptors, tasks and timers as before, though clients were in full use."""

    async def scenario() -> None:
        async with TurnServer(settings()):
            pass  # what a loop opens once, it keeps
        await asyncio.sleep(0.01)
        sockets, tasks, timers = open_sockets(), asyncio.all_tasks(), scheduled_timers()
        server = TurnServer(settings())
        await server.start()
        await keep_busy(server)
        assert len(server.allocations) == 6
        await server.close()
        assert server.idle
        await close_opened()
        await eventually(lambda: open_sockets() == sockets)
        assert asyncio.all_tasks() == tasks
        assert scheduled_timers() == timers
        await server.close()

    run(scenario())


def test_a_server_can_be_started_again_on_the_same_ports(run: Run) -> None:
    """Nothing lingers in the way, as after a restart of the service."""

    async def scenario() -> None:
        async with TurnServer(settings()) as server:
            listen = [str(listener) for listener in server.listening]
            await Client.allocated(address_on(server, Transport.TCP), Transport.TCP)
        async with TurnServer(settings(listen=listen)) as server:
            for transport in (Transport.UDP, Transport.TCP):
                await Client.allocated(address_on(server, transport), transport)

    run(scenario())


def test_clients_of_a_server_that_closes_are_disconnected(run: Run) -> None:
    async def scenario() -> None:
        async with TurnServer(settings()) as server:
            client = await Client.allocated(address_on(server, Transport.TCP), Transport.TCP)
        async with asyncio.timeout(5):
            await client.closed.wait()

    run(scenario())


def test_every_allocation_released_leaves_the_server_idle(run: Run) -> None:
    async def scenario() -> None:
        async with TurnServer(settings(quota={"bytes_per_second_per_user": 1_000_000})) as server:
            before = len(open_sockets())
            clients = await keep_busy(server)
            assert not server.idle
            for client in clients:
                await client.refresh(0)
            # The ports that were reserved for nobody wait for 30 s; closing gives them back.
            assert len(server.allocations) == 0
            assert not server.plane.clients
            await close_opened()
            await eventually(lambda: len(open_sockets()) == before + RESERVED_BY_BUSY)

    run(scenario())


def test_stepping_the_wall_clock_moves_no_lifetime(run: Run) -> None:
    """OP-7: an hour forward and two back, during a live allocation; only what is dated by the calendar notices."""

    async def scenario() -> None:
        clock = SteppedClock()
        async with TurnServer(settings(), wall_clock=clock) as server:
            client = await Client.allocated(address_on(server, Transport.UDP))
            peer = Peer()
            await client.bind(CHANNEL, peer.address)
            (allocation,) = server.allocations
            expires_at = allocation.expires_at
            for step in (3600, -7200):
                clock.offset += step
                server._wake()
                assert len(server.allocations) == 1
                assert allocation.expires_at == expires_at
                client.send_on(CHANNEL, b"still here")
                assert (await peer.inbox.take())[0] == b"still here"
                # The nonce is dated by the calendar: one 438, and a fresh one.
                response = await client.refresh(900)
                lifetime = response.get(AttributeType.LIFETIME)
                assert lifetime is not None
                assert parse_uint32(lifetime) == 900
                assert 895 < allocation.expires_at - monotonic() <= 900
                expires_at = allocation.expires_at

    run(scenario())


def test_the_quota_of_the_configuration_reaches_the_engine(run: Run) -> None:
    """TQ-5: the second allocation of a user who may have one is refused with 486."""

    async def scenario() -> None:
        async with TurnServer(settings(quota={"allocations_per_user": 1})) as server:
            client = await Client.allocated(address_on(server, Transport.UDP))
            other = await Client.connect(address_on(server, Transport.TCP), Transport.TCP)
            with pytest.raises(Refused, match="486"):
                await other.allocate()
            await client.refresh(0)
            await other.allocate()

    run(scenario())


def test_own_listeners_are_no_peers_even_where_loopback_is_open(run: Run) -> None:
    """TR-5: neither by their own address nor by the external one; own relay ports are."""

    async def scenario() -> None:
        async with TurnServer(settings()) as server:
            for transport in (Transport.UDP, Transport.TCP):
                client = await Client.allocated(address_on(server, transport), transport)
                for own in server.listening:
                    if own.address.family is client.relayed[0].family:
                        with pytest.raises(Refused, match="403"):
                            await client.bind(CHANNEL, own.address)
                        with pytest.raises(Refused, match="403"):
                            await client.permit(own.address)
                await client.permit(client.relayed[0])

    run(scenario())


def test_send_indications_to_own_listeners_are_dropped_though_the_host_is_permitted(run: Run) -> None:
    """TR-5: a permission is for a host; each packet's port is checked again."""

    async def scenario() -> None:
        async with TurnServer(settings()) as server:
            client = await Client.allocated(address_on(server, Transport.UDP))
            peer = Peer()
            await client.permit(SocketAddress("127.0.0.1", 0))
            client.send_to(address_on(server, Transport.UDP), b"\0\1\0\0\x21\x12\xa4\x42" + bytes(12))
            client.send_to(SocketAddress("127.0.0.1", 0), b"port zero")
            client.send_to(peer.address, b"fine")
            assert (await peer.inbox.take())[0] == b"fine"
            peer.send(b"marker", client.relayed[0])
            assert (await client.receive()).payload == b"marker"
            (relayed,) = server.plane.clients.values()
            assert relayed.traffic().dropped == 2

    run(scenario())


# Bandwidth limits


def test_an_allocation_beyond_its_limit_is_throttled_and_another_loses_nothing(run: Run) -> None:
    """TQ-9: ten times the limit for a second; the other allocation's loss is below 1 %."""

    limit, size, rounds = 100_000, 1000, 1000

    async def scenario() -> None:
        async with TurnServer(settings(quota={"bytes_per_second_per_allocation": limit})) as server:
            greedy = await Client.allocated(address_on(server, Transport.UDP))
            modest = await Client.allocated(address_on(server, Transport.TCP), Transport.TCP)
            heard, other = Peer(), Peer()
            await greedy.bind(CHANNEL, heard.address)
            await modest.bind(CHANNEL, other.address)
            began = time.monotonic()
            sent = 0
            for number in range(rounds):
                greedy.send_on(CHANNEL, bytes(size))
                if number % 20 == 0:
                    modest.send_on(CHANNEL, bytes(size))
                    sent += 1
                await asyncio.sleep(0.001)
            modest.send_on(CHANNEL, b"last")
            while (await other.inbox.take())[0] != b"last":
                sent -= 1
            elapsed = time.monotonic() - began
            assert sent <= 0.01 * rounds / 20
            carried = heard.inbox.qsize() * size
            # A bucket holds a second's worth at the start, and fills meanwhile.
            assert limit <= carried <= limit * (1 + elapsed) + size
            by_path = {path.transport: client for path, client in server.plane.clients.items()}
            assert by_path[Transport.UDP].traffic().dropped > rounds / 2
            assert by_path[Transport.TCP].traffic().dropped == 0

    run(scenario())


@pytest.mark.parametrize("key", ["bytes_per_second_per_user", "bytes_per_second_total"])
def test_limits_of_users_and_of_the_server_cover_all_their_allocations(run: Run, key: str) -> None:
    """TQ-9: the bucket is shared, towards the client too."""

    async def scenario() -> None:
        async with TurnServer(settings(quota={key: 10_000})) as server:
            peer = Peer()
            one = await Client.allocated(address_on(server, Transport.UDP))
            other = await Client.allocated(address_on(server, Transport.TCP), Transport.TCP)
            for client in (one, other):
                await client.bind(CHANNEL, peer.address)
            one.send_on(CHANNEL, bytes(9_990))
            await peer.inbox.take()
            for _ in range(40):
                peer.send(bytes(1000), other.relayed[0])
            await eventually(lambda: sum(client.traffic().dropped for client in server.plane.clients.values()) > 30)
            for client in (one, other):
                await client.refresh(0)
            assert server.idle

    run(scenario())


def test_allocating_again_and_again_does_not_renew_what_a_user_may_send(run: Run) -> None:
    """TQ-9: ten allocations one after the other, each of which sends what the user has for a second."""
    limit, size = 20_000, 1000

    async def scenario() -> None:
        async with TurnServer(settings(quota={"bytes_per_second_per_user": limit})) as server:
            peer = Peer()
            began = time.monotonic()
            for _ in range(10):
                client = await Client.allocated(address_on(server, Transport.UDP))
                await client.bind(CHANNEL, peer.address)
                for _ in range(limit // size):
                    client.send_on(CHANNEL, bytes(size))
                await client.refresh(0)
            elapsed = time.monotonic() - began
            await eventually(lambda: peer.inbox.qsize() * size >= limit)
            assert peer.inbox.qsize() * size <= limit * (1 + elapsed) + size
            assert server.idle

    run(scenario())
