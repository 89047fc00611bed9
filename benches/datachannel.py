"""What a data channel costs: `python -m benches.datachannel [--smoke] [--full] [--json FILE]`.

Ours beside aiortc and wrtc (libwebrtc), two processes each, one per end, on a CPU each. The peers take turns in every
round, the first round is dropped; figures are medians.

- Throughput one way, in messages of 16 KiB and of 1200 bytes: Mbit/s as the receiver saw it, and CPU-seconds per GB of
  each end. On loopback, and through a link of 50 ms round trip with 1 % independent loss each way.
- 64-byte messages there and back; from nothing to an open channel, certificates and signaling included; set-ups per
  second, one after the other, with the close of both ends.

Loopback is that of a namespace of its own, since libwebrtc and aiortc gather no loopback addresses: that needs root,
and so does the link (`icelane.testing.link_program`). Without, only ours is measured, on this machine's loopback.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from benches.command import Options, Session, announce, parse_options, write_json
from benches.measure import Summary
from benches.peers import (
    LOOPBACK,
    REFERENCE,
    Network,
    Pair,
    PeerFailedError,
    choose_peers,
    loopback,
    note_what_disturbs,
    running,
)
from benches.table import Cell, print_table
from icelane.testing import link_program
from icelane.testing.link_program import Way
from icelane.testing.namespace import new_namespace

PROGRAM = "benches.data_peer"
OTHERS = (REFERENCE, "wrtc")

LINK = "50 ms, 1 % loss"
SLOW = Way(delay=0.025, loss=0.01)
SEED = 1

RATE_BUDGETS = {(LOOPBACK, 16384): "3.0 x, 200 then 600", (LINK, 16384): "20"}
CPU_BUDGETS = {(LOOPBACK, 16384): "0.33 x, 60 then 8"}
OPEN_BUDGET = "30 then 10"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much to do."""

    rounds: int
    seconds: float
    """Of one run on loopback; through the link, where speed takes time to build up, three times that."""
    buffer: int
    """Bytes that may wait to be sent. At the end of a run they must arrive, which a slow peer takes seconds for."""
    echoes: int
    setups: int


NORMAL = Plan(rounds=6, seconds=2.0, buffer=1 << 20, echoes=500, setups=20)
FULL = Plan(rounds=12, seconds=5.0, buffer=1 << 20, echoes=2000, setups=50)
SMOKE = Plan(rounds=2, seconds=0.2, buffer=1 << 16, echoes=10, setups=2)


@dataclass(frozen=True, kw_only=True)
class Throughput:
    """One run."""

    megabits_per_second: float
    sender_seconds_per_gigabyte: float
    receiver_seconds_per_gigabyte: float


@dataclass(kw_only=True)
class ThroughputRow:
    """One kind of messages over one network."""

    network: str
    size: int
    samples: dict[str, list[Throughput]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.network}, {self.size} B"


@dataclass(kw_only=True)
class LatencyRow:
    """Small messages and set-ups over loopback, in milliseconds and per second."""

    name: str = "latency"
    round_trips: dict[str, list[float]] = field(default_factory=dict)
    late_round_trips: dict[str, list[float]] = field(default_factory=dict)
    opens: dict[str, list[float]] = field(default_factory=dict)
    setups_per_second: dict[str, list[float]] = field(default_factory=dict)


def measure_throughput(pair: Pair, size: int, seconds: float, buffer: int) -> Throughput:
    """Send for `seconds`; the CPU time is all that both ends used until the last message was there."""
    before = pair.cpu_seconds()
    found = pair.offerer.call("send", size=size, seconds=seconds, buffer=buffer)
    used = [after - was for after, was in zip(pair.cpu_seconds(), before, strict=True)]
    gigabytes = found["bytes"] / 1e9
    return Throughput(
        megabits_per_second=found["bytes"] * 8e-6 / found["seconds"],
        sender_seconds_per_gigabyte=used[0] / gigabytes,
        receiver_seconds_per_gigabyte=used[1] / gigabytes,
    )


