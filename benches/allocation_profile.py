"""Where an allocation's time goes: `python -m benches.allocation_profile [--smoke] [--servers TEXT]`, as root.

Allocate, CreatePermission and ChannelBind with long-term credentials over loopback, as in `benches.allocate`, while
`perf record` (Debian package linux-perf) looks several times in a millisecond of the server's CPU time at what it is
doing. What it finds is put together by the program or library that it is in; below the table are the largest symbols of
the first rows.
"""

from __future__ import annotations

import re
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import build_ext
from benches import load, perf, turn_client
from benches.allocate import a_peer, client_flows, open_bound
from benches.command import announce, choose_servers, parse_options, write_json
from benches.links import loopback
from benches.measure import cpu_nanoseconds, settle
from benches.servers import CREDENTIALS, Running, running
from benches.table import Cell, print_table

ALLOCATIONS, SMOKE_ALLOCATIONS = 6000, 64
HERTZ: Final = 4999
_OURS: Final = frozenset(name.rpartition(".")[2] for name in build_ext.COMPILED_MODULES)
_GARBAGE: Final = re.compile(r"^(gc_|visit_|subtract_refs|update_refs|move_|.*_traverse$|func_traverse|untrack_)")
NAMED: Final = 4


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Of one server. Shares are of its CPU time, by where it was; `symbols` are the largest of each."""

    server: str
    us_per_allocation: float
    shares: dict[str, float]
    symbols: dict[str, list[str]]


def group_of(binary: str, kind: str, symbol: str) -> str:
    """What a symbol belongs to."""
    name = binary.partition(".")[0]
    if kind == "k":
        return "the kernel"
    if binary.startswith(("libpython", "python")):
        return "looking for garbage" if _GARBAGE.match(symbol) else "Python"
    if binary.startswith("libcrypto."):
        # Ours has the name of the library that it calls, and another ending.
        return "our modules, compiled" if ".cpython-" in binary else "hashing"
    if ".cpython-" in binary and name in _OURS:
        return "our modules, compiled"
    if binary.startswith(("libc.", "libc-", "libpthread", "[vdso]", "ld-")):
        return "the C library"
    return "other programs and libraries"


def parse(report: str) -> tuple[dict[str, float], dict[str, list[str]]]:
    """Shares and the largest symbols by group, of what `perf report` prints."""
    shares: dict[str, float] = defaultdict(float)
    symbols: dict[str, list[str]] = defaultdict(list)
    for share, binary, kind, symbol in perf.parse_report(report):
        group = group_of(binary, kind, symbol)
        shares[group] += share
        if len(symbols[group]) < NAMED:
            symbols[group].append(symbol)
    return dict(shares), dict(symbols)


def measure(server: Running, count: int, room: Path) -> Profile:
    """Open so many allocations, once to warm up and once while perf looks."""
    samples = room / "perf.data"
    link = loopback()
    used = 0
    for looking in (False, True):
        with a_peer(link) as peer, client_flows(count, server.address, link) as flows:
            with perf.watching(server.pid, HERTZ, samples) if looking else nullcontext():
                used = -cpu_nanoseconds(server.pid)
                open_bound(flows, peer)
                used += cpu_nanoseconds(server.pid)
            turn_client.release_allocations(flows, CREDENTIALS)
        settle(server.pid)
    shares, symbols = parse(perf.report(samples))
    return Profile(server=server.server.name, us_per_allocation=used / 1000 / count, shares=shares, symbols=symbols)


def print_profiles(profiles: Sequence[Profile]) -> None:
    """A table for each server."""
    for one in profiles:
        names = sorted(one.shares, key=lambda name: -one.shares[name])
        lines: list[list[Cell]] = [
            [name, f"{one.shares[name] * one.us_per_allocation:.1f}", f"{one.shares[name]:.0%}"] for name in names
        ]
        lines.append(["together", f"{one.us_per_allocation:.1f}", ""])
        print_table(
            f"Where an allocation's time goes, {one.server}: microseconds, with what perf itself costs",
            ["", "us", "share"],
            [lines],
            "the largest: " + "; ".join(", ".join(one.symbols[name][:2]) for name in names[:3]),
        )


def main() -> None:
    """The command."""
    options = parse_options(__doc__ or "", "allocation_profile")
    perf.require()
    with announce(options) as session, tempfile.TemporaryDirectory(prefix="icelane-bench-") as name:
        load.allow_many_sockets()
        servers = choose_servers(options, session)
        profiles = []
        for number, server in enumerate(servers):
            room = Path(name) / str(number)
            with running(server, loopback(), session.processors.server, room) as started:
                profiles.append(measure(started, SMOKE_ALLOCATIONS if options.smoke else ALLOCATIONS, room))
            session.progress(number + 1, len(servers), server.name)
        print_profiles(profiles)
        write_json(options, session, profiles)


if __name__ == "__main__":
    main()
