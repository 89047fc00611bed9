"""What relaying a packet costs: `python -m benches.relay [--full] [--smoke] [--json FILE] [--coturn PATH]`.

The headline figure is CPU-seconds of the server per million packets (the same number as microseconds per packet) at a
fixed offered rate. A server that loses 0.1 % or more at that rate gets "carries N", and its cost is taken at 80 % of N.
Saturating runs stand in a table of their own.

Each server has a CPU to itself, generator and sink have another. The servers take turns within each round, the first
round warms up and is dropped, every run has fresh ports. As root the two sides are in namespaces joined by a veth pair,
and one row is repeated on loopback; otherwise all rows are on loopback. Without flags it takes less than a quarter of
an hour; `--full` is the whole matrix and takes most of a day: `--only TEXT` picks the rows whose name contains TEXT.
"""

from __future__ import annotations

import contextlib
import itertools
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benches import links, load
from benches.command import Options, Session, announce, choose_servers, parse_options, write_json
from benches.links import Link
from benches.load import ClientTransport, Direction, Form, Generator, Traffic
from benches.measure import Processors, Summary, busy_nanoseconds, cpu_nanoseconds, settle
from benches.servers import CREDENTIALS, Running, Server, running
from benches.table import Cell, print_table
from benches.tls_load import TlsGenerator

ROUNDS, SECONDS = 6, 3.0
SMOKE_ROUNDS, SMOKE_SECONDS = 2, 0.2

ACCEPTED_LOSS = 0.001
BACK_OFF = 0.8
"""Where the cost of a server is taken that cannot hold the rate, as a share of what it carried."""

TLS_RATE = 5_000
"""Packets per second of TLS rows: about half of what the generator for them carries."""

HELD = 0.95
"""Share of the asked rate that must have been offered for a figure to stand for it."""

DISTURBED = 0.05
"""Share of the server's CPU from which other programs make a run doubtful."""

OVERHEAD_SECONDS = 0.35
"""Set-up, drain and settling of one run, for the estimate of the whole."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to run."""

    rounds: int
    seconds: float
    rows: Sequence[Traffic]
    """On the veth pair where possible."""
    loopback_rows: Sequence[Traffic]
    """Also on loopback."""


@dataclass(frozen=True, kw_only=True)
class Rig:
    """What every run needs."""

    processors: Processors
    generator: Generator
    tls_generator: TlsGenerator

    def generator_for(self, traffic: Traffic) -> Generator | TlsGenerator:
        """What offers this traffic."""
        return self.tls_generator if traffic.transport is ClientTransport.TLS else self.generator


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One run of one server."""

    cpu_us_per_packet: float
    delivered_per_second: float
    offered_per_second: float
    loss: float
    p50_us: int
    p99_us: int
    others_share: float
    """How much of the server's CPU went to anything else, 0 to 1."""
    cipher: str = ""
    """What TLS agreed on."""


@dataclass(kw_only=True)
class Trial:
    """All runs of one server in one row."""

    server: Server
    traffic: Traffic
    carries: float | None = None
    """Packets per second that arrived when the rate was too high; None while the server holds it."""
    warm_up: list[Sample] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)

    def back_off(self) -> None:
        """Continue at 80 % of what arrived in the warm-up."""
        self.carries = max(sample.delivered_per_second for sample in self.warm_up)
        self.traffic = self.traffic.at(max(1, round(self.carries * BACK_OFF)))

    def summary(self, what: str) -> Summary:
        """The summary of one field over the rounds that count."""
        return Summary.of([getattr(sample, what) for sample in self.samples])


@dataclass(frozen=True, kw_only=True)
class Row:
    """One kind of traffic over one link, and how every server did."""

    link: str
    traffic: Traffic
    trials: Sequence[Trial]

    def reference(self, what: str, *, smallest: bool) -> float | None:
        """The better median of the servers that ratios are taken to; None without such a server."""
        medians = [trial.summary(what).median for trial in self.trials if trial.server.is_reference]
        return (min if smallest else max)(medians) if medians else None


