"""Where the compiled relay's time goes: `python -m benches.profile [--smoke] [--only TEXT]`, as root.

The server on one CPU and the generator on the other, over a veth pair, as in `benches.relay`; `perf record` (Debian
package linux-perf) looks every millisecond of the server's CPU time at what it is doing. What the kernel does for the
packets while another program's system call has the CPU is not in it.

Symbols are put together by what they do; the names of the kernel's functions change, so the part that no group knows is
shown, too. Then what the plane itself counts: system calls and the packets that they moved.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benches import links, load, perf
from benches.command import announce, parse_options, write_json
from benches.links import Link
from benches.load import Generator, Traffic
from benches.measure import cpu_nanoseconds, settle
from benches.servers import CREDENTIALS, Icelane, Running, running
from benches.table import Cell, print_table

SECONDS, SMOKE_SECONDS = 6.0, 0.5
HERTZ: Final = 999

# The first that matches says what a symbol of the kernel belongs to.
KERNEL_GROUPS: Final[Sequence[tuple[str, str]]] = (
    ("copying payload", r"copy_(user|from|to)|copyin|copyout|rep_movs|memcpy|csum_(and|partial)|skb_copy|_copy_"),
    ("cutting and joining runs", r"segment|gso|gro_|_gro|skb_gro|napi_gro|frag_list"),
    ("buffers", r"alloc|kfree|free_|_free|slab|kmem|page|skb_release|skb_put|consume_skb|build_skb|memset|refill"),
    ("sending", r"send|xmit|ip_(output|finish|append|make|local_out|queue|push)|__ip|route|fib_|neigh|qdisc|dst_"),
    ("arriving", r"_rcv|receive_skb|netif|net_rx|backlog|napi|softirq|early_demux|lib_lookup|def_readable|queue_rcv"),
    ("receiving", r"recv|skb_recv|datagram|sock_rfree|scm|put_cmsg|move_addr"),
    ("waiting", r"epoll|ep_|poll|hrtimer|nanosleep|schedule|idle|wake|ktime"),
    ("entering the kernel", r"entry_|syscall|do_sys|sysret|fdget|fget|fput|security_|exit_to_user|import_iovec|sockfd"),
    ("locks", r"lock|mutex|rcu"),
)  # fmt: skip
OTHER_KERNEL: Final = "other parts of the kernel"


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Of one kind of traffic. Shares are of the server's CPU time; `unknown` are symbols that no group has."""

    traffic: Traffic
    us_per_packet: float
    shares: dict[str, float]
    unknown: dict[str, float]


def rows_for(smoke: bool) -> list[Traffic]:
    """Runs, and single packets of many flows, at the rate of the budgets."""
    rate = 1000 if smoke else 60_000
    return [
        Traffic(payload=172, flows=1, burst=8, packets_per_second=rate),
        Traffic(payload=172, flows=64, burst=1, packets_per_second=rate),
        Traffic(payload=1200, flows=64, burst=1, packets_per_second=rate),
    ]


def group_of(binary: str, kind: str, symbol: str) -> str | None:
    """What a symbol belongs to; None for one of the kernel that no group knows."""
    if kind == "k":
        return next((name for name, pattern in KERNEL_GROUPS if re.search(pattern, symbol)), None)
    if binary.startswith("core."):
        return "our core in C"
    if binary.startswith(("libc", "[vdso]", "ld-")):
        return "the C library"
    return "Python"


def parse(report: str) -> tuple[dict[str, float], dict[str, float]]:
    """Shares by group, and the symbols that no group has, of what `perf report` prints."""
    shares: dict[str, float] = defaultdict(float)
    unknown: dict[str, float] = defaultdict(float)
    for share, binary, kind, symbol in perf.parse_report(report):
        group = group_of(binary, kind, symbol)
        shares[group or OTHER_KERNEL] += share
        if group is None:
            unknown[symbol] += share
    return dict(shares), dict(unknown)


def measure(traffic: Traffic, seconds: float, link: Link, server: Running, generator: Generator, room: Path) -> Profile:
    """Offer the traffic while perf looks at the server."""
    samples = room / "perf.data"
    with load.open_flows(traffic, link, server.address, CREDENTIALS) as opened:
        settle(server.pid)
        used = cpu_nanoseconds(server.pid)
        with perf.watching(server.pid, HERTZ, samples):
            delivery = generator.run(traffic, seconds, opened.flows, opened.peer, opened.prefix)
        used = cpu_nanoseconds(server.pid) - used
    settle(server.pid)
    shares, unknown = parse(perf.report(samples))
    return Profile(
        traffic=traffic, us_per_packet=used / 1000 / max(1, delivery.received), shares=shares, unknown=unknown
    )


def print_profiles(profiles: Sequence[Profile]) -> None:
    """A column for each kind of traffic, in microseconds per packet."""
    names = sorted({name for one in profiles for name in one.shares}, key=lambda name: -_most(name, profiles))
    lines: list[list[Cell]] = [
        [name, *(f"{one.shares.get(name, 0.0) * one.us_per_packet:.2f}" for one in profiles)] for name in names
    ]
    lines.append(["together", *(f"{one.us_per_packet:.2f}" for one in profiles)])
    print_table(
        "Where the compiled relay's time goes, microseconds per packet",
        ["", *(one.traffic.name.partition(", both")[0] for one in profiles)],
        [lines],
        f"{OTHER_KERNEL}, the largest: {', '.join(_largest(profiles)) or 'nothing'}",
    )


def _most(name: str, profiles: Iterable[Profile]) -> float:
    return max(one.shares.get(name, 0.0) * one.us_per_packet for one in profiles)


def _largest(profiles: Iterable[Profile]) -> list[str]:
    unknown: dict[str, float] = defaultdict(float)
    for one in profiles:
        for name, share in one.unknown.items():
            unknown[name] += share
    return sorted(unknown, key=lambda name: -unknown[name])[:5]


def main() -> None:
    """The command."""
    options = parse_options(__doc__ or "", "profile")
    perf.require()
    if not links.may_make_namespaces():
        sys.exit("this needs root, for perf and for the veth pair")
    server = Icelane(name="icelane, compiled", settings=('plane = "compiled"',))
    missing = server.missing()
    if missing is not None:
        sys.exit(missing)
    seconds = options.seconds or (SMOKE_SECONDS if options.smoke else SECONDS)
    with announce(options) as session, ExitStack() as stack:
        load.allow_many_sockets()
        room = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="icelane-bench-")))
        generator = Generator.build(session.processors.load)
        link = stack.enter_context(links.veth())
        started = stack.enter_context(running(server, link, session.processors.server, room / "server"))
        profiles = []
        rows = [row for row in rows_for(options.smoke) if options.only in row.name]
        for traffic in rows:
            profiles.append(measure(traffic, seconds, link, started, generator, room))
            session.progress(len(profiles), len(rows), traffic.name)
        print_profiles(profiles)
        write_json(options, session, profiles)


if __name__ == "__main__":
    main()
