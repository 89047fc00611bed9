"""What several processes bring: `python -m benches.workers [--smoke] [--json FILE] [--coturn PATH]`.

`turn.workers = 1` beside 2, and coturn with as many relay threads, on the first two CPUs. The generator has the same
two and takes its part of them, so the rows say what a machine carries, and nothing about how a server grows on more: no
ratio is asked for. The servers take turns within each round, the first round is dropped; figures are medians.
"""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benches import links, load
from benches.command import Options, Session, announce, parse_options, write_json
from benches.links import Link
from benches.load import Generator, Traffic
from benches.measure import Summary, busy_nanoseconds, cpu_nanoseconds, settle
from benches.servers import CREDENTIALS, Coturn, Icelane, Running, Server, running
from benches.table import Cell, print_table

ROUNDS, SECONDS = 6, 3.0
SMOKE_ROUNDS, SMOKE_SECONDS = 2, 0.2
PROCESSES = (1, 2)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One run of one server. `machine_us_per_packet` is the time of all CPUs, generator and sink included."""

    cpu_us_per_packet: float
    machine_us_per_packet: float
    delivered_per_second: float
    loss: float
    p99_us: int


@dataclass(kw_only=True)
class Trial:
    """All runs of one server with one kind of traffic."""

    server: Server
    traffic: Traffic
    samples: list[Sample] = field(default_factory=list)

    def median(self, what: str) -> float:
        """Of one field, over the rounds that count."""
        return Summary.of([getattr(sample, what) for sample in self.samples]).median

    def spread(self, what: str) -> float:
        """How far its samples lie apart."""
        return Summary.of([getattr(sample, what) for sample in self.samples]).spread


def rows_for(options: Options) -> list[Traffic]:
    """Many flows, which the system spreads over the processes: at a rate that all hold, and as many as there can be."""
    rates: Sequence[int | None] = (1000,) if options.smoke else (60_000, None)
    return [
        Traffic(payload=172, flows=64, burst=burst, packets_per_second=rate)
        for burst, rate in itertools.product((1, 8), rates)
    ]


def servers_for(options: Options, session: Session) -> list[Server]:
    """Ours and Debian's coturn, and those given by path, each with one and with two."""
    candidates: list[Server] = []
    for program in ("turnserver", *options.coturn):
        name = "coturn" if program == "turnserver" else program
        for count in PROCESSES:
            threads = f"{count} relay thread{'s' * (count > 1)}"
            candidates.append(Coturn(name=f"{name}, {threads}", program=program, options=(f"--relay-threads={count}",)))
    for count in PROCESSES:
        workers = f"{count} worker{'s' * (count > 1)}"
        candidates.append(Icelane(name=f"icelane, {workers}", settings=(f"workers = {count}",)))
    chosen = []
    for server in candidates:
        reason = server.missing()
        if reason is None:
            chosen.append(server)
        else:
            session.note(f"left out: {server.name}: {reason}")
    return [server for server in chosen if options.servers in server.name]


def run_once(
    traffic: Traffic, seconds: float, link: Link, server: Running, generator: Generator, cpus: Sequence[int]
) -> Sample:
    """Offer the traffic on fresh flows, and read what it cost the server and the machine."""
    with load.open_flows(traffic, link, server.address, CREDENTIALS) as opened:
        settle(server.pid)
        busy, used = sum(map(busy_nanoseconds, cpus)), cpu_nanoseconds(server.pid)
        delivery = generator.run(traffic, seconds, opened.flows, opened.peer, opened.prefix)
        used = cpu_nanoseconds(server.pid) - used
        busy = sum(map(busy_nanoseconds, cpus)) - busy
    settle(server.pid)
    packets = max(1, delivery.received)
    return Sample(
        cpu_us_per_packet=used / 1000 / packets,
        machine_us_per_packet=busy / 1000 / packets,
        delivered_per_second=delivery.delivered_per_second,
        loss=delivery.loss,
        p99_us=delivery.p99_us,
    )


def print_trials(trials: Sequence[Sequence[Trial]]) -> None:
    """The table."""
    print_table(
        "One process and two, on two CPUs that the generator shares",
        ["traffic", "server", "carries", "spread", "CPU us/packet", "machine us/packet", "loss", "p99"],
        [_cells(row) for row in trials],
        "machine: all CPUs, generator and sink included; no ratio is asked for, since all of them share the CPUs",
    )


def _cells(row: Sequence[Trial]) -> list[list[Cell]]:
    return [
        [
            trial.traffic.name if number == 0 else "",
            trial.server.name,
            f"{trial.median('delivered_per_second') / 1000:.1f} kpps",
            f"{trial.spread('delivered_per_second'):.0%}",
            f"{trial.median('cpu_us_per_packet'):.2f}",
            f"{trial.median('machine_us_per_packet'):.2f}",
            f"{trial.median('loss'):.2%}",
            f"{trial.median('p99_us'):.0f} us",
        ]
        for number, trial in enumerate(row)
    ]


def main() -> None:
    """The command."""
    options = parse_options(__doc__ or "", "workers")
    rounds = options.rounds or (SMOKE_ROUNDS if options.smoke else ROUNDS)
    seconds = options.seconds or (SMOKE_SECONDS if options.smoke else SECONDS)
    with announce(options) as session, ExitStack() as stack:
        cpus = sorted({session.processors.server, session.processors.load})
        os.sched_setaffinity(0, cpus)
        load.allow_many_sockets()
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="icelane-bench-")))
        generator = Generator.build(*cpus)
        link = stack.enter_context(links.veth()) if links.may_make_namespaces() else links.loopback()
        session.note(f"over {link.name}")
        servers = [
            stack.enter_context(running(server, link, cpus, directory / str(number)))
            for number, server in enumerate(servers_for(options, session))
        ]
        trials = []
        kinds = [traffic for traffic in rows_for(options) if options.only in traffic.name]
        for traffic in kinds:
            row = [(Trial(server=server.server, traffic=traffic), server) for server in servers]
            for round_ in range(rounds):
                for trial, server in row:
                    sample = run_once(traffic, seconds, link, server, generator, cpus)
                    if round_:
                        trial.samples.append(sample)
            trials.append([trial for trial, _ in row])
            session.progress(len(trials), len(kinds), traffic.name)
        print_trials(trials)
        write_json(options, session, trials)


if __name__ == "__main__":
    main()
