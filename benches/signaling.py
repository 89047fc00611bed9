"""What signaling costs: `python -m benches.signaling [--smoke] [--full] [--json FILE]`.

Ours beside python-socketio, both under uvicorn with uvloop, over WebSocket on loopback, without TLS. The servers take
turns in every round, the first round is dropped; figures are medians.

- Connections per CPU-second of the server, each from TCP to being in a room, and connections per second of the clock.
- CPU time of the server for each message of 200 bytes that goes from one client to another.
- Memory per idle connection, after a first batch that pays for what is made once.
- Delay of messages between two others, median and 99th percentile: alone, beside a member who does not read what is
  sent to his room, and beside one who says a thousand things per second.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benches import load
from benches.command import Options, Session, announce, parse_options, write_json
from benches.measure import Summary, cpu_nanoseconds, resident_bytes, settle
from benches.peers import PEERS_PYTHON, note_what_disturbs
from benches.signal_talker import TALKERS, Talker
from benches.table import Cell, print_table

ROOT = Path(__file__).parents[1]
OURS, THEIRS = "icelane", "python-socketio"
START_TIMEOUT = 60.0
AT_ONCE = 16
WINDOW = 16
TEXT = "x" * 200
# Below our own limit of 50.
PROBES_PER_SECOND = 40
CONDITIONS = ("alone", "slow", "flood")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much to do."""

    rounds: int
    connections: int
    messages: int
    idle: int
    """Connections of each of the two batches that memory is read after."""
    seconds: float
    """Of probing in each condition."""


NORMAL = Plan(rounds=4, connections=500, messages=10_000, idle=1000, seconds=8.0)
FULL = Plan(rounds=8, connections=2000, messages=50_000, idle=4000, seconds=20.0)
SMOKE = Plan(rounds=2, connections=20, messages=100, idle=20, seconds=0.5)


@dataclass(kw_only=True)
class Result:
    """What one server needed."""

    name: str
    connects_per_cpu_second: list[float] = field(default_factory=list)
    connects_per_second: list[float] = field(default_factory=list)
    microseconds_per_message: list[float] = field(default_factory=list)
    kibibytes_per_connection: float = 0.0
    delays: dict[str, list[float]] = field(default_factory=dict)
    """Milliseconds, by condition."""


class ServerFailedError(Exception):
    """A server's program ended, or is not there."""


@contextlib.contextmanager
def server(name: str, cpu: int, *, limited: bool = False) -> Iterator[tuple[str, int]]:
    """Its URL and process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    python = sys.executable if name == OURS else str(PEERS_PYTHON)
    command = [python, str(ROOT / "benches/signal_server.py"), name, str(port), *(["unlimited"] if not limited else [])]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, preexec_fn=lambda: os.sched_setaffinity(0, {cpu})
    ) as process:
        try:
            _wait_for(process, name, port)
            yield f"ws://127.0.0.1:{port}", process.pid
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
            process.kill()


def _wait_for(process: subprocess.Popen[bytes], name: str, port: int) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 0.2).close()
            return
        time.sleep(0.1)
    raise ServerFailedError(f"{name} does not start")


async def enter_all(talkers: type[Talker], url: str, count: int, first: int = 0) -> list[Talker]:
    """`count` clients, AT_ONCE at a time, each in a room with nobody else."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def enter(number: int) -> Talker:
        async with gate:
            return await talkers.enter(url, f"user{number}", f"room{number}")

    return list(await asyncio.gather(*(enter(number) for number in range(first, first + count))))


async def leave_all(clients: Sequence[Talker]) -> None:
    """They close."""
    for start in range(0, len(clients), 100):
        await asyncio.gather(*(client.socket.close() for client in clients[start : start + 100]))


async def connects(talkers: type[Talker], url: str, pid: int, count: int, result: Result) -> None:
    """Connections, and what they cost."""
    used, began = cpu_nanoseconds(pid), time.perf_counter()
    clients = await enter_all(talkers, url, count)
    took, used = time.perf_counter() - began, cpu_nanoseconds(pid) - used
    await leave_all(clients)
    result.connects_per_second.append(count / took)
    result.connects_per_cpu_second.append(count / (max(1, used) / 1e9))


async def messages(talkers: type[Talker], url: str, pid: int, count: int, result: Result) -> None:
    """Messages from one client to another, at most WINDOW on their way."""
    speaker, hearer = [await talkers.enter(url, name, "pair") for name in ("speaker", "hearer")]
    window = asyncio.Semaphore(WINDOW)

    async def hear() -> None:
        for _ in range(count):
            await hearer.hear()
            window.release()

    async def read_back() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            while True:
                await speaker.hear()

    used = cpu_nanoseconds(pid)
    hearing, reading = asyncio.create_task(hear()), asyncio.create_task(read_back())
    for _ in range(count):
        await window.acquire()
        await speaker.say(hearer.address, TEXT)
    await hearing
    used = cpu_nanoseconds(pid) - used
    reading.cancel()
    await leave_all([speaker, hearer])
    result.microseconds_per_message.append(used / 1000 / count)