def headline() -> Plan:
    """The set that shows in a quarter of an hour where we stand."""
    shapes = [(64, 1), (1, 8)]
    steady = [
        Traffic(payload=payload, flows=flows, burst=burst, packets_per_second=rate)
        for payload, (flows, burst), rate in itertools.product([172, 1200], shapes, [20_000, 60_000])
    ]
    saturating = [Traffic(payload=172, flows=flows, burst=burst, packets_per_second=None) for flows, burst in shapes]
    others = [
        Traffic(payload=172, flows=64, burst=1, packets_per_second=20_000, form=Form.INDICATION),
        Traffic(payload=172, flows=64, burst=1, packets_per_second=20_000, transport=ClientTransport.TCP),
        Traffic(payload=172, flows=64, burst=1, packets_per_second=TLS_RATE, transport=ClientTransport.TLS),
    ]
    return Plan(rounds=ROUNDS, seconds=SECONDS, rows=[*steady, *others, *saturating], loopback_rows=[steady[0]])


def whole_matrix() -> Plan:
    """Every combination, over both links."""
    rows = [
        Traffic(
            payload=payload,
            flows=flows,
            burst=burst,
            packets_per_second=rate,
            form=form,
            transport=transport,
            direction=direction,
        )
        for transport, form, direction, payload, flows, burst, rate in itertools.product(
            [ClientTransport.UDP, ClientTransport.TCP],
            Form,
            [Direction.UP, Direction.DOWN],
            [172, 1200],
            [1, 64, 1000],
            [1, 8, 32],
            [20_000, 60_000, 120_000, None],
        )
    ]
    rows += [
        Traffic(
            payload=payload,
            flows=flows,
            burst=burst,
            packets_per_second=rate,
            form=form,
            transport=ClientTransport.TLS,
            direction=direction,
        )
        for form, direction, payload, flows, burst, rate in itertools.product(
            Form, [Direction.UP, Direction.DOWN], [172, 1200], [1, 64], [1, 8], [2_000, TLS_RATE]
        )
    ]
    return Plan(rounds=ROUNDS, seconds=SECONDS, rows=rows, loopback_rows=rows)


def smoke() -> Plan:
    """One short row of each kind: shows that the benchmark works, and measures nothing."""
    base = Traffic(payload=172, flows=4, burst=1, packets_per_second=1000)
    rows = [
        base,
        Traffic(payload=172, flows=4, burst=1, packets_per_second=1000, form=Form.INDICATION),
        Traffic(payload=1200, flows=1, burst=8, packets_per_second=1000, transport=ClientTransport.TCP),
        Traffic(payload=172, flows=4, burst=1, packets_per_second=1000, transport=ClientTransport.TLS),
        Traffic(payload=1200, flows=1, burst=8, packets_per_second=None),
    ]
    return Plan(rounds=SMOKE_ROUNDS, seconds=SMOKE_SECONDS, rows=rows, loopback_rows=[base])


def choose_plan(options: Options) -> Plan:
    """The plan that the options name, less the rows that `--only` leaves out."""
    plan = smoke() if options.smoke else whole_matrix() if options.full else headline()
    return Plan(
        rounds=options.rounds or plan.rounds,
        seconds=options.seconds or plan.seconds,
        rows=[row for row in plan.rows if options.only in row.name],
        loopback_rows=[row for row in plan.loopback_rows if options.only in row.name],
    )


def run_once(traffic: Traffic, seconds: float, link: Link, server: Running, rig: Rig) -> Sample:
    """Set fresh flows up, offer the traffic, and read what it cost the server."""
    cpu = rig.processors.server
    address = server.tls_address if traffic.transport is ClientTransport.TLS else server.address
    with load.open_flows(traffic, link, address, CREDENTIALS) as opened:
        settle(server.pid)
        cipher = opened.cipher
        start, busy_before, used_before = time.monotonic_ns(), busy_nanoseconds(cpu), cpu_nanoseconds(server.pid)
        delivery = rig.generator_for(traffic).run(traffic, seconds, opened.flows, opened.peer, opened.prefix)
        used = cpu_nanoseconds(server.pid) - used_before
        others = busy_nanoseconds(cpu) - busy_before - used
        elapsed = time.monotonic_ns() - start
    settle(server.pid)
    return Sample(
        cpu_us_per_packet=used / 1000 / max(1, delivery.received),
        delivered_per_second=delivery.delivered_per_second,
        offered_per_second=delivery.offered_per_second,
        loss=delivery.loss,
        p50_us=delivery.p50_us,
        p99_us=delivery.p99_us,
        others_share=max(0.0, others / elapsed),
        cipher=cipher,
    )


