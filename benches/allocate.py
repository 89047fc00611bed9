"""What an allocation costs: `python -m benches.allocate [--full] [--smoke] [--json FILE] [--coturn PATH]`.

- Allocations per CPU-second: Allocate, CreatePermission and ChannelBind with long-term credentials, over UDP, each
  allocation from a fresh port, the sources spread over 127.0.0.0/8. The servers take turns, the first round is dropped.
- Memory per idle allocation: how much the resident memory of a fresh server grows per allocation, after a first batch
  that pays for what is made once. What the kernel keeps for sockets is not in it.
"""

from __future__ import annotations

import contextlib
import socket
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benches import load, turn_client
from benches.command import Options, Session, announce, choose_servers, parse_options, write_json
from benches.links import Link, loopback
from benches.measure import Summary, cpu_nanoseconds, resident_bytes, settle
from benches.servers import CREDENTIALS, Running, Server, running
from benches.table import Cell, print_table
from benches.turn_client import Address, Flow

PROCEDURE_BUDGET = "1, then 2"
"""Ratio to coturn's allocations per CPU-second that we are to reach: now, and later."""

MEMORY_BUDGET_KIB = "8, then 4"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much to do."""

    rounds: int
    allocations: int
    """Opened and released in each round."""
    first_batch: int
    second_batch: int
    """Held at the same time for the memory figure."""


NORMAL = Plan(rounds=6, allocations=2000, first_batch=500, second_batch=2500)
FULL = Plan(rounds=12, allocations=5000, first_batch=2000, second_batch=10_000)
SMOKE = Plan(rounds=2, allocations=64, first_batch=64, second_batch=64)


@dataclass(kw_only=True)
class Result:
    """What one server needed."""

    server: Server
    per_cpu_second: list[float] = field(default_factory=list)
    bare_bytes: float = 0.0
    """Memory of an allocation alone."""
    bound_bytes: float = 0.0
    """Memory of an allocation with a permission and a channel."""


def choose_plan(options: Options) -> Plan:
    """The plan that the options name."""
    plan = SMOKE if options.smoke else FULL if options.full else NORMAL
    return Plan(
        rounds=options.rounds or plan.rounds,
        allocations=plan.allocations,
        first_batch=plan.first_batch,
        second_batch=plan.second_batch,
    )


@contextlib.contextmanager
def client_flows(count: int, server: Address, link: Link) -> Iterator[list[Flow]]:
    """`count` sockets that are connected to the server from fresh addresses."""
    with contextlib.ExitStack() as stack:
        flows = []
        for _ in range(count):
            flow = turn_client.connect(server, link.sources, is_stream=False)
            flows.append(flow)
            stack.enter_context(flow.socket)
        yield flows


@contextlib.contextmanager
def a_peer(link: Link) -> Iterator[Address]:
    """The address of a socket that permissions can name."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind((link.client_host, 0))
        address: Address = peer.getsockname()
        yield address


def open_bound(flows: Sequence[Flow], peer: Address) -> None:
    """The whole set-up that a WebRTC client does for one peer."""
    turn_client.open_allocations(flows, CREDENTIALS)
    turn_client.create_permissions(flows, CREDENTIALS, peer)
    turn_client.bind_channels(flows, CREDENTIALS, peer)


def allocations_per_cpu_second(server: Running, link: Link, count: int) -> float:
    """Open `count` allocations and read the server's CPU time; releasing them is not counted."""
    with a_peer(link) as peer, client_flows(count, server.address, link) as flows:
        before = cpu_nanoseconds(server.pid)
        open_bound(flows, peer)
        used = cpu_nanoseconds(server.pid) - before
        turn_client.release_allocations(flows, CREDENTIALS)
    settle(server.pid)
    return count / (max(1, used) / 1e9)


def bytes_per_allocation(server: Running, link: Link, plan: Plan, *, bound: bool) -> float:
    """Growth of resident memory per allocation of the second batch, while all are held."""
    count = plan.first_batch + plan.second_batch
    with a_peer(link) as peer, client_flows(count, server.address, link) as flows:
        sizes = []
        for batch in (flows[: plan.first_batch], flows[plan.first_batch :]):
            if bound:
                open_bound(batch, peer)
            else:
                turn_client.open_allocations(batch, CREDENTIALS)
            sizes.append(resident_bytes(server.pid))
    return (sizes[1] - sizes[0]) / plan.second_batch


def measure(plan: Plan, servers: Sequence[Server], session: Session) -> list[Result]:
    """Both figures of every server."""
    cpu, link = session.processors.server, loopback()
    results = [Result(server=server) for server in servers]
    with tempfile.TemporaryDirectory(prefix="icelane-bench-") as name, contextlib.ExitStack() as stack:
        directory = Path(name)
        for index, result in enumerate(results):
            with running(result.server, link, cpu, directory / f"bare{index}") as server:
                result.bare_bytes = bytes_per_allocation(server, link, plan, bound=False)
            with running(result.server, link, cpu, directory / f"bound{index}") as server:
                result.bound_bytes = bytes_per_allocation(server, link, plan, bound=True)
            session.progress(index + 1, len(results), f"memory of {result.server.name}")
        started = [
            stack.enter_context(running(result.server, link, cpu, directory / f"rate{index}"))
            for index, result in enumerate(results)
        ]
        for round_number in range(plan.rounds):
            for result, server in zip(results, started, strict=True):
                rate = allocations_per_cpu_second(server, link, plan.allocations)
                if round_number > 0:  # the first one warms up
                    result.per_cpu_second.append(rate)
            session.progress(round_number + 1, plan.rounds, "rounds of allocations")
    return results


def print_results(results: Sequence[Result]) -> None:
    """Both tables."""
    rates = {result.server.name: Summary.of(result.per_cpu_second) for result in results}
    references = [result for result in results if result.server.is_reference]
    best_rate = max((rates[result.server.name].median for result in references), default=None)
    print_table(
        "Allocate + CreatePermission + ChannelBind, long-term credentials, per CPU-second of the server",
        ["server", "", "per CPU-second", "spread", "ratio", "budget"],
        [[_rate_cells(result, rates[result.server.name], best_rate) for result in results]],
        "ratio: to the faster of Debian's coturn rows; higher is better",
    )
    least_memory = min((result.bound_bytes for result in references), default=None)
    print_table(
        "Resident memory per idle allocation, KiB",
        ["server", "", "alone", "with permission and channel", "ratio", "budget"],
        [[_memory_cells(result, least_memory) for result in results]],
        "ratio: to the smaller of Debian's coturn rows, with permission and channel; lower is better",
    )


def _rate_cells(result: Result, rate: Summary, base: float | None) -> list[Cell]:
    return [
        result.server.name,
        "",
        f"{rate.median:.0f}",
        f"{rate.spread:.0%}",
        f"{rate.median / base:.2f}" if base else "",
        "" if result.server.is_reference else PROCEDURE_BUDGET,
    ]


def _memory_cells(result: Result, base: float | None) -> list[Cell]:
    return [
        result.server.name,
        "",
        f"{result.bare_bytes / 1024:.1f}",
        f"{result.bound_bytes / 1024:.1f}",
        f"{result.bound_bytes / base:.2f}" if base else "",
        "" if result.server.is_reference else MEMORY_BUDGET_KIB,
    ]


def main() -> None:
    """The command."""
    options = parse_options(__doc__ or "", "allocate")
    with announce(options) as session:
        servers = choose_servers(options, session)
        load.allow_many_sockets()
        results = measure(choose_plan(options), servers, session)
        print_results(results)
        write_json(options, session, results)


if __name__ == "__main__":
    main()