async def memory(talkers: type[Talker], url: str, pid: int, count: int) -> float:
    """KiB per connection of the second batch."""
    first = await enter_all(talkers, url, count)
    before = resident_bytes(pid)
    second = await enter_all(talkers, url, count, first=count)
    grown = resident_bytes(pid) - before
    await leave_all([*first, *second])
    return grown / count / 1024


async def delays(talkers: type[Talker], name: str, url: str, condition: str, seconds: float) -> list[float]:
    """Milliseconds that messages between two take, while somebody else behaves as the condition says."""
    speaker, hearer = [await talkers.enter(url, who, "probe") for who in ("prober", "probed")]
    bad = None
    if condition != "alone":
        command = [sys.executable, "-m", "benches.signal_talker", condition, name, url, str(seconds + 2)]
        bad = subprocess.Popen(command, cwd=ROOT)
        await asyncio.sleep(1.5)  # until it is there
    found: list[float] = []

    async def hear() -> None:
        while True:
            sent = await hearer.hear()
            assert isinstance(sent, float)
            found.append((time.perf_counter() - sent) * 1000)

    hearing = asyncio.create_task(hear())
    try:
        for _ in range(int(seconds * PROBES_PER_SECOND)):
            await speaker.say(hearer.address, time.perf_counter())
            await asyncio.sleep(1 / PROBES_PER_SECOND)
        await asyncio.sleep(0.2)
    finally:
        hearing.cancel()
        if bad is not None:
            bad.kill()
            bad.wait()
    await leave_all([speaker, hearer])
    return found


def measure(options: Options, session: Session) -> list[Result]:
    """Everything, of every server."""
    plan = SMOKE if options.smoke else FULL if options.full else NORMAL
    names = [name for name in (OURS, THEIRS) if options.servers in name]
    if THEIRS in names and not PEERS_PYTHON.exists():
        session.note(f"left out: {THEIRS}: make .venv-peers/.installed")
        names.remove(THEIRS)
    results = [Result(name=name) for name in names]
    cpu, rounds = session.processors.server, options.rounds or plan.rounds
    for result in results:
        with server(result.name, cpu) as (url, pid):
            result.kibibytes_per_connection = asyncio.run(memory(TALKERS[result.name], url, pid, plan.idle))
    with contextlib.ExitStack() as stack:
        started = [stack.enter_context(server(result.name, cpu)) for result in results]
        for number in range(rounds):
            for result, (url, pid) in zip(results, started, strict=True):
                into = result if number else Result(name=result.name)  # the first one warms up
                asyncio.run(connects(TALKERS[result.name], url, pid, plan.connections, into))
                settle(pid)
                asyncio.run(messages(TALKERS[result.name], url, pid, plan.messages, into))
                settle(pid)
            session.progress(number + 1, rounds, "rounds")
    for result in results:
        for condition in CONDITIONS:
            with server(result.name, cpu, limited=True) as (url, _):
                seconds = options.seconds or plan.seconds
                found = asyncio.run(delays(TALKERS[result.name], result.name, url, condition, seconds))
            result.delays[condition] = found
            session.progress(CONDITIONS.index(condition) + 1, len(CONDITIONS), f"delays of {result.name}")
    return results


def print_results(results: Sequence[Result]) -> None:
    """Both tables."""
    print_table(
        "Signaling over WebSocket: what the server needs",
        [
            "server",
            "",
            "connects per CPU-second",
            "per second",
            "spread",
            "us of CPU per message",
            "spread",
            "KiB idle",
        ],
        [[_cost_cells(result) for result in results]],
        "a connection: TCP, WebSocket, admission, a room; a message: 200 bytes from one client to another",
    )
    print_table(
        "Delay of messages between two others, ms",
        ["server", "beside", "median", "99 %", "99 % to alone"],
        [[_delay_cells(result, condition) for condition in CONDITIONS] for result in results],
        "slow: a member who reads nothing; flood: a member who says a thousand things per second",
    )


def _cost_cells(result: Result) -> list[Cell]:
    rate, message = Summary.of(result.connects_per_cpu_second), Summary.of(result.microseconds_per_message)
    return [
        result.name,
        "",
        f"{rate.median:.0f}",
        f"{Summary.of(result.connects_per_second).median:.0f}",
        f"{rate.spread:.0%}",
        f"{message.median:.1f}",
        f"{message.spread:.0%}",
        f"{result.kibibytes_per_connection:.1f}",
    ]


def _delay_cells(result: Result, condition: str) -> list[Cell]:
    found, base = result.delays[condition], _percentile(result.delays["alone"])
    late = _percentile(found)
    return [result.name, condition, f"{statistics.median(found):.2f}", f"{late:.2f}", f"{late / base:.2f}"]


def _percentile(values: Sequence[float]) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]


def main() -> None:
    """The command."""
    options = parse_options(__doc__ or "", "signaling")
    with announce(options) as session:
        note_what_disturbs(session, "the comparison")
        load.allow_many_sockets()
        try:
            results = measure(options, session)
        except ServerFailedError as error:
            sys.exit(str(error))
        print_results(results)
        write_json(options, session, results)


if __name__ == "__main__":
    main()