def measure_row(traffic: Traffic, plan: Plan, link: Link, servers: Sequence[Running], rig: Rig) -> Row:
    """All rounds of one row; the servers take turns."""
    trials = [(Trial(server=server.server, traffic=traffic), server) for server in servers]
    for trial, server in trials:
        _warm_up(trial, plan, link, server, rig)
    for _ in range(plan.rounds - 1):
        for trial, server in trials:
            trial.samples.append(run_once(trial.traffic, plan.seconds, link, server, rig))
    return Row(link=link.name, traffic=traffic, trials=[trial for trial, _ in trials])


def _warm_up(trial: Trial, plan: Plan, link: Link, server: Running, rig: Rig) -> None:
    """The first round: not counted, but it shows whether the server holds the rate; loss gets a second chance."""
    for _ in range(2):
        sample = run_once(trial.traffic, plan.seconds, link, server, rig)
        trial.warm_up.append(sample)
        if trial.traffic.packets_per_second is None or sample.loss < ACCEPTED_LOSS:
            return
    trial.back_off()


def measure(plan: Plan, servers: Sequence[Server], processors: Processors) -> Iterator[Row]:
    """All rows, as they get ready."""
    rig = Rig(processors=processors, generator=Generator.build(processors.load), tls_generator=TlsGenerator())
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="icelane-bench-")))
        separate = links.may_make_namespaces()
        over_veth = plan.rows if separate else []
        over_loopback = plan.loopback_rows if separate else plan.rows
        if over_veth:
            link = stack.enter_context(links.veth())
            yield from _measure_link(over_veth, plan, link, servers, rig, directory / link.name)
        if over_loopback:
            link = links.loopback()
            yield from _measure_link(over_loopback, plan, link, servers, rig, directory / link.name)


def _measure_link(
    rows: Sequence[Traffic],
    plan: Plan,
    link: Link,
    servers: Sequence[Server],
    rig: Rig,
    directory: Path,
) -> Iterator[Row]:
    with contextlib.ExitStack() as stack:
        started = [
            stack.enter_context(running(server, link, rig.processors.server, directory / str(index)))
            for index, server in enumerate(servers)
        ]
        for traffic in rows:
            yield measure_row(traffic, plan, link, started, rig)


def budget(traffic: Traffic, ratio: float | None = None) -> str:
    """What our user-space relay is to reach, as a ratio to coturn's CPU per packet: now, and later.

    With `ratio`, which was measured, how far that is from the later one.
    """
    if traffic.transport is not ClientTransport.UDP or traffic.form is not Form.CHANNEL:
        return ""
    if traffic.burst == 8:
        now, then = 0.6, 0.4
    elif traffic.burst == 1 and traffic.packets_per_second == 60_000:
        now, then = 0.8, 0.5
    else:
        return ""
    distance = "" if ratio is None else f" ({ratio / then:.1f}x)"
    return f"{now}, then {then}{distance}"


def print_steady(rows: Sequence[Row]) -> None:
    """The headline table: cost at a fixed rate."""
    print_table(
        "CPU-seconds per million packets at a fixed rate",
        ["traffic", "server", "CPU s/M", "spread", "ratio", "budget", "loss", "p50", "p99", "rate"],
        [_steady_cells(row) for row in rows],
        "ratio: to the cheaper of Debian's coturn rows; spread: (highest - lowest) / median of the rounds; "
        "budget: in brackets, how many times what it is to be then",
    )


def _steady_cells(row: Row) -> list[list[Cell]]:
    base = row.reference("cpu_us_per_packet", smallest=True)
    lines: list[list[Cell]] = []
    for trial in row.trials:
        cost = trial.summary("cpu_us_per_packet")
        ratio = cost.median / base if base else None
        loss = trial.summary("loss").median
        offered = trial.summary("offered_per_second").median
        rate = f"{offered / 1000:.1f} kpps"
        if trial.carries is not None:
            rate = f"carries {trial.carries / 1000:.1f}, cost at {rate}"
        lines.append(
            [
                f"{row.link}: {row.traffic.name}" if not lines else "",
                trial.server.name,
                f"{cost.median:.2f}",
                f"{cost.spread:.0%}",
                f"{ratio:.2f}" if ratio is not None else "",
                "" if trial.server.is_reference else budget(row.traffic, ratio),
                f"{loss:.2%}" if loss < ACCEPTED_LOSS else f"{loss:.2%} !",
                f"{trial.summary('p50_us').median:.0f} us",
                f"{trial.summary('p99_us').median:.0f} us",
                rate,
            ]
        )
    return lines


