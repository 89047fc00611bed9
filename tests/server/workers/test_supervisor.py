"""Several processes that serve as one server: real processes, real sockets, and workers that are ended on the way."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from prometheus_client.parser import text_string_to_metric_families

from icelane.core.clock import Instant
from icelane.core.net import SocketAddress, Transport
from icelane.errors import ConfigurationError
from icelane.server import planes
from icelane.server.admin import RequestError
from icelane.server.config import Config
from icelane.server.relay_plane import RelayPlane
from icelane.server.sharing import Sharing
from icelane.server.turn_server import TurnServer
from icelane.server.workers import messages, process, spare, supervisor
from icelane.server.workers.ledger import Kind
from icelane.server.workers.process import SilentError, WorkerState
from icelane.server.workers.sockets import ListenerGroup
from icelane.server.workers.spare import Interpreter
from icelane.server.workers.supervisor import Supervisor, partition
from icelane.stun.attributes import AttributeType
from icelane.stun.message import Method
from icelane.turn.routes import ClaimRelayPort, ReturnRelayPort
from tests import certificates
from tests.loops import Run
from tests.server.clients import (
    EVEN_PORT_AND_NEXT,
    PASSWORD,
    USER,
    Client,
    Peer,
    Refused,
    address_on,
    eventually,
    settings,
)
from tests.server.test_tcp_relay_plane import ListeningPeer, allocated, bind, connect

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="several processes need Linux")

WORKERS: Final = 2
CHANNEL: Final = 0x4001
NOW: Final = Instant(0.0)
RESTART_WITHIN: Final = 2.0  # OP-5
# That as many clients all come to one of two processes has a chance of 1 in 2048.
ENOUGH: Final = 12


def shared_settings(
    quota: Mapping[str, int] | None = None, *, tls: Mapping[str, str] | None = None, **turn: Any
) -> Config:
    """Two listeners on loopback, and relay ports of which each worker has half."""
    listen = ["udp://127.0.0.1:0", "tcp://127.0.0.1:0", *(["tls://127.0.0.1:0"] if tls else [])]
    defaults = {"listen": listen, "relay_addresses": ["127.0.0.1"], "workers": WORKERS}
    return settings({"allocations_per_user": 1000} | dict(quota or {}), tls=tls, **(defaults | turn))


@asynccontextmanager
async def supervised(config: Config | None = None) -> AsyncIterator[Supervisor]:
    async with Supervisor(config or shared_settings(), WORKERS) as server:
        yield server


def worker_of(server: Supervisor, client: Client) -> int:
    """Who relays for a client: whoever has its relay port in his part."""
    ports = [partition(server.config, index, WORKERS) for index in range(WORKERS)]
    return next(index for index in range(WORKERS) if client.relayed[0].port in ports[index])


async def one_of_each(server: Supervisor, transport: Transport = Transport.UDP) -> list[Client]:
    """A client of each worker, in their order."""
    found: dict[int, Client] = {}
    while len(found) < WORKERS:
        client = await Client.allocated(address_on(server, transport), transport)
        kept = found.setdefault(worker_of(server, client), client)
        if kept is not client:
            await client.refresh(0)
            client.close()
    return [found[index] for index in range(WORKERS)]


async def relays(client: Client, peer: Peer, payload: bytes) -> bool:
    """Whether what the client sends arrives, and what comes back."""
    client.send_on(CHANNEL, payload)
    data, source = await peer.inbox.take()
    peer.send(data, source)
    frame = await client.inbox.take()
    return data == payload and frame[4 : 4 + len(payload)] == payload


async def end(server: Supervisor, index: int, number: signal.Signals = signal.SIGKILL) -> float:
    """End a worker without asking it; how long it took until another one served in its place."""
    loop, old = asyncio.get_running_loop(), server.workers[index]
    begun = loop.time()
    os.kill(old.pid, number)
    await eventually(lambda: server.workers[index] is not old and server.workers[index].state is WorkerState.RUNNING)
    return loop.time() - begun


async def figure(server: Supervisor, name: str, **labels: str) -> float:
    body, _ = await server.page(None)
    return sum(
        sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def test_each_process_relays_for_some_of_the_clients(run: Run) -> None:
    async def scenario() -> None:
        async with supervised() as server:
            peer = Peer()
            for transport in (Transport.UDP, Transport.TCP):
                for client in await one_of_each(server, transport):
                    await client.bind(CHANNEL, peer.address)
                    assert await relays(client, peer, b"by its own process")
            assert server.allocation_count == 2 * WORKERS
            assert await figure(server, "icelane_turn_allocations") == 2 * WORKERS
            assert await figure(server, "icelane_turn_relay_packets_total", direction="from_client") == 2 * WORKERS
            assert await figure(server, "icelane_workers") == WORKERS

    run(scenario())


def test_clients_of_other_processes_lose_nothing_when_one_is_killed(run: Run) -> None:
    """OP-5, TQ-6: it is replaced within two seconds; its clients may come again, with all ports and places."""

    async def scenario() -> None:
        quota = {"allocations_per_user": WORKERS + 1}
        async with supervised(shared_settings(quota)) as server:
            peer, clients = Peer(), await one_of_each(server)
            for client in clients:
                await client.bind(CHANNEL, peer.address)
            await waiting(server)
            dying, living = clients
            killing = asyncio.create_task(end(server, 0))
            sent = 0
            while not killing.done():
                assert await relays(living, peer, b"%d" % sent)
                sent += 1
                await asyncio.sleep(0)
            assert await killing < RESTART_WITHIN
            assert sent > 10
            assert server.allocation_count == 1
            # Whoever comes by the same 5-tuple meets the new process, which knows nothing of him.
            with pytest.raises(Refused) as refused:
                await dying.refresh(600)
            assert refused.value.code == 437
            await dying.allocate()
            assert worker_of(server, dying) == 0
            await dying.bind(CHANNEL, peer.address)
            assert await relays(dying, peer, b"again")
            assert await figure(server, "icelane_worker_restarts_total") == 1

    run(scenario())


def test_a_process_that_does_not_answer_is_taken_for_dead(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """OP-5: SIGSTOP. It is ended, so that it cannot come back as a second one."""

    async def scenario() -> None:
        async with supervised() as server:
            monkeypatch.setattr(supervisor, "PING_EVERY", 0.3)
            stopped = server.workers[1]
            assert await end(server, 1, signal.SIGSTOP) < 10
            assert stopped.exit_status == -signal.SIGKILL
            peer = Peer()
            for client in await one_of_each(server):
                await client.bind(CHANNEL, peer.address)
                assert await relays(client, peer, b"both serve")

    run(scenario())


def test_a_process_that_dies_again_and_again_is_replaced_later_each_time(run: Run) -> None:
    """OP-5: the machine is not kept busy by starting what cannot live."""

    async def scenario() -> None:
        async with supervised() as server:
            loop, pauses = asyncio.get_running_loop(), list[float]()
            for _ in range(3):
                old = server.workers[0]
                old.kill()
                await old.gone.wait()
                begun = loop.time()
                await eventually(lambda: server.workers[0].pid != old.pid)  # noqa: B023  # it is waited for here
                pauses.append(loop.time() - begun)
            assert pauses[0] < RESTART_WITHIN
            assert pauses[1] >= supervisor.FIRST_PAUSE
            assert pauses[2] >= supervisor.FIRST_PAUSE * 2

    run(scenario())


def test_each_of_many_deaths_is_got_over_in_time(run: Run) -> None:
    """OP-5: not only the median, and by the process that waits for it, which is told nothing before."""

    async def scenario() -> None:
        async with Supervisor(shared_settings(), WORKERS, well_after=0.0) as server:
            away = []
            for number in range(8):
                next_one = await waiting(server)
                memory = private_memory(next_one.pid)
                away.append(await end(server, number % WORKERS))
                assert server.workers[number % WORKERS].pid == next_one.pid
            print("\naway for", ", ".join(f"{1000 * seconds:.0f}" for seconds in away), "ms")
            print(f"who waits has {memory >> 20} MiB of its own")
            assert max(away) < RESTART_WITHIN
            assert await figure(server, "icelane_worker_restarts_total") == len(away)

    run(scenario())


def private_memory(pid: int) -> int:
    """What a process has in memory that it shares with nobody, in bytes."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Private_"))