def measure_latency(pair: Pair, plan: Plan, row: LatencyRow, *, keep: bool) -> None:
    """Round trips on a channel of its own, then set-ups one after the other."""
    offerer, name = pair.offerer, pair.peer.name
    offerer.call("open")
    taken = sorted(seconds * 1e3 for seconds in offerer.call("echo", size=64, count=plan.echoes)["seconds"])
    offerer.call("close")
    opens, total = [], 0.0
    for _ in range(plan.setups):
        began = time.perf_counter()
        opens.append(offerer.call("open")["seconds"] * 1e3)
        offerer.call("close")
        total += time.perf_counter() - began
    if keep:
        row.round_trips.setdefault(name, []).append(taken[len(taken) // 2])
        row.late_round_trips.setdefault(name, []).append(taken[len(taken) * 99 // 100])
        row.opens.setdefault(name, []).extend(opens)
        row.setups_per_second.setdefault(name, []).append(plan.setups / total)


@contextlib.contextmanager
def slow_link(session: Session) -> Iterator[Network | None]:
    """Two namespaces and the link between them; its ceiling and what it did are noted."""
    reason = link_program.missing()
    if reason is not None:
        session.note(f"left out: {LINK}: it {reason}")
        yield None
        return
    with new_namespace() as left, new_namespace() as right:
        ceiling = link_program.measure_ceiling(left, right)
        session.note(f"{LINK}: the link itself carries {ceiling * 1200 * 8e-6:.0f} Mbit/s in packets of 1200 B")
        with link_program.tun_link(left, right, there=SLOW, seed=SEED) as link:
            yield Network(name=LINK, offerer=left, answerer=right)
            link.end()
        for name, counters in (("there", link.counters.there), ("back", link.counters.back)):
            session.note(
                f"{LINK}: {name} lost {counters.loss_share:.2%} of {counters.arrived} packets, "
                f"late by {counters.mean_lateness * 1e3:.3f} ms, {counters.most_lateness * 1e3:.1f} ms at most"
            )


def choose_plan(options: Options) -> Plan:
    """The plan that the options name."""
    plan = SMOKE if options.smoke else FULL if options.full else NORMAL
    return Plan(
        rounds=options.rounds or plan.rounds,
        seconds=options.seconds or plan.seconds,
        buffer=plan.buffer,
        echoes=plan.echoes,
        setups=plan.setups,
    )


def measure_rows(
    rows: Sequence[ThroughputRow], pairs: Sequence[Pair], plan: Plan, seconds: float, session: Session
) -> None:
    """Fill the rows; every run has a connection of its own."""
    for round_number in range(plan.rounds):
        for row in rows:
            for pair in pairs:
                pair.offerer.call("open")
                sample = measure_throughput(pair, row.size, seconds, plan.buffer)
                pair.offerer.call("close")
                if round_number > 0:  # the first one warms up
                    row.samples.setdefault(pair.peer.name, []).append(sample)
        session.progress(round_number + 1, plan.rounds, f"rounds of {rows[0].network}")


def measure(options: Options, session: Session) -> tuple[list[ThroughputRow], LatencyRow | None]:
    """Everything that the options ask for."""
    plan, peers = choose_plan(options), choose_peers(options, session, OTHERS)
    local = [row for size in (16384, 1200) if options.only in (row := ThroughputRow(network=LOOPBACK, size=size)).name]
    slow = [row for row in (ThroughputRow(network=LINK, size=16384),) if options.only in row.name]
    latency = LatencyRow() if options.only in LatencyRow().name else None
    if not (local or slow or latency):
        session.note(f"no row has {options.only!r} in its name")
    if local or latency:
        with loopback(session) as network, running(peers, PROGRAM, network, session) as pairs:
            if local:
                measure_rows(local, pairs, plan, plan.seconds, session)
            for round_number in range(plan.rounds if latency else 0):
                for pair in pairs:
                    assert latency is not None
                    measure_latency(pair, plan, latency, keep=round_number > 0)
                session.progress(round_number + 1, plan.rounds, "rounds of latency")
    if slow:
        with slow_link(session) as found:
            if found is None:
                slow = []
            else:
                with running(peers, PROGRAM, found, session) as pairs:
                    measure_rows(slow, pairs, plan, 3 * plan.seconds, session)
    return [*local, *slow], latency


def print_results(rows: Sequence[ThroughputRow], latency: LatencyRow | None) -> None:
    """Both tables."""
    if rows:
        print_table(
            "One data channel, one way, two processes",
            [
                "peer",
                "messages",
                "Mbit/s",
                "spread",
                "ratio",
                "budget",
                "CPU-s/GB",
                "sender",
                "receiver",
                "ratio",
                "budget",
            ],
            [_throughput_cells(row) for row in rows],
            f"ratios: to {REFERENCE} in the same run; CPU-s/GB: both ends together; budgets are for ours",
        )
    if latency is not None:
        print_table(
            "Loopback, milliseconds",
            ["peer", "", "64 B there and back", "p99", "nothing to open", "spread", "budget", "set-ups/s", "ratio"],
            [[_latency_cells(latency, name) for name in latency.opens]],
            f"ratio: to {REFERENCE}; higher is better",
        )


def _throughput_cells(row: ThroughputRow) -> list[list[Cell]]:
    def median(name: str, value: Callable[[Throughput], float]) -> float:
        return Summary.of([value(sample) for sample in row.samples[name]]).median

    lines = []
    for name, samples in row.samples.items():
        rate = Summary.of([sample.megabits_per_second for sample in samples])
        cpu = median(name, _both)
        cells = [name, row.name, f"{rate.median:.1f}", f"{rate.spread:.0%}"]
        ours, has_reference = name.startswith("icelane"), REFERENCE in row.samples
        key = (row.network, row.size)
        cells.append(f"{rate.median / median(REFERENCE, _rate):.2f}" if has_reference else "")
        cells.append(RATE_BUDGETS.get(key, "") if ours else "")
        cells.append(f"{cpu:.1f}")
        cells.append(f"{median(name, lambda sample: sample.sender_seconds_per_gigabyte):.1f}")
        cells.append(f"{median(name, lambda sample: sample.receiver_seconds_per_gigabyte):.1f}")
        cells.append(f"{cpu / median(REFERENCE, _both):.3f}" if has_reference else "")
        cells.append(CPU_BUDGETS.get(key, "") if ours else "")
        lines.append(cells)
    return lines


def _rate(sample: Throughput) -> float:
    return sample.megabits_per_second


def _both(sample: Throughput) -> float:
    return sample.sender_seconds_per_gigabyte + sample.receiver_seconds_per_gigabyte


def _latency_cells(row: LatencyRow, name: str) -> list[Cell]:
    opens, setups = Summary.of(row.opens[name]), Summary.of(row.setups_per_second[name])
    reference = row.setups_per_second.get(REFERENCE)
    return [
        name,
        "",
        f"{Summary.of(row.round_trips[name]).median:.2f}",
        f"{Summary.of(row.late_round_trips[name]).median:.2f}",
        f"{opens.median:.1f}",
        f"{opens.spread:.0%}",
        OPEN_BUDGET if name.startswith("icelane") else "",
        f"{setups.median:.1f}",
        f"{setups.median / Summary.of(reference).median:.2f}" if reference else "",
    ]


def main() -> None:
    """The command."""
    options = parse_options(__doc__ or "", "datachannel")
    with announce(options) as session:
        note_what_disturbs(session, f"CPU-s/GB and ratios to {REFERENCE}")
        try:
            rows, latency = measure(options, session)
        except PeerFailedError as error:
            sys.exit(str(error))
        print_results(rows, latency)
        write_json(options, session, [*rows, *([latency] if latency is not None else [])])


if __name__ == "__main__":
    main()