def print_saturated(rows: Sequence[Row]) -> None:
    """What gets through when more is offered than anyone can carry."""
    print_table(
        "Saturated: packets per second that arrive",
        ["traffic", "server", "carries", "spread", "ratio", "offered", "CPU s/M", "p50", "p99"],
        [_saturated_cells(row) for row in rows],
        "ratio: to the faster of Debian's coturn rows; higher is better here",
    )


def _saturated_cells(row: Row) -> list[list[Cell]]:
    base = row.reference("delivered_per_second", smallest=False)
    lines: list[list[Cell]] = []
    for trial in row.trials:
        carried = trial.summary("delivered_per_second")
        lines.append(
            [
                f"{row.link}: {row.traffic.name}" if not lines else "",
                trial.server.name,
                f"{carried.median / 1000:.1f} kpps",
                f"{carried.spread:.0%}",
                f"{carried.median / base:.2f}" if base else "",
                f"{trial.summary('offered_per_second').median / 1000:.0f} kpps",
                f"{trial.summary('cpu_us_per_packet').median:.2f}",
                f"{trial.summary('p50_us').median:.0f} us",
                f"{trial.summary('p99_us').median:.0f} us",
            ]
        )
    return lines


def note_disturbances(rows: Sequence[Row], session: Session) -> None:
    """Say how many of the counted runs were not alone on the server's CPU."""
    shares = [sample.others_share for row in rows for trial in row.trials for sample in trial.samples]
    disturbed = sum(share >= DISTURBED for share in shares)
    session.note(f"in {disturbed} of {len(shares)} runs, others had {DISTURBED:.0%} or more of the server's CPU")


def note_tls(rows: Sequence[Row], session: Session) -> None:
    """Say what the TLS rows rest on: the same cipher for all, and a slow generator that held its rate."""
    trials = [trial for row in rows if row.traffic.transport is ClientTransport.TLS for trial in row.trials]
    if not trials:
        return
    ciphers = {trial.server.name: trial.samples[0].cipher for trial in trials}
    agreed = set(ciphers.values())
    said = agreed.pop() if len(agreed) == 1 else ", ".join(f"{name}: {cipher}" for name, cipher in ciphers.items())
    session.note(f"TLS rows: {said}; the generator is in Python, and its own time is part of their latencies")
    late = [trial for trial in trials if not held(trial)]
    for trial in late:
        offered = trial.summary("offered_per_second").median
        session.note(f"the asked rate was not held: {offered:.0f} packets per second in {trial.traffic.name}")


def held(trial: Trial) -> bool:
    """Whether the generator offered what it was asked to."""
    asked = trial.traffic.packets_per_second
    return asked is None or trial.summary("offered_per_second").median >= HELD * asked


def main() -> None:
    """The command."""
    options = parse_options(__doc__ or "", "relay")
    plan = choose_plan(options)
    if not plan.rows and not plan.loopback_rows:
        print(f"no row's name contains {options.only!r}", file=sys.stderr)
        sys.exit(2)
    with announce(options) as session:
        servers = choose_servers(options, session)
        rows_over_both = len(plan.rows) + (len(plan.loopback_rows) if links.may_make_namespaces() else 0)
        runs = rows_over_both * len(servers) * plan.rounds
        session.note(f"{runs} runs, about {runs * (plan.seconds + OVERHEAD_SECONDS) / 60:.1f} minutes")
        if not links.may_make_namespaces():
            session.note("not root: all rows are on loopback instead of a veth pair between two namespaces")
        load.allow_many_sockets()
        rows = []
        for row in measure(plan, servers, session.processors):
            rows.append(row)
            session.progress(len(rows), rows_over_both, row.traffic.name)
        steady = [row for row in rows if row.traffic.packets_per_second is not None]
        saturated = [row for row in rows if row.traffic.packets_per_second is None]
        if steady:
            print_steady(steady)
        if saturated:
            print_saturated(saturated)
        note_disturbances(rows, session)
        note_tls(rows, session)
        write_json(options, session, rows)


if __name__ == "__main__":
    main()
