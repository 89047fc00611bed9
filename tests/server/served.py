"""A server in a process of its own, which tells what it holds: floods are measured from outside.

    python -m tests.server.served '{"listen": ["udp://127.0.0.1:0"]}' '{"reservation_lifetime": 1}' uvloop

Each line on standard input is answered by a line of JSON on standard output, the first comes unasked.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gc
import json
import logging
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop

from icelane.core.net import SocketAddress, Transport
from icelane.server.descriptors import allow_many_descriptors
from icelane.server.turn_server import TurnServer
from tests.broken.registry import all_breaks
from tests.server.clients import settings

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, kw_only=True)
class Holdings:
    """What a server holds at one moment: descriptors by kind, and the sizes of all that a client can make grow."""

    resident: int
    descriptors: Mapping[str, int]
    tasks: int
    timers: int
    collections: Mapping[str, int]
    idle: bool
    records: int
    unhandled: list[str]

    def is_back_at(self, start: Holdings) -> bool:
        """Whether nothing is left of what came after `start`; memory is for others to judge.

        Of timers there may be fewer: one that was armed for somebody who has left goes off once more, and what repeats
        has none in the moment in which it runs.
        """
        same = (self.descriptors, self.tasks, self.collections) == (start.descriptors, start.tasks, start.collections)
        return same and self.timers <= start.timers


class Served:
    """The process, from the test's side."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.listening = {
            Transport(name): SocketAddress(host, port) for name, host, port in json.loads(self._read())["listening"]
        }

    def holdings(self) -> Holdings:
        """What it holds now."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return Holdings(**json.loads(self._read()))

    def _read(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise AssertionError(f"the server has ended with {self._process.wait(5)}")
        return line


@contextlib.contextmanager
def served(
    turn: Mapping[str, Any] | None = None, lifetimes: Mapping[str, float] | None = None, *, loop: str = "uvloop"
) -> Iterator[Served]:
    """A server with these keys of `[turn]` and these lifetimes of the engine."""
    command = [sys.executable, "-m", "tests.server.served", json.dumps(turn or {}), json.dumps(lifetimes or {}), loop]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with process:
        try:
            yield Served(process)
        finally:
            process.kill()


class _Counting(logging.Handler):
    """Counts records, and the exceptions that reached the loop."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.records = 0

    def emit(self, record: logging.LogRecord) -> None:
        del record
        self.records += 1


async def _serve(turn: Mapping[str, Any], lifetimes: Mapping[str, Any]) -> None:
    loop = asyncio.get_running_loop()
    unhandled: list[str] = []
    loop.set_exception_handler(lambda _, context: unhandled.append(repr(context)))
    counting = _Counting()
    logging.getLogger("icelane").addHandler(counting)
    logging.getLogger("icelane").setLevel(logging.INFO)
    defaults = {"listen": ["udp://127.0.0.1:0", "tcp://127.0.0.1:0"]}
    server = TurnServer(
        settings(**(defaults | dict(turn))), tune=lambda config: dataclasses.replace(config, **lifetimes)
    )
    async with server:
        asked, ended = asyncio.Event(), asyncio.Event()

        def on_line() -> None:
            asked.set()
            if not os.read(0, 1):
                ended.set()

        loop.add_reader(0, on_line)
        listening = [(listener.transport.value, listener.host, listener.port) for listener in server.listening]
        print(json.dumps({"listening": listening}), flush=True)
        while not ended.is_set():
            await asked.wait()
            asked.clear()
            print(json.dumps(dataclasses.asdict(_look(server, counting, unhandled))), flush=True)
        loop.remove_reader(0)


def _look(server: TurnServer, counting: _Counting, unhandled: list[str]) -> Holdings:
    gc.collect()
    timers: list[asyncio.TimerHandle] = getattr(asyncio.get_running_loop(), "_scheduled", [])
    engine = server._engine
    assert engine is not None
    collections = {
        "allocations": len(engine._table),
        "deadlines": engine._table.timers,
        "pending": len(engine._allocates),
        "quota": len(engine._quota),
        "ports": engine._relay_ports.in_use,
        "commands": len(engine._commands),
        "transmits": len(engine._transmits),
        "events": len(engine._events),
        "clients": len(server.plane.clients),
        "peer connections": server.peer_connections,
        "splices": len(server._tcp_plane._splices),
        "relays": server.plane.ports,
        "bandwidth": len(server._bandwidth),
        "sources": sum(len(getattr(one, "_clients_by_source", ())) for one in server._listeners),
        "connections": sum(len(getattr(one, "_connections_by_path", ())) for one in server._listeners),
    }
    return Holdings(
        resident=_resident(),
        descriptors=_descriptors(),
        tasks=len(asyncio.all_tasks()),
        timers=sum(not timer.cancelled() for timer in timers),
        collections=collections,
        idle=server.idle,
        records=counting.records,
        unhandled=unhandled,
    )


def _descriptors() -> dict[str, int]:
    kinds: Counter[str] = Counter()
    for descriptor in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the one that lists the directory
            kinds[os.readlink(f"/proc/self/fd/{descriptor}").partition(":[")[0]] += 1
    return dict(kinds)


def _resident() -> int:
    """Bytes of memory that are in use and in RAM."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    """Serve until standard input ends."""
    broken = os.environ.get("BREAK_NAME")
    if broken:
        all_breaks()[broken].apply()
    allow_many_descriptors()
    factory = uvloop.new_event_loop if sys.argv[3] == "uvloop" else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(_serve(json.loads(sys.argv[1]), json.loads(sys.argv[2])))


if __name__ == "__main__":
    main()
