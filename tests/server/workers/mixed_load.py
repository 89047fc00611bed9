"""Clients of every kind who are relayed by several processes, while one process after the other is killed.

    python -m tests.server.workers.mixed_load 600

Everything that a client sends comes back from an echo. What is on its way when the client's own process is killed may
be lost; nothing else may, whatever else goes on: reservations are claimed, connections handed over, the configuration
is read again. Prints what was carried and lost, by kind, and how long each process was away.
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
from icelane.server.config import Config
from icelane.server.descriptors import allow_many_descriptors
from icelane.server.workers.process import WorkerProcess, WorkerState
from icelane.server.workers.supervisor import Supervisor
from tests import certificates
from tests.loops import close_opened
from tests.server.clients import Refused, eventually, settings
from tests.server.workers.ways import WORKERS, Place, Way, way_of

KINDS: Final = ("UDP channel", "UDP Send", "TCP channel", "TLS channel", "TCP Send", "reserved port", "TCP data")
FLOWS_OF_A_KIND: Final = 6
# A flow sends so many packets a second: few enough that this process, which is Python, keeps up with all of them.
PACE: Final = 40
SIZES: Final = (40, 172, 600, 1200)
KILL_EVERY: Final = 1.5
# No multiple of that: it meets processes that serve and those that start.
RELOAD_EVERY: Final = 4.0
RELOADED: Final = "turn.quota.connections_per_source"
REPLACED_WITHIN: Final = 9.0
RESTART_WITHIN: Final = 2.0  # OP-5
# What comes back later than this is lost.
LATE: Final = 3.0
# Whoever meets a process that is killed while they speak tries again.
OPEN_WITHIN: Final = 3.0
GIVE_BACK_WITHIN: Final = 10.0
# RFC 8656 section 7.2: so long a port may be reserved that nobody has come for.
RESERVED_FOR: Final = 30.0


@dataclass
class Told:
    """What became of everything."""

    carried: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    begun: Counter[str] = field(default_factory=Counter)
    away: list[float] = field(default_factory=list)
    reloads: int = 0
    left: dict[str, float] = field(default_factory=dict)


class Flow:
    """One client of one kind, who begins anew when the process that relays for it is killed."""

    def __init__(self, kind: str, scene: Scene, seed: int) -> None:
        self.kind = kind
        self._scene = scene
        self._random = random.Random(seed)  # sizes of packets
        self._numbers = itertools.count()
        self._waiting: dict[bytes, float] = {}
        self._way: Way | None = None
        self._cut = asyncio.Event()

    @property
    def worker(self) -> int:
        """Who relays for it; -1 when nobody does, or it is not known yet."""
        return self._way.worker if self._way is not None else -1

    async def run(self, until: float) -> None:
        """Send until then, through as many processes as it takes."""
        loop = asyncio.get_running_loop()
        while loop.time() < until:
            self._cut.clear()
            self._way = way = way_of(self.kind)
            if await self._opens(way):
                reading = loop.create_task(self._read(way))
                await self._send(way, until)
                if not self._cut.is_set():
                    await self._settle()
                reading.cancel()
                with suppress(asyncio.CancelledError):
                    await reading
            # Also of one that was cut: what another process has for it is free then, and does not run out.
            with suppress(TimeoutError):
                async with asyncio.timeout(GIVE_BACK_WITHIN):
                    await way.give_back()
            way.close()

    def cut(self) -> None:
        """Its process has been killed: what is on its way may be lost."""
        self._waiting.clear()
        self._cut.set()

    async def _opens(self, way: Way) -> bool:
        try:
            async with asyncio.timeout(OPEN_WITHIN):
                await way.open(self._scene.place)
        except (OSError, RuntimeError, TimeoutError, Refused):  # uvloop: RuntimeError, of a connection that is gone
            await asyncio.sleep(0.05)  # its process is being replaced
            return False
        self._scene.told.begun[self.kind] += 1
        return True

    async def _send(self, way: Way, until: float) -> None:
        loop = asyncio.get_running_loop()
        while loop.time() < until and not self._cut.is_set():
            name = b"%s %d " % (self.kind.encode(), next(self._numbers))
            payload = name.ljust(self._random.choice(SIZES), b".")
            self._waiting[payload] = loop.time()
            way.send(payload)
            self._count_late(loop.time())
            await asyncio.sleep(self._random.uniform(0.5, 1.5) / PACE)

    async def _read(self, way: Way) -> None:
        while True:
            if self._waiting.pop(await way.receive(), None) is not None:
                self._scene.told.carried[self.kind] += 1

    async def _settle(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(LATE):
                await eventually(lambda: not self._waiting)
        self._count_late(float("inf"))

    def _count_late(self, now: float) -> None:
        while self._waiting and next(iter(self._waiting.values())) < now - LATE:
            del self._waiting[next(iter(self._waiting))]
            self._scene.told.lost[self.kind] += 1


class Scene:
    """The server and all flows."""

    def __init__(self, server: Supervisor) -> None:
        self.server = server
        self.place = Place(server)
        self.told = Told()
        self.flows = [
            Flow(KINDS[number % len(KINDS)], self, seed=number) for number in range(len(KINDS) * FLOWS_OF_A_KIND)
        ]

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

    async def reload_again_and_again(self, configs: tuple[Config, Config], until: float) -> None:
        """Take over the one and the other, in turn."""
        loop = asyncio.get_running_loop()
        for config in itertools.cycle(configs):
            await asyncio.sleep(RELOAD_EVERY)
            if loop.time() >= until:
                return
            result = await self.server.reload(config)
            assert (result.changed, result.restart, result.ended) == ((RELOADED,), (), 0)
            assert result.certificate
            self.told.reloads += 1


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


async def left(server: Supervisor) -> dict[str, float]:
    """What the server holds for anybody."""
    body, _ = await server.page(None)
    wanted = ("icelane_turn_relay_ports", "icelane_turn_peer_connections", "icelane_workers")
    held = {name: value for name, value in figures(body) if name in wanted}
    return held | {"allocations": server.allocation_count}


async def load(seconds: float, directory: Path) -> Told:
    """Everything, for so long."""
    allow_many_descriptors()
    loop = asyncio.get_running_loop()
    tls = certificates.good(directory)
    config, other = (_config(tls, connections) for connections in (900, 901))
    try:
        # One that is killed every few seconds has lived well, and is not replaced later each time.
        async with Supervisor(config, WORKERS, well_after=KILL_EVERY) as server:
            scene = Scene(server)
            await scene.place.start()
            until = loop.time() + seconds
            async with asyncio.TaskGroup() as group:
                for flow in scene.flows:
                    group.create_task(flow.run(until))
                group.create_task(scene.kill_one_after_the_other(until))
                group.create_task(scene.reload_again_and_again((other, config), until))
            scene.told.left = await left(server)
            until = loop.time() + RESERVED_FOR + OPEN_WITHIN
            while scene.told.left["icelane_turn_relay_ports"] and loop.time() < until:
                await asyncio.sleep(0.5)
                scene.told.left = await left(server)
            return scene.told
    finally:
        await close_opened()


def _config(tls: certificates.Pair, connections: int) -> Config:
    return settings(
        {"allocations_per_user": 1000, "connections_per_source": connections},
        tls=tls.section(),
        listen=["udp://127.0.0.1:0", "tcp://127.0.0.1:0", "tls://127.0.0.1:0"],
        relay_addresses=["127.0.0.1"],
        tcp_allocations=True,
        workers=WORKERS,
    )


def in_time(told: Told) -> int:
    """How many of the killed were replaced as soon as they should."""
    return sum(seconds < RESTART_WITHIN for seconds in told.away)


def document(told: Told) -> dict[str, Any]:
    """What is printed."""
    return {
        "carried": dict(told.carried),
        "lost": dict(told.lost),
        "begun": dict(told.begun),
        "kills": len(told.away),
        "reloads": told.reloads,
        "away": round(statistics.median(told.away or [0.0]), 2),
        "away_at_most": round(max(told.away, default=0.0), 2),
        "back_within_two_seconds": f"{in_time(told)} of {len(told.away)}",
        "left": told.left,
    }


def main() -> None:
    """Load for the seconds of the one argument."""
    with tempfile.TemporaryDirectory() as directory, asyncio.Runner(loop_factory=loop_factory()) as runner:
        print(json.dumps(document(runner.run(load(float(sys.argv[1]), Path(directory))))))


if __name__ == "__main__":
    main()
