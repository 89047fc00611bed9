"""Clients of every kind who are relayed by several processes, while one process after the other is killed.

    python -m tests.server.workers.mixed_load 600

Everything that a client sends comes back from an echo. What is on its way when the client's own process is killed may
be lost; nothing else may. Prints what was carried and lost, by kind, and how long each process was away.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import signal
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from icelane.aio.loops import loop_factory
from icelane.core.net import Transport
from icelane.server.descriptors import allow_many_descriptors
from icelane.server.workers.process import WorkerProcess, WorkerState
from icelane.server.workers.supervisor import Supervisor, partition
from icelane.stun.message import parse_message
from icelane.turn.translation import parse_data_indication
from tests import certificates
from tests.loops import close_now, close_opened
from tests.server.clients import Client, Echo, Refused, address_on, eventually, settings

WORKERS: Final = 2
CHANNEL: Final = 0x4001
KINDS: Final = ("UDP channel", "UDP Send", "TCP channel", "TLS channel", "TCP Send")
FLOWS_OF_A_KIND: Final = 8
# A flow sends so many packets a second: few enough that this process, which is Python, keeps up with all of them.
PACE: Final = 40
SIZES: Final = (40, 172, 600, 1200)
KILL_EVERY: Final = 1.5
REPLACED_WITHIN: Final = 9.0
# What comes back later than this is lost.
LATE: Final = 3.0


@dataclass
class Told:
    """What became of everything."""

    carried: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    begun: Counter[str] = field(default_factory=Counter)
    away: list[float] = field(default_factory=list)
    left: dict[str, float] = field(default_factory=dict)


class Flow:
    """One client of one kind, who begins anew when the process that relays for it is killed."""

    def __init__(self, kind: str, scene: Scene, seed: int) -> None:
        self.kind = kind
        self.worker = -1
        self._scene = scene
        self._random = random.Random(seed)  # sizes of packets
        self._numbers = itertools.count()
        self._waiting: dict[bytes, float] = {}
        self._client: Client | None = None
        self._cut = asyncio.Event()

    async def run(self, until: float) -> None:
        """Send until then, through as many processes as it takes."""
        loop = asyncio.get_running_loop()
        while loop.time() < until:
            try:
                client = await self._begin()
            except (OSError, TimeoutError, Refused):
                await asyncio.sleep(0.05)  # its process is being replaced
                continue
            reading = loop.create_task(self._read(client))
            await self._send(client, until)
            if not self._cut.is_set():
                await self._finish(client)
            reading.cancel()
            with suppress(asyncio.CancelledError):
                await reading
            close_now(client)

    def cut(self) -> None:
        """Its process has been killed: what is on its way may be lost."""
        self._waiting.clear()
        self._cut.set()

    async def _begin(self) -> Client:
        transport = Transport(self.kind.partition(" ")[0].lower())
        self._cut.clear()
        client = await Client.connect(address_on(self._scene.server, transport), transport)
        await client.allocate()
        self.worker = self._scene.worker_of(client)
        echo = self._scene.echo.address
        await (client.permit(echo) if self.kind.endswith("Send") else client.bind(CHANNEL, echo))
        self._scene.told.begun[self.kind] += 1
        return client

    async def _send(self, client: Client, until: float) -> None:
        loop = asyncio.get_running_loop()
        while loop.time() < until and not self._cut.is_set():
            name = b"%s %d " % (self.kind.encode(), next(self._numbers))
            payload = name.ljust(self._random.choice(SIZES), b".")
            self._waiting[payload] = loop.time()
            if self.kind.endswith("Send"):
                client.send_to(self._scene.echo.address, payload)
            else:
                client.send_on(CHANNEL, payload)
            self._count_late(loop.time())
            await asyncio.sleep(self._random.uniform(0.5, 1.5) / PACE)

    async def _read(self, client: Client) -> None:
        while True:
            frame = await client.inbox.get()
            if self.kind.endswith("Send"):
                payload = parse_data_indication(parse_message(frame)).payload
            else:
                payload = frame[4 : 4 + int.from_bytes(frame[2:4], "big")]
            if self._waiting.pop(payload, None) is not None:
                self._scene.told.carried[self.kind] += 1

    async def _finish(self, client: Client) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(LATE):
                await eventually(lambda: not self._waiting)
        self._count_late(float("inf"))
        with suppress(Refused, TimeoutError, OSError):
            await client.refresh(0)

    def _count_late(self, now: float) -> None:
        while self._waiting and next(iter(self._waiting.values())) < now - LATE:
            del self._waiting[next(iter(self._waiting))]
            self._scene.told.lost[self.kind] += 1


class Scene:
    """The server, the echo, and all flows."""

    def __init__(self, server: Supervisor) -> None:
        self.server = server
        self.echo = Echo()
        self.told = Told()
        self._parts = [partition(server.config, index, WORKERS) for index in range(WORKERS)]
        self.flows = [
            Flow(KINDS[number % len(KINDS)], self, seed=number) for number in range(len(KINDS) * FLOWS_OF_A_KIND)
        ]

    def worker_of(self, client: Client) -> int:
        """Who relays for a client."""
        port = client.relayed[0].port
        return next(index for index, ports in enumerate(self._parts) if port in ports)

    async def _replaced(self, old: WorkerProcess) -> None:
        def serves() -> bool:
            new = self.server.workers[old.index]
            return new is not old and new.state is WorkerState.RUNNING

        try:
            async with asyncio.timeout(REPLACED_WITHIN):
                await eventually(serves, lambda: asyncio.sleep(0.01))
        except TimeoutError:
            new = self.server.workers[old.index]
            raise AssertionError(f"worker {old.index} is {new.state}: {_processor_time(new.pid)}") from None

    async def kill_one_after_the_other(self, until: float) -> None:
        """The processes, in turn."""
        loop = asyncio.get_running_loop()
        for index in itertools.cycle(range(WORKERS)):
            await asyncio.sleep(KILL_EVERY)
            if loop.time() >= until - KILL_EVERY:
                return
            old = self.server.workers[index]
            # In this order, so that nothing is sent between the two that would be counted as lost.
            os.kill(old.pid, signal.SIGKILL)
            for flow in self.flows:
                if flow.worker == index:
                    flow.cut()
            killed = loop.time()
            await self._replaced(old)
            self.told.away.append(loop.time() - killed)


def _processor_time(pid: int) -> str:
    """Of a process that lives: on a processor and waiting for one, in nanoseconds."""
    try:
        return Path(f"/proc/{pid}/schedstat").read_text()
    except OSError:
        return "gone"


def figures(body: bytes) -> Iterator[tuple[str, float]]:
    """Name and value of each sample that has no labels."""
    for line in body.decode().splitlines():
        name, _, value = line.partition(" ")
        if not line.startswith("#") and "{" not in name:
            yield name, float(value)


async def load(seconds: float, directory: Path) -> Told:
    """Everything, for so long."""
    allow_many_descriptors()
    loop = asyncio.get_running_loop()
    config = settings(
        {"allocations_per_user": 1000},
        tls=certificates.good(directory).section(),
        listen=["udp://127.0.0.1:0", "tcp://127.0.0.1:0", "tls://127.0.0.1:0"],
        relay_addresses=["127.0.0.1"],
        workers=WORKERS,
    )
    try:
        # One that is killed every few seconds has lived well, and is not replaced later each time.
        async with Supervisor(config, WORKERS, well_after=KILL_EVERY) as server:
            scene = Scene(server)
            until = loop.time() + seconds
            async with asyncio.TaskGroup() as group:
                for flow in scene.flows:
                    group.create_task(flow.run(until))
                group.create_task(scene.kill_one_after_the_other(until))
            body, _ = await server.page(None)
            wanted = ("icelane_turn_relay_ports", "icelane_turn_peer_connections", "icelane_workers")
            scene.told.left = {name: value for name, value in figures(body) if name in wanted}
            scene.told.left["allocations"] = server.allocation_count
            return scene.told
    finally:
        await close_opened()


def document(told: Told) -> dict[str, Any]:
    """What is printed."""
    return {
        "carried": dict(told.carried),
        "lost": dict(told.lost),
        "begun": dict(told.begun),
        "kills": len(told.away),
        "away": round(statistics.median(told.away or [0.0]), 2),
        "away_at_most": round(max(told.away, default=0.0), 2),
        "left": told.left,
    }


def main() -> None:
    """Load for the seconds of the one argument."""
    with tempfile.TemporaryDirectory() as directory, asyncio.Runner(loop_factory=loop_factory()) as runner:
        print(json.dumps(document(runner.run(load(float(sys.argv[1]), Path(directory))))))


if __name__ == "__main__":
    main()