async def waiting(server: Supervisor) -> Interpreter:
    """Who takes the next place; a busy machine may need long for its start."""
    async with asyncio.timeout(60):
        while server.spare is None or not server.spare.ready:  # noqa: ASYNC110  # its word is in a socket
            await asyncio.sleep(0.005)
    return server.spare


def test_two_processes_that_die_at_once_are_both_replaced(run: Run) -> None:
    """OP-5: only one waits, and the other is started then, which takes longer on a machine that is busy."""

    async def scenario() -> None:
        async with supervised() as server:
            await waiting(server)
            away = await asyncio.gather(*(end(server, index) for index in range(WORKERS)))
            assert min(away) < RESTART_WITHIN
            assert all(worker.state is WorkerState.RUNNING for worker in server.workers)

    run(scenario())


def test_a_process_that_waits_may_die_as_any_other(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """OP-5: then a worker is replaced by one that is started for it, and later another waits."""
    monkeypatch.setattr(spare, "SPARE_PAUSE", 0.5)

    async def scenario() -> None:
        async with supervised() as server:
            dying = await waiting(server)
            os.kill(dying.pid, signal.SIGKILL)
            await eventually(lambda: server.spare is None)
            await end(server, 0)
            assert server.workers[0].pid != dying.pid
            assert (await waiting(server)).pid not in [worker.pid for worker in server.workers]

    run(scenario())


def test_without_a_descriptor_to_spare_the_place_is_taken_later(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """OP-5: by the one who waits, and nothing is lost by the attempt."""
    genuine, failures = ListenerGroup.descriptor_for, iter([False, True])  # the second of two listeners, once

    def short_of_descriptors(self: ListenerGroup, worker: int) -> int:
        if next(failures, False):
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return genuine(self, worker)

    async def scenario() -> None:
        async with supervised() as server:
            next_one = await waiting(server)
            monkeypatch.setattr(ListenerGroup, "descriptor_for", short_of_descriptors)
            open_before = len(os.listdir("/proc/self/fd"))
            assert await end(server, 0) < RESTART_WITHIN
            assert server.workers[0].pid == next_one.pid
            await waiting(server)
            assert len(os.listdir("/proc/self/fd")) == open_before

    run(scenario())


def test_nobody_waits_once_the_server_drains(run: Run) -> None:
    """Whoever dies then is not replaced."""

    async def scenario() -> None:
        async with supervised() as server:
            idle = await waiting(server)
            assert await server.drain()
            await eventually(lambda: server.spare is None)
            await idle.gone.wait()

    run(scenario())


def test_a_process_that_starts_is_not_asked_but_has_a_limit(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """OP-5: one that needs longer than an answer may take is no silent one; one that never serves is ended."""

    async def scenario() -> None:
        async with supervised() as server:
            monkeypatch.setattr(supervisor, "PING_EVERY", 0.1)
            monkeypatch.setattr(supervisor, "START_LIMIT", 2.5)
            slow = await waiting(server)
            os.kill(slow.pid, signal.SIGSTOP)
            loop, begun = asyncio.get_running_loop(), asyncio.get_running_loop().time()
            server.workers[0].kill()
            await eventually(lambda: server.workers[0].pid == slow.pid)
            await server.workers[0].gone.wait()
            assert loop.time() - begun >= supervisor.START_LIMIT > supervisor.UNANSWERED * supervisor.PING_EVERY
            assert slow.exit_status == -signal.SIGKILL
            await eventually(lambda: server.workers[0].state is WorkerState.RUNNING)

    run(scenario())


def test_processes_end_with_their_supervisor() -> None:
    """Nobody is left behind who would serve on, even when the supervisor could not say goodbye."""

    async def scenario() -> None:
        server = await Supervisor(shared_settings(), WORKERS).__aenter__()
        pidfds = [os.pidfd_open(worker.pid) for worker in server.workers]
        for worker in server.workers:
            worker._link.close()
        loop = asyncio.get_running_loop()
        for pidfd in pidfds:
            over = asyncio.Event()
            loop.add_reader(pidfd, over.set)
            async with asyncio.timeout(10):
                await over.wait()
            loop.remove_reader(pidfd)
            os.close(pidfd)
        await server.close()

    asyncio.run(scenario())


def test_a_reserved_port_is_found_from_any_process(run: Run) -> None:
    """RFC 8656 section 7.2, EVEN-PORT with R: the token may be shown over a 5-tuple that another process serves."""

    async def scenario() -> None:
        async with supervised() as server:
            peer, crossed = Peer(), 0
            where = address_on(server, Transport.UDP)
            while crossed < 3:
                first = await Client.connect(where)
                response = await first.allocate(EVEN_PORT_AND_NEXT)
                token = response.get(AttributeType.RESERVATION_TOKEN)
                assert token is not None
                second = await Client.connect(where)
                await second.allocate((AttributeType.RESERVATION_TOKEN, token))
                assert second.relayed[0].port == first.relayed[0].port + 1
                await second.bind(CHANNEL, peer.address)
                assert await relays(second, peer, b"borrowed")
                owner = worker_of(server, first)
                serving = await _server_of(server, second)
                crossed += serving != owner
                for client in (first, second):
                    await client.refresh(0)
            await eventually_free(server)

    run(scenario())


async def _server_of(server: Supervisor, client: Client) -> int:
    """The process whose sessions the client is among."""
    for worker in server.workers:
        answer = await worker.ask(messages.Administer({"command": "sessions"}, NOW))
        result = answer.result
        assert isinstance(result, messages.SessionAnswer)
        assert result.answer is not None
        if any(row["relays"] == [str(client.relayed[0])] for row in result.answer["sessions"]):
            return worker.index
    raise AssertionError("nobody serves it")


async def eventually_free(server: Supervisor) -> None:
    """No port is bound any more, and none is lent."""
    async with asyncio.timeout(10):
        while await figure(server, "icelane_turn_relay_ports"):
            pass


def test_a_token_that_nobody_has_given_out_is_refused_by_every_process(run: Run) -> None:
    async def scenario() -> None:
        async with supervised() as server:
            for number in range(2 * WORKERS):
                client = await Client.connect(address_on(server, Transport.UDP))
                with pytest.raises(Refused) as refused:
                    await client.allocate((AttributeType.RESERVATION_TOKEN, number.to_bytes(8, "big")))
                assert refused.value.code == 508
            assert server.allocation_count == 0

    run(scenario())


@pytest.mark.parametrize("secure", [False, True], ids=["TCP", "TLS"])
def test_a_data_connection_finds_the_process_that_has_the_peer(run: Run, tmp_path: Path, secure: bool) -> None:
    """RFC 6062 section 5.4: ConnectionBind comes over a connection of its own, which any process may have accepted."""
    tls = certificates.good(tmp_path).section()
    transport = Transport.TLS if secure else Transport.TCP

    async def scenario() -> None:
        async with supervised(shared_settings(tls=tls, tcp_allocations=True)) as server:
            peer = await ListeningPeer.start()
            for number in range(12):  # one in 2 is passed on; that none is has a chance of 1 in 4096
                client = await allocated(server)
                wire = await bind(server, await connect(client, peer.address), transport=transport)
                far = await peer.wire()
                sent = b"%d " % number * 10_000
                wire.transport.write(sent)
                await far.hears(sent)
                far.transport.write(sent[::-1])
                await wire.hears(sent[::-1])
                if number % 2:
                    client.close()  # the allocation's connection: with it goes all that belongs to it
                else:
                    far.transport.close()
                await wire.is_over()
                client.close()

    run(scenario())


def test_a_connection_over_tls_that_two_processes_carry_is_counted_once(run: Run, tmp_path: Path) -> None:
    """TL-2: in the figures and for the limits, whichever process has the peer."""
    tls = certificates.good(tmp_path).section()
    pairs = 8  # that none of them is carried by two has a chance of 1 in 256

    async def scenario() -> None:
        # One more than room for all: a connection that was counted twice would let nobody in.
        quota = {"connections_per_source": 2 * pairs + 1}
        async with supervised(shared_settings(quota, tls=tls, tcp_allocations=True)) as server:
            peer = await ListeningPeer.start()
            joined = []
            for _ in range(pairs):
                client = await allocated(server)
                joined.append(
                    (client, await bind(server, await connect(client, peer.address), transport=Transport.TLS))
                )
            assert await figure(server, "icelane_turn_connections", transport="tls") == pairs
            assert await figure(server, "icelane_turn_connections", transport="tcp") == pairs
            assert await figure(server, "icelane_turn_connections_refused_total") == 0
            for client, wire in joined:
                client.close()
                await wire.is_over()
            async with asyncio.timeout(10):
                while await figure(server, "icelane_turn_connections"):
                    pass
            assert server._ledger is not None
            assert server._ledger.total(Kind.CONNECTIONS) == 0

    run(scenario())


def test_a_user_has_one_quota_in_all_processes(run: Run) -> None:
    """CR-4, TQ-5: 200 requests at once over 5-tuples of their own."""

    async def scenario() -> None:
        async with supervised(shared_settings({"allocations_per_user": 12})) as server:
            where, codes = address_on(server, Transport.UDP), list[int]()
            first = await one_of_each(server)

            async def one() -> Client | None:
                client = await Client.connect(where)
                try:
                    await client.allocate()
                except Refused as refused:
                    codes.append(refused.code)
                    return None
                return client

            clients = [client for client in await asyncio.gather(*(one() for _ in range(200))) if client]
            assert len(first) + len(clients) == 12
            assert codes == [486] * (188 + len(first))
            await clients[0].refresh(0)
            await (await Client.connect(where)).allocate()

    run(scenario())


def test_connections_of_one_source_are_counted_in_all_processes(run: Run) -> None:
    """TL-2."""

    async def scenario() -> None:
        async with supervised(shared_settings({"connections_per_source": 4})) as server:
            where = address_on(server, Transport.TCP)
            clients = [await Client.connect(where, Transport.TCP) for _ in range(12)]
            await eventually(lambda: sum(client.closed.is_set() for client in clients) == 8)
            assert await figure(server, "icelane_turn_connections_refused_total") == 8

    run(scenario())


def test_bandwidth_of_a_user_is_one_in_all_processes(run: Run) -> None:
    """TQ-9: two allocations in two processes carry together what one would."""

    async def scenario() -> None:
        async with supervised(shared_settings({"bytes_per_second_per_user": 100_000})) as server:
            peer, clients = Peer(), await one_of_each(server)
            for client in clients:
                await client.bind(CHANNEL, peer.address)
            loop = asyncio.get_running_loop()
            begun, carried = loop.time(), []
            for client in clients:
                for _ in range(200):
                    client.send_on(CHANNEL, bytes(1000))
                    await asyncio.sleep(0)
                await eventually_still(peer)
                carried.append(len(peer.inbox.take_all()))
            # A bucket of a second's worth, and what it gained while they were on their way.
            assert carried[0] >= 100
            assert sum(carried) <= 101 + 100 * (loop.time() - begun)
            assert loop.time() - begun < 0.9, "one bucket would have been filled again"

    run(scenario())


async def eventually_still(peer: Peer) -> None:
    """Nothing has come for a while."""
    before = -1
    while peer.inbox.qsize() != before:
        before = peer.inbox.qsize()
        await asyncio.sleep(0.1)


async def sessions(server: Supervisor) -> list[dict[str, Any]]:
    answer = await server.administer({"command": "sessions"}, NOW)
    rows: list[dict[str, Any]] = answer["sessions"]
    return rows


def test_nonces_of_a_process_are_good_in_the_one_that_takes_its_place(run: Run) -> None:
    """OP-3: with one key, so that nobody meets a 438 for it."""

    async def scenario() -> None:
        async with supervised() as server:
            for client in await one_of_each(server):
                await end(server, worker_of(server, client))
                with pytest.raises(Refused) as refused:
                    await client.request_once(Method.REFRESH)
                assert refused.value.code == 437

    run(scenario())


def test_what_is_taken_back_is_so_in_every_process_and_in_those_to_come(run: Run) -> None:
    """TR-12: also when a process has been replaced meanwhile."""

    async def scenario() -> None:
        async with supervised(shared_settings(users={USER: PASSWORD, "bob": "hunter2"})) as server:
            clients = await one_of_each(server)
            assert (await server.administer({"command": "revoke", "name": USER}, NOW))["ended"] == len(clients)
            await end(server, 0)
            for _ in range(ENOUGH):
                with pytest.raises(Refused) as refused:
                    await Client.allocated(address_on(server, Transport.UDP))
                assert refused.value.code == 401
            await Client.allocated(address_on(server, Transport.UDP), username="bob", password="hunter2")

    run(scenario())


def test_sessions_and_users_are_told_of_all_processes_and_one_is_ended_wherever_it_is(run: Run) -> None:
    async def scenario() -> None:
        async with supervised() as server:
            clients = await one_of_each(server)
            rows = await sessions(server)
            assert {row["session"] for row in rows} == {str(client.relayed[0]) for client in clients}
            (user,) = (await server.administer({"command": "users"}, NOW))["users"]
            assert (user["user"], user["sessions"]) == (USER, WORKERS)
            for row in rows:
                kick = {"command": "kick", "session": row["session"]}
                assert (await server.administer(kick, NOW))["ended"] == 1
                with pytest.raises(RequestError, match="no session"):
                    await server.administer(kick, NOW)
            assert server.allocation_count == 0

    run(scenario())


def test_a_reload_counts_in_every_process_and_in_those_to_come(run: Run) -> None:
    async def scenario() -> None:
        async with supervised(shared_settings(users={USER: PASSWORD, "bob": "hunter2"})) as server:
            await one_of_each(server)
            result = await server.reload(shared_settings(users={"bob": "hunter2"}))
            assert (result.changed, result.restart, result.ended) == (("turn.users",), (), WORKERS)
            await end(server, 1)
            for _ in range(ENOUGH):
                with pytest.raises(Refused):
                    await Client.allocated(address_on(server, Transport.UDP))
            other = shared_settings(users={"bob": "hunter2"}, workers=3)
            assert (await server.reload(other)).restart == ("turn.workers",)

    run(scenario())


def test_a_process_that_is_slow_to_take_over_a_configuration_is_not_ended(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OP-5: it would be with all that it relays; it has the time that any silence may take."""

    async def scenario() -> None:
        async with supervised() as server:
            monkeypatch.setattr(process, "ANSWER_TIMEOUT", 0.05)
            slow = server.workers[1]
            os.kill(slow.pid, signal.SIGSTOP)
            reloading = asyncio.create_task(server.reload(shared_settings(users={"bob": "hunter2"})))
            with pytest.raises(SilentError):
                await slow.ask(messages.TellFigures())
            assert not reloading.done()
            os.kill(slow.pid, signal.SIGCONT)
            assert (await reloading).changed == ("turn.users",)
            assert server.workers[1] is slow
            assert slow.state is WorkerState.RUNNING

    run(scenario())


def test_what_is_said_while_a_process_starts_counts_for_it_too(run: Run) -> None:
    async def scenario() -> None:
        users = {USER: PASSWORD, "bob": "hunter2", "carol": "hunter3"}
        async with supervised(shared_settings(users=users)) as server:
            old, next_one = server.workers[0], await waiting(server)
            os.kill(next_one.pid, signal.SIGSTOP)
            old.kill()
            await eventually(lambda: server.workers[0] is not old)
            assert server.workers[0].state is WorkerState.STARTING
            await server.reload(shared_settings(users={"bob": "hunter2", "carol": "hunter3"}))
            await server.administer({"command": "revoke", "name": "bob"}, NOW)
            os.kill(next_one.pid, signal.SIGCONT)
            await eventually(lambda: server.workers[0].state is WorkerState.RUNNING)
            await eventually(lambda: not server._tasks)
            for _ in range(ENOUGH):
                for name, password in ((USER, PASSWORD), ("bob", "hunter2")):
                    with pytest.raises(Refused):
                        await Client.allocated(address_on(server, Transport.UDP), username=name, password=password)
            await Client.allocated(address_on(server, Transport.UDP), username="carol", password="hunter3")

    run(scenario())


def test_a_process_that_dies_while_the_server_starts_ends_the_start(run: Run) -> None:
    """Nothing waits for what will never serve."""

    async def scenario() -> None:
        server = Supervisor(shared_settings(), WORKERS)
        starting = asyncio.create_task(server.start())
        await eventually(lambda: len(server.workers) == WORKERS)
        server.workers[1].kill()
        with pytest.raises(ConfigurationError, match="ended while it started"):
            await starting

    run(scenario())


def test_a_reload_that_cannot_be_changes_nothing_anywhere(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with supervised() as server:
            before = [worker.pid for worker in server.workers]
            with pytest.raises(ConfigurationError):
                await server.reload(shared_settings(revoked_file=str(tmp_path / "missing"), users={"bob": "hunter2"}))
            await one_of_each(server)
            assert [worker.pid for worker in server.workers] == before

    run(scenario())


def test_all_processes_drain(run: Run) -> None:
    async def scenario() -> None:
        async with supervised() as server:
            peer, clients = Peer(), await one_of_each(server)
            draining = asyncio.create_task(server.drain())
            for client in clients:
                await client.bind(CHANNEL, peer.address)
                assert await relays(client, peer, b"goes on")
            with pytest.raises(Refused) as refused:
                await Client.allocated(address_on(server, Transport.UDP))
            assert refused.value.code == 508
            assert not (await server.readiness()).ok
            await clients[0].refresh(0)
            await asyncio.sleep(0.05)
            assert not draining.done()
            os.kill(server.workers[1].pid, signal.SIGKILL)  # nobody takes its place, and nothing is left of it
            assert await asyncio.wait_for(draining, 10)

    run(scenario())


def test_counters_do_not_go_back_when_a_process_is_replaced(run: Run) -> None:
    async def scenario() -> None:
        async with supervised() as server:
            peer = Peer()
            for client in await one_of_each(server):
                await client.bind(CHANNEL, peer.address)
                assert await relays(client, peer, b"counted")
            name = "icelane_turn_relay_packets_total"
            before = await figure(server, name)
            assert before == 2 * WORKERS
            await end(server, 0)
            assert await figure(server, name) == before

    run(scenario())


def test_who_cannot_start_says_why(run: Run, tmp_path: Path) -> None:
    """The error of a worker is the server's, key and all; nothing is left of the others."""
    missing = certificates.good(tmp_path).section() | {"key": str(tmp_path / "missing")}

    async def scenario() -> None:
        with pytest.raises(ConfigurationError) as raised:
            await Supervisor(shared_settings(tls=missing), WORKERS).start()
        assert raised.value.key == "tls.key"

    run(scenario())


def test_a_second_server_does_not_join_the_first(run: Run) -> None:
    """Sockets that share an address would let another program of the same user take some of the clients."""

    async def scenario() -> None:
        async with supervised() as server:
            taken = [str(listener) for listener in server.listening]
            with pytest.raises(ConfigurationError, match="in use by another program"):
                await Supervisor(shared_settings(listen=taken), WORKERS).start()

    run(scenario())


def test_figures_of_all_processes_are_served_on_one_port(run: Run) -> None:
    async def scenario() -> None:
        config = shared_settings()
        metrics = config.metrics.model_copy(update={"listen": SocketAddress("127.0.0.1", 0)})
        async with supervised(config.model_copy(update={"metrics": metrics})) as server:
            assert server.figures_at is not None
            reader, writer = await asyncio.open_connection(*server.figures_at)
            writer.write(b"GET /readyz HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
            writer.close()
            assert head.startswith(b"HTTP/1.1 200")
            assert json.loads(body)["checks"]["workers"] == {"ok": True, "running": WORKERS, "wanted": WORKERS}
            # TR-5: nobody reaches that port through the relay, whichever process relays for him.
            for client in await one_of_each(server):
                with pytest.raises(Refused) as refused:
                    await client.bind(CHANNEL, server.figures_at)
                assert refused.value.code == 403

    run(scenario())


def test_nothing_is_imported_from_the_directory_that_it_is_started_in(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever may write there would run as the server."""
    (tmp_path / "random.py").write_text("raise SystemExit('this is not the one')\n")
    monkeypatch.chdir(tmp_path)

    async def scenario() -> None:
        async with supervised() as server:
            assert await figure(server, "icelane_workers") == WORKERS

    run(scenario())


class WithoutDescriptors(RelayPlane):
    """A plane for which there is no descriptor to spare."""

    def lend(self, address: SocketAddress) -> socket.socket:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def test_a_port_that_cannot_be_lent_is_free_again(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """TQ-6: without a descriptor to spare the claim is refused, and the port is nobody's."""
    monkeypatch.setattr(planes, "RelayPlane", WithoutDescriptors)

    async def scenario() -> None:
        server = TurnServer(settings(listen=["udp://127.0.0.1:0"], relay_addresses=["127.0.0.1"], plane="pure"))
        async with server:
            client = await Client.connect(address_on(server, Transport.UDP))
            response = await client.allocate(EVEN_PORT_AND_NEXT)
            token = response.get(AttributeType.RESERVATION_TOKEN)
            assert token is not None
            assert Sharing(NoSiblings(), server.plane, server).lend(token, 1) is None
            await client.refresh(0)
            assert server.idle
            assert server.plane.ports == 0

    run(scenario())


class NoSiblings:
    """A link that leads nowhere."""

    def claim(self, command: ClaimRelayPort) -> None: ...

    def give_back(self, command: ReturnRelayPort) -> None: ...

    def found(self, external: Mapping[str, str]) -> None: ...

    def pass_on(self, owner: int, client: Any, message: bytes, connection: socket.socket) -> None: ...
